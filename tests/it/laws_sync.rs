//! Laws of the primitives, on random work in random worlds: each case draws what tasks do, and a
//! seed that decides how they interleave. Must never look inside a core: loom does.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use seedbed::env::{Clock, Moment, Spawn, Task, TaskEnd};
use seedbed::plan::Strategy as Schedule;
use seedbed::sync::{
    Admission, Entry, Full, Gate, Mailbox, Once, Permits, Rejected, Sequencer, Shared, Slot,
};
use seedbed::world::{Cast, Reason, SimEnv};

use crate::world::{calm, host, ms, run};

/// Failures are kept, so that each is tried again first.
fn laws() -> ProptestConfig {
    let kept = FileFailurePersistence::Direct("tests/proptest-regressions/laws_sync.txt");
    ProptestConfig { failure_persistence: Some(Box::new(kept)), ..Default::default() }
}

/// Runs `work` alone in a world of this seed; what it returned.
fn world<T, F>(seed: u64, work: impl Fn(SimEnv) -> F + Send + Sync + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    let user = host("u", move |env| {
        let (slot, done) = (Arc::clone(&slot), work(env));
        Box::pin(async move {
            let value = done.await;
            *slot.lock().unwrap() = Some(value);
            Ok(())
        })
    });
    let ended = run(&calm(seed, Schedule::Random), Cast { hosts: vec![], users: vec![user] });
    assert_eq!(ended.reason, Reason::Rested);
    result.lock().unwrap().take().expect("the work ended")
}

/// Spawns one task for each of `inputs` and waits for all; their results, in order of the inputs.
async fn all<I, T, F>(env: &SimEnv, inputs: Vec<I>, work: impl Fn(usize, I) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let results = Shared::new(env, "results", Vec::new());
    let mut tasks = Vec::new();
    for (at, input) in inputs.into_iter().enumerate() {
        let (results, job) = (results.clone(), work(at, input));
        tasks.push(env.spawn("law", async move {
            let result = job.await;
            results.with(|all| all.push((at, result))).await;
        }));
    }
    for task in tasks {
        assert_eq!(task.join().await, TaskEnd::Finished);
    }
    let mut results = results.with(std::mem::take).await;
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Lets `job` run for `patience`, then aborts it: perhaps in the very instant in which it is given
/// what it waits for, and before it can take it.
async fn impatiently<T: Send + 'static>(
    env: &SimEnv,
    patience: Duration,
    job: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let result = Shared::new(env, "result", None);
    let slot = result.clone();
    let task = env.spawn("impatient", async move {
        let value = job.await;
        slot.with_in_drop(|slot| *slot = Some(value));
    });
    env.sleep(patience).await;
    task.abort();
    assert!(matches!(task.join().await, TaskEnd::Finished | TaskEnd::Aborted));
    result.with(Option::take).await
}

#[derive(Clone, Debug)]
enum MailboxOp {
    Push(usize),
    /// Merges everything queued into one item, then appends one.
    Coalesce(usize),
    Take,
    Clear,
    Close,
}

fn mailbox_op() -> impl Strategy<Value = MailboxOp> {
    prop_oneof![
        6 => (0_usize..12).prop_map(MailboxOp::Push),
        2 => (0_usize..12).prop_map(MailboxOp::Coalesce),
        3 => Just(MailboxOp::Take),
        1 => Just(MailboxOp::Clear),
        1 => Just(MailboxOp::Close),
    ]
}

const BYTES_MAX: usize = 20;

/// The mailbox as its contract reads.
#[derive(Default)]
struct Plain {
    items: Vec<(usize, usize)>,
    closed: bool,
}

impl Plain {
    fn bytes(&self) -> usize {
        self.items.iter().map(|(_, bytes)| bytes).sum()
    }

    fn push(&mut self, item: usize, bytes: usize) -> Result<(), Rejected<usize>> {
        if self.closed {
            return Err(Rejected::Closed(item));
        }
        if self.bytes() + bytes > BYTES_MAX {
            return Err(Rejected::Full(item));
        }
        self.items.push((item, bytes));
        Ok(())
    }

    fn coalesce(&mut self, item: usize, bytes: usize) -> Result<(), Rejected<()>> {
        if self.closed {
            return Err(Rejected::Closed(()));
        }
        if let Some((first, _)) = self.items.first().copied() {
            self.items = vec![(first, self.bytes())];
        }
        self.push(item, bytes).map_err(|_| Rejected::Full(()))
    }
}

async fn mailbox_agrees(env: SimEnv, ops: Vec<MailboxOp>) {
    let mailbox = Mailbox::new(&env, "law", BYTES_MAX);
    let mut plain = Plain::default();
    for (item, op) in ops.into_iter().enumerate() {
        match op {
            MailboxOp::Push(bytes) => {
                assert_eq!(mailbox.push(item, bytes).await, plain.push(item, bytes));
            }
            MailboxOp::Coalesce(bytes) => {
                let merge = |items: &mut std::collections::VecDeque<(usize, usize)>| {
                    let sum = items.iter().map(|(_, bytes)| bytes).sum();
                    items.truncate(1);
                    if let Some((_, bytes)) = items.front_mut() {
                        *bytes = sum;
                    }
                    items.push_back((item, bytes));
                };
                assert_eq!(mailbox.push_with(merge).await, plain.coalesce(item, bytes));
            }
            MailboxOp::Take => {
                let first = (!plain.items.is_empty()).then(|| plain.items.remove(0).0);
                assert_eq!(mailbox.try_recv().await, first);
            }
            MailboxOp::Clear => {
                mailbox.clear().await;
                plain.items.clear();
            }
            MailboxOp::Close => {
                mailbox.close().await;
                plain.closed = true;
            }
        }
        assert_eq!(mailbox.used().await, plain.bytes());
        assert!(plain.bytes() <= BYTES_MAX);
    }
    mailbox.close().await;
    for (item, _) in plain.items {
        assert_eq!(mailbox.recv().await, Some(item));
    }
    assert_eq!(mailbox.recv().await, None);
}

/// Producers with pauses and sizes; a receiver that is slow. `(producer, number)` of each item.
async fn mailbox_delivers(env: SimEnv, work: Vec<Vec<(u64, usize)>>) {
    let mailbox = Mailbox::new(&env, "law", BYTES_MAX);
    let (inbox, clock) = (mailbox.clone(), env.clone());
    let received = Shared::new(&env, "received", Vec::new());
    let log = received.clone();
    let taker = env.spawn("receiver", async move {
        while let Some(item) = inbox.recv().await {
            log.with(|log| log.push(item)).await;
            assert!(inbox.used().await <= BYTES_MAX);
            clock.sleep(ms(3)).await;
        }
    });
    let accepted = all(&env, work, |producer, items| {
        let (mailbox, env) = (mailbox.clone(), env.clone());
        async move {
            let mut accepted = Vec::new();
            for (number, (pause, bytes)) in items.into_iter().enumerate() {
                env.sleep(ms(pause)).await;
                if mailbox.push((producer, number), bytes).await.is_ok() {
                    accepted.push((producer, number));
                }
            }
            accepted
        }
    })
    .await;
    mailbox.close().await;
    assert_eq!(taker.join().await, TaskEnd::Finished);
    let received = received.with(std::mem::take).await;
    for (producer, accepted) in accepted.iter().enumerate() {
        let of_producer = received.iter().filter(|(from, _)| *from == producer);
        assert!(of_producer.eq(accepted.iter()), "accepted once is received once, in order");
    }
    assert_eq!(received.len(), accepted.iter().map(Vec::len).sum::<usize>());
}

/// Tasks ask 4 ms apart, each gives up after its patience, or holds; `(patience, hold)` in 4 ms.
async fn permits_are_fair(env: SimEnv, capacity: usize, turns: Vec<(u64, u64)>) {
    let permits = Permits::new(&env, "law", capacity);
    let holders = Shared::new(&env, "holders", 0_usize);
    // When each asked, was granted, and gave back; `None` where it gave up.
    let grants = all(&env, turns, |at, (patience, hold)| {
        let (env, permits, holders) = (env.clone(), permits.clone(), holders.clone());
        async move {
            env.sleep(ms(4 * at as u64)).await;
            let asked = env.now();
            let (clock, line) = (env.clone(), permits.clone());
            let job = async move { (line.acquire().await, clock.now()) };
            let Some((_permit, granted)) = impatiently(&env, ms(4 * patience), job).await else {
                return (asked, None);
            };
            let count = |holders: &mut usize| {
                *holders += 1;
                *holders
            };
            assert!(holders.with(count).await <= capacity, "more holders than permits");
            env.sleep(ms(4 * hold)).await;
            holders.with_in_drop(|holders| *holders -= 1);
            (asked, Some((granted, env.now())))
        }
    })
    .await;
    assert_eq!((permits.in_use().await, permits.waiting().await), (0, 0), "a permit was lost");
    let held: Vec<(Moment, Moment)> = grants.iter().filter_map(|grant| grant.1).collect();
    assert!(held.is_sorted_by_key(|held| held.0), "somebody passed the line: {grants:?}");
    for (asked, _) in grants.iter().filter(|grant| grant.1.is_none()) {
        let busy = held.iter().filter(|(from, to)| from <= asked && asked <= to).count();
        assert!(busy >= capacity, "gave up at {asked} beside a free permit: {grants:?}");
    }
}

/// Guests ask 4 ms apart, each with its limit; the gate decides at `decided`.
async fn gate_answers(
    env: SimEnv,
    capacity: usize,
    limits: Vec<u64>,
    decided: u64,
    last: Admission,
) -> Vec<(Moment, Entry)> {
    let gate = Gate::new(&env, Admission::Hold, capacity, |state: &Admission| *state);
    let (keeper, clock) = (gate.clone(), env.clone());
    let deciding = env.spawn("keeper", async move {
        clock.sleep(ms(decided)).await;
        keeper.publish(last).await;
    });
    let answers = all(&env, limits, |at, limit| {
        let (env, gate) = (env.clone(), gate.clone());
        async move {
            env.sleep(ms(4 * at as u64)).await;
            (env.now(), gate.enter(ms(limit)).await)
        }
    })
    .await;
    assert_eq!(deciding.join().await, TaskEnd::Finished);
    assert_eq!(gate.held().await, 0, "a guest is still held");
    assert_eq!(gate.wait_until(|state| *state == last).await, last);
    answers
}

/// What the contract says of guests who asked at these moments with these limits.
fn expected(capacity: usize, asked: &[(Moment, u64)], decided: u64, last: Entry) -> Vec<Entry> {
    let decided = Moment(ms(decided));
    let mut held: Vec<Moment> = Vec::new();
    asked
        .iter()
        .map(|&(now, limit)| {
            let deadline = now + ms(limit);
            held.retain(|deadline| *deadline > now);
            if now > decided {
                return last;
            }
            if held.len() >= capacity {
                return Entry::Full;
            }
            held.push(deadline);
            if deadline < decided { Entry::TimedOut } else { last }
        })
        .collect()
}

#[derive(Clone, Debug)]
enum SlotOp {
    Register,
    /// Of the generations given so far, this one, modulo their number.
    Remove(usize),
}

async fn slot_agrees(env: SimEnv, limit: usize, ops: Vec<SlotOp>) {
    let slot = Slot::new(&env, limit);
    let (mut plain, mut given) = (Vec::new(), Vec::new());
    for (value, op) in ops.into_iter().enumerate() {
        match op {
            SlotOp::Register if plain.len() == limit => {
                assert_eq!(slot.register(value).await, Err(Full));
            }
            SlotOp::Register => {
                let generation = slot.register(value).await.expect("there is room");
                assert!(given.last() < Some(&generation), "a generation came twice");
                given.push(generation);
                plain.push((generation, value));
            }
            SlotOp::Remove(which) => {
                let Some(generation) = given.get(which % given.len().max(1)).copied() else {
                    continue;
                };
                let found = plain.iter().position(|(held, _)| *held == generation);
                let found = found.map(|at| plain.remove(at).1);
                assert_eq!(slot.remove(generation).await, found);
            }
        }
        assert_eq!(slot.list().await, plain);
    }
}

/// Callers 4 ms apart; each one's `make` takes 8 ms, then fails or not; some are aborted, in the
/// instant in which the one before may have failed.
async fn once_makes_one(env: SimEnv, callers: Vec<(bool, bool)>) {
    let (once, running) = (Once::new(&env, "law"), Shared::new(&env, "running", 0_usize));
    let count = Sequencer::new(&env, "made", 0);
    let willing = callers.iter().any(|(fails, impatient)| !fails && !impatient);
    let results = all(&env, callers, |at, (fails, impatient)| {
        let (env, once, running, count) =
            (env.clone(), once.clone(), running.clone(), count.clone());
        async move {
            env.sleep(ms(4 * at as u64)).await;
            let patience = ms(if impatient { 4 } else { 1000 });
            let clock = env.clone();
            let make = move || async move {
                let _one = Running::begin(&running).await;
                clock.sleep(ms(8)).await;
                if fails { Err("failed") } else { Ok(count.next().await) }
            };
            let job = async move { once.get_or_init(make).await };
            impatiently(&env, patience, job).await
        }
    })
    .await;
    assert_eq!(once.get().await, willing.then_some(1), "made once if anybody could");
    assert_eq!(count.last().await, u64::from(willing), "made by more than one");
    let values = results.into_iter().flatten().flatten();
    assert!(values.into_iter().all(|value| value == 1));
}

/// Counts one who is at work, however it ends.
struct Running(Shared<SimEnv, usize>);

impl Running {
    async fn begin(running: &Shared<SimEnv, usize>) -> Running {
        let others = running.with(|running| std::mem::replace(running, 1)).await;
        assert_eq!(others, 0, "two are at it at once");
        Running(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.with_in_drop(|running| *running -= 1);
    }
}

proptest! {
    #![proptest_config(laws())]

    #[test]
    fn a_mailbox_holds_what_its_contract_says_and_never_more_bytes(
        seed: u64, ops in prop::collection::vec(mailbox_op(), 0..40),
    ) {
        world(seed, move |env| mailbox_agrees(env, ops.clone()));
    }

    #[test]
    fn a_mailbox_delivers_each_accepted_item_once_in_its_producers_order(
        seed: u64,
        work in prop::collection::vec(prop::collection::vec((0_u64..6, 0_usize..12), 0..8), 1..5),
    ) {
        world(seed, move |env| mailbox_delivers(env, work.clone()));
    }

    #[test]
    fn permits_go_to_those_who_wait_longest_and_none_is_lost(
        seed: u64,
        capacity in 1_usize..4,
        turns in prop::collection::vec((1_u64..8, 0_u64..8), 1..12),
    ) {
        world(seed, move |env| permits_are_fair(env, capacity, turns.clone()));
    }

    #[test]
    fn a_gate_answers_each_guest_as_its_contract_says(
        seed: u64,
        capacity in 0_usize..4,
        // Multiples of 4 ms, so that guests come in the very instant in which others expire.
        limits in prop::collection::vec((0_u64..8).prop_map(|n| 4 * n), 1..12),
        // Between guests: what happens in the same instant may go either way.
        decided in (0_u64..12).prop_map(|n| 4 * n + 2),
        opens: bool,
    ) {
        let (last, entry) = if opens {
            (Admission::Admit, Entry::Admitted)
        } else {
            (Admission::Refuse, Entry::Refused)
        };
        let asked = limits.clone();
        let answers =
            world(seed, move |env| gate_answers(env, capacity, limits.clone(), decided, last));
        let guests: Vec<(Moment, u64)> =
            answers.iter().zip(asked).map(|((at, _), limit)| (*at, limit)).collect();
        let answers: Vec<Entry> = answers.into_iter().map(|(_, entry)| entry).collect();
        prop_assert_eq!(answers, expected(capacity, &guests, decided, entry));
    }

    #[test]
    fn a_slot_keeps_its_limit_and_removes_by_generation_alone(
        seed: u64,
        limit in 0_usize..5,
        ops in prop::collection::vec(
            prop_oneof![Just(SlotOp::Register), any::<usize>().prop_map(SlotOp::Remove)], 0..40,
        ),
    ) {
        world(seed, move |env| slot_agrees(env, limit, ops.clone()));
    }

    #[test]
    fn a_connect_storm_never_passes_the_limit_and_numbers_have_no_gap(
        seed: u64, storm in 1_usize..12, limit in 0_usize..6,
    ) {
        let (registered, mut numbers) = world(seed, move |env| async move {
            let (slot, sequencer) = (Slot::new(&env, limit), Sequencer::new(&env, "law", 0));
            let results = all(&env, vec![(); storm], |at, ()| {
                let (slot, sequencer) = (slot.clone(), sequencer.clone());
                async move { (slot.register(at).await.is_ok(), sequencer.next().await) }
            })
            .await;
            let (registered, numbers): (Vec<bool>, Vec<u64>) = results.into_iter().unzip();
            assert_eq!(slot.len().await, storm.min(limit));
            (registered, numbers)
        });
        prop_assert_eq!(registered.into_iter().filter(|ok| *ok).count(), storm.min(limit));
        numbers.sort_unstable();
        prop_assert!(numbers.into_iter().eq(1..=storm as u64));
    }

    #[test]
    fn single_flight_makes_one_value_whoever_fails_or_leaves(
        seed: u64, callers in prop::collection::vec(any::<(bool, bool)>(), 1..8),
    ) {
        world(seed, move |env| once_makes_one(env, callers.clone()));
    }
}

#[test]
fn a_timer_of_the_world_is_exact_enough_for_the_laws_above() {
    let late = world(1, |env| async move {
        env.sleep(Duration::from_millis(4)).await;
        env.now()
    });
    assert_eq!(late, Moment(ms(4)));
}
