//! What must hold of each primitive under every schedule, said of a trait, so that the production
//! core and its mutant are asked the same. Must never mention a mutant.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::cell::{StateAttempt, StateCell};
use crate::gate::{Admission, Asked, Entry, Gate, Inside};
use crate::latch::Latch;
use crate::mailbox::{Mailbox, Received};
use crate::once::{self, Answer, Once};
use crate::permits::Permits;
use crate::slot::Slot;
use crate::waiters::Waiting;

/// Rings when its task is woken.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.0.notify();
    }
}

/// Drives `future` on this thread; loom reports a deadlock if nobody ever wakes it.
pub fn wait<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        bell.0.wait();
    }
}

/// Polls once with a waker that does nothing: a task that is interested and never runs again.
pub fn glance<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Something that is shut, and is opened once.
pub trait Door: Send + Sync + 'static {
    fn shut(capacity: usize) -> Self;
    fn open(&self);
    /// Returns once inside; `false` if there was no place to wait.
    fn enter(&self) -> bool;
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "a gate looks at its state")]
fn verdict(open: &bool) -> Admission {
    if *open { Admission::Admit } else { Admission::Hold }
}

impl Door for Gate<bool> {
    fn shut(capacity: usize) -> Gate<bool> {
        Gate::new(false, capacity, verdict)
    }

    fn open(&self) {
        self.update(|open| *open = true);
    }

    fn enter(&self) -> bool {
        let entry = match self.ask(Duration::ZERO, Duration::MAX) {
            Asked::Answered(entry) => entry,
            Asked::Waits(held) => wait(held),
        };
        entry == Entry::Admitted
    }
}

impl Door for Latch {
    fn shut(_capacity: usize) -> Latch {
        Latch::new()
    }

    fn open(&self) {
        self.set();
    }

    fn enter(&self) -> bool {
        self.wait().map(wait);
        true
    }
}

/// Two enter while a third opens: both get in. Whoever is never woken is a deadlock to loom.
pub fn nobody_is_left_outside<D: Door>() {
    let door = Arc::new(D::shut(2));
    let guests = [(); 2].map(|()| {
        let door = Arc::clone(&door);
        thread::spawn(move || assert!(door.enter(), "refused"))
    });
    door.open();
    for guest in guests {
        guest.join().expect("the guest is inside");
    }
}

/// Two ask for the one place to wait; then the door opens. At most one was ever held.
pub fn one_place_holds_one<D: Door + Counts>() {
    let door = Arc::new(D::shut(1));
    let guests = [(); 2].map(|()| {
        let door = Arc::clone(&door);
        thread::spawn(move || door.enter())
    });
    assert!(door.held() <= 1, "held beyond the capacity");
    door.open();
    for guest in guests {
        guest.join().expect("the guest has an answer");
    }
}

/// A door that says how many it holds.
pub trait Counts {
    fn held(&self) -> usize;
}

impl Counts for Gate<bool> {
    fn held(&self) -> usize {
        Gate::held(self)
    }
}

/// Notes its name when its task is woken.
struct Noted(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Wake for Noted {
    fn wake(self: Arc<Noted>) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

/// A place in the queue of the gate.
pub type Held<'a> = Waiting<'a, Inside<bool>, Entry>;

/// Leaves the queue, as a dropped future does.
pub fn leaves(held: Held<'_>) {
    drop(held);
}

/// `ana`, `ben` and `cho` are held in this order; `ben` leaves while the gate opens. The others
/// are woken in order of arrival, and nobody is held any more.
pub fn leaver_goes_and_order_is_kept(leave: fn(Held<'_>)) {
    let gate = Arc::new(Gate::<bool>::shut(3));
    let woken = Arc::new(Mutex::new(Vec::new()));
    let [ana, ben, cho] = ["ana", "ben", "cho"].map(|name| {
        let waker = Waker::from(Arc::new(Noted(name, Arc::clone(&woken))));
        let Asked::Waits(mut held) = gate.ask(Duration::ZERO, Duration::MAX) else {
            panic!("there is room for three")
        };
        assert!(pin!(&mut held).poll(&mut Context::from_waker(&waker)).is_pending());
        held
    });
    let opener = {
        let gate = Arc::clone(&gate);
        thread::spawn(move || gate.open())
    };
    leave(ben);
    assert!(gate.held() != 3, "a leaver is still held");
    opener.join().expect("it opens");
    for held in [ana, cho] {
        assert_eq!(wait(held), Entry::Admitted);
    }
    assert_eq!(gate.held(), 0);
    let woken = woken.lock().expect("nobody panicked").clone();
    assert!(woken == ["ana", "cho"] || woken == ["ana", "ben", "cho"], "{woken:?}");
}

/// What the tracker asks of a run's state.
pub trait Cell: Send + Sync + 'static {
    fn running() -> Self;
    fn compare_set(&self, from: StateAttempt, to: u8) -> bool;
    fn next_attempt(&self, from: StateAttempt) -> bool;
    fn load(&self) -> StateAttempt;
}

pub const RUNNING: StateAttempt = (2, 1);

impl Cell for StateCell {
    fn running() -> StateCell {
        StateCell::new(RUNNING.0)
    }

    fn compare_set(&self, from: StateAttempt, to: u8) -> bool {
        self.compare_set(from, to).is_ok()
    }

    fn next_attempt(&self, from: StateAttempt) -> bool {
        self.next_attempt(from).is_ok()
    }

    fn load(&self) -> StateAttempt {
        self.load()
    }
}

/// Two threads end a running run differently: one wins, and its end stays.
pub fn one_terminal_wins<C: Cell>() {
    let cell = Arc::new(C::running());
    let ends = [4, 8].map(|end| {
        let cell = Arc::clone(&cell);
        thread::spawn(move || cell.compare_set(RUNNING, end).then_some(end))
    });
    let won = ends.map(|end| end.join().expect("the writer ends"));
    let winners: Vec<u8> = won.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "two terminals won, or none");
    assert_eq!(cell.load(), (winners[0], RUNNING.1), "the winner's end did not stay");
}

/// Attempt 1 writes its result while a reaper fences it: it wrote before the fence or not at all.
pub fn fenced_attempt_writes_nothing<C: Cell>() {
    let cell = Arc::new(C::running());
    let zombie = {
        let cell = Arc::clone(&cell);
        thread::spawn(move || cell.compare_set(RUNNING, 4))
    };
    let fenced = cell.next_attempt(RUNNING);
    let wrote = zombie.join().expect("the zombie ends");
    assert!(fenced != wrote, "a zombie wrote behind the fence, or nobody won");
    assert_eq!(cell.load(), if fenced { (RUNNING.0, 2) } else { (4, 1) });
}

/// Whoever reads the end of a run reads the result that was written before it.
pub fn end_publishes_the_result<C: Cell>() {
    let (cell, result) = (Arc::new(C::running()), Arc::new(AtomicUsize::new(0)));
    let writer = {
        let (cell, result) = (Arc::clone(&cell), Arc::clone(&result));
        thread::spawn(move || {
            result.store(7, Ordering::Relaxed);
            assert!(cell.compare_set(RUNNING, 4));
        })
    };
    if cell.load() != RUNNING {
        assert_eq!(result.load(Ordering::Relaxed), 7, "an end without its result");
    }
    writer.join().expect("the writer ends");
}

/// One user's registrations, at most two.
pub trait Registry: Send + Sync + 'static {
    fn with_limit_two() -> Self;
    fn register(&self, value: u8) -> Option<u64>;
    fn remove(&self, generation: u64) -> bool;
    fn values(&self) -> Vec<u8>;
}

impl Registry for Slot<u8> {
    fn with_limit_two() -> Slot<u8> {
        Slot::new(2)
    }

    fn register(&self, value: u8) -> Option<u64> {
        self.register(value).ok()
    }

    fn remove(&self, generation: u64) -> bool {
        self.remove(generation).is_some()
    }

    fn values(&self) -> Vec<u8> {
        self.list().into_iter().map(|(_, value)| value).collect()
    }
}

/// Three register at once: two get in, with generations of their own.
pub fn limit_holds_in_a_storm<R: Registry>() {
    let slot = Arc::new(R::with_limit_two());
    let tabs = [1, 2].map(|tab| {
        let slot = Arc::clone(&slot);
        thread::spawn(move || slot.register(tab))
    });
    let mine = slot.register(3);
    let [one, two] = tabs.map(|tab| tab.join().expect("the tab ends"));
    let mut generations: Vec<u64> = [one, two, mine].into_iter().flatten().collect();
    generations.sort_unstable();
    generations.dedup();
    assert!(slot.values().len() <= 2, "the limit was passed");
    assert_eq!(generations.len(), 2, "two registrations, two generations");
}

/// The old tab cleans up twice (its reader and its writer both do) while the user reconnects.
pub fn late_clean_up_is_harmless<R: Registry>() {
    let slot = Arc::new(R::with_limit_two());
    let old = slot.register(1).expect("there is room");
    let clean_ups = [(); 2].map(|()| {
        let slot = Arc::clone(&slot);
        thread::spawn(move || slot.remove(old))
    });
    let new = slot.register(2).expect("there is room");
    let removed = clean_ups.map(|clean_up| clean_up.join().expect("the clean-up ends"));
    assert_eq!(slot.values(), [2], "the newer one is gone");
    assert_ne!(old, new);
    assert_ne!(removed[0], removed[1], "removed once");
}

/// One permit.
pub trait Semaphore: Send + Sync + 'static {
    fn of_one() -> Self;
    /// Polls for a permit once; `true` if it is granted. Else leaves the line again.
    fn try_in_line(&self) -> bool;
    fn acquire(&self);
    fn release(&self);
    fn in_use(&self) -> usize;
}

impl Semaphore for Permits {
    fn of_one() -> Permits {
        Permits::new(1)
    }

    fn try_in_line(&self) -> bool {
        self.acquire().is_none_or(|mut turn| glance(&mut turn).is_ready())
    }

    fn acquire(&self) {
        self.acquire().map(wait);
    }

    fn release(&self) {
        self.release();
    }

    fn in_use(&self) -> usize {
        self.in_use()
    }
}

/// A holder releases while one waits in line and another gives up waiting: never two holders, and
/// in the end the permit is free.
pub fn dropped_waiter_loses_no_permit<S: Semaphore>() {
    let (permits, inside) = (Arc::new(S::of_one()), Arc::new(AtomicUsize::new(0)));
    let work = |permits: &S, inside: &AtomicUsize| {
        assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two hold the one permit");
        inside.fetch_sub(1, Ordering::Relaxed);
        permits.release();
    };
    permits.acquire();
    let impatient = {
        let (permits, inside) = (Arc::clone(&permits), Arc::clone(&inside));
        thread::spawn(move || {
            if permits.try_in_line() {
                work(&permits, &inside);
            }
        })
    };
    work(&permits, &inside);
    impatient.join().expect("the impatient one ends");
    assert_eq!(permits.in_use(), 0, "a permit was lost");
    permits.acquire();
    work(&permits, &inside);
}

/// Bytes in, items out.
pub trait Postbox: Send + Sync + 'static {
    fn new() -> Self;
    fn push(&self, item: u8) -> bool;
    fn close(&self);
    fn receive(&self) -> Option<u8>;
}

impl Postbox for Mailbox<u8> {
    fn new() -> Mailbox<u8> {
        Mailbox::new(2)
    }

    fn push(&self, item: u8) -> bool {
        self.push(item, 1).is_ok()
    }

    fn close(&self) {
        self.close();
    }

    fn receive(&self) -> Option<u8> {
        loop {
            match self.receive() {
                Received::Item(item) => return Some(item),
                Received::End => return None,
                Received::Waits(more) => wait(more),
            }
        }
    }
}

/// Two push, one of them closes; the receiver gets what was accepted, in order, and the end.
pub fn accepted_is_received<P: Postbox>() {
    let mailbox = Arc::new(P::new());
    let closer = {
        let mailbox = Arc::clone(&mailbox);
        thread::spawn(move || {
            let accepted = mailbox.push(1);
            mailbox.close();
            accepted
        })
    };
    let other = {
        let mailbox = Arc::clone(&mailbox);
        thread::spawn(move || mailbox.push(2))
    };
    let received: Vec<u8> = std::iter::from_fn(|| mailbox.receive()).collect();
    let first = closer.join().expect("the closer ends").then_some(1);
    let second = other.join().expect("the other ends").then_some(2);
    let accepted = first.into_iter().chain(second);
    accepted.for_each(|item| assert!(received.contains(&item), "accepted and not received"));
    assert!(received.len() <= 2);
}

/// A value made once.
pub trait Lazy: Send + Sync + 'static {
    fn new() -> Self;
    /// `None`: the caller's turn.
    fn ask(&self) -> Option<u8>;
    fn finish(&self, value: u8);
    fn give_up(&self);
}

impl Lazy for Once<u8> {
    fn new() -> Once<u8> {
        Once::new()
    }

    fn ask(&self) -> Option<u8> {
        let answer = match self.ask() {
            once::Asked::Answered(answer) => answer,
            once::Asked::Waits(turn) => wait(turn),
        };
        match answer {
            Answer::Value(value) => Some(value),
            Answer::Turn => None,
        }
    }

    fn finish(&self, value: u8) {
        self.finish(&value);
    }

    fn give_up(&self) {
        self.give_up();
    }
}

/// Three ask; the first whose turn it is fails, the next succeeds: one at a time, and all who did
/// not fail have its value.
pub fn one_initialises<L: Lazy>() {
    let (lazy, running, turns) =
        (Arc::new(L::new()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let caller = || {
        let (lazy, running, turns) = (Arc::clone(&lazy), Arc::clone(&running), Arc::clone(&turns));
        move || {
            let Some(value) = lazy.ask() else {
                let others = running.fetch_add(1, Ordering::AcqRel);
                assert_eq!(others, 0, "made by two at once");
                let turn = turns.fetch_add(1, Ordering::AcqRel);
                running.fetch_sub(1, Ordering::AcqRel);
                if turn == 0 {
                    lazy.give_up();
                } else {
                    lazy.finish(7);
                }
                return;
            };
            assert_eq!(value, 7);
        }
    };
    let others = [(); 2].map(|()| thread::spawn(caller()));
    caller()();
    for other in others {
        other.join().expect("the caller ends");
    }
    assert_eq!(turns.load(Ordering::Acquire), 2, "made by two, or by nobody");
    assert_eq!(lazy.ask(), Some(7));
}
