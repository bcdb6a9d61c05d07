//! The database layer of the backend against a real PostgreSQL: what a transaction guards.
//! Must never need a gateway.

use std::time::Duration;

use seedbed::backend::config::Database;
use seedbed::backend::db::accept::{Accept, Accepted, ThreadName};
use seedbed::backend::db::{
    Class, Decide, Param, Pool, TransactionError, Tx, Work, migrate, nodes, sql,
};
use seedbed::env::{Clock, Tokio};

use crate::pg_server::{self, PgServer};

const NODE: &str = "gateway";

/// Runs `test` with a pool of `sessions` on a fresh, migrated database.
fn with_pool<F: Future<Output = ()>>(sessions: usize, test: impl FnOnce(Pool<Tokio>) -> F) {
    let server = PgServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let database = Database {
            addr: server.addr(),
            user: pg_server::USER.to_owned(),
            password: None,
            dbname: pg_server::DATABASE.to_owned(),
            pool: sessions,
        };
        let second = Duration::from_secs(1);
        let pool = Pool::new(&Tokio::new(), database, second, 5 * second);
        migrate::migrate(&pool).await.expect("a fresh database is migrated");
        test(pool).await;
    });
}

fn accept(life: i64, run: &str, idem: &str) -> Accept {
    let text = |text: &str| text.to_owned();
    Accept {
        tenant: text("acme"),
        user: text("ana"),
        thread: ThreadName::Key(text("main")),
        new_thread: format!("thr_{run}"),
        new_epoch: text("k3f9"),
        run: text(run),
        message: format!("msg_{run}"),
        text: text("How is it?"),
        agent: text("supervisor"),
        node: text(NODE),
        life,
        method: text("run.start"),
        idem: text(idem),
        params_hash: text("hash"),
        now_ms: 0,
    }
}

async fn count(pool: &Pool<Tokio>, sql: &str) -> i64 {
    pool.query("count", sql, &[]).await.expect("a count")[0].get(0)
}

#[test]
fn migrations_run_once_however_many_nodes_start() {
    with_pool(4, async |pool| {
        let (one, two) = (pool.clone(), pool.clone());
        let again = tokio::spawn(async move { migrate::migrate(&one).await });
        migrate::migrate(&two).await.expect("nothing to do");
        again.await.expect("no panic").expect("nothing to do");
        assert_eq!(count(&pool, "SELECT count(*) FROM schema_migrations").await, 1);
    });
}

#[test]
fn a_run_of_an_earlier_life_is_not_accepted() {
    with_pool(4, async |pool| {
        let old = nodes::begin(&pool, NODE).await.expect("a first life");
        let new = nodes::begin(&pool, NODE).await.expect("a second life");
        assert_eq!(new, old + 1);
        let refused = pool.transact(&accept(old, "run_1", "k1")).await;
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(count(&pool, "SELECT count(*) FROM runs").await, 0);
        let accepted = pool.transact(&accept(new, "run_2", "k1")).await;
        assert!(matches!(accepted, Ok(Accepted::New { .. })), "{accepted:?}");
    });
}

/// Sent on a connection that was lost, and tried again meanwhile.
#[test]
fn a_beginning_that_arrives_late_does_not_end_the_life_that_has_begun() {
    with_pool(4, async |pool| {
        let life = nodes::begin(&pool, NODE).await.expect("a life");
        let params = [Param::from(NODE), Param::from(life - 1)];
        let late = pool.query("node.begin", sql::NODE_BEGIN, &params).await;
        assert!(late.expect("it is a statement").is_empty(), "it follows a life that is over");
        let accepted = pool.transact(&accept(life, "run_1", "k1")).await;
        assert!(matches!(accepted, Ok(Accepted::New { .. })), "{accepted:?}");
    });
}

#[test]
fn one_thread_one_active_run_and_one_run_a_key() {
    with_pool(4, async |pool| {
        let life = nodes::begin(&pool, NODE).await.expect("a life");
        let first = pool.transact(&accept(life, "run_1", "k1")).await.expect("accepted");
        let Accepted::New { thread } = first else { panic!("not {first:?}") };
        let again = pool.transact(&accept(life, "run_2", "k1")).await.expect("answered");
        assert_eq!(again, Accepted::Again { run: "run_1".to_owned(), thread });
        let busy = pool.transact(&accept(life, "run_3", "k2")).await.expect("answered");
        assert_eq!(busy, Accepted::Busy);
        let mut other = accept(life, "run_4", "k1");
        other.params_hash = "other".to_owned();
        assert_eq!(pool.transact(&other).await.expect("answered"), Accepted::OtherParams);
        assert_eq!(count(&pool, "SELECT count(*) FROM threads").await, 1);
        assert_eq!(count(&pool, "SELECT count(*) FROM runs").await, 1);
    });
}

/// Writes a row, then waits to be cancelled.
struct Half;

impl Work<Tokio> for Half {
    type Out = ();

    fn name(&self) -> &'static str {
        "half.commit"
    }

    async fn run(&self, tx: &Tx<Tokio>) -> Result<Decide<()>, TransactionError> {
        let sql = "INSERT INTO nodes (node, life) VALUES ('half', 1)";
        tx.execute("half", sql, &[]).await?;
        std::future::pending().await
    }
}

#[test]
fn a_transaction_dropped_half_way_leaves_nothing_in_the_pool() {
    with_pool(1, async |pool| {
        let half = pool.transact(&Half);
        let cut = pool.env().timeout(Duration::from_millis(300), half).await;
        assert!(cut.is_err(), "it waits to be cancelled");
        let life = nodes::begin(&pool, NODE).await.expect("the only session is a fresh one");
        assert_eq!(life, 1);
        assert_eq!(count(&pool, "SELECT count(*) FROM nodes").await, 1);
    });
}

#[test]
fn the_wait_for_a_session_is_bounded_and_is_a_timeout() {
    with_pool(1, async |pool| {
        let held = pool.get().await.expect("the only session");
        let Err(error) = pool.get().await else { panic!("there is no second session") };
        assert_eq!(error.class, Class::Timeout);
        held.release().await;
        pool.get().await.expect("it is free again").release().await;
    });
}
