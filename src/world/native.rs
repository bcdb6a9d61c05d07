//! The native engine's ground: its network and its timers, and who to wake. Event-driven: idle
//! time costs nothing. Must never decide which task runs next.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::clock::{TimerKey, Timers};
use super::exec::Kernel;
use super::meter::{Part, charge};
use super::net::Fabric;
use crate::env::Moment;
use crate::trace::EventIndex;

pub struct Native {
    fabric: Mutex<Fabric>,
    timers: Mutex<Timers>,
    kernel: Arc<Kernel>,
}

impl Native {
    pub fn new(fabric: Fabric, kernel: Arc<Kernel>) -> Arc<Native> {
        let (fabric, timers) = (Mutex::new(fabric), Mutex::new(Timers::default()));
        Arc::new(Native { fabric, timers, kernel })
    }

    /// Works on the network; records the choices it made and wakes whom it woke.
    pub fn with<R>(&self, work: impl FnOnce(&mut Fabric) -> R) -> R {
        charge(Part::Network, || self.work(work))
    }

    fn work<R>(&self, work: impl FnOnce(&mut Fabric) -> R) -> R {
        let mut fabric = self.fabric.lock().expect("no waker is called under this lock");
        let result = work(&mut fabric);
        if !fabric.choices.is_empty() {
            self.kernel.tell(|recorder| {
                for (stream, among, chosen) in fabric.choices.drain(..) {
                    recorder.choice(stream, among, chosen);
                }
            });
        }
        // One waker is the rule; taking the vector itself would cost an allocation each time.
        let one = if fabric.wakers.len() == 1 { fabric.wakers.pop() } else { None };
        let many = if fabric.wakers.is_empty() { None } else { Some(fabric.take_wakers()) };
        drop(fabric);
        if let Some(waker) = one {
            waker.wake();
        }
        many.into_iter().flatten().for_each(Waker::wake);
        result
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

    /// Sets a timer, or gives the one set before a new waker.
    pub fn set_timer(&self, key: &mut Option<TimerKey>, deadline: Moment, waker: &Waker) {
        let mut timers = self.timers.lock().expect("timers");
        match *key {
            Some(known) => timers.update(known, waker),
            None => *key = Some(timers.set(deadline, waker)),
        }
    }

    pub fn clear_timer(&self, key: TimerKey) {
        self.timers.lock().expect("timers").clear(key);
    }

    /// The next instant at which anything happens.
    pub fn next_instant(&self) -> Option<Moment> {
        let timer = self.timers.lock().expect("timers").next_deadline();
        let arrival = self.fabric.lock().expect("fabric").next_arrival();
        [timer, arrival].into_iter().flatten().min()
    }

    /// Whether nothing travels.
    pub fn quiet(&self) -> bool {
        self.fabric.lock().expect("fabric").quiet()
    }

    /// Moves to `now` and lets everything happen that is due by then.
    pub fn advance(&self, now: Moment) {
        self.kernel.tell(|recorder| recorder.advance(now));
        self.with(|fabric| {
            fabric.now = now;
            fabric.arrive_due();
        });
        loop {
            let due = self.timers.lock().expect("timers").pop_due(now);
            match due {
                Some(waker) => waker.wake(),
                None => break,
            }
        }
    }
}
