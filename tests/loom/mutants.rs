//! Primitives as they must not be: each has the one mistake of its name.
//! Must never be right.

use std::collections::VecDeque;

use crate::cell::StateAttempt;
use crate::models::{Cell, Counts, Door, Held, Lazy, Postbox, RUNNING, Registry, Semaphore, wait};
use crate::primitives::{AtomicU64, Ordering};
use crate::slot::Slot;
use crate::waiters::{Guarded, Queue, Ticket, Waiting, nothing_to_pass_on};

/// A door of two fields, for the mutants to use in more than one step.
pub struct Parts {
    open: bool,
    waiters: Queue<()>,
}

fn parts() -> Guarded<Parts> {
    Guarded::new(Parts { open: false, waiters: Queue::default() })
}

/// Waits unless it is open: the right way, in one step.
fn enter(parts: &Guarded<Parts>) {
    let ticket = parts.step(|inside, _| (!inside.open).then(|| inside.waiters.join()));
    if let Some(ticket) = ticket {
        wait_for(parts, ticket);
    }
}

fn wait_for(parts: &Guarded<Parts>, ticket: Ticket) {
    wait(Waiting::new(parts, ticket, |inside| &mut inside.waiters, nothing_to_pass_on));
}

fn open(parts: &Guarded<Parts>) {
    parts.step(|inside, wakes| {
        inside.open = true;
        inside.waiters.answer_all(&(), wakes);
    });
}

/// The door may open between the look and the queue: the wake-up is lost.
pub struct LooksThenQueues(Guarded<Parts>);

impl Door for LooksThenQueues {
    fn shut(_capacity: usize) -> LooksThenQueues {
        LooksThenQueues(parts())
    }

    fn open(&self) {
        open(&self.0);
    }

    fn enter(&self) -> bool {
        if !self.0.step(|inside, _| inside.open) {
            let ticket = self.0.step(|inside, _| inside.waiters.join());
            wait_for(&self.0, ticket);
        }
        true
    }
}

/// Whoever comes between the waking and the setting waits for ever.
pub struct WakesThenSets(Guarded<Parts>);

impl Door for WakesThenSets {
    fn shut(_capacity: usize) -> WakesThenSets {
        WakesThenSets(parts())
    }

    fn open(&self) {
        self.0.step(|inside, wakes| inside.waiters.answer_all(&(), wakes));
        self.0.step(|inside, _| inside.open = true);
    }

    fn enter(&self) -> bool {
        enter(&self.0);
        true
    }
}

/// Two may count the same place free.
pub struct CountsThenQueues(Guarded<Parts>, usize);

impl Counts for CountsThenQueues {
    fn held(&self) -> usize {
        self.0.step(|inside, _| inside.waiters.waiting())
    }
}

impl Door for CountsThenQueues {
    fn shut(capacity: usize) -> CountsThenQueues {
        CountsThenQueues(parts(), capacity)
    }

    fn open(&self) {
        open(&self.0);
    }

    fn enter(&self) -> bool {
        if self.held() >= self.1 {
            return false;
        }
        enter(&self.0);
        true
    }
}

/// Leaves in name only.
pub fn stays(held: Held<'_>) {
    std::mem::forget(held);
}

/// State and attempt in two words, each sequentially consistent, compared and set in two steps.
pub struct ComparesThenSets(AtomicU64, AtomicU64);

fn two_words() -> (AtomicU64, AtomicU64) {
    (AtomicU64::new(u64::from(RUNNING.0)), AtomicU64::new(u64::from(RUNNING.1)))
}

fn read(state: &AtomicU64, attempt: &AtomicU64) -> StateAttempt {
    let state = u8::try_from(state.load(Ordering::SeqCst)).expect("a state is a byte");
    (state, u32::try_from(attempt.load(Ordering::SeqCst)).expect("an attempt is 32 bits"))
}

impl Cell for ComparesThenSets {
    fn running() -> ComparesThenSets {
        let (state, attempt) = two_words();
        ComparesThenSets(state, attempt)
    }

    fn compare_set(&self, from: StateAttempt, to: u8) -> bool {
        let found = self.load() == from;
        if found {
            self.0.store(u64::from(to), Ordering::SeqCst);
        }
        found
    }

    fn next_attempt(&self, from: StateAttempt) -> bool {
        let found = self.load() == from;
        if found {
            self.1.store(u64::from(from.1 + 1), Ordering::SeqCst);
        }
        found
    }

    fn load(&self) -> StateAttempt {
        read(&self.0, &self.1)
    }
}

/// Compares and sets the state at once, but not the attempt that owns it.
pub struct ForgetsTheAttempt(AtomicU64, AtomicU64);

impl Cell for ForgetsTheAttempt {
    fn running() -> ForgetsTheAttempt {
        let (state, attempt) = two_words();
        ForgetsTheAttempt(state, attempt)
    }

    fn compare_set(&self, from: StateAttempt, to: u8) -> bool {
        let (old, new) = (u64::from(from.0), u64::from(to));
        self.0.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn next_attempt(&self, from: StateAttempt) -> bool {
        let (old, new) = (u64::from(from.1), u64::from(from.1 + 1));
        self.1.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn load(&self) -> StateAttempt {
        read(&self.0, &self.1)
    }
}

/// One word, compared and set at once, but nothing written before it is published with it.
pub struct Relaxed(AtomicU64);

impl Cell for Relaxed {
    fn running() -> Relaxed {
        Relaxed(AtomicU64::new(u64::from(RUNNING.0)))
    }

    fn compare_set(&self, from: StateAttempt, to: u8) -> bool {
        let (old, new) = (u64::from(from.0), u64::from(to));
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn next_attempt(&self, _from: StateAttempt) -> bool {
        false
    }

    fn load(&self) -> StateAttempt {
        (u8::try_from(self.0.load(Ordering::Relaxed)).expect("a state is a byte"), RUNNING.1)
    }
}

/// The limit is tested before the registration, not with it.
pub struct ChecksOutside(Slot<u8>);

impl Registry for ChecksOutside {
    fn with_limit_two() -> ChecksOutside {
        ChecksOutside(Slot::new(usize::MAX))
    }

    fn register(&self, value: u8) -> Option<u64> {
        if self.0.len() < 2 { self.0.register(value).ok() } else { None }
    }

    fn remove(&self, generation: u64) -> bool {
        self.0.remove(generation).is_some()
    }

    fn values(&self) -> Vec<u8> {
        self.0.list().into_iter().map(|(_, value)| value).collect()
    }
}

/// Clean-up takes whatever is there, the user's new tab included.
pub struct RemovesTheOldest(Slot<u8>);

impl Registry for RemovesTheOldest {
    fn with_limit_two() -> RemovesTheOldest {
        RemovesTheOldest(Slot::new(2))
    }

    fn register(&self, value: u8) -> Option<u64> {
        self.0.register(value).ok()
    }

    fn remove(&self, _generation: u64) -> bool {
        let oldest = self.0.list().first().map(|entry| entry.0);
        oldest.is_some_and(|generation| self.0.remove(generation).is_some())
    }

    fn values(&self) -> Vec<u8> {
        self.0.list().into_iter().map(|(_, value)| value).collect()
    }
}

/// Whoever leaves the line takes along what it was granted.
pub struct ForgetsGrants(Guarded<Line>);

pub struct Line {
    free: usize,
    waiters: Queue<()>,
}

impl ForgetsGrants {
    fn line_up(&self) -> Option<Waiting<'_, Line, ()>> {
        let ticket = self.0.step(|line, _| {
            let free = line.free > 0;
            line.free -= usize::from(free);
            (!free).then(|| line.waiters.join())
        })?;
        Some(Waiting::new(&self.0, ticket, |line| &mut line.waiters, nothing_to_pass_on))
    }
}

impl Semaphore for ForgetsGrants {
    fn of_one() -> ForgetsGrants {
        ForgetsGrants(Guarded::new(Line { free: 1, waiters: Queue::default() }))
    }

    fn try_in_line(&self) -> bool {
        self.line_up().is_none_or(|mut turn| crate::models::glance(&mut turn).is_ready())
    }

    fn acquire(&self) {
        self.line_up().map(wait);
    }

    fn release(&self) {
        self.0.step(|line, wakes| {
            if line.waiters.answer_first((), wakes).is_err() {
                line.free += 1;
            }
        });
    }

    fn in_use(&self) -> usize {
        1 - self.0.step(|line, _| line.free)
    }
}

/// Closing is taken for the end, whatever is still inside.
pub struct DropsOnClosing(Guarded<Letters>);

pub struct Letters {
    items: VecDeque<u8>,
    closed: bool,
    receivers: Queue<()>,
}

impl Postbox for DropsOnClosing {
    fn new() -> DropsOnClosing {
        let (items, receivers) = (VecDeque::new(), Queue::default());
        DropsOnClosing(Guarded::new(Letters { items, closed: false, receivers }))
    }

    fn push(&self, item: u8) -> bool {
        self.0.step(|letters, wakes| {
            if !letters.closed {
                letters.items.push_back(item);
                letters.receivers.answer_all(&(), wakes);
            }
            !letters.closed
        })
    }

    fn close(&self) {
        self.0.step(|letters, wakes| {
            letters.closed = true;
            letters.receivers.answer_all(&(), wakes);
        });
    }

    fn receive(&self) -> Option<u8> {
        loop {
            let found = self.0.step(|letters, _| match letters.items.pop_front() {
                _ if letters.closed => Ok(None),
                Some(item) => Ok(Some(item)),
                None => Err(letters.receivers.join()),
            });
            match found {
                Ok(item) => return item,
                Err(ticket) => wait(Waiting::new(
                    &self.0,
                    ticket,
                    |letters| &mut letters.receivers,
                    nothing_to_pass_on,
                )),
            }
        }
    }
}

/// Two may find it empty before either says that it is running.
pub struct LooksThenRuns(Guarded<Option<u8>>);

impl Lazy for LooksThenRuns {
    fn new() -> LooksThenRuns {
        LooksThenRuns(Guarded::new(None))
    }

    fn ask(&self) -> Option<u8> {
        self.0.step(|value, _| *value)
    }

    fn finish(&self, value: u8) {
        self.0.step(|old, _| *old = Some(value));
    }

    fn give_up(&self) {}
}
