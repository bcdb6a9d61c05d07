//! The native engine's ground: its network and its timers, and who to wake. Event-driven: idle
//! time costs nothing. Must never decide which task runs next.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use super::clock::{TimerKey, Timers};
use super::exec::Kernel;
use super::meter::{Part, charge};
use super::net::Fabric;
use crate::env::Moment;
use crate::trace::EventIndex;

pub struct Native {
    inner: Mutex<Inner>,
    kernel: Arc<Kernel>,
}

struct Inner {
    fabric: Fabric,
    timers: Timers,
}

impl Native {
    pub fn new(fabric: Fabric, kernel: Arc<Kernel>) -> Arc<Native> {
        let inner = Mutex::new(Inner { fabric, timers: Timers::default() });
        Arc::new(Native { inner, kernel })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no waker is called under this lock")
    }

    /// Works on the network; records the choices it made and wakes whom it woke.
    pub fn with<R>(&self, work: impl FnOnce(&mut Fabric) -> R) -> R {
        charge(Part::Network, || {
            let mut inner = self.lock();
            let result = work(&mut inner.fabric);
            self.worked(inner);
            result
        })
    }

    fn worked(&self, mut inner: MutexGuard<'_, Inner>) {
        let fabric = &mut inner.fabric;
        if !fabric.choices.is_empty() {
            self.kernel.tell(|recorder| {
                for (stream, among, chosen) in fabric.choices.drain(..) {
                    recorder.choice(stream, among, chosen);
                }
            });
        }
        match fabric.wakers.len() {
            0 => {}
            1 => {
                let one = fabric.wakers.pop();
                drop(inner);
                one.into_iter().for_each(Waker::wake);
            }
            _ => {
                let mut many = std::mem::take(&mut fabric.wakers);
                drop(inner);
                many.drain(..).for_each(Waker::wake);
                // Its room is for the next time.
                std::mem::swap(&mut self.lock().fabric.wakers, &mut many);
                many.into_iter().for_each(Waker::wake);
            }
        }
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
        let mut inner = self.lock();
        match *key {
            Some(known) => inner.timers.update(known, waker),
            None => *key = Some(inner.timers.set(deadline, waker)),
        }
    }

    pub fn clear_timer(&self, key: TimerKey) {
        self.lock().timers.clear(key);
    }

    /// The next instant at which anything happens.
    pub fn next_instant(&self) -> Option<Moment> {
        let inner = self.lock();
        let next = [inner.timers.next_deadline(), inner.fabric.next_arrival()];
        next.into_iter().flatten().min()
    }

    /// Whether nothing travels.
    pub fn quiet(&self) -> bool {
        self.lock().fabric.quiet()
    }

    /// Moves to `now` and lets everything happen that is due by then.
    pub fn advance(&self, now: Moment) {
        self.kernel.tell(|recorder| recorder.advance(now));
        charge(Part::Network, || {
            let mut inner = self.lock();
            let Inner { fabric, timers } = &mut *inner;
            fabric.now = now;
            fabric.arrive_due();
            while let Some(waker) = timers.pop_due(now) {
                fabric.wakers.push(waker);
            }
            self.worked(inner);
        });
    }
}
