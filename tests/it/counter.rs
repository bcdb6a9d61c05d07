//! A second system, a counter over TCP: proves that the runner knows a system only by its trait,
//! and is the canary that must fail when its lost update is planted (C01). Must
//! never use the backend.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedbed::env::{Clock, Listener, Net, Spawn};
use seedbed::plan::{Plan, Setting, UserPlan};
use seedbed::scenario::{Kind, ParamWord, StepWord, Vocabulary, Word};
use seedbed::systems::System;
use seedbed::trace::Event;
use seedbed::verdict::{Broken, Invariant};
use seedbed::world::{self, HostFuture, HostSpec, SimEnv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

seedbed::events! {
    /// Server, after an addition; `value` is the sum after it.
    "counter.added" added(value: u64);
    /// User, before it asks for an addition.
    "counter.asked" asked(user: &str);
    /// User, after the answer arrived.
    "counter.answered" answered(user: &str, value: u64);
}

pub struct Counter;

/// Adds one at a time, forgetting an addition now and then when C01 is planted.
pub const SCENARIO: &str = r#"# Proves: additions by several users at once are all counted.
schema = 1
title = "everybody counts"

[run]
seeds = 50
faults_until = "1s"
quiesce = "10s"

[[user]]
name = "u"
count = 3
steps = [{ add = {} }, { add = {} }]

[events]
asked = { on = "counter.asked", where = { user = "$u" } }
answered = { on = "counter.answered", where = { user = "$u" } }

[[expect]]
id = "answered"
per = ["u"]
response = { when = "asked", then = "answered", within = "5s" }
"#;

impl System for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn vocabulary(&self) -> Vocabulary {
        let after = ParamWord {
            key: "after",
            kind: Kind::Duration,
            required: false,
            about: "how long to wait first",
        };
        let add = StepWord { word: "add", value: None, params: vec![after], about: "adds one" };
        let events = world::events::CATALOGUE.iter().chain(CATALOGUE).copied().collect();
        Vocabulary {
            hosts: vec!["server"],
            steps: vec![add],
            events,
            plants: vec![Word { name: "C01", about: "the sum is read, then written" }],
            invariants: vec![Word { name: "K1", about: "no sum is reached twice" }],
            ..Vocabulary::default()
        }
    }

    fn hosts(&self, plan: &Plan) -> Vec<HostSpec> {
        let racy = plan.plants.iter().any(|plant| plant == "C01");
        vec![HostSpec { name: "server".to_owned(), start: Arc::new(move |env| serve(env, racy)) }]
    }

    fn user(&self, env: SimEnv, user: &UserPlan, _plan: &Plan) -> HostFuture {
        let (name, steps) = (user.name.clone(), user.steps.clone());
        Box::pin(async move {
            for step in steps {
                let after = step.params.get("after");
                if let Some(Setting::Duration(wait)) = after {
                    env.sleep(*wait).await;
                }
                add(&env, &name).await.map_err(|error| error.to_string())?;
            }
            Ok(())
        })
    }

    fn invariants(&self, _plan: &Plan) -> Vec<Box<dyn Invariant>> {
        vec![Box::new(NoSumTwice::default())]
    }
}

fn serve(env: SimEnv, racy: bool) -> HostFuture {
    Box::pin(async move {
        let sum = Arc::new(Mutex::new(0_u64));
        let mut listener = env.bind("0.0.0.0:9").await.map_err(|error| error.to_string())?;
        loop {
            let (mut stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
            let (inner, sum) = (env.clone(), Arc::clone(&sum));
            env.spawn("adder", async move {
                let mut byte = [0];
                if stream.read_exact(&mut byte).await.is_ok() {
                    let value = if racy { lossy(&inner, &sum).await } else { sound(&sum) };
                    added(value);
                    let _ = stream.write_all(&value.to_le_bytes()).await;
                }
            });
        }
    })
}

/// The lost update: between the read and the write others run.
async fn lossy(env: &SimEnv, sum: &Mutex<u64>) -> u64 {
    let read = *sum.lock().unwrap();
    env.point("sum").await;
    *sum.lock().unwrap() = read + 1;
    read + 1
}

fn sound(sum: &Mutex<u64>) -> u64 {
    let mut sum = sum.lock().unwrap();
    *sum += 1;
    *sum
}

async fn add(env: &SimEnv, user: &str) -> std::io::Result<()> {
    asked(user);
    let mut stream = loop {
        match env.connect("server:9").await {
            Ok(stream) => break stream,
            Err(_) => env.sleep(Duration::from_millis(10)).await,
        }
    };
    stream.write_all(&[1]).await?;
    let mut value = [0; 8];
    stream.read_exact(&mut value).await?;
    answered(user, u64::from_le_bytes(value));
    Ok(())
}

#[derive(Debug, Default)]
struct NoSumTwice {
    seen: BTreeMap<i64, u32>,
}

impl Invariant for NoSumTwice {
    fn id(&self) -> &'static str {
        "K1"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["counter.added"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let value = event.number("value").expect("an addition has a value");
        match self.seen.insert(value, event.index) {
            None => Ok(()),
            Some(first) => {
                Err(Broken::new(format!("the sum {value} was reached twice")).with([first]))
            }
        }
    }
}
