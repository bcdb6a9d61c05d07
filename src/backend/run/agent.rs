//! The agent loop: a run's task. Slot, start, model turns with their tools, end. It stops at once
//! when the run is ended by another's hand. Must never hold a database session while a model or a
//! tool works, nor use a context but its own.

use std::fmt::Write;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::config::Config;
use super::super::context::UserExecutionContext;
use super::super::events;
use super::super::gateway::Services;
use super::super::ids::ToolCallId;
use super::super::model::tools::{self, marker};
use super::super::model::{ModelEvent, ModelProvider, ModelRequest, ModelStream, ToolResult};
use super::super::plants::Plant;
use super::super::race::{Either, race};
use super::append::{AppendError, Draft};
use super::finish::Ending;
use super::record::Record;
use super::state::State;
use crate::env::{Env, Moment};

const TURNS_MAX: usize = 8;

/// A piece of text is told when it has this many bytes, or after `Times::delta_every`.
const DELTA_BYTES: usize = 256;

/// The agents by name; the supervisor asks the others in this order.
pub const SUPERVISOR: &str = "supervisor";
pub const STAGES: [&str; 4] = ["triage", "data", "optimization", "reporting"];

pub struct Job<E: Env> {
    pub env: E,
    pub config: Config,
    pub services: Services<E>,
    pub record: Record<E>,
    pub context: UserExecutionContext,
    pub question: String,
    /// Of the command that made the run.
    pub idem: String,
}

/// Why the work did not come to its end.
enum Broken {
    /// The run was ended by somebody else.
    Fenced,
    Failed(String),
}

impl From<AppendError> for Broken {
    fn from(error: AppendError) -> Broken {
        match error {
            AppendError::Fenced => Broken::Fenced,
            AppendError::Failed(error) => Broken::Failed(error.to_string()),
        }
    }
}

/// What a model turn asked for, and what it said.
struct Turn {
    calls: Vec<(String, Value)>,
    text: String,
}

pub async fn run<E: Env>(job: Job<E>) {
    let (record, tracker) = (&job.record, &job.services.tracker);
    let stopped = || record.stop.wait();
    let too_late = || job.env.sleep_until(record.deadline);
    let late = || Ending::other(State::Timeout, "the run's deadline has passed");
    let slot = race(stopped(), race(tracker.slots.take(&record.origin), too_late())).await;
    let _slot = match slot {
        Either::First(()) => return,
        Either::Second(Either::First(slot)) => slot,
        Either::Second(Either::Second(())) => {
            tracker.end(record, late()).await;
            return;
        }
    };
    // In a box: every future around it would be moved with it.
    let work = Box::pin(work(&job));
    let worked = race(stopped(), race(work, too_late())).await;
    if job.config.plants.has(Plant::H26) {
        let own = |context: &mut UserExecutionContext| context.run_id() == job.context.run_id();
        tracker.supervisor.with(|supervisor| supervisor.take_if(own)).await;
    }
    let ending = match worked {
        Either::First(()) | Either::Second(Either::First(Err(Broken::Fenced))) => return,
        Either::Second(Either::First(Ok(text))) => Ending::success(text),
        Either::Second(Either::First(Err(Broken::Failed(why)))) => {
            Ending::other(State::Failed, why)
        }
        Either::Second(Either::Second(())) => late(),
    };
    tracker.end(record, ending).await;
}

async fn work<E: Env>(job: &Job<E>) -> Result<String, Broken> {
    let (record, context) = (&job.record, &job.context);
    // What it waited for its slot is not held against it.
    record.progressed().await;
    if !record.to(State::Starting).await {
        return Err(Broken::Fenced);
    }
    let (run, user) = (&record.origin.run, context.user_id().as_str());
    events::agent_started(run, user, context.id().as_str(), SUPERVISOR);
    // Planted H39: a session is held while the model and the tools work.
    let held = job.config.plants.has(Plant::H39);
    let _held = if held { job.services.pool.get().await.ok() } else { None };
    // Events that come without work between them are appended together, before the work.
    let mut drafts = Vec::new();
    let begun = json!({ "marker": marker(context), "idem": job.idem });
    note(job, &mut drafts, "agent_started", begun);
    think(job, &mut drafts, STAGES[0]);
    append(job, &mut drafts).await?;
    if !record.to(State::Running).await {
        return Err(Broken::Fenced);
    }
    let (mut results, mut said) = (Vec::new(), String::new());
    for _ in 0..TURNS_MAX {
        let turn = turn(job, &results).await?;
        said.push_str(&turn.text);
        if turn.calls.is_empty() {
            return Ok(said);
        }
        for (tool, args) in turn.calls {
            results.push(call(job, &mut drafts, tool, args).await?);
        }
        think(job, &mut drafts, STAGES[3]);
        append(job, &mut drafts).await?;
    }
    Err(Broken::Failed("the model does not come to an end".to_owned()))
}

fn note<E: Env>(job: &Job<E>, drafts: &mut Vec<Draft>, kind: &'static str, data: Value) {
    drafts.push(job.services.tracker.log.draft(kind, data));
}

fn think<E: Env>(job: &Job<E>, drafts: &mut Vec<Draft>, stage: &str) {
    let data = json!({ "stage": stage, "marker": marker(&job.context) });
    note(job, drafts, "agent_thinking", data);
}

async fn append<E: Env>(job: &Job<E>, drafts: &mut Vec<Draft>) -> Result<(), Broken> {
    Ok(job.services.tracker.log.append(&job.record, std::mem::take(drafts)).await?)
}

fn calls<E: Env>(job: &Job<E>, what: &str, within: Duration) {
    let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    events::agent_calls(&job.record.origin.run, what, within_ms);
}

async fn turn<E: Env>(job: &Job<E>, results: &[ToolResult]) -> Result<Turn, Broken> {
    let (question, results) = (job.question.clone(), results.to_vec());
    let request = ModelRequest { question, results };
    let mut stream = job.services.model.stream(request, &job.context);
    let mut turn = Turn { calls: Vec::new(), text: String::new() };
    let mut pending = Pending::default();
    calls(job, "model", job.config.times.model_idle);
    loop {
        let event = next(job, &mut stream, &mut pending).await?;
        match event {
            Some(ModelEvent::Text(text)) => {
                turn.text.push_str(&text);
                pending.add(job, &text).await;
            }
            Some(ModelEvent::ToolCall { tool, args }) => turn.calls.push((tool, args)),
            Some(ModelEvent::Stop) => break,
            None => {
                pending.flush(job).await;
                events::agent_stream_ended(&job.record.origin.run, false);
                return Err(Broken::Failed("the model's answer was cut".to_owned()));
            }
        }
    }
    pending.flush(job).await;
    job.record.progressed().await;
    events::agent_stream_ended(&job.record.origin.run, true);
    Ok(turn)
}

/// The stream's next event, while text that has waited long enough is told.
async fn next<E: Env, S: ModelStream>(
    job: &Job<E>,
    stream: &mut S,
    pending: &mut Pending,
) -> Result<Option<ModelEvent>, Broken> {
    let idle = job.config.times.model_idle;
    job.record.waits(idle).await;
    let mut event = pin!(job.env.timeout(idle, stream.next()));
    loop {
        let waited = match pending.due {
            None => event.as_mut().await,
            Some(due) => match race(event.as_mut(), job.env.sleep_until(due)).await {
                Either::First(waited) => waited,
                Either::Second(()) => {
                    pending.flush(job).await;
                    continue;
                }
            },
        };
        return match waited {
            Ok(event) => event.transpose().map_err(|error| Broken::Failed(error.to_string())),
            Err(_) => Err(Broken::Failed("the model is silent".to_owned())),
        };
    }
}

/// Text that has not been told yet.
#[derive(Default)]
struct Pending {
    text: String,
    due: Option<Moment>,
}

impl Pending {
    async fn add<E: Env>(&mut self, job: &Job<E>, text: &str) {
        let _ = self.text.write_str(text);
        let due = job.env.now() + job.config.times.delta_every;
        self.due.get_or_insert(due);
        if self.text.len() >= DELTA_BYTES {
            self.flush(job).await;
        }
    }

    async fn flush<E: Env>(&mut self, job: &Job<E>) {
        self.due = None;
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            job.services.tracker.log.tell_text(&job.record, text).await;
        }
    }
}

/// Runs one tool between its two events; the second is left to be appended with what follows.
async fn call<E: Env>(
    job: &Job<E>,
    drafts: &mut Vec<Draft>,
    tool: String,
    args: Value,
) -> Result<ToolResult, Broken> {
    let id = ToolCallId::draw(&job.env).0;
    let begun = json!({
        "tool_name": tool,
        "tool_call_id": id,
        "args": args,
        "marker": marker(&job.context),
    });
    note(job, drafts, "tool_executing", begun);
    append(job, drafts).await?;
    let within = job.config.times.tool_within;
    calls(job, &tool, within);
    job.record.waits(within).await;
    let (status, result) = if let Err(error) = tools::check(&tool, &args, &job.context) {
        ("failed", json!({ "error": error.to_string() }))
    } else {
        let late = || ("timeout", json!({ "error": "no answer in time" }));
        let worked = job.env.timeout(within, tool_work(job, &tool)).await;
        worked.map_or_else(|_| late(), |result| ("ok", result))
    };
    job.record.progressed().await;
    events::agent_answered(&job.record.origin.run, &tool);
    let ended = json!({
        "tool_name": tool,
        "tool_call_id": id,
        "status": status,
        "results": result,
    });
    note(job, drafts, "tool_completed", ended);
    Ok(ToolResult { tool, result })
}

/// A tool's work, in the run's own context.
async fn tool_work<E: Env>(job: &Job<E>, tool: &str) -> Value {
    let supervisor = &job.services.tracker.supervisor;
    let planted = job.config.plants.has(Plant::H26);
    if planted {
        // Planted H26: the supervisor that all runs share holds the context across the work.
        let current = Some(job.context.clone());
        supervisor.with(|held| *held = current).await;
    }
    job.env.sleep(job.config.model.tool).await;
    let held = if planted { supervisor.with(Option::take).await } else { None };
    tools::call(tool, held.as_ref().unwrap_or(&job.context))
}
