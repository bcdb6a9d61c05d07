//! Commands: what a client asks once it is connected, each in a task of its own.
//! Must never leave a command without a reply.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::auth::permissions;
use super::context::{ContextError, Full, Request, UserExecutionContext};
use super::db::accept::{Accept, Accepted, ThreadName};
use super::db::{Class, TransactionError, log};
use super::events;
use super::ids::{self, ContextId, MessageId, RequestId, RunId, ThreadId};
use super::run::agent::{self, Job, SUPERVISOR};
use super::run::finish::Ending;
use super::run::record::Record;
use super::run::state::State;
use super::startup::Stage;
use super::ws::attach::{self, answer};
use super::ws::connection::Handle;
use super::ws::outgoing::Out;
use super::ws::protocol::{Command, Origin, Problem};
use crate::env::Env;

/// A question's length in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// Thread keys and idempotency keys.
const KEY_MAX: usize = 200;
/// The thread of a command that names none.
const DEFAULT_THREAD: &str = "main";
const RESOLVE_PAUSE: Duration = Duration::from_millis(300);

pub async fn execute<E: Env>(handle: Handle<E>, command: Command) {
    let result = match command.method.as_str() {
        "run.start" => return start(&handle, &command).await,
        "run.cancel" => cancel(&handle, &command).await,
        "thread.subscribe" => subscribe(&handle, &command).await,
        "thread.unsubscribe" => unsubscribe(&handle, &command).await,
        "ack" => Ok(json!({})),
        other => Err(Problem::new("unknown_method", 404, format!("no method `{other}`"))),
    };
    answer(&handle, &command.id, result).await;
}

fn unavailable(error: &TransactionError) -> Problem {
    let (code, status) = match error.class {
        Class::Timeout => ("timeout", 503),
        _ => ("unavailable", 503),
    };
    Problem::new(code, status, error.class.name()).retry_after_ms(1000)
}

fn permit<E: Env>(handle: &Handle<E>, permission: &str) -> Result<(), Problem> {
    let roles = handle.session.claims.roles.iter().map(String::as_str);
    if permissions::of_roles(roles).contains(&permission) {
        return Ok(());
    }
    Err(Problem::new("forbidden", 403, format!("`{permission}` is not permitted")))
}

/// `run.start`: the reply leaves before the run's first event.
async fn start<E: Env>(handle: &Handle<E>, command: &Command) {
    match accept(handle, command).await {
        Err(problem) => answer(handle, &command.id, Err(problem)).await,
        Ok(Start::Again { run, thread }) => {
            let ok = json!({ "run_id": run, "thread_id": thread, "duplicate": true });
            answer(handle, &command.id, Ok(ok)).await;
            attach::tell_if_ended(handle, &run, &thread).await;
        }
        Ok(Start::New(job)) => {
            let Origin { run, thread, .. } = &*job.record.origin;
            let ok = json!({ "run_id": run, "thread_id": thread, "duplicate": false });
            answer(handle, &command.id, Ok(ok)).await;
            handle.gateway.env().spawn("run", agent::run(*job));
        }
    }
}

enum Start<E: Env> {
    New(Box<Job<E>>),
    Again { run: String, thread: String },
}

async fn accept<E: Env>(handle: &Handle<E>, command: &Command) -> Result<Start<E>, Problem> {
    permit(handle, "run.start")?;
    let _accepting = handle.gateway.accepts();
    if handle.gateway.gate().state().await != Stage::Ready {
        let problem = Problem::new("draining", 503, "the server is about to leave");
        return Err(problem.retry_after_ms(1000));
    }
    let accept = draft(handle, command)?;
    let request = request_of(handle, command, &accept);
    let provisional = UserExecutionContext::from_request(ContextId("ctx_draft".into()), request);
    provisional.map_err(|error| refused(&accept.user, &error))?;
    let thread = match resolved(handle, &accept).await? {
        Accepted::New { thread } => thread,
        Accepted::Again { run, thread } if run == accept.run => thread,
        Accepted::Again { run, thread } => return Ok(Start::Again { run, thread }),
        Accepted::OtherParams => {
            let detail = "the idempotency key was used with other parameters";
            return Err(Problem::new("idempotency_mismatch", 422, detail));
        }
        Accepted::Busy => {
            let problem = Problem::new("thread_busy", 409, "another run works in the thread");
            return Err(problem.retry_after_ms(500));
        }
        Accepted::NoThread => return Err(Problem::new("not_found", 404, "no such thread")),
    };
    begin(handle, command, accept, thread).await
}

/// TX1's parameters, checked.
fn draft<E: Env>(handle: &Handle<E>, command: &Command) -> Result<Accept, Problem> {
    let bad = |detail: &str| Err(Problem::new("bad_request", 400, detail));
    let text = command.text("text").or(command.text("message")).unwrap_or_default();
    if text.is_empty() || text.len() > TEXT_MAX {
        return bad("`text` must have 1 to 65536 bytes");
    }
    let idem = command.idem.clone().unwrap_or_default();
    let key = command.text("thread").unwrap_or(DEFAULT_THREAD);
    if key.is_empty() || key.len() > KEY_MAX || idem.len() > KEY_MAX {
        return bad("keys must have 1 to 200 bytes");
    }
    let env = handle.gateway.env();
    let thread = match command.text("thread_id") {
        Some(id) => ThreadName::Id(id.to_owned()),
        None => ThreadName::Key(key.to_owned()),
    };
    let run = RunId::draw(env).0;
    Ok(Accept {
        tenant: handle.session.claims.tid.clone(),
        user: handle.session.claims.sub.clone(),
        thread,
        new_thread: ThreadId::draw(env).0,
        new_epoch: ids::draw(env, "")[..6].to_owned(),
        message: MessageId::draw(env).0,
        text: text.to_owned(),
        agent: SUPERVISOR.to_owned(),
        node: handle.gateway.config().node.clone(),
        life: handle.services.tracker.life,
        method: command.method.clone(),
        // Without a key of the client's the run is its own key: an unclear commit is resolved.
        idem: if idem.is_empty() { run.clone() } else { idem },
        params_hash: ids::hex(&Sha256::digest(command.params.to_string().as_bytes())[..16]),
        now_ms: i64::try_from(env.unix_ms()).unwrap_or(i64::MAX),
        run,
    })
}

/// What a context for this command is made of, as far as it is known before TX1.
fn request_of<E: Env>(handle: &Handle<E>, command: &Command, accept: &Accept) -> Request {
    let claims = &handle.session.claims;
    let env = handle.gateway.env();
    let now = env.now();
    let object = |key: &str| match command.params.get(key) {
        Some(Value::Object(fields)) => fields.clone(),
        _ => Map::new(),
    };
    let roles = claims.roles.iter().map(String::as_str);
    Request {
        tenant_id: claims.tid.clone(),
        user_id: claims.sub.clone(),
        thread_id: accept.new_thread.clone(),
        run_id: accept.run.clone(),
        request_id: RequestId::draw(env).0,
        connection_id: handle.connection.clone(),
        session_id: claims.sid.clone(),
        permissions: permissions::of_roles(roles).into_iter().map(str::to_owned).collect(),
        deadline: now + handle.gateway.config().times.run_deadline,
        created_at: now,
        agent_context: object("context"),
        audit_metadata: object("audit"),
        thread_owner: claims.sub.clone(),
        run_thread: accept.new_thread.clone(),
    }
}

fn refused(user: &str, error: &ContextError) -> Problem {
    events::context_refused(user, &error.to_string());
    match error {
        ContextError::InvalidContext { .. } => {
            Problem::new("invalid_context", 400, error.to_string())
        }
        ContextError::ContextIsolation { .. } => {
            Problem::new("context_isolation", 403, error.to_string())
        }
    }
}

/// TX1. A commit whose answer was lost is resolved by its key, however long that takes: nobody
/// else knows of the run.
async fn resolved<E: Env>(handle: &Handle<E>, accept: &Accept) -> Result<Accepted, Problem> {
    let mut unclear = false;
    loop {
        match handle.services.pool.transact(accept).await {
            Ok(accepted) => return Ok(accepted),
            Err(error) if error.ambiguous || unclear => {
                unclear = true;
                handle.gateway.env().sleep(RESOLVE_PAUSE).await;
            }
            Err(error) => return Err(unavailable(&error)),
        }
    }
}

/// TX1 has committed: from here on the run must come to its end, whatever happens.
async fn begin<E: Env>(
    handle: &Handle<E>,
    command: &Command,
    accept: Accept,
    thread: String,
) -> Result<Start<E>, Problem> {
    let (env, services) = (handle.gateway.env(), &handle.services);
    let mut request = request_of(handle, command, &accept);
    request.thread_id.clone_from(&thread);
    request.run_thread.clone_from(&thread);
    let (tenant, user) = (accept.tenant.clone(), accept.user.clone());
    let origin = Origin::of_run(tenant, user, thread.clone(), accept.run.clone());
    let origin = Arc::new(origin);
    let record = Record::new(env, origin, request.deadline);
    services.tracker.insert(record.clone()).await;
    let (run, connection) = (&accept.run, &handle.connection);
    events::run_accepted(run, &thread, &accept.tenant, &accept.user, connection, &command.id);
    match services.contexts.create(request).await {
        Ok(context) => {
            let (env, config) = (env.clone(), handle.gateway.config().clone());
            let (services, question, idem) = (services.clone(), accept.text, accept.idem);
            let job = Job { env, config, services, record, context, question, idem };
            Ok(Start::New(Box::new(job)))
        }
        Err(error) => {
            record.to(State::Starting).await;
            let ending = Ending::other(State::Failed, error.to_string());
            services.tracker.end(&record, ending).await;
            Err(match &error {
                Full::Refused(error) => refused(&accept.user, error),
                Full::Limit => Problem::new("too_many_contexts", 429, error.to_string()),
            })
        }
    }
}

/// `run.cancel`: by the run's id alone, so that it never touches another run.
async fn cancel<E: Env>(handle: &Handle<E>, command: &Command) -> Result<Value, Problem> {
    permit(handle, "run.cancel")?;
    let run = command.text("run_id").unwrap_or_default();
    let claims = &handle.session.claims;
    let not_found = || Problem::new("not_found", 404, "no such run");
    let tracker = &handle.services.tracker;
    let Some(record) = tracker.get(run).await else {
        let ended = log::outcome(&handle.services.pool, &claims.tid, run).await;
        let outcome = ended.map_err(|error| unavailable(&error))?;
        let outcome = outcome.filter(|outcome| !outcome.is_empty()).ok_or_else(not_found)?;
        return Ok(json!({ "run_id": run, "cancelled": false, "outcome": outcome }));
    };
    let own = (&record.origin.tenant, &record.origin.user) == (&claims.tid, &claims.sub);
    if !own {
        return Err(not_found());
    }
    let ending = Ending::other(State::Cancelled, "cancelled by its user");
    let won = tracker.end(&record, ending).await;
    // What is not committed yet may still come to another end, in another life.
    let written = record.ended_at().await.is_some();
    let outcome = if written { record.state().await.outcome() } else { None };
    Ok(json!({ "run_id": run, "cancelled": won, "outcome": outcome }))
}

async fn subscribe<E: Env>(handle: &Handle<E>, command: &Command) -> Result<Value, Problem> {
    permit(handle, "thread.read")?;
    let claims = &handle.session.claims;
    let thread = command.text("thread_id").unwrap_or_default();
    let pool = &handle.services.pool;
    let streams = log::streams_of(pool, &claims.tid, &claims.sub).await;
    let streams = streams.map_err(|error| unavailable(&error))?;
    let stream = streams.iter().find(|stream| stream.thread == thread);
    let stream = stream.ok_or_else(|| Problem::new("not_found", 404, "no such thread"))?;
    let after = stream.fresh();
    let history = attach::attach(handle, stream, after).await;
    let history = history.map_err(|error| unavailable(&error))?;
    handle.queue.push(Out::Attach(history)).await;
    Ok(json!({ "stream": stream.thread, "epoch": stream.epoch, "seq": after }))
}

async fn unsubscribe<E: Env>(handle: &Handle<E>, command: &Command) -> Result<Value, Problem> {
    let thread = command.text("thread_id").unwrap_or_default();
    handle.queue.push(Out::Detach(thread.to_owned())).await;
    Ok(json!({ "stream": thread }))
}
