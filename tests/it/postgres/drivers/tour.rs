//! tokio-postgres's tour: the backend's statements as the backend sends them, pipelines, portals,
//! transactions, notifications, errors and cancels. Must never tell a process or a port.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use seedbed::backend::db::sql;
use serde_json::{Value, json};
use tokio::join;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, IsolationLevel, NoTls, Row};

use super::super::runtime;
use crate::pg_server::{DATABASE, USER};

type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A session, what it heard, and the answers so far.
struct Tour {
    client: Client,
    heard: UnboundedReceiver<String>,
    said: String,
}

/// Connects; notices and notifications are heard apart from the answers.
async fn connect(addr: &str) -> (Client, UnboundedReceiver<String>) {
    let stream = TcpStream::connect(addr).await.expect("it listens");
    let mut config = Config::new();
    config.user(USER).dbname(DATABASE).application_name("tour").options("-c TimeZone=UTC");
    let (client, mut connection) = config.connect_raw(stream, NoTls).await.expect("start-up");
    let (sender, heard) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            let line = match message {
                Ok(AsyncMessage::Notice(notice)) => {
                    format!("{} {}", notice.severity(), notice.message())
                }
                Ok(AsyncMessage::Notification(note)) => {
                    format!("{} {:?}", note.channel(), note.payload())
                }
                Ok(_) => continue,
                Err(error) => format!("{error}"),
            };
            // Nobody listens once the tour has ended.
            let _ended = sender.send(line);
        }
    });
    (client, heard)
}

fn text<'a>(value: &'a &'a str) -> Param<'a> {
    (value, Type::TEXT)
}

/// A value of the row, in Rust's own notation.
fn cell(row: &Row, at: usize) -> String {
    fn shown<'a, T: FromSql<'a> + std::fmt::Debug>(row: &'a Row, at: usize) -> String {
        format!("{:?}", row.try_get::<_, Option<T>>(at).expect("the type's own mapping"))
    }
    match *row.columns()[at].type_() {
        Type::BOOL => shown::<bool>(row, at),
        Type::INT2 => shown::<i16>(row, at),
        Type::INT4 => shown::<i32>(row, at),
        Type::INT8 => shown::<i64>(row, at),
        Type::OID => shown::<u32>(row, at),
        Type::FLOAT4 => shown::<f32>(row, at),
        Type::FLOAT8 => shown::<f64>(row, at),
        Type::BYTEA => shown::<Vec<u8>>(row, at),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => shown::<SystemTime>(row, at),
        Type::JSON | Type::JSONB => shown::<Value>(row, at),
        Type::INT8_ARRAY => shown::<Vec<Option<i64>>>(row, at),
        Type::TEXT_ARRAY => shown::<Vec<Option<String>>>(row, at),
        Type::JSONB_ARRAY => shown::<Vec<Option<Value>>>(row, at),
        Type::VOID => "void".to_owned(),
        _ => shown::<String>(row, at),
    }
}

fn rows_shown(rows: &[Row]) -> String {
    let shown = rows.iter().map(|row| {
        let cells: Vec<String> = (0..row.len())
            .map(|at| format!("{}={}", row.columns()[at].name(), cell(row, at)))
            .collect();
        format!("({})", cells.join(", "))
    });
    shown.collect::<Vec<String>>().join(" ")
}

/// What the server said of an error, but for the line of its own source.
fn told(error: &Error) -> String {
    let Some(db) = error.as_db_error() else { return format!("error of the driver: {error}") };
    let mut said = format!("error {} {} {}", db.severity(), db.code().code(), db.message());
    let fields = [
        ("detail", db.detail()),
        ("hint", db.hint()),
        ("schema", db.schema()),
        ("table", db.table()),
        ("column", db.column()),
        ("constraint", db.constraint()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            write!(said, " {name}={value:?}").expect("a string takes all");
        }
    }
    if let Some(position) = db.position() {
        write!(said, " {position:?}").expect("a string takes all");
    }
    said
}

fn outcome(rows: Result<Vec<Row>, Error>) -> String {
    rows.map_or_else(|error| told(&error), |rows| rows_shown(&rows))
}

impl Tour {
    fn tell(&mut self, name: &str, said: &str) {
        writeln!(self.said, "== {name}: {said}").expect("a string takes all");
    }

    /// A statement with its parameters, in one round trip, as the backend sends it.
    async fn ask(&mut self, name: &str, sql: &str, params: &[Param<'_>]) {
        let said = outcome(self.client.query_typed(sql, params).await);
        self.tell(name, &said);
    }

    /// The same, prepared under a name; the server finds the types.
    async fn prepared(&mut self, name: &str, sql: &str, params: &[&(dyn ToSql + Sync)]) {
        let said = match self.client.prepare(sql).await {
            Err(error) => told(&error),
            Ok(statement) => {
                let columns = statement.columns().iter();
                let columns: Vec<_> =
                    columns.map(|column| format!("{}:{}", column.name(), column.type_())).collect();
                let rows = outcome(self.client.query(&statement, params).await);
                format!("{:?} {columns:?} {rows}", statement.params())
            }
        };
        self.tell(name, &said);
    }

    /// Statements of the simple protocol.
    async fn batch(&mut self, name: &str, sql: &str) {
        let said = match self.client.batch_execute(sql).await {
            Ok(()) => "done".to_owned(),
            Err(error) => told(&error),
        };
        self.tell(name, &said);
    }

    async fn migrate(&mut self) {
        self.batch("lock", sql::MIGRATIONS_LOCK).await;
        self.batch("table", sql::MIGRATIONS_TABLE).await;
        self.ask("none", sql::MIGRATIONS_DONE, &[]).await;
        self.batch("begin", sql::BEGIN).await;
        self.batch("schema", include_str!("../../../../src/backend/db/schema.sql")).await;
        let params: [Param<'_>; 2] = [(&1_i64, Type::INT8), (&1_700_000_000_000_i64, Type::INT8)];
        self.ask("record", sql::MIGRATION_RECORD, &params).await;
        self.batch("commit", sql::COMMIT).await;
        self.ask("one", sql::MIGRATIONS_DONE, &[]).await;
        self.batch("unlock", sql::MIGRATIONS_UNLOCK).await;
        self.ask("probe", sql::PROBE, &[]).await;
    }

    async fn users(&mut self) {
        self.ask("node", sql::NODE_CREATE, &[text(&"gateway")]).await;
        self.ask("last", sql::NODE_LAST, &[text(&"gateway")]).await;
        self.ask("life", sql::NODE_BEGIN, &[text(&"gateway"), (&0_i64, Type::INT8)]).await;
        let params: &[&(dyn ToSql + Sync)] = &[&"acme", &"ana", &"$argon2id$", &"user", &7_i64];
        self.prepared("user", sql::USER_CREATE, params).await;
        self.prepared("user again", sql::USER_CREATE, params).await;
        self.prepared("user get", sql::USER_GET, &[&"acme", &"ana"]).await;
        self.ask("nobody", sql::USER_GET, &[text(&"acme"), text(&"bob")]).await;
    }

    /// The backend's first transaction, its independent statements in pipelines.
    async fn accept(&mut self, run: &str) {
        self.batch("begin", sql::BEGIN).await;
        let int = |value: &'static i64| -> Param<'static> { (value, Type::INT8) };
        let (tenant, user, thread) = (text(&"acme"), text(&"ana"), text(&"thr_1"));
        let life = [text(&"gateway")];
        let create = [tenant.clone(), thread.clone(), user.clone(), text(&"main"), int(&10)];
        let stream = [tenant.clone(), thread.clone(), user.clone(), text(&"k3f9")];
        let (life, made) = join!(
            self.client.query_typed(sql::NODE_LIFE, &life),
            self.client.query_typed(sql::THREAD_CREATE, &create),
        );
        self.tell("node life", &outcome(life));
        let is_new = made.as_ref().is_ok_and(|rows| !rows.is_empty());
        self.tell("thread", &outcome(made));
        if is_new {
            self.ask("stream", sql::STREAM_CREATE, &stream).await;
        }
        let by_key = [tenant.clone(), user.clone(), text(&"main")];
        self.ask("by key", sql::THREAD_BY_KEY, &by_key).await;
        let of_user = [tenant.clone(), user.clone(), thread.clone()];
        self.ask("of user", sql::THREAD_OF_USER, &of_user).await;
        let key = [tenant.clone(), user.clone(), text(&"start"), text(&"key")];
        let rest = [text(&"hash"), text(&run), thread.clone(), int(&11)];
        self.ask("claim", sql::IDEM_CLAIM, &[key.clone(), rest].concat()).await;
        self.ask("idem", sql::IDEM_GET, &key).await;
        let activate = [tenant.clone(), thread.clone(), text(&run), int(&1)];
        let message = [tenant.clone(), text(&run), thread.clone(), text(&run), user.clone()];
        let message = [&message[..], &[text(&"user"), text(&"Größe? 😀"), int(&12)]].concat();
        let created = [tenant, thread, text(&run), user, text(&"gateway"), text(&"agent")];
        let created = [&created[..], &[text(&"pending"), int(&1), int(&13)]].concat();
        let (activated, message, created) = join!(
            self.client.execute_typed(sql::STREAM_ACTIVATE, &activate),
            self.client.execute_typed(sql::MESSAGE_CREATE, &message),
            self.client.execute_typed(sql::RUN_CREATE, &created),
        );
        for (name, count) in [("activate", activated), ("message", message), ("run", created)] {
            self.tell(name, &count.map_or_else(|error| told(&error), |rows| rows.to_string()));
        }
        let end = if is_new { sql::COMMIT } else { sql::ROLLBACK };
        self.batch("end", end).await;
    }

    async fn append(&mut self, name: &str, sql: &str, attempt: i64, drafts: Value) {
        let count = i64::try_from(drafts.as_array().expect("drafts").len()).expect("a few");
        let params: [Param<'_>; 9] = [
            text(&"acme"),
            text(&"thr_1"),
            text(&"run_1"),
            (&attempt, Type::INT8),
            (&drafts, Type::JSONB),
            text(&"ana"),
            text(&"agent"),
            (&20_i64, Type::INT8),
            (&count, Type::INT8),
        ];
        self.ask(name, sql, &params).await;
    }

    async fn events(&mut self) {
        let first =
            json!([{"id": "e1", "type": "started", "data": {"b": [1, 2.5, null], "a": "ü"}}]);
        self.append("begins", sql::EVENTS_BEGIN, 1, first).await;
        let two = json!([{"id": "e2", "type": "token", "data": {}},
            {"id": "e3", "type": "token", "data": []}]);
        self.append("appends", sql::EVENTS_APPEND, 1, two).await;
        let one = json!([{"id": "e3", "type": "token", "data": 1}]);
        self.append("fenced", sql::EVENTS_APPEND, 2, one.clone()).await;
        self.append("twice", sql::EVENTS_APPEND, 1, one).await;
        let last = json!([{"id": "e4", "type": "done", "data": null}]);
        self.append("ends", sql::EVENTS_END, 1, last).await;
        let late = json!([{"id": "e5", "type": "late", "data": "\u{0001}"}]);
        self.append("forces", sql::EVENTS_FORCE, 1, late).await;
        let (tenant, run) = (text(&"acme"), text(&"run_1"));
        let between: [Param<'_>; 4] =
            [tenant.clone(), text(&"thr_1"), (&0_i64, Type::INT8), (&3_i64, Type::INT8)];
        self.ask("between", sql::EVENTS_BETWEEN, &between).await;
        let by_id = [tenant.clone(), run.clone(), text(&"e3")];
        self.ask("by id", sql::EVENT_BY_ID, &by_id).await;
        let of_run = [tenant.clone(), run];
        self.ask("history", sql::RUN_HISTORY, &of_run).await;
        self.ask("of run", sql::EVENTS_OF_RUN, &of_run).await;
        self.ask("streams", sql::STREAMS_OF_USER, &[tenant.clone(), text(&"ana")]).await;
        self.ask("epoch", sql::STREAM_EPOCH, &[tenant, text(&"thr_1")]).await;
    }

    async fn finish(&mut self) {
        let (tenant, run) = (text(&"acme"), text(&"run_1"));
        self.ask("orphans", sql::RUNS_ORPHANED, &[text(&"gateway")]).await;
        self.batch("begin", sql::BEGIN).await;
        self.ask("lock", sql::STREAM_LOCK, &[tenant.clone(), text(&"thr_1")]).await;
        let finish = [tenant.clone(), run.clone(), text(&"done"), text(&"ok")];
        let finish = [&finish[..], &[(&30_i64, Type::INT8)]].concat();
        for name in ["finish", "finish again"] {
            let count = self.client.execute_typed(sql::RUN_FINISH, &finish).await;
            self.tell(name, &format!("{count:?}"));
        }
        let seq: Param<'_> = (&4_i64, Type::INT8);
        let add = [tenant.clone(), text(&"thr_1"), seq, run.clone(), text(&"done")];
        let add = [&add[..], &[text(&"gateway"), (&30_i64, Type::INT8)]].concat();
        self.ask("outbox", sql::OUTBOX_ADD, &add).await;
        self.batch("commit", sql::COMMIT).await;
        self.ask("outcome", sql::RUN_OUTCOME, &[tenant.clone(), run.clone()]).await;
        let sent = self.client.execute_typed(sql::OUTBOX_SENT, &[tenant, run]).await;
        self.tell("sent", &format!("{sent:?}"));
        self.ask("clear", sql::OUTBOX_OF_NODE_CLEAR, &[text(&"gateway")]).await;
    }

    /// Statements that are all sent before the first is answered; an error fails its own only.
    async fn pipelines(&mut self) {
        let query = "SELECT $1::bigint * 2 AS twice, $2::text AS t, 8 / ($1::bigint - 3) AS q";
        let statement = self.client.prepare(query).await.expect("prepared");
        for block in [false, true] {
            if block {
                self.batch("a block", sql::BEGIN).await;
            }
            let numbers: Vec<i64> = (0..8).collect();
            let asked = numbers.iter().map(|number| {
                let (client, statement) = (&self.client, &statement);
                async move { client.query(statement, &[number, &number.to_string()]).await }
            });
            let answers = join_all(asked).await;
            for answer in answers {
                self.tell(if block { "in a block" } else { "piped" }, &outcome(answer));
            }
        }
        self.batch("the block's end", sql::COMMIT).await;
        let numbers = vec![Some(1_i64), None];
        let array: [Param<'_>; 1] = [(&numbers, Type::INT8_ARRAY)];
        let (prepared, typed, simple, batch) = join!(
            self.client.prepare("SELECT life, node FROM nodes WHERE node = $1 AND life > $2"),
            self.client.query_typed("SELECT $1", &array),
            self.client.query("SELECT nothing", &[]),
            self.client.batch_execute("CREATE TABLE kept (id int PRIMARY KEY)"),
        );
        let params = prepared.expect("prepared").params().to_vec();
        self.tell("mixed", &format!("{params:?} {} {}", outcome(typed), outcome(simple)));
        self.tell("the last of them", &format!("{batch:?}"));
    }

    /// Transactions of the driver's making, savepoints, and portals that give rows in parts.
    async fn transactions(&mut self) {
        let levels = [IsolationLevel::RepeatableRead, IsolationLevel::ReadCommitted];
        let mut said = Vec::new();
        for level in levels {
            let builder = self.client.build_transaction().isolation_level(level);
            let tx = builder.read_only(true).deferrable(true).start().await.expect("started");
            said.push(outcome(tx.query("SHOW transaction_isolation", &[]).await));
            said.push(outcome(tx.query("DELETE FROM nodes", &[]).await));
            tx.rollback().await.expect("rolled back");
        }
        let mut tx = self.client.transaction().await.expect("started");
        let inner = tx.savepoint("nested").await.expect("a savepoint");
        said.push(outcome(inner.query("INSERT INTO kept VALUES (1) RETURNING id", &[]).await));
        said.push(outcome(inner.query("INSERT INTO kept VALUES (1)", &[]).await));
        inner.rollback().await.expect("rolled back");
        let statement = tx.prepare("INSERT INTO kept VALUES ($1), ($2)").await.expect("prepared");
        said.push(format!("{:?}", tx.execute(&statement, &[&1_i32, &2_i32]).await));
        let series = "SELECT n FROM generate_series(1, $1::int) AS n";
        let portal = tx.bind(series, &[&5_i32]).await.expect("bound");
        for max in [2, 0, 2] {
            said.push(outcome(tx.query_portal(&portal, max).await));
        }
        let exact = tx.bind(series, &[&2_i32]).await.expect("bound");
        for max in [2, 2, 1] {
            said.push(outcome(tx.query_portal(&exact, max).await));
        }
        tx.commit().await.expect("committed");
        said.push(outcome(self.client.query("SELECT id FROM kept ORDER BY id", &[]).await));
        for said in said {
            self.tell("transaction", &said);
        }
    }

    async fn mappings(&mut self) {
        let rows = "SELECT true AS b, 2::int2, 4::int4, 8::int8, 7::oid, 1.5::float4, 0.1::float8, \
            'x'::varchar(3), 'ab'::char(4), 'n'::name, '\\x00ff'::bytea, now() = now(), \
            '2024-02-29 12:00:00.123456+02'::timestamptz, '1969-12-31'::timestamp, \
            '{\"b\": 1, \"a\": [1.5]}'::jsonb, '{\"b\": 1}'::json, \
            '{1,NULL}'::int8[], ARRAY['a', NULL, ''], '{}'::jsonb[], 'x' AS unknown, 1 = NULL AS n";
        self.prepared("mapped", rows, &[]).await;
        let moment = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        let value = json!({"z": [null, "ü"], "a": 1e3});
        let texts = vec![Some("a,b"), None, Some(""), Some("\"\\")];
        let query = "SELECT $1::bool, $2::int2, $3::float4, $4::float8, $5::bytea, \
            $6::timestamptz, $7::jsonb, $8::text[], $9::text, $10::oid, $11::varchar";
        let params: &[&(dyn ToSql + Sync)] = &[
            &Some(true),
            &i16::MIN,
            &f32::MAX,
            &f64::MIN_POSITIVE,
            &&b"\0\xff"[..],
            &moment,
            &value,
            &texts,
            &None::<String>,
            &u32::MAX,
            &"",
        ];
        self.prepared("given", query, params).await;
        let inferred = "SELECT life + $1, node || $2, $3::jsonb -> 'k', node = ANY($4) FROM nodes";
        let (nodes, value) = (vec!["gateway"], json!({"k": true}));
        self.prepared("inferred", inferred, &[&1_i64, &"!", &value, &nodes]).await;
    }

    async fn errors(&mut self) {
        let queries = [
            "SELECT 1 +",
            "SELECT größe FRM users",
            "SELECT * FROM nothing",
            "SELECT user_id, nothing FROM users",
            "SELECT nothing(1)",
            "INSERT INTO users VALUES ('acme', 'ana', '', '', 0)",
            "INSERT INTO users (tenant_id) VALUES ('acme')",
            "SELECT 1 / 0",
            "SELECT 'x'::jsonb",
            "SELECT '2023-02-29'::date",
            "SELECT $1",
            "SELECT $1 IS NULL",
            "SELECT 1; SELECT 2",
            "",
            "SAVEPOINT a",
            "SELECT 1 AS after",
        ];
        for query in queries {
            self.prepared(query, query, &[]).await;
        }
    }

    async fn notifications(&mut self, other: &Client) {
        self.batch("listen", "LISTEN news; DROP TABLE IF EXISTS nothing").await;
        self.batch("notify", "BEGIN; NOTIFY news, 'own'; NOTIFY news, 'own'; COMMIT").await;
        let sent = other.query("SELECT pg_notify('news', $1)", &[&"ü"]).await;
        self.tell("sent", &outcome(sent));
        other
            .batch_execute("NOTIFY news; NOTIFY elsewhere; NOTIFY news, 'last'")
            .await
            .expect("sent");
        loop {
            let heard = self.heard.recv().await.expect("the session goes on");
            self.tell("heard", &heard);
            if heard.contains("last") {
                break;
            }
        }
        self.batch("unlisten", "UNLISTEN *").await;
    }
}

/// Cancels are sent until one has hit; none can hit another session.
async fn cancelled(addr: &str) -> String {
    let (client, _heard) = connect(addr).await;
    let token = client.cancel_token();
    let cancelling = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let stream = TcpStream::connect(addr).await.expect("it listens");
            token.cancel_query_raw(stream, NoTls).await.expect("sent");
        }
    };
    tokio::select! {
        biased;
        slept = client.query("SELECT pg_sleep(60)", &[]) => outcome(slept),
        () = cancelling => unreachable!("it has no end"),
    }
}

/// Every answer of the server at `addr`, a line each.
pub fn run(addr: &str) -> String {
    runtime().block_on(async {
        let (client, heard) = connect(addr).await;
        let (other, _heard) = connect(addr).await;
        let mut tour = Tour { client, heard, said: String::new() };
        tour.migrate().await;
        tour.users().await;
        tour.accept("run_1").await;
        tour.accept("run_2").await;
        tour.events().await;
        tour.finish().await;
        tour.pipelines().await;
        tour.transactions().await;
        tour.mappings().await;
        tour.errors().await;
        tour.notifications(&other).await;
        tour.tell("cancelled", &cancelled(addr).await);
        tour.said + "== done\n"
    })
}
