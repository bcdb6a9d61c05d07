//! Waiting: a state behind a lock, a queue in order of arrival, a future that leaves when dropped.
//! Must never hold the lock while a waker is woken: a waker may run its task, which may come back.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::primitives::Mutex;

/// Wakers to be woken once the lock is released, in order.
#[derive(Default)]
pub struct Wakes(Vec<Waker>);

impl Wakes {
    fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// A state that is only touched in whole steps.
pub struct Guarded<S>(Mutex<S>);

impl<S> Guarded<S> {
    pub fn new(state: S) -> Guarded<S> {
        Guarded(Mutex::new(state))
    }

    /// Runs `f` alone on the state, then wakes whom it answered. A step that panicked leaves the
    /// state as it was at the panic; later steps go on with it.
    pub fn step<R>(&self, f: impl FnOnce(&mut S, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut guard, &mut wakes);
        drop(guard);
        wakes.wake();
        result
    }
}

/// Stands for one waiter in a [`Queue`]; tickets grow in order of arrival.
pub type Ticket = u64;

/// Waiters in order of arrival, and the answers that they have not yet fetched.
pub struct Queue<T> {
    next: Ticket,
    waiting: BTreeMap<Ticket, Waiter>,
    answered: BTreeMap<Ticket, T>,
}

struct Waiter {
    /// Absent until the waiter is first polled.
    waker: Option<Waker>,
    deadline: Duration,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { next: 0, waiting: BTreeMap::new(), answered: BTreeMap::new() }
    }
}

impl<T> Queue<T> {
    pub fn join(&mut self) -> Ticket {
        self.join_until(Duration::MAX)
    }

    /// `deadline` is a time of the caller's clock, for [`Queue::expire`].
    pub fn join_until(&mut self, deadline: Duration) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.waiting.insert(ticket, Waiter { waker: None, deadline });
        ticket
    }

    /// Waiters without an answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Answers the waiter that came first; gives the answer back when nobody waits.
    pub fn answer_first(&mut self, answer: T, wakes: &mut Wakes) -> Result<(), T> {
        let Some((ticket, waiter)) = self.waiting.pop_first() else { return Err(answer) };
        wakes.0.extend(waiter.waker);
        self.answered.insert(ticket, answer);
        Ok(())
    }

    /// Answers everybody, in order of arrival.
    pub fn answer_all(&mut self, answer: &T, wakes: &mut Wakes)
    where
        T: Clone,
    {
        while self.answer_first(answer.clone(), wakes).is_ok() {}
    }

    /// Answers those whose deadline is not after `now`, whether or not they have noticed it.
    pub fn expire(&mut self, now: Duration, answer: &T, wakes: &mut Wakes)
    where
        T: Clone,
    {
        let late = self.waiting.extract_if(.., |_, waiter| waiter.deadline <= now);
        for (ticket, waiter) in late {
            wakes.0.extend(waiter.waker);
            self.answered.insert(ticket, answer.clone());
        }
    }

    fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Poll<T> {
        if let Some(answer) = self.answered.remove(&ticket) {
            return Poll::Ready(answer);
        }
        let waiter = self.waiting.get_mut(&ticket).expect("a waiter waits or is answered");
        match &mut waiter.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// Forgets the waiter; its answer, if it had one that it did not fetch.
    fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.waiting.remove(&ticket);
        self.answered.remove(&ticket)
    }
}

/// Waits for the answer to a ticket. Dropping it leaves the queue at once; an answer that was
/// given but not fetched goes to `forfeit`, so that what was granted is passed on.
#[must_use = "dropping it leaves the queue"]
pub struct Waiting<'a, S, T> {
    guarded: &'a Guarded<S>,
    ticket: Option<Ticket>,
    queue: fn(&mut S) -> &mut Queue<T>,
    forfeit: fn(&mut S, T, &mut Wakes),
}

impl<'a, S, T> Waiting<'a, S, T> {
    pub fn new(
        guarded: &'a Guarded<S>,
        ticket: Ticket,
        queue: fn(&mut S) -> &mut Queue<T>,
        forfeit: fn(&mut S, T, &mut Wakes),
    ) -> Waiting<'a, S, T> {
        Waiting { guarded, ticket: Some(ticket), queue, forfeit }
    }
}

impl<S, T> Future for Waiting<'_, S, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let (ticket, queue) = (self.ticket.expect("polled after its answer"), self.queue);
        let answer = self.guarded.step(|state, _| queue(state).poll(ticket, cx.waker()));
        if answer.is_ready() {
            self.ticket = None;
        }
        answer
    }
}

impl<S, T> Drop for Waiting<'_, S, T> {
    fn drop(&mut self) {
        let (Some(ticket), queue, forfeit) = (self.ticket.take(), self.queue, self.forfeit) else {
            return;
        };
        self.guarded.step(|state, wakes| {
            if let Some(answer) = queue(state).leave(ticket) {
                forfeit(state, answer, wakes);
            }
        });
    }
}

/// The `forfeit` of answers that are news, not property.
pub fn nothing_to_pass_on<S, T>(_: &mut S, _: T, _: &mut Wakes) {}
