//! The native engine's ground: its network and its timers, and who to wake. Event-driven: idle
//! time costs nothing. Must never decide which task runs next.

use std::sync::{Arc, MutexGuard};
use std::task::Waker;

use super::clock::{TimerKey, Timers};
use super::kernel::{Inner, Kernel};
use super::meter::{Part, charge};
use super::net::Fabric;
use super::record::Sleeper;
use crate::env::Moment;
use crate::trace::EventIndex;

pub struct Native {
    kernel: Arc<Kernel>,
}

/// What moves bytes and time.
pub struct Wires {
    fabric: Fabric,
    timers: Timers,
}

impl Inner {
    fn wires(&mut self) -> &mut Wires {
        self.wires.as_mut().expect("there is one network on the native engine")
    }
}

impl Native {
    pub fn new(fabric: Fabric, kernel: Arc<Kernel>) -> Arc<Native> {
        let wires = Wires { fabric, timers: Timers::default() };
        kernel.lock().wires = Some(Box::new(wires));
        Arc::new(Native { kernel })
    }

    /// Works on the network; records the choices it made and wakes whom it woke.
    pub fn with<R>(&self, work: impl FnOnce(&mut Fabric) -> R) -> R {
        charge(Part::Network, || {
            let mut inner = self.kernel.lock();
            let result = work(&mut inner.wires().fabric);
            self.worked(inner);
            result
        })
    }

    fn worked<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) {
        let Inner { recorder, wires, .. } = &mut *inner;
        let fabric = &mut wires.as_mut().expect("worked on").fabric;
        for (stream, among, chosen) in &fabric.choices {
            recorder.choice(stream, *among, *chosen);
        }
        fabric.choices.clear();
        if fabric.woken.is_empty() {
            return;
        }
        let mut woken = std::mem::take(&mut fabric.woken);
        for sleeper in woken.drain(..) {
            match sleeper {
                Sleeper::Task(id) => {
                    let Inner { recorder, nodes, .. } = &mut *inner;
                    let outer = nodes[0].wake(id, recorder.cause());
                    debug_assert!(outer.is_none(), "the native engine is nested in none");
                }
                Sleeper::Other(waker) => {
                    drop(inner);
                    waker.wake();
                    inner = self.kernel.lock();
                }
            }
        }
        // Its room is for the next time.
        inner.wires().fabric.woken = woken;
    }

    pub fn cause(&self) -> Option<EventIndex> {
        self.kernel.glance.cause()
    }

    pub fn learn(&self, cause: Option<EventIndex>) {
        if cause > self.cause() {
            self.kernel.tell(|recorder| recorder.learn(cause));
        }
    }

    pub fn now(&self) -> Moment {
        self.kernel.glance.now()
    }

    /// Who waits with this waker.
    pub fn sleeper(&self, waker: &Waker) -> Sleeper {
        self.kernel.glance.sleeper(waker)
    }

    /// Sets a timer, or gives the one set before a new sleeper.
    pub fn set_timer(&self, key: &mut Option<TimerKey>, deadline: Moment, waker: &Waker) {
        let sleeper = self.sleeper(waker);
        let mut inner = self.kernel.lock();
        let timers = &mut inner.wires().timers;
        match *key {
            Some(known) => timers.update(known, sleeper),
            None => *key = Some(timers.set(deadline, sleeper)),
        }
    }

    pub fn clear_timer(&self, key: TimerKey) {
        self.kernel.lock().wires().timers.clear(key);
    }

    /// The next instant at which anything happens.
    pub fn next_instant(&self) -> Option<Moment> {
        let mut inner = self.kernel.lock();
        let Wires { timers, fabric } = inner.wires();
        [timers.next_deadline(), fabric.next_arrival()].into_iter().flatten().min()
    }

    /// Whether nothing travels.
    pub fn quiet(&self) -> bool {
        self.kernel.lock().wires().fabric.quiet()
    }

    /// Moves to `now` and lets everything happen that is due by then.
    pub fn advance(&self, now: Moment) {
        charge(Part::Network, || {
            let mut inner = self.kernel.lock();
            inner.recorder.advance(now);
            let Wires { fabric, timers } = inner.wires();
            fabric.now = now;
            fabric.arrive_due();
            while let Some(sleeper) = timers.pop_due(now) {
                fabric.woken.push(sleeper);
            }
            self.worked(inner);
        });
    }
}
