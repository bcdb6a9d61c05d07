//! The executor: tasks tagged with their host, in a run queue of our own, so that the strategy
//! sees every choice. Must never hold its lock while a task runs or a waker is called.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::task::{Context, Poll, Wake, Waker};

use super::record::Recorder;
use super::strategy::{self, Strategy, TaskId};
use crate::env::{Task, TaskEnd};
use crate::plan::Plan;
use crate::seed::Stream;
use crate::trace::EventIndex;

/// Position of a host in the world's table.
pub type HostId = usize;

type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a task ended, and who waits to know.
#[derive(Default)]
struct Join {
    end: Option<TaskEnd>,
    waiter: Option<Waker>,
}

struct Slot {
    future: Option<TaskFuture>,
    waker: Waker,
    host: HostId,
    name: &'static str,
    cause: Option<EventIndex>,
    queued: bool,
    aborted: bool,
    join: Arc<Mutex<Join>>,
}

struct Inner {
    tasks: BTreeMap<TaskId, Slot>,
    next: TaskId,
    runnable: Vec<TaskId>,
    /// Hosts that do not run now, and their tasks that could.
    paused: BTreeMap<HostId, Vec<TaskId>>,
    strategy: Box<dyn Strategy>,
    stream: Stream,
    /// Woken when a task becomes runnable: set when the executor is nested in another.
    outer: Option<Waker>,
}

/// A run queue. The native engine has one, the turmoil engine one in each of its hosts.
pub struct Exec {
    inner: Mutex<Inner>,
    recorder: Arc<Mutex<Recorder>>,
    host_names: Vec<Arc<str>>,
}

/// A task that panicked: host, task, message, place.
pub struct Panic {
    pub host: HostId,
    pub task: &'static str,
    pub message: String,
    pub location: String,
}

/// What one step did.
pub enum Step {
    Idle,
    Ran,
    Panicked(Panic),
}

struct TaskWaker {
    exec: std::sync::Weak<Exec>,
    id: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(exec) = self.exec.upgrade() {
            let cause = exec.recorder.lock().expect("recorder").cause();
            exec.wake(self.id, cause);
        }
    }
}

impl Exec {
    /// An executor that picks by the plan's strategy, drawing from the stream `stream`.
    pub fn of(
        plan: &Plan,
        stream: &str,
        recorder: &Arc<Mutex<Recorder>>,
        host_names: Vec<Arc<str>>,
    ) -> Arc<Exec> {
        let mut stream = Stream::new(plan.seed, stream);
        let inner = Inner {
            tasks: BTreeMap::new(),
            next: 0,
            runnable: Vec::new(),
            paused: BTreeMap::new(),
            strategy: strategy::of(plan.strategy, &mut stream),
            stream,
            outer: None,
        };
        Arc::new(Exec { inner: Mutex::new(inner), recorder: Arc::clone(recorder), host_names })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no task runs under this lock")
    }

    pub fn spawn(
        self: &Arc<Exec>,
        host: HostId,
        name: &'static str,
        future: TaskFuture,
    ) -> SimTask {
        let cause = self.recorder.lock().expect("recorder").cause();
        let join = Arc::new(Mutex::new(Join::default()));
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        let waker = Waker::from(Arc::new(TaskWaker { exec: Arc::downgrade(self), id }));
        let slot = Slot {
            future: Some(future),
            waker,
            host,
            name,
            cause,
            queued: false,
            aborted: false,
            join: Arc::clone(&join),
        };
        inner.tasks.insert(id, slot);
        let Inner { strategy, stream, .. } = &mut *inner;
        strategy.born(id, stream);
        drop(inner);
        self.wake(id, cause);
        SimTask { exec: Arc::clone(self), id, join }
    }

    fn wake(&self, id: TaskId, cause: Option<EventIndex>) {
        let mut inner = self.lock();
        let Inner { tasks, runnable, paused, outer, .. } = &mut *inner;
        let Some(slot) = tasks.get_mut(&id) else { return };
        slot.cause = slot.cause.max(cause);
        if slot.queued {
            return;
        }
        slot.queued = true;
        match paused.get_mut(&slot.host) {
            Some(parked) => parked.push(id),
            None => runnable.push(id),
        }
        let outer = outer.clone();
        drop(inner);
        if let Some(outer) = outer {
            outer.wake();
        }
    }

    /// Whether a task other than the one that runs now could run.
    pub fn has_runnable(&self) -> bool {
        !self.lock().runnable.is_empty()
    }

    /// Who is to be woken when a task becomes runnable from outside.
    pub fn nest_in(&self, outer: &Waker) {
        let mut inner = self.lock();
        if !inner.outer.as_ref().is_some_and(|known| known.will_wake(outer)) {
            inner.outer = Some(outer.clone());
        }
    }

    /// Wakes the executor that this one is nested in, if any.
    pub fn wake_outer(&self) {
        let outer = self.lock().outer.clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }

    /// Polls the task that the strategy picks, once.
    pub fn step(&self) -> Step {
        let Some((id, mut future, waker, aborted)) = self.begin() else { return Step::Idle };
        let polled = if aborted {
            None
        } else {
            Some(guarded(|| future.as_mut().poll(&mut Context::from_waker(&waker))))
        };
        match polled {
            Some(Ok(Poll::Pending)) => self.put_back(id, future),
            ended => {
                let dropped = guarded(move || drop(future));
                let end = match (ended, dropped) {
                    (Some(Err(panic)), _) | (_, Err(panic)) => Err(panic),
                    (None, Ok(())) => Ok(TaskEnd::Aborted),
                    _ => Ok(TaskEnd::Finished),
                };
                if let Some(panic) = self.finish(id, end) {
                    return Step::Panicked(panic);
                }
            }
        }
        Step::Ran
    }

    fn begin(&self) -> Option<(TaskId, TaskFuture, Waker, bool)> {
        let mut inner = self.lock();
        let Inner { runnable, strategy, stream, tasks, .. } = &mut *inner;
        let among = runnable.len();
        let index = match among {
            0 => return None,
            1 => 0,
            _ => strategy.pick(runnable, stream),
        };
        let id = runnable.remove(index);
        let slot = tasks.get_mut(&id).expect("a runnable task exists");
        slot.queued = false;
        let future = slot.future.take().expect("a task is polled by one step at a time");
        let begun = (id, future, slot.waker.clone(), slot.aborted);
        let (host, name, cause) = (slot.host, slot.name, slot.cause);
        drop(inner);
        let mut recorder = self.recorder.lock().expect("recorder");
        if among > 1 {
            recorder.choice("schedule", among as u64, index as u64);
        }
        recorder.enter(&self.host_names[host], name, cause);
        Some(begun)
    }

    fn put_back(&self, id: TaskId, future: TaskFuture) {
        let cause = self.recorder.lock().expect("recorder").leave();
        let mut inner = self.lock();
        let slot = inner.tasks.get_mut(&id).expect("a pending task exists");
        slot.future = Some(future);
        slot.cause = slot.cause.max(cause);
    }

    fn finish(&self, id: TaskId, end: Result<TaskEnd, Caught>) -> Option<Panic> {
        let mut inner = self.lock();
        let slot = inner.tasks.remove(&id).expect("a task ends once");
        inner.strategy.ended(id);
        inner.runnable.retain(|runnable| *runnable != id);
        drop(inner);
        let panic = end.as_ref().err().map(|caught| Panic {
            host: slot.host,
            task: slot.name,
            message: caught.message.clone(),
            location: caught.location.clone(),
        });
        let end = end.unwrap_or_else(|caught| TaskEnd::Panicked(caught.message));
        let waiter = {
            let mut join = slot.join.lock().expect("join");
            join.end = Some(end);
            join.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        self.recorder.lock().expect("recorder").leave();
        panic
    }

    /// Drops every task of `host`, in the order of birth, without running them again.
    pub fn kill(&self, host: HostId) {
        let doomed: Vec<Slot> = {
            let mut inner = self.lock();
            let ids: Vec<TaskId> =
                inner.tasks.iter().filter(|(_, t)| t.host == host).map(|(id, _)| *id).collect();
            inner.runnable.retain(|id| !ids.contains(id));
            inner.paused.remove(&host);
            for id in &ids {
                inner.strategy.ended(*id);
            }
            ids.iter().filter_map(|id| inner.tasks.remove(id)).collect()
        };
        for slot in doomed {
            // What a destructor of a killed process would say, nobody hears.
            let _ = guarded(move || drop(slot.future));
        }
    }

    pub fn pause(&self, host: HostId) {
        let mut inner = self.lock();
        let Inner { runnable, tasks, paused, .. } = &mut *inner;
        let parked = paused.entry(host).or_default();
        runnable.retain(|id| {
            let stays = tasks[id].host != host;
            if !stays {
                parked.push(*id);
            }
            stays
        });
    }

    pub fn resume(&self, host: HostId) {
        let mut inner = self.lock();
        let parked = inner.paused.remove(&host).unwrap_or_default();
        inner.runnable.extend(parked);
    }

    pub fn be_fair(&self) {
        self.lock().strategy.be_fair();
    }

    pub fn alive(&self, host: HostId) -> usize {
        self.lock().tasks.values().filter(|task| task.host == host).count()
    }

    /// Tasks that are alive: host, name, how many.
    pub fn census(&self) -> BTreeMap<(HostId, &'static str), usize> {
        let mut census = BTreeMap::new();
        for task in self.lock().tasks.values() {
            *census.entry((task.host, task.name)).or_default() += 1;
        }
        census
    }

    fn abort(&self, id: TaskId) {
        if let Some(slot) = self.lock().tasks.get_mut(&id) {
            slot.aborted = true;
        }
        let cause = self.recorder.lock().expect("recorder").cause();
        self.wake(id, cause);
    }
}

/// A handle on a task of the world.
pub struct SimTask {
    exec: Arc<Exec>,
    id: TaskId,
    join: Arc<Mutex<Join>>,
}

impl Task for SimTask {
    fn abort(&self) {
        self.exec.abort(self.id);
    }

    fn join(self) -> impl Future<Output = TaskEnd> + Send {
        std::future::poll_fn(move |cx| {
            let mut join = self.join.lock().expect("join");
            if let Some(end) = join.end.clone() {
                return Poll::Ready(end);
            }
            join.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A panic of code in the world.
struct Caught {
    message: String,
    location: String,
}

thread_local! {
    /// Where the last panic of this thread happened; `None` outside the world.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs code of the world; its panic is caught, silent, and knows its place.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let inside = LOCATION.with_borrow_mut(|location| {
                let inside = location.is_some();
                if inside {
                    *location = info.location().map(ToString::to_string);
                }
                inside
            });
            if !inside {
                outer(info);
            }
        }));
    });
    let nested = LOCATION.replace(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(work));
    let location = LOCATION.replace(nested).unwrap_or_default();
    result.map_err(|payload| Caught { message: message_of(payload.as_ref()), location })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
