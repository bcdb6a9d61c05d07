//! A user of the ledger: asks for one thing after the other, and again under the same key until
//! it is answered. Must never ask for the same thing under a second key.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{ADDR, events};
use crate::env::{Env, Moment};
use crate::plan::{StepPlan, UserPlan};

/// From the first time it asks, or from when nothing is broken on purpose any more.
const WITHIN: Duration = Duration::from_mins(1);
/// For one answer: three tries, each of which may wait for a deadlock to be noticed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const PAUSE_MS: u64 = 50;

/// Plays the whole script. `calm` is the moment from which nothing is broken on purpose.
pub async fn play<E: Env>(env: E, user: UserPlan, calm: Moment) -> Result<(), String> {
    for (number, step) in user.steps.iter().enumerate() {
        env.sleep(step.duration("after").unwrap_or_default()).await;
        let key = format!("{}-{}", user.name, number + 1);
        let Some(line) = request(&key, step) else {
            env.sleep(step.duration("value").unwrap_or_default()).await;
            continue;
        };
        events::asked(&user.name, &key, &step.word);
        ask(&env, &user.name, &key, &line, calm).await?;
    }
    Ok(())
}

/// The line to send; `None` for a step that asks for nothing.
fn request(key: &str, step: &StepPlan) -> Option<String> {
    let text = |name| step.text(name).unwrap_or_default();
    let (to, cents) = (text("to"), step.int("cents").unwrap_or(0));
    match step.word.as_str() {
        "transfer" => Some(format!("transfer {key} {} {to} {cents}\n", text("from"))),
        "deposit" => Some(format!("deposit {key} {to} {cents}\n")),
        _ => None,
    }
}

async fn ask<E: Env>(
    env: &E,
    user: &str,
    key: &str,
    line: &str,
    calm: Moment,
) -> Result<(), String> {
    let deadline = env.now().max(calm) + WITHIN;
    loop {
        let why = match env.timeout(ANSWER_WITHIN, exchange(env, line)).await {
            Ok(Ok(answer)) if answer == "done" || answer == "refused" => {
                events::answered(user, key, &answer);
                return Ok(());
            }
            Ok(Ok(answer)) if answer.is_empty() => "the connection ended".to_owned(),
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if env.now() > deadline {
            return Err(format!("{key} was not answered: {why}"));
        }
        env.sleep(Duration::from_millis(PAUSE_MS + env.below(PAUSE_MS))).await;
        events::asked_again(user, key, &why);
    }
}

async fn exchange<E: Env>(env: &E, line: &str) -> io::Result<String> {
    let mut stream = BufReader::new(env.connect(ADDR).await?);
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}
