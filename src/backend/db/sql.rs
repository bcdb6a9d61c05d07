//! Every SQL statement of the backend but the schema. Typed and unnamed: parameters are TEXT,
//! BIGINT (all numbers) and JSONB (`payload`). Must never hold a statement built at run time.

/// Serialises migrations of several nodes. Session-level; sent as simple queries.
pub const MIGRATIONS_LOCK: &str = "SELECT pg_advisory_lock(7263945)";
pub const MIGRATIONS_UNLOCK: &str = "SELECT pg_advisory_unlock(7263945)";
pub const MIGRATIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
     (version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)";
pub const MIGRATIONS_DONE: &str = "SELECT version FROM schema_migrations ORDER BY version";
pub const MIGRATION_RECORD: &str =
    "INSERT INTO schema_migrations (version, applied_ms) VALUES ($1, $2)";

/// Transaction control and probe, sent as simple queries.
pub const BEGIN: &str = "BEGIN";
pub const COMMIT: &str = "COMMIT";
pub const ROLLBACK: &str = "ROLLBACK";
pub const PROBE: &str = "SELECT 1";

pub const NODE_CREATE: &str =
    "INSERT INTO nodes (node, life) VALUES ($1, 0) ON CONFLICT (node) DO NOTHING";
pub const NODE_LAST: &str = "SELECT life FROM nodes WHERE node = $1";
/// Waits for the transactions of an earlier life that are about to commit. Names the life that it
/// follows: sent on a connection that was lost, it may arrive after it was tried again.
pub const NODE_BEGIN: &str =
    "UPDATE nodes SET life = life + 1 WHERE node = $1 AND life = $2 RETURNING life";
pub const NODE_LIFE: &str = "SELECT life FROM nodes WHERE node = $1 FOR SHARE";

pub const USER_CREATE: &str = "INSERT INTO users \
     (tenant_id, user_id, password_hash, roles, created_ms) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (tenant_id, user_id) DO NOTHING";
pub const USER_GET: &str =
    "SELECT password_hash, roles FROM users WHERE tenant_id = $1 AND user_id = $2";

pub const THREAD_CREATE: &str = "INSERT INTO threads \
     (tenant_id, thread_id, user_id, thread_key, created_ms) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (tenant_id, user_id, thread_key) DO NOTHING RETURNING thread_id";
pub const THREAD_BY_KEY: &str = "SELECT thread_id FROM threads \
     WHERE tenant_id = $1 AND user_id = $2 AND thread_key = $3";
pub const THREAD_OF_USER: &str = "SELECT thread_id FROM threads \
     WHERE tenant_id = $1 AND user_id = $2 AND thread_id = $3";
pub const STREAM_CREATE: &str = "INSERT INTO streams (tenant_id, thread_id, user_id, epoch) \
     VALUES ($1, $2, $3, $4)";
pub const STREAMS_OF_USER: &str = "SELECT thread_id, epoch, last_seq, run_id, run_seq FROM streams \
     WHERE tenant_id = $1 AND user_id = $2 ORDER BY thread_id";
pub const STREAM_EPOCH: &str = "SELECT epoch FROM streams WHERE tenant_id = $1 AND thread_id = $2";
/// Gives the stream to a run, unless it has one.
pub const STREAM_ACTIVATE: &str = "UPDATE streams SET run_id = $3, attempt = $4, run_seq = 0 \
     WHERE tenant_id = $1 AND thread_id = $2 AND run_id = ''";

/// Events in one statement: the stream gives their numbers, their rows are written, and the answer
/// is the stream before them. No answer: the attempt is fenced. The stream's row stays locked until
/// the transaction ends, so commit order is the order of `seq`. `$5` is an array of `$9` drafts.
macro_rules! append {
    (also: $also:literal, set: $set:literal, of: $of:literal, told: $told:literal) => {
        concat!(
            "WITH next AS (UPDATE streams SET last_seq = last_seq + $9, ",
            $set,
            " WHERE tenant_id = $1 AND thread_id = $2",
            $of,
            " RETURNING last_seq - $9 AS seq, ",
            $told,
            " AS run_seq, epoch), ",
            $also,
            "added AS (INSERT INTO events (tenant_id, thread_id, seq, event_id, run_id, run_seq, \
             user_id, event_type, agent_name, attempt, ts_ms, payload) SELECT $1, $2, \
             next.seq + d.place, d.draft->>'id', $3, next.run_seq + d.place, $6, \
             d.draft->>'type', $7, $4, $8, d.draft->'data' \
             FROM next, jsonb_array_elements($5) WITH ORDINALITY AS d (draft, place)) \
             SELECT seq, run_seq, epoch FROM next"
        )
    };
}

/// The first events of a run, which is running from now on.
pub const EVENTS_BEGIN: &str = append! {
    also: "begun AS (UPDATE runs SET state = 'running', updated_ms = $8 \
         WHERE tenant_id = $1 AND run_id = $3 AND outcome = '' \
         AND EXISTS (SELECT 1 FROM next)), ",
    set: "run_seq = run_seq + $9",
    of: " AND run_id = $3 AND attempt = $4",
    told: "run_seq - $9"
};
pub const EVENTS_APPEND: &str = append! {
    also: "",
    set: "run_seq = run_seq + $9",
    of: " AND run_id = $3 AND attempt = $4",
    told: "run_seq - $9"
};
/// The last events of the run, which gives the stream back.
pub const EVENTS_END: &str = append! {
    also: "",
    set: "run_seq = run_seq + $9, run_id = ''",
    of: " AND run_id = $3 AND attempt = $4",
    told: "run_seq - $9"
};
/// Planted hazards only: the last events of a run that does not have the stream.
pub const EVENTS_FORCE: &str = append! {
    also: "",
    set: "run_seq = run_seq",
    of: "",
    told: "(SELECT count(*) FROM events WHERE tenant_id = $1 AND run_id = $3)"
};

pub const STREAM_LOCK: &str = "SELECT run_id FROM streams \
     WHERE tenant_id = $1 AND thread_id = $2 FOR UPDATE";

pub const IDEM_CLAIM: &str = "INSERT INTO idempotency \
     (tenant_id, user_id, method, idem, params_hash, run_id, thread_id, created_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (tenant_id, user_id, method, idem) DO NOTHING RETURNING run_id";
pub const IDEM_GET: &str = "SELECT params_hash, run_id, thread_id FROM idempotency \
     WHERE tenant_id = $1 AND user_id = $2 AND method = $3 AND idem = $4";

pub const MESSAGE_CREATE: &str = "INSERT INTO messages \
     (tenant_id, message_id, thread_id, run_id, user_id, role, content, created_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

pub const RUN_CREATE: &str = "INSERT INTO runs (tenant_id, thread_id, run_id, user_id, node, \
     agent_name, state, attempt, created_ms, updated_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
pub const RUN_FINISH: &str = "UPDATE runs SET state = $3, outcome = $4, updated_ms = $5 \
     WHERE tenant_id = $1 AND run_id = $2 AND outcome = ''";
pub const RUN_OUTCOME: &str = "SELECT outcome FROM runs WHERE tenant_id = $1 AND run_id = $2";
pub const RUNS_ORPHANED: &str = "SELECT tenant_id, thread_id, run_id, user_id, agent_name, \
     attempt FROM runs WHERE node = $1 AND outcome = '' ORDER BY tenant_id, run_id";

pub const EVENTS_BETWEEN: &str = "SELECT seq, event_id, run_id, run_seq, event_type, \
     agent_name, attempt, ts_ms, payload FROM events \
     WHERE tenant_id = $1 AND thread_id = $2 AND seq > $3 AND seq <= $4 ORDER BY seq";
pub const EVENT_BY_ID: &str =
    "SELECT seq FROM events WHERE tenant_id = $1 AND run_id = $2 AND event_id = $3";
pub const RUN_HISTORY: &str = "SELECT seq, event_id, run_id, run_seq, event_type, \
     agent_name, attempt, ts_ms, payload FROM events \
     WHERE tenant_id = $1 AND run_id = $2 ORDER BY run_seq";
pub const EVENTS_OF_RUN: &str = "SELECT event_type, payload FROM events \
     WHERE tenant_id = $1 AND run_id = $2 ORDER BY run_seq";

pub const OUTBOX_ADD: &str = "INSERT INTO outbox \
     (tenant_id, thread_id, seq, run_id, event_type, node, created_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub const OUTBOX_SENT: &str = "DELETE FROM outbox WHERE tenant_id = $1 AND run_id = $2";
pub const OUTBOX_OF_NODE_CLEAR: &str = "DELETE FROM outbox WHERE node = $1";
