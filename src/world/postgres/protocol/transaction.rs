//! BEGIN, COMMIT, ROLLBACK and savepoints. Must never touch a row.

use sqlparser::ast::{
    Statement, TransactionAccessMode, TransactionIsolationLevel, TransactionMode,
};

use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::exec::{self, Cx, ddl, setting};
use crate::world::postgres::sql::ident;
use crate::world::postgres::storage::locks::Pid;
use crate::world::postgres::storage::{Db, Isolation};
use crate::world::postgres::watch::{Cause, Change};

/// Whether a statement is about the transaction itself.
pub fn is_control(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
    )
}

/// Whether a statement begins or ends a transaction.
pub fn is_boundary(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { savepoint: None, .. }
    )
}

/// Whether a statement may run in a transaction that has failed.
pub fn ends_failure(statement: &Statement) -> bool {
    matches!(statement, Statement::Commit { .. } | Statement::Rollback { .. })
}

/// `I`, `T` or `E`.
pub fn status(db: &Db, pid: Pid) -> u8 {
    match db.procs.get(&pid).and_then(|proc| proc.txn.as_ref()) {
        Some(txn) if txn.failed => b'E',
        Some(txn) if txn.block => b'T',
        _ => b'I',
    }
}

pub fn warn(db: &mut Db, pid: Pid, code: &'static str, message: &str) {
    if db.proc(pid).hears("WARNING") {
        let warning = PgError::new(code, message).severity("WARNING");
        db.proc_mut(pid).notice(warning);
    }
}

pub fn isolation(level: TransactionIsolationLevel) -> Result<Isolation> {
    match level {
        TransactionIsolationLevel::ReadUncommitted => Ok(Isolation::ReadUncommitted),
        TransactionIsolationLevel::ReadCommitted => Ok(Isolation::ReadCommitted),
        TransactionIsolationLevel::RepeatableRead => Ok(Isolation::RepeatableRead),
        _ => setting::isolation("serializable"),
    }
}

/// Applies `ISOLATION LEVEL` and `READ ONLY`.
pub fn apply_modes(db: &mut Db, pid: Pid, modes: &[TransactionMode]) -> Result<()> {
    for mode in modes {
        match mode {
            TransactionMode::IsolationLevel(level) => {
                setting::set_isolation(db, pid, isolation(*level)?)?;
            }
            TransactionMode::AccessMode(mode) => {
                let read_only = *mode == TransactionAccessMode::ReadOnly;
                setting::set_read_only(db, pid, read_only)?;
            }
        }
    }
    Ok(())
}

/// Runs one of them; a session in no transaction has been given one. The answer is the tag.
pub fn control(db: &mut Db, pid: Pid, statement: &Statement) -> Step<&'static str> {
    let block = db.txn(pid).block;
    match statement {
        Statement::StartTransaction { modes, begin, .. } => {
            if block {
                let message = "there is already a transaction in progress";
                warn(db, pid, "25001", message);
            }
            db.txn_mut(pid).block = true;
            let applied = apply_modes(db, pid, modes);
            if !block {
                let isolation = db.txn(pid).isolation.name();
                db.proc(pid).watch.tell(&Change::Begin { pid, isolation });
            }
            applied?;
            Ok(if *begin { "BEGIN" } else { "START TRANSACTION" })
        }
        Statement::Commit { chain, .. } => end(db, pid, true, *chain),
        Statement::Rollback { savepoint: None, chain } => end(db, pid, false, *chain),
        Statement::Rollback { savepoint: Some(name), .. } => {
            needs_block(block, "ROLLBACK TO SAVEPOINT")?;
            db.rollback_to(pid, &ident(name))?;
            Ok("ROLLBACK")
        }
        Statement::Savepoint { name } => {
            needs_block(block, "SAVEPOINT")?;
            db.savepoint(pid, &ident(name));
            Ok("SAVEPOINT")
        }
        Statement::ReleaseSavepoint { name } => {
            needs_block(block, "RELEASE SAVEPOINT")?;
            db.release_savepoint(pid, &ident(name))?;
            Ok("RELEASE")
        }
        _ => Err(PgError::new("XX000", "no transaction statement").into()),
    }
}

/// COMMIT, or ROLLBACK; `chain`: the next transaction begins at once and is like the last.
fn end(db: &mut Db, pid: Pid, keep: bool, chain: bool) -> Step<&'static str> {
    let block = db.txn(pid).block;
    if chain {
        needs_block(block, if keep { "COMMIT AND CHAIN" } else { "ROLLBACK AND CHAIN" })?;
    }
    if !block {
        warn(db, pid, "25P01", "there is no transaction in progress");
    }
    let modes = (db.txn(pid).isolation, db.txn(pid).read_only);
    let commits = keep && !db.txn(pid).failed;
    if commits {
        finish(db, pid)?;
    } else {
        db.abort(pid, Cause::Rollback, "");
    }
    if chain {
        begin_again(db, pid, modes);
    }
    Ok(if commits { "COMMIT" } else { "ROLLBACK" })
}

fn begin_again(db: &mut Db, pid: Pid, (isolation, read_only): (Isolation, bool)) {
    db.begin(pid, true);
    let txn = db.txn_mut(pid);
    (txn.isolation, txn.read_only) = (isolation, read_only);
    db.proc(pid).watch.tell(&Change::Begin { pid, isolation: isolation.name() });
}

fn needs_block(block: bool, name: &str) -> Result<()> {
    if block {
        return Ok(());
    }
    Err(PgError::new("25P01", format!("{name} can only be used in transaction blocks")))
}

/// Deferred checks, then the commit.
pub fn finish(db: &mut Db, pid: Pid) -> Step<()> {
    if !db.txn(pid).deferred.is_empty() {
        let mut state = ddl::state(db, pid);
        state.checks = std::mem::take(&mut db.txn_mut(pid).checks);
        let mut cx = Cx { db, pid, params: &[], state: &mut state, ctes: None };
        let checked = exec::run_deferred(&mut cx);
        db.txn_mut(pid).checks = state.checks;
        checked?;
    }
    db.commit(pid);
    Ok(())
}
