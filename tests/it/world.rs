//! The world on small hosts of its own: schedules, network, faults, determinism.
//! Must never need a system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedbed::env::{Clock, Listener, Net, Spawn};
use seedbed::plan::{Engine, Fault, FaultPlan, NetworkPlan, Plan, Strategy};
use seedbed::seed::Seed;
use seedbed::trace::{Event, Observer};
use seedbed::world::{self, Cast, Ended, HostFuture, HostSpec, Reason, SimEnv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A plan without faults on a calm network.
pub fn calm(seed: u64, strategy: Strategy) -> Plan {
    Plan {
        scenario: "world".to_owned(),
        seed: Seed(seed),
        engine: Engine::Native,
        strategy,
        plants: Vec::new(),
        settings: BTreeMap::new(),
        users: Vec::new(),
        faults: Vec::new(),
        network: NetworkPlan {
            latency_min: ms(1),
            latency_max: ms(20),
            spike_ppm: 0,
            spike: ms(0),
            segment_max: 1460,
            chop_ppm: 0,
            stall_ppm: 0,
            stall_max: ms(0),
        },
        faults_until: ms(20_000),
        quiesce: ms(90_000),
        steps_max: 1_000_000,
    }
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn host(name: &str, start: impl Fn(SimEnv) -> HostFuture + Send + Sync + 'static) -> HostSpec {
    HostSpec { name: name.to_owned(), start: Arc::new(start) }
}

/// Sees everything, owes nothing.
#[derive(Default)]
pub struct Witness(pub Vec<Event>);

impl Observer for Witness {
    fn event(&mut self, event: &Event) -> bool {
        self.0.push(event.clone());
        true
    }

    fn owed(&self) -> bool {
        false
    }
}

pub fn run(plan: &Plan, cast: Cast) -> Ended {
    world::run(plan, cast, &mut Witness::default(), true, Duration::from_secs(60))
}

type Log = Arc<Mutex<Vec<usize>>>;

/// Three tasks of two steps each; the order of the six steps is the result.
fn order_of(seed: u64, strategy: Strategy) -> Vec<usize> {
    let log: Log = Arc::default();
    let written = Arc::clone(&log);
    let user = host("u", move |env| {
        let log = Arc::clone(&log);
        Box::pin(async move {
            for task in 0..3 {
                let (inner, log) = (env.clone(), Arc::clone(&log));
                env.spawn("stepper", async move {
                    log.lock().unwrap().push(task);
                    inner.point("step").await;
                    log.lock().unwrap().push(task);
                });
            }
            env.sleep(ms(5)).await;
            Ok(())
        })
    });
    let ended = run(&calm(seed, strategy), Cast { hosts: vec![], users: vec![user] });
    assert_eq!(ended.reason, Reason::Rested);
    let order = written.lock().unwrap().clone();
    assert_eq!(order.len(), 6, "every task took both steps");
    order
}

#[test]
fn random_reaches_all_90_orders_of_three_tasks_of_two_steps() {
    let orders: BTreeSet<_> = (0..3000).map(|seed| order_of(seed, Strategy::Random)).collect();
    assert_eq!(orders.len(), 90); // 6! / (2! 2! 2!)
}

#[test]
fn fifo_knows_one_order_and_pct_many() {
    let fifo: BTreeSet<_> = (0..50).map(|seed| order_of(seed, Strategy::Fifo)).collect();
    assert_eq!(fifo.len(), 1);
    let pct: BTreeSet<_> =
        (0..500).map(|seed| order_of(seed, Strategy::Pct { depth: 3 })).collect();
    assert!(pct.len() > 10, "{} orders", pct.len());
}

/// A server that answers each line with its length, and clients that ask twice.
pub fn echo(clients: usize) -> Cast {
    let server = host("server", |env| {
        Box::pin(async move {
            let mut listener = env.bind("0.0.0.0:7").await.map_err(|e| e.to_string())?;
            loop {
                let (mut stream, _) = listener.accept().await.map_err(|e| e.to_string())?;
                env.spawn("echo", async move {
                    let mut buf = [0; 4096];
                    while let Ok(n) = stream.read(&mut buf).await
                        && n > 0
                    {
                        if stream.write_all(&buf[..n]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        })
    });
    let client = |n: usize| {
        host(&format!("client/{n}"), move |env| {
            Box::pin(async move {
                let text = |e: std::io::Error| e.to_string();
                env.sleep(ms(n as u64)).await;
                let mut stream = env.connect("server:7").await.map_err(text)?;
                let sent = vec![u8::try_from(n).unwrap(); 10_000];
                stream.write_all(&sent).await.map_err(text)?;
                let mut got = vec![0; sent.len()];
                stream.read_exact(&mut got).await.map_err(text)?;
                if got == sent { Ok(()) } else { Err("other bytes came back".to_owned()) }
            })
        })
    };
    Cast { hosts: vec![server], users: (0..clients).map(client).collect() }
}

fn failures(ended: &Ended) -> Vec<String> {
    let failed = ended.trace.events.iter().filter(|event| event.name == "user.failed");
    failed.map(|event| event.text("error").unwrap().to_owned()).collect()
}

#[test]
fn bytes_arrive_whole_and_in_order_however_they_are_cut() {
    for seed in 0..50 {
        let mut plan = calm(seed, Strategy::Random);
        plan.network.chop_ppm = 800_000;
        plan.network.spike_ppm = 100_000;
        plan.network.spike = ms(50);
        let ended = run(&plan, echo(5));
        assert_eq!(ended.reason, Reason::Rested);
        assert!(failures(&ended).is_empty(), "seed {seed}: {:?}", failures(&ended));
    }
}

#[test]
fn equal_seeds_have_equal_digests_and_others_do_not() {
    let digest = |seed| run(&calm(seed, Strategy::Random), echo(5)).trace.digest;
    let digests: BTreeSet<u128> = (0..50).map(|seed| digest(seed).0).collect();
    assert_eq!(digests.len(), 50);
    for seed in 0..50 {
        assert!(digests.contains(&digest(seed).0));
    }
}

fn with_fault(seed: u64, at: u64, what: Fault) -> Plan {
    let mut plan = calm(seed, Strategy::Random);
    plan.faults.push(FaultPlan { at: ms(at), what });
    plan
}

#[test]
fn a_partition_delays_and_heals_as_tcp_does() {
    let partition = |for_| Fault::Partition {
        from: "server".to_owned(),
        to: "client/0".to_owned(),
        one_way: false,
        for_,
    };
    let ended = run(&with_fault(1, 5, partition(ms(3000))), echo(1));
    assert!(failures(&ended).is_empty(), "{:?}", failures(&ended));
    let took = ended.trace.end.0;
    assert!(took > ms(3000) && took < ms(15_000), "ended at {took:?}");
}

#[test]
fn a_crashed_server_resets_its_clients_and_comes_back() {
    let crash = Fault::Crash { host: "server".to_owned(), restart_after: Some(ms(100)) };
    let mut reset = 0;
    for seed in 0..40 {
        let ended = run(&with_fault(seed, 20, crash.clone()), echo(3));
        let names: Vec<_> = ended.trace.events.iter().map(|event| event.name).collect();
        assert!(names.contains(&"host.crashed"));
        reset += failures(&ended).len();
    }
    assert!(reset > 0, "a crash at 20 ms hits clients that are being served");
}

#[test]
fn a_user_that_crashes_is_gone_and_keeps_nobody_waiting() {
    let crash = Fault::Crash { host: "client/0".to_owned(), restart_after: Some(ms(100)) };
    let ended = run(&with_fault(1, 1, crash), echo(2));
    assert_eq!(ended.reason, Reason::Rested);
    let names: Vec<_> = ended.trace.events.iter().map(|event| event.name).collect();
    assert_eq!(names.iter().filter(|name| **name == "user.finished").count(), 1);
    assert_eq!(names.iter().filter(|name| **name == "user.started").count(), 2);
}

#[test]
fn a_reset_reaches_both_ends() {
    let fault = Fault::Reset { host: "server".to_owned() };
    let ended = run(&with_fault(3, 30, fault), echo(1));
    let reset = ended.trace.events.iter().any(|event| event.name == "net.reset");
    assert_eq!(reset, !failures(&ended).is_empty());
}

#[test]
fn a_task_that_leaves_the_world_is_named_with_its_place() {
    let user = host("u", |_env| {
        Box::pin(async {
            tokio::spawn(async {});
            Ok(())
        })
    });
    let ended = run(&calm(0, Strategy::Random), Cast { hosts: vec![], users: vec![user] });
    let Reason::Escaped(text) = ended.reason else { panic!("{:?}", ended.reason) };
    assert!(text.contains("`main` of u") && text.contains("world.rs"), "{text}");
}

#[test]
fn a_livelock_ends_at_the_step_budget() {
    let user = host("u", |env| {
        Box::pin(async move {
            let busy = env.clone();
            env.spawn("spinner", async move {
                loop {
                    busy.point("spin").await;
                }
            });
            loop {
                env.point("spin").await;
            }
        })
    });
    let mut plan = calm(0, Strategy::Random);
    plan.steps_max = 10_000;
    let cast = Cast { hosts: vec![], users: vec![user] };
    assert_eq!(run(&plan, cast.clone()).reason, Reason::StepBudget);
    assert_eq!(run(&on_turmoil(plan), cast).reason, Reason::StepBudget);
}

#[test]
fn a_task_that_spins_alone_is_a_livelock_too() {
    let user = host("u", |env| {
        Box::pin(async move {
            loop {
                env.point("spin").await;
            }
        })
    });
    let mut plan = calm(0, Strategy::Random);
    plan.steps_max = 10_000;
    let cast = Cast { hosts: vec![], users: vec![user] };
    assert_eq!(run(&plan, cast.clone()).reason, Reason::StepBudget);
    assert_eq!(run(&on_turmoil(plan), cast).reason, Reason::StepBudget);
}

fn on_turmoil(mut plan: Plan) -> Plan {
    plan.engine = Engine::Turmoil;
    plan
}

#[test]
fn the_same_hosts_run_on_turmoil_and_equal_seeds_have_equal_digests_there_too() {
    for seed in 0..20 {
        let plan = on_turmoil(calm(seed, Strategy::Random));
        let ended = run(&plan, echo(5));
        assert_eq!(ended.reason, Reason::Rested);
        assert!(failures(&ended).is_empty(), "seed {seed}: {:?}", failures(&ended));
        assert_eq!(ended.trace.digest, run(&plan, echo(5)).trace.digest, "seed {seed}");
    }
}

#[test]
fn a_crash_on_turmoil_is_felt_and_what_turmoil_cannot_do_is_listed() {
    let mut reset = 0;
    for seed in 0..40 {
        let crash = Fault::Crash { host: "server".to_owned(), restart_after: Some(ms(100)) };
        let mut plan = on_turmoil(with_fault(seed, 20, crash));
        plan.faults
            .push(FaultPlan { at: ms(30), what: Fault::Reset { host: "server".to_owned() } });
        let ended = run(&plan, echo(3));
        let started = ended.trace.events.iter().filter(|event| event.name == "host.started");
        assert_eq!((started.count(), ended.left_out.len()), (2, 1), "seed {seed}");
        reset += failures(&ended).len();
    }
    assert!(reset > 0, "a crash at 20 ms hits clients that are being served");
}

#[test]
fn a_task_that_leaves_the_world_on_turmoil_is_an_escape() {
    let user = host("u", |_env| {
        Box::pin(async {
            tokio::spawn(std::future::pending::<()>());
            Ok(())
        })
    });
    let plan = on_turmoil(calm(0, Strategy::Random));
    let ended = run(&plan, Cast { hosts: vec![], users: vec![user] });
    assert!(matches!(ended.reason, Reason::Escaped(_)), "{:?}", ended.reason);
}

#[test]
fn an_idle_hour_takes_no_steps() {
    let user = host("u", |env| {
        Box::pin(async move {
            env.sleep(Duration::from_secs(60)).await;
            Ok(())
        })
    });
    let ended = run(&calm(0, Strategy::Fifo), Cast { hosts: vec![], users: vec![user] });
    assert!(ended.trace.steps < 5 && ended.trace.end.0 >= Duration::from_secs(60));
}
