//! The executor: tasks tagged with their host, in a run queue of our own, so that the strategy
//! sees every choice. Must never hold its lock while a task runs or a waker is called.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll, Wake, Waker};

use super::kernel::{Inner, Kernel};
use super::meter::{Part, charge};
use super::record::Recorder;
use super::strategy::{self, Strategy, TaskId};
use crate::env::{Task, TaskEnd};
use crate::plan::Plan;
use crate::seed::Stream;
use crate::trace::EventIndex;

/// Position of a host in the world's table.
pub type HostId = usize;

pub type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a task ended, and who waits to know.
#[derive(Default)]
struct Join {
    end: Option<TaskEnd>,
    waiter: Option<Waker>,
}

struct Slot {
    id: TaskId,
    /// Away while the task runs.
    future: Option<TaskFuture>,
    /// Away likewise: cloning it would cost two atomic operations a step.
    waker: Option<Waker>,
    host: HostId,
    name: &'static str,
    cause: Option<EventIndex>,
    queued: bool,
    aborted: bool,
    join: Arc<Mutex<Join>>,
}

/// A task's id is its birth number and, in the low bits, its slot: ids sort by birth.
const SLOT_BITS: u32 = 24;

fn slot_of(id: TaskId) -> usize {
    usize::try_from(id & ((1 << SLOT_BITS) - 1)).expect("24 bits fit")
}

/// Scheduling points that a task passes in one step while nobody else could run.
const POINTS_MAX: u32 = 64;

/// One run queue. The native engine has one, the turmoil engine one in each of its hosts.
pub struct Node {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    births: u64,
    runnable: Vec<TaskId>,
    /// Hosts that do not run now, and their tasks that could.
    paused: BTreeMap<HostId, Vec<TaskId>>,
    strategy: Box<dyn Strategy>,
    stream: Stream,
    /// Scheduling points that the running task has passed in this step.
    points: u32,
    /// Woken when a task becomes runnable: set when the executor is nested in another.
    outer: Option<Waker>,
}

impl Node {
    pub fn of(plan: &Plan, stream: &str) -> Node {
        let mut stream = Stream::new(plan.seed, stream);
        Node {
            slots: Vec::new(),
            free: Vec::new(),
            births: 0,
            runnable: Vec::new(),
            paused: BTreeMap::new(),
            strategy: strategy::of(plan.strategy, &mut stream),
            stream,
            points: 0,
            outer: None,
        }
    }

    fn task(&mut self, id: TaskId) -> Option<&mut Slot> {
        self.slots[slot_of(id)].as_mut().filter(|slot| slot.id == id)
    }

    fn tasks(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    fn next_id(&mut self) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        assert!(slot < 1 << SLOT_BITS, "fewer than 16 million tasks live at once");
        self.births += 1;
        (self.births << SLOT_BITS) | slot as u64
    }

    fn remove(&mut self, id: TaskId) -> Slot {
        let slot = self.slots[slot_of(id)].take().expect("a task ends once");
        self.free.push(slot_of(id));
        self.strategy.ended(id);
        slot
    }

    /// The task could run; the outer executor to wake, if any.
    pub fn wake(&mut self, id: TaskId, cause: Option<EventIndex>) -> Option<Waker> {
        let slot = self.slots[slot_of(id)].as_mut().filter(|slot| slot.id == id)?;
        slot.cause = slot.cause.max(cause);
        if slot.queued {
            return None;
        }
        slot.queued = true;
        let parked = if self.paused.is_empty() { None } else { self.paused.get_mut(&slot.host) };
        parked.unwrap_or(&mut self.runnable).push(id);
        self.outer.clone()
    }

    /// Takes the task that the strategy picks out of its slot.
    fn begin(&mut self, recorder: &mut Recorder) -> Option<Begun> {
        let Node { runnable, strategy, stream, slots, points, .. } = self;
        *points = 0;
        let among = runnable.len();
        let index = match among {
            0 => return None,
            1 => 0,
            _ => strategy.pick(runnable, stream),
        };
        let id = runnable.remove(index);
        let slot = slots[slot_of(id)].as_mut().expect("a runnable task exists");
        slot.queued = false;
        let future = slot.future.take().expect("a task is polled by one step at a time");
        let waker = slot.waker.take().expect("its waker is with its future");
        if among > 1 {
            recorder.choice("schedule", among as u64, index as u64);
        }
        recorder.enter(slot.host, slot.name, slot.cause);
        recorder.polls(id, &waker);
        Some(Begun { id, host: slot.host, future, waker, aborted: slot.aborted })
    }

    fn put_back(&mut self, recorder: &mut Recorder, begun: Begun) {
        let cause = recorder.leave();
        let slot = self.task(begun.id).expect("a pending task exists");
        slot.future = Some(begun.future);
        slot.waker = Some(begun.waker);
        slot.cause = slot.cause.max(cause);
    }
}

/// A run queue of the kernel.
#[derive(Clone)]
pub struct Exec {
    kernel: Arc<Kernel>,
    node: usize,
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
    /// A task ran; steps so far, and whether there are events that nobody has seen.
    Ran {
        steps: u64,
        fresh: bool,
    },
    Panicked(Panic),
}

struct TaskWaker {
    exec: Exec,
    id: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.exec.wake(self.id);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.exec.wake(self.id);
    }
}

/// A task taken out of its slot to run.
struct Begun {
    id: TaskId,
    host: HostId,
    future: TaskFuture,
    waker: Waker,
    aborted: bool,
}

impl Exec {
    pub fn new(kernel: &Arc<Kernel>, node: usize) -> Exec {
        Exec { kernel: Arc::clone(kernel), node }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Node) -> R) -> R {
        work(&mut self.kernel.lock().nodes[self.node])
    }

    pub fn spawn(&self, host: HostId, name: &'static str, future: TaskFuture) -> SimTask {
        let join = Arc::new(Mutex::new(Join::default()));
        let mut inner = self.kernel.lock();
        let cause = inner.recorder.cause();
        let node = &mut inner.nodes[self.node];
        let id = node.next_id();
        let waker = Waker::from(Arc::new(TaskWaker { exec: self.clone(), id }));
        node.slots[slot_of(id)] = Some(Slot {
            id,
            future: Some(future),
            waker: Some(waker),
            host,
            name,
            cause,
            queued: false,
            aborted: false,
            join: Arc::clone(&join),
        });
        let Node { strategy, stream, .. } = node;
        strategy.born(id, stream);
        let outer = node.wake(id, cause);
        drop(inner);
        outer.into_iter().for_each(Waker::wake);
        SimTask { exec: self.clone(), id, join }
    }

    fn wake(&self, id: TaskId) {
        let mut inner = self.kernel.lock();
        let cause = inner.recorder.cause();
        let outer = inner.nodes[self.node].wake(id, cause);
        drop(inner);
        if let Some(outer) = outer {
            outer.wake();
        }
    }

    /// Whether the running task gives way at a scheduling point: when another could run, and now
    /// and then when none could, so that a task that spins alone is seen as one that never rests.
    pub fn gives_way(&self) -> bool {
        self.with(|node| {
            node.points += 1;
            !node.runnable.is_empty() || node.points > POINTS_MAX
        })
    }

    /// Who is to be woken when a task becomes runnable from outside.
    pub fn nest_in(&self, outer: &Waker) {
        self.with(|node| {
            if !node.outer.as_ref().is_some_and(|known| known.will_wake(outer)) {
                node.outer = Some(outer.clone());
            }
        });
    }

    /// Wakes the executor that this one is nested in, if any.
    pub fn wake_outer(&self) {
        let outer = self.with(|node| node.outer.clone());
        outer.into_iter().for_each(Waker::wake);
    }

    /// Polls the task that the strategy picks, once; then the next, while nobody has to look at
    /// what happened and `more` says so of the steps so far.
    pub fn step(&self, more: impl Fn(u64) -> bool) -> Step {
        let mut inner = self.kernel.lock();
        loop {
            let Inner { recorder, nodes, .. } = &mut *inner;
            let Some(mut begun) = nodes[self.node].begin(recorder) else { return Step::Idle };
            drop(inner);
            let polled = if begun.aborted {
                None
            } else {
                let mut context = Context::from_waker(&begun.waker);
                let poll = || guarded(|| begun.future.as_mut().poll(&mut context));
                Some(charge(Part::Host(begun.host), poll))
            };
            if !matches!(polled, Some(Ok(Poll::Pending))) {
                return self.finish(begun, polled);
            }
            inner = self.kernel.lock();
            let Inner { recorder, nodes, .. } = &mut *inner;
            nodes[self.node].put_back(recorder, begun);
            match recorder.ran() {
                Step::Ran { steps, fresh: false } if more(steps) => {}
                ran => return ran,
            }
        }
    }

    fn finish(&self, begun: Begun, polled: Option<Result<Poll<()>, Caught>>) -> Step {
        let Begun { id, future, .. } = begun;
        let dropped = guarded(move || drop(future));
        let end = match (polled, dropped) {
            (Some(Err(panic)), _) | (_, Err(panic)) => Err(panic),
            (None, Ok(())) => Ok(TaskEnd::Aborted),
            _ => Ok(TaskEnd::Finished),
        };
        let slot = self.with(|node| {
            let slot = node.remove(id);
            if slot.queued {
                node.runnable.retain(|runnable| *runnable != id);
            }
            slot
        });
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
        let ran = self.kernel.tell(|recorder| {
            recorder.leave();
            recorder.ran()
        });
        panic.map_or(ran, Step::Panicked)
    }

    /// Drops every task of `host`, in the order of birth, without running them again.
    pub fn kill(&self, host: HostId) {
        let doomed: Vec<Slot> = self.with(|node| {
            if node.free.len() == node.slots.len() {
                return Vec::new();
            }
            let of_host = node.tasks().filter(|task| task.host == host).map(|task| task.id);
            let mut ids: Vec<TaskId> = of_host.collect();
            ids.sort_unstable();
            node.runnable.retain(|id| !ids.contains(id));
            node.paused.remove(&host);
            ids.into_iter().map(|id| node.remove(id)).collect()
        });
        for slot in doomed {
            // What a destructor of a killed process would say, nobody hears.
            let _ = guarded(move || drop(slot.future));
        }
    }

    pub fn pause(&self, host: HostId) {
        self.with(|node| {
            let Node { runnable, slots, paused, .. } = node;
            let parked = paused.entry(host).or_default();
            runnable.retain(|id| {
                let stays = slots[slot_of(*id)].as_ref().is_none_or(|task| task.host != host);
                if !stays {
                    parked.push(*id);
                }
                stays
            });
        });
    }

    pub fn resume(&self, host: HostId) {
        let outer = self.with(|node| {
            let parked = node.paused.remove(&host).unwrap_or_default();
            node.runnable.extend(parked);
            node.outer.clone()
        });
        outer.into_iter().for_each(Waker::wake);
    }

    pub fn be_fair(&self) {
        self.with(|node| node.strategy.be_fair());
    }

    pub fn alive(&self, host: HostId) -> usize {
        self.with(|node| node.tasks().filter(|task| task.host == host).count())
    }

    /// Tasks that are alive: host, name, how many.
    pub fn census(&self) -> BTreeMap<(HostId, &'static str), usize> {
        let mut census = BTreeMap::new();
        self.with(|node| {
            for task in node.tasks() {
                *census.entry((task.host, task.name)).or_default() += 1;
            }
        });
        census
    }

    fn abort(&self, id: TaskId) {
        self.with(|node| {
            if let Some(slot) = node.task(id) {
                slot.aborted = true;
            }
        });
        self.wake(id);
    }
}

/// A handle on a task of the world.
pub struct SimTask {
    exec: Exec,
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
    /// Whether code of a world runs now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic in a world of this thread happened.
    static LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on a panic in a world is silent: it is an event of the trace.
pub fn silence_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if INSIDE.get() {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                LOCATION.set(place);
            } else {
                outer(info);
            }
        }));
    });
}

/// Runs code of the world; its panic is caught, silent, and knows its place.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    let outside = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outside);
    result.map_err(|payload| Caught {
        message: message_of(payload.as_ref()),
        location: LOCATION.take(),
    })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
