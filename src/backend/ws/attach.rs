//! `connect`, `thread.subscribe` and their resume: register first, then read history, then merge
//! with what came live meanwhile. Must never read history before live events are being kept.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::db::TransactionError;
use super::super::db::log::{self, Stream};
use super::super::ids::{self, RequestId};
use super::super::plants::Plant;
use super::super::run;
use super::close::{self, Close};
use super::connection::Handle;
use super::outgoing::{Attach, Out};
use super::protocol::{self, Command, Event, Origin, Problem, Snapshot};
use super::registry::{Peer, Registration};
use crate::env::Env;

/// What a client says it has.
#[derive(Clone, Debug, Deserialize)]
struct Position {
    stream: String,
    epoch: String,
    seq: i64,
}

/// From where a stream goes on, and why not from where the client asked.
struct Start {
    after: i64,
    lost: Option<&'static str>,
}

/// Registers the connection, answers `connect`, and queues the history of the user's streams.
pub async fn connect<E: Env>(
    handle: &Handle<E>,
    command: &Command,
) -> Result<Registration<E>, Close> {
    let (tenant, user) = whose(handle);
    let resume = command.params.get("resume").cloned().unwrap_or(Value::Null);
    let positions = serde_json::from_value::<Option<Vec<Position>>>(resume)
        .map_err(|_| close::BAD_PROTOCOL)?
        .unwrap_or_default();
    // Planted H18: the history is read while nobody keeps the live events yet.
    let early = handle.gateway.config().plants.has(Plant::H18);
    let read_early = if early { Some(history(handle, &positions).await) } else { None };
    let (connection, queue) = (handle.connection.clone(), handle.queue.clone());
    let peer = Peer { connection, tenant, user, queue };
    let Ok(registration) = handle.services.registry.register(peer).await else {
        let problem = Problem::new("connection_limit", 409, "too many connections of this user");
        answer(handle, &command.id, Err(problem)).await;
        return Err(close::CONNECTION_LIMIT);
    };
    let read = match read_early {
        Some(read) => read,
        None => history(handle, &positions).await,
    };
    let Ok((streams, attached)) = read else {
        handle.services.registry.remove(registration).await;
        let problem = Problem::new("unavailable", 503, "the store does not answer");
        answer(handle, &command.id, Err(problem.retry_after_ms(1000))).await;
        return Err(close::DEPENDENCY_DOWN);
    };
    let ok = json!({
        "connection_id": handle.connection,
        "tenant_id": handle.session.claims.tid,
        "user_id": handle.session.claims.sub,
        "expires": handle.session.claims.exp,
        "streams": streams,
    });
    answer(handle, &command.id, Ok(ok)).await;
    let id = ids::draw(handle.gateway.env(), "evt_");
    let text = protocol::notice("server.ready", &id, &json!({}));
    handle.queue.push(Out::Frame { kind: "server.ready", text }).await;
    for attach in attached {
        handle.queue.push(Out::Attach(attach)).await;
    }
    handle.queue.push(Out::Complete).await;
    Ok(registration)
}

fn whose<E: Env>(handle: &Handle<E>) -> (String, String) {
    let claims = &handle.session.claims;
    (claims.tid.clone(), claims.sub.clone())
}

pub async fn answer<E: Env>(handle: &Handle<E>, id: &str, result: Result<Value, Problem>) {
    let request = RequestId::draw(handle.gateway.env());
    let text = protocol::reply(id, &result, request.as_str());
    handle.queue.push(Out::Frame { kind: "reply", text }).await;
}

/// What the reply says of each stream, and what the writer is told of it.
async fn history<E: Env>(
    handle: &Handle<E>,
    positions: &[Position],
) -> Result<(Vec<Value>, Vec<Attach>), TransactionError> {
    let (tenant, user) = whose(handle);
    let streams = log::streams_of(&handle.services.pool, &tenant, &user).await?;
    let (mut told, mut attached) = (Vec::new(), Vec::new());
    for stream in &streams {
        let position = positions.iter().find(|position| position.stream == stream.thread);
        let start = start_of(stream, position, handle.gateway.config().limits.replay);
        let mut attach = attach(handle, stream, start.after).await?;
        let resumed = position.is_some() && start.lost.is_none();
        let at_rest = stream.run.is_none() && attach.replay.is_empty();
        if !resumed && at_rest {
            attach.snapshot = last_end(handle, stream).await?;
        }
        told.push(json!({
            "stream": stream.thread,
            "epoch": stream.epoch,
            "seq": start.after,
            "recovered": resumed,
            "reason": start.lost,
        }));
        attached.push(attach);
    }
    let known = |thread: &str| streams.iter().any(|stream| stream.thread == thread);
    for position in positions.iter().filter(|position| !known(&position.stream)) {
        told.push(json!({
            "stream": position.stream,
            "recovered": false,
            "reason": "no_history",
        }));
    }
    Ok((told, attached))
}

/// A fresh client joins before the run under way, or at the head if there is none.
fn start_of(stream: &Stream, position: Option<&Position>, replay_max: i64) -> Start {
    let fresh = stream.fresh();
    let lost = |reason| Start { after: fresh, lost: Some(reason) };
    match position {
        None => Start { after: fresh, lost: None },
        Some(position) if position.epoch != stream.epoch => lost("epoch_changed"),
        Some(position) if position.seq > stream.last_seq => lost("ahead_of_server"),
        Some(position) if position.seq < 0 => lost("no_history"),
        Some(position) if stream.last_seq - position.seq > replay_max => lost("too_many"),
        Some(position) => Start { after: position.seq, lost: None },
    }
}

/// The events after `after`, and a snapshot of the run under way if it has told any text.
pub async fn attach<E: Env>(
    handle: &Handle<E>,
    stream: &Stream,
    after: i64,
) -> Result<Attach, TransactionError> {
    let (tenant, user) = whose(handle);
    let pool = &handle.services.pool;
    let replay = log::events_after(pool, (&tenant, &user), stream, after).await?;
    let snapshot = match replay.last() {
        Some(last) if last.kind != "agent_completed" => snapshot(handle, last).await,
        None => handle.services.tracker.snapshot(&stream.run_id).await,
        Some(_) => None,
    };
    let through = replay.last().map_or(after, |event| event.seq);
    Ok(Attach { thread: stream.thread.clone(), after, through, replay, snapshot })
}

/// How the stream's last run ended, for a client that was not there.
async fn last_end<E: Env>(
    handle: &Handle<E>,
    stream: &Stream,
) -> Result<Option<Snapshot>, TransactionError> {
    let (tenant, user) = whose(handle);
    let (pool, before) = (&handle.services.pool, stream.last_seq - 1);
    let last = log::events_after(pool, (&tenant, &user), stream, before.max(0)).await?;
    Ok(last.last().and_then(|event| end_of(event)))
}

/// The snapshot that says what a terminal event said.
fn end_of(event: &Event) -> Option<Snapshot> {
    let frame: Value = serde_json::from_str(&event.text).ok()?;
    let text = |key: &str| frame["data"][key].as_str();
    let state = run::state::State::of_outcome(text("outcome")?)?.name();
    let (origin, epoch) = (event.origin.clone(), event.epoch.clone());
    let text = text("message").unwrap_or_default().to_owned();
    Some(Snapshot { origin, epoch, state, text, next_delta_seq: 0 })
}

/// For a client that asks again for a run that has ended: how it ended.
pub async fn tell_if_ended<E: Env>(handle: &Handle<E>, run: &str, thread: &str) {
    let (tenant, user) = whose(handle);
    let origin = Origin::of_run(tenant, user, thread.to_owned(), run.to_owned());
    let Ok(events) = log::events_of_run(&handle.services.pool, &origin).await else { return };
    if let Some(snapshot) = events.last().and_then(|event| end_of(event)) {
        let text = snapshot.to_text();
        handle.queue.push(Out::Frame { kind: "run_state", text }).await;
    }
}

async fn snapshot<E: Env>(handle: &Handle<E>, last: &Arc<Event>) -> Option<Snapshot> {
    handle.services.tracker.snapshot(&last.origin.run).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(last_seq: i64, run: Option<i64>) -> Stream {
        Stream { thread: "t".into(), epoch: "k".into(), last_seq, run, run_id: String::new() }
    }

    fn at(epoch: &str, seq: i64) -> Position {
        Position { stream: "t".into(), epoch: epoch.into(), seq }
    }

    #[track_caller]
    fn check(stream: &Stream, position: Option<&Position>, after: i64, lost: Option<&str>) {
        let start = start_of(stream, position, 300);
        assert_eq!((start.after, start.lost), (after, lost));
    }

    #[test]
    fn a_fresh_client_joins_before_the_run_under_way() {
        check(&stream(7, Some(3)), None, 4, None);
        check(&stream(7, None), None, 7, None);
    }

    #[test]
    fn a_resume_goes_on_where_the_client_stopped() {
        check(&stream(7, Some(3)), Some(&at("k", 2)), 2, None);
        check(&stream(7, Some(3)), Some(&at("k", 7)), 7, None);
    }

    #[test]
    fn a_position_that_cannot_be_resumed_says_why() {
        check(&stream(7, None), Some(&at("old", 2)), 7, Some("epoch_changed"));
        check(&stream(7, None), Some(&at("k", 8)), 7, Some("ahead_of_server"));
        check(&stream(400, None), Some(&at("k", 99)), 400, Some("too_many"));
        check(&stream(400, None), Some(&at("k", 100)), 100, None);
    }
}
