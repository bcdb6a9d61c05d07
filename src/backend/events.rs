//! The catalogue of what the backend tells: one function an event. Must never do more than tell.
//! Ids are texts; an id that is not known (yet) is the empty text.

crate::events! {
    /// Start-up, after the phase has finished and before the next begins.
    "gateway.phase" phase(phase: &str);
    /// Start-up, after the state became Ready: from here on an upgrade is admitted at once.
    "gateway.ready" ready();
    /// Start-up, after the state became Failed.
    "gateway.failed" failed(reason: &str);
    /// Shutdown, after the state became Draining.
    "gateway.draining" draining();
    /// Admission gate, when an early upgrade joins the hold queue.
    "gateway.held" held(connection: &str, waiting: u64);
    /// Admission gate, when a held client went away before it was decided about.
    "gateway.left" left(connection: &str);
    /// Health, when a probe of the store has ended.
    "store.probed" store_probed(up: bool);
    /// Upgrade handler, after admission and before the 101 answer leaves.
    "gateway.accepted" accepted(connection: &str);
    /// Upgrade handler, before a refusal (503, 403) leaves.
    "gateway.refused" refused(connection: &str, status: u64, reason: &str);
    /// `/readyz`, before the answer leaves; `store` is the probed (cached) health of the database.
    "gateway.probed" probed(ready: bool, state: &str, store: bool);
    /// A shared thing (pool, registry, provider, tracker) was built.
    "gateway.built" built(what: &str);

    /// Connection, after the state was changed by compare-and-set.
    "conn.state" conn_state(connection: &str, from: &str, to: &str);
    /// Connection, after the first frame's token was verified.
    "conn.authenticated" conn_authenticated(
        connection: &str, tenant: &str, user: &str, session: &str,
    );
    /// Connection, when it has asked for a sign of life.
    "conn.pinged" conn_pinged(connection: &str);
    /// Connection, at the first sign of life after it has asked for one.
    "conn.heard" conn_heard(connection: &str);
    /// Connection, when the writer has put a close frame on the socket (code) or saw its end (0).
    "conn.closed" conn_closed(connection: &str, user: &str, code: u64, reason: &str);
    /// Connection, after reader, writer and queue are gone.
    "conn.gone" conn_gone(connection: &str, user: &str);
    /// Registry, in the step that registers; `live` counts the user's connections after it.
    "registry.registered" registered(user: &str, connection: &str, generation: u64, live: u64);
    /// Registry, in the step that removes; `live` counts the user's connections after it.
    "registry.removed" removed(user: &str, connection: &str, generation: u64, live: u64);
    /// Reader, when a command is taken up for handling.
    "frame.handled" frame_handled(connection: &str, user: &str, method: &str, id: &str);
    /// Writer, after a frame went into the socket; `run` is empty for replies.
    "frame.sent" frame_sent(
        connection: &str, user: &str, r#type: &str, run: &str, seq: i64, run_seq: i64,
    );
    /// Queue, when a frame is dropped or coalesced by the documented order.
    "frame.dropped" frame_dropped(connection: &str, user: &str, r#type: &str, why: &str);

    /// Context factory, after a context was built.
    "context.created" context_created(
        context: &str, tenant: &str, user: &str, thread: &str, run: &str, request: &str, connection:
        &str,
    );
    /// Context factory, after a context was refused.
    "context.refused" context_refused(user: &str, error: &str);
    /// Context, when the last holder let it go.
    "context.dropped" context_dropped(context: &str, user: &str, run: &str);

    /// Tracker, when a command was accepted as a run (TX1 committed).
    "run.accepted" run_accepted(
        run: &str, thread: &str, tenant: &str, user: &str, connection: &str, command: &str,
    );
    /// Tracker, in the step that changes the state.
    "run.state" run_state(run: &str, attempt: u64, from: &str, to: &str);
    /// Tracker, in the step that takes a slot, frees it or leaves the line for one; and what is
    /// granted then to the user and its tenant, that on its way to a run in line included.
    "run.slot" run_slot(run: &str, user: &str, taken: bool, active: u64, of_tenant: u64);
    /// Tracker, when a finished record is purged.
    "run.purged" run_purged(run: &str);
    /// Agent, when it starts to work for a run, with the context it works in.
    "agent.started" agent_started(run: &str, user: &str, context: &str, agent: &str);
    /// Agent, before a model turn or a tool; it may stay silent for so long and still gets on.
    "agent.calls" agent_calls(run: &str, what: &str, within_ms: u64);
    /// Agent, after a tool has answered, or did not in time.
    "agent.answered" agent_answered(run: &str, what: &str);
    /// Agent, when the provider's stream ended; `stopped` says whether its stop event came.
    "agent.stream_ended" agent_stream_ended(run: &str, stopped: bool);
    /// Event log, after the row of a durable event committed and before it is queued to anyone.
    "event.appended" event_appended(
        run: &str, thread: &str, tenant: &str, user: &str, r#type: &str, seq: i64, run_seq: i64,
    );

    /// Pool, in the step that hands a session out. `in_use` counts the places that are granted
    /// after it, those of who connects or has not yet noticed included.
    "pool.taken" pool_taken(session: u64, in_use: u64, capacity: u64);
    /// Pool, in the step that takes a session back or discards it; `in_use` as for `pool.taken`.
    "pool.returned" pool_returned(session: u64, in_use: u64, kept: bool);
    /// Pool, when somebody goes without a session: tired of waiting, or not connected.
    "pool.left" pool_left(in_use: u64);
    /// Database layer, when a statement or commit failed: class of `TransactionError`, and whether
    /// it is retried.
    "db.failed" db_failed(what: &str, class: &str, sqlstate: &str, retried: bool);
}
