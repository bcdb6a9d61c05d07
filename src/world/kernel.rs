//! What the steps of a run share, under one lock: the recorder, every run queue, and what moves
//! bytes and time on the native engine. Must never let a task run, nor call a waker, under it.

use std::sync::{Arc, Mutex, MutexGuard};

use super::exec::Node;
use super::native::Wires;
use super::record::{Glance, Recorder};
use crate::plan::Plan;

pub struct Kernel {
    inner: Mutex<Inner>,
    /// What the recorder lets be read without the lock.
    pub glance: Arc<Glance>,
}

pub struct Inner {
    pub recorder: Recorder,
    pub nodes: Vec<Node>,
    /// On the native engine.
    pub wires: Option<Box<Wires>>,
}

impl Kernel {
    /// One run queue for each of `streams`, which its strategy draws from.
    pub fn new(plan: &Plan, recorder: Recorder, streams: &[String]) -> Arc<Kernel> {
        let nodes = streams.iter().map(|stream| Node::of(plan, stream)).collect();
        let glance = recorder.glance();
        Arc::new(Kernel { inner: Mutex::new(Inner { recorder, nodes, wires: None }), glance })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no task runs under this lock")
    }

    pub fn tell<R>(&self, what: impl FnOnce(&mut Recorder) -> R) -> R {
        what(&mut self.lock().recorder)
    }
}
