//! The unchanged driver over a real socket: typed statements, prepared ones, pipelines, cancels.
//! Must never adapt the driver.

use std::sync::{Arc, Mutex};

use futures_util::future::join;
use seedbed::world::postgres::{Change, Op, Settings, Watch};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::{SOON, answer, client, ours, runtime};

#[test]
fn typed_statements_bring_and_take_values_in_binary() {
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let client = client(&addr).await;
        client
            .batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, v text, j jsonb, b bytea)")
            .await
            .expect("created");
        let json = serde_json::json!({"k": [1, 2]}).to_string();
        let typed: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&7_i64, Type::INT8), (&"seven", Type::TEXT), (&&b"\x00\xff"[..], Type::BYTEA)];
        let insert = "INSERT INTO t (id, v, b) VALUES ($1, $2, $3) RETURNING id";
        let rows = client.query_typed(insert, &typed).await.expect("inserted");
        assert_eq!(rows[0].get::<_, i64>(0), 7);
        client
            .execute("UPDATE t SET j = $1::text::jsonb WHERE id = $2", &[&json, &7_i64])
            .await
            .expect("updated");
        let row = client
            .query_one("SELECT id, v, b, j ->> 'k', 5::int4, 2::int2, true FROM t", &[])
            .await
            .expect("one row");
        assert_eq!(row.get::<_, String>(1), "seven");
        assert_eq!(row.get::<_, Vec<u8>>(2), vec![0, 255]);
        assert_eq!(row.get::<_, String>(3), "[1, 2]");
        assert_eq!((row.get::<_, i32>(4), row.get::<_, i16>(5)), (5, 2));
        let ids: Vec<i64> = vec![6, 7];
        let any = client.query("SELECT id FROM t WHERE id = ANY($1)", &[&ids]).await.expect("any");
        assert_eq!(any.len(), 1);
    });
}

/// Plans are shared in the process, between clusters whose tables are alike to the last default.
#[test]
fn a_plan_for_one_cluster_is_none_for_another_with_another_default() {
    runtime().block_on(async {
        for default in ["1", "2", "'3'", "'1'::text::bigint"] {
            let (addr, _store) = ours(Settings::default(), Watch::none()).await;
            let client = client(&addr).await;
            let table = format!("CREATE TABLE t (k int, v bigint DEFAULT {default})");
            client.batch_execute(&table).await.expect("created");
            let rows = client.query("INSERT INTO t (k) VALUES (1) RETURNING v", &[]).await;
            let told = rows.expect("inserted")[0].get::<_, i64>(0).to_string();
            assert!(default.trim_matches('\'').starts_with(&told), "{default}: {told}");
        }
    });
}

#[test]
fn dates_and_times_are_refused_while_the_session_has_them_in_another_way() {
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let client = client(&addr).await;
        let table = "CREATE TABLE t (k int, at timestamptz); INSERT INTO t VALUES (1, now())";
        client.batch_execute(table).await.expect("created");
        let prepared = client.prepare("SELECT at FROM t").await.expect("prepared");
        for foreign in ["timezone = 'PST8PDT'", "datestyle = 'SQL'", "intervalstyle = 'iso_8601'"] {
            client.batch_execute(&format!("SET {foreign}")).await.expect("set");
            let rows = client.query("SELECT k FROM t WHERE at IS NOT NULL ORDER BY at", &[]).await;
            assert_eq!(rows.expect("no time is told").len(), 1, "{foreign}");
            let told = client.query(&prepared, &[]).await.map(|rows| rows.len());
            assert_eq!(told.expect_err(foreign).code().map(SqlState::code), Some("0A000"));
            for text in [
                "SELECT at FROM t",
                "SELECT at::text FROM t",
                "SELECT t FROM t",
                "SELECT k FROM t WHERE at > '2020-01-01'",
                "INSERT INTO t VALUES (2, '2020-01-01')",
                "SELECT k FROM t WHERE at - at = interval '1 day'",
            ] {
                let told = client.batch_execute(text).await;
                let error = told.expect_err(text);
                assert_eq!(error.code().map(SqlState::code), Some("0A000"), "{text}");
            }
            client.batch_execute("RESET ALL").await.expect("reset");
            assert_eq!(client.query(&prepared, &[]).await.expect("as before").len(), 1);
        }
    });
}

#[test]
fn pipelined_statements_are_answered_in_order() {
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let client = client(&addr).await;
        let (one, two) =
            join(client.query_one("SELECT 1", &[]), client.query_one("SELECT 2", &[])).await;
        assert_eq!(one.expect("first").get::<_, i32>(0), 1);
        assert_eq!(two.expect("second").get::<_, i32>(0), 2);
    });
}

#[test]
fn a_cancel_request_ends_the_statement_that_waits() {
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let client = client(&addr).await;
        let token = client.cancel_token();
        let sleeping = async {
            let error = client.query_one("SELECT pg_sleep(60)", &[]).await.expect_err("cancelled");
            assert_eq!(error.code().expect("from the server").code(), "57014");
        };
        let cancelling = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            let stream = tokio::net::TcpStream::connect(&addr).await.expect("connects");
            token.cancel_query_raw(stream, tokio_postgres::NoTls).await.expect("sent");
        };
        tokio::time::timeout(SOON, join(sleeping, cancelling)).await.expect("in time");
        assert_eq!(answer(&client, "SELECT 1").await, "[?column?]\n1\nok 1");
    });
}

#[test]
fn an_observer_hears_of_commits_with_their_rows() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = heard.clone();
    let watch = Watch::new(move |change| {
        if let Change::Commit { rows, .. } = change {
            for row in rows {
                let op = match row.op {
                    Op::Insert => "insert",
                    Op::Update => "update",
                    Op::Delete => "delete",
                };
                let id = row.value("id").unwrap_or_default();
                told.lock().expect("no panic").push(format!("{op} {} {id}", row.table));
            }
        }
    });
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), watch).await;
        let client = client(&addr).await;
        client
            .batch_execute(
                "CREATE TABLE t (id int PRIMARY KEY, v int);
                 INSERT INTO t VALUES (1, 1), (2, 2);
                 UPDATE t SET v = 3 WHERE id = 1",
            )
            .await
            .expect("done");
        let undone = "BEGIN; INSERT INTO t VALUES (3, 3); ROLLBACK";
        client.batch_execute(undone).await.expect("done");
        client.batch_execute("DELETE FROM t WHERE id = 2").await.expect("done");
    });
    let heard = heard.lock().expect("no panic").clone();
    assert_eq!(heard, ["insert t 2", "update t 1", "delete t 2"]);
}

#[test]
fn a_crash_keeps_what_was_committed_and_nothing_else() {
    runtime().block_on(async {
        let (addr, store) = ours(Settings::default(), Watch::none()).await;
        let before = client(&addr).await;
        before
            .batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
            .await
            .expect("committed");
        before.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await.expect("left open");
        store.crash();
        assert!(answer(&before, "SELECT 1").await.starts_with("57P01"));
        let after = client(&addr).await;
        assert_eq!(answer(&after, "SELECT id FROM t").await, "[id]\n1\nok 1");
    });
}

#[test]
fn too_many_connections_are_refused() {
    runtime().block_on(async {
        let settings = Settings { max_connections: 1, ..Settings::default() };
        let (addr, _store) = ours(settings, Watch::none()).await;
        let _first = client(&addr).await;
        let stream = tokio::net::TcpStream::connect(&addr).await.expect("connects");
        let mut config = tokio_postgres::Config::new();
        config.user("u");
        let refused =
            config.connect_raw(stream, tokio_postgres::NoTls).await.err().expect("refused");
        assert_eq!(refused.code().expect("from the server").code(), "53300");
    });
}
