//! A queue bounded in bytes: many push, one receives. Must never hold more than its bound, nor
//! drop on closing what was accepted before.

use std::collections::VecDeque;

use super::waiters::{Guarded, Queue, Waiting, Wakes};

/// An item that was not accepted, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected<T> {
    /// It would pass the bound.
    Full(T),
    Closed(T),
}

pub struct Mailbox<T> {
    inside: Guarded<Inside<T>>,
    bytes_max: usize,
}

pub struct Inside<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
    receivers: Queue<()>,
}

impl<T> Inside<T> {
    /// Wakes the receiver if there is something for it.
    fn announce(&mut self, wakes: &mut Wakes) {
        if self.closed {
            self.receivers.answer_all(&(), wakes);
        } else if !self.items.is_empty() {
            // Nobody waits: whoever comes next looks before it waits.
            let _ = self.receivers.answer_first((), wakes);
        }
    }

    fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

/// What a receiver finds.
pub enum Received<'a, T> {
    Item(T),
    /// Closed and drained.
    End,
    Waits(Waiting<'a, Inside<T>, ()>),
}

impl<T> Mailbox<T> {
    pub fn new(bytes_max: usize) -> Mailbox<T> {
        let (items, receivers) = (VecDeque::new(), Queue::default());
        let inside = Inside { items, bytes: 0, closed: false, receivers };
        Mailbox { inside: Guarded::new(inside), bytes_max }
    }

    pub fn push(&self, item: T, bytes: usize) -> Result<(), Rejected<T>> {
        self.inside.step(|inside, wakes| {
            if inside.closed {
                return Err(Rejected::Closed(item));
            }
            if bytes > self.bytes_max - inside.bytes {
                return Err(Rejected::Full(item));
            }
            inside.items.push_back((item, bytes));
            inside.bytes += bytes;
            inside.announce(wakes);
            Ok(())
        })
    }

    /// Lets `f` edit the items and their sizes. What it leaves beyond the bound is cut off at the
    /// back: that is `Full`. A closed mailbox is not edited.
    pub fn push_with<R>(
        &self,
        f: impl FnOnce(&mut VecDeque<(T, usize)>) -> R,
    ) -> Result<R, Rejected<()>> {
        self.inside.step(|inside, wakes| {
            if inside.closed {
                return Err(Rejected::Closed(()));
            }
            let result = f(&mut inside.items);
            let fits = inside.items.iter().scan(0_usize, |sum, (_, bytes)| {
                *sum = sum.saturating_add(*bytes);
                (*sum <= self.bytes_max).then_some(*sum)
            });
            let (count, bytes) = fits.fold((0, 0), |(count, _), sum| (count + 1, sum));
            let cut = count < inside.items.len();
            inside.items.truncate(count);
            inside.bytes = bytes;
            inside.announce(wakes);
            if cut { Err(Rejected::Full(())) } else { Ok(result) }
        })
    }

    pub fn receive(&self) -> Received<'_, T> {
        let found = self.inside.step(|inside, _| match inside.pop() {
            Some(item) => Ok(Some(item)),
            None if inside.closed => Ok(None),
            None => Err(inside.receivers.join()),
        });
        match found {
            Ok(Some(item)) => Received::Item(item),
            Ok(None) => Received::End,
            Err(ticket) => Received::Waits(Waiting::new(
                &self.inside,
                ticket,
                |inside| &mut inside.receivers,
                |inside, (), wakes| inside.announce(wakes),
            )),
        }
    }

    pub fn try_receive(&self) -> Option<T> {
        self.inside.step(|inside, _| inside.pop())
    }

    /// What was accepted can still be received; nothing more is accepted.
    pub fn close(&self) {
        self.inside.step(|inside, wakes| {
            inside.closed = true;
            inside.announce(wakes);
        });
    }

    /// Takes everything out.
    pub fn clear(&self) -> VecDeque<(T, usize)> {
        self.inside.step(|inside, _| {
            inside.bytes = 0;
            std::mem::take(&mut inside.items)
        })
    }

    /// Bytes held.
    pub fn used(&self) -> usize {
        self.inside.step(|inside, _| inside.bytes)
    }
}
