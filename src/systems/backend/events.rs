//! What the simulated users and the database tell. Must never hold logic.

crate::events! {
    /// User, before it opens a connection; `tab` numbers its connections from 1.
    "user.connecting" connecting(user: &str, tab: u64);
    /// User, after the 101 answer arrived.
    "user.connected" connected(user: &str, tab: u64);
    /// User, when an upgrade or login was refused over HTTP, or TCP failed (status 0).
    "user.refused" refused(user: &str, tab: u64, status: u64, error: &str);
    /// User, before a command goes into the socket; `run` is the one it names.
    "user.sent" sent(
        user: &str, tab: u64, method: &str, id: &str, idem: &str, run: &str,
    );
    /// User, after a reply arrived; `error` is the problem's code, empty for `ok`; `run` of the
    /// reply, `outcome` the end that it tells.
    "user.reply" reply(
        user: &str, tab: u64, id: &str, error: &str, run: &str, thread: &str, idem: &str,
        outcome: &str,
    );
    /// User, after an event frame arrived. `owner` is the event's `user_id`; `marker` the user
    /// whose marker its data carries; `idem` that of the command that started the run, when this
    /// user sent it.
    "user.received" received(
        user: &str, tab: u64, r#type: &str, id: &str, tenant: &str, owner: &str, thread: &str, run:
        &str, stream: &str, epoch: &str, seq: i64, run_seq: i64, delta_seq: i64, tool_call: &str,
        status: &str, outcome: &str, text: &str, marker: &str, idem: &str,
    );
    /// User, when it first knows the end of the run of one of its commands, by `agent_completed`
    /// or by a snapshot; `state` is the snapshot's or that of the outcome.
    "user.settled" settled(user: &str, idem: &str, run: &str, state: &str);
    /// User, after the connection ended; code 0 when no close frame came.
    "user.closed" closed(user: &str, tab: u64, code: u64, reason: &str);
    /// User, when a frame arrives after a close frame, or one that is no frame of the contract.
    "user.protocol_error" protocol_error(user: &str, tab: u64, what: &str);
    /// Database, when a transaction commits, once for each row it changed, before its client is
    /// told; `op` is insert, update or delete, `type` an event's or a message's role, `key`
    /// a thread's or of idempotency. One that had a BEGIN and changed no row of interest has one
    /// such event, with an empty `table`.
    "db.commit" db_commit(
        session: i64, table: &str, op: &str, run: &str, thread: &str, user: &str, state: &str,
        r#type: &str, seq: i64, key: &str,
    );
}
