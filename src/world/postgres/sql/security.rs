//! Privileges and row-level security: what a statement's role may do with which rows
//! (PostgreSQL 15, chapter 5.8 and "CREATE POLICY"). Must never read a row.

use std::sync::Arc;

use sqlparser::ast::{self, CreatePolicyCommand};

use super::analyze::Analyzer;
use super::plan::{Barred, Expr, From, RowCheck};
use super::scope::{Scope, ScopeColumn, ScopeRelation};
use super::subquery::has_query;
use super::walk::each_of_query;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::catalog::{Column, Table};
use crate::world::postgres::storage::roles::{Privileges, RowPolicy};
use crate::world::postgres::types::Datum;

/// Which half of a policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Using,
    Check,
}

pub fn denied(table: &str) -> PgError {
    PgError::new("42501", format!("permission denied for table {table}"))
}

impl Analyzer<'_> {
    /// Notes that the statement needs these privileges on the table. What is missing is told when
    /// it runs: whatever else is wrong with it comes first.
    pub fn needs(&self, table: &Table, wanted: Privileges) {
        if let Err(denied) = self.guard(table, wanted) {
            self.denied.borrow_mut().push(denied);
        }
    }

    /// 42501 unless the role has every one of these privileges on the table.
    pub fn guard(&self, table: &Table, wanted: Privileges) -> Result<()> {
        let roles = self.db.roles(self.pid);
        let role = self.db.proc(self.pid).role();
        if roles.is_superuser(role) {
            return Ok(());
        }
        let members = roles.memberships(role, true);
        let security = &table.security;
        if members.contains(&security.owner) || security.acl.of(&members).holds(wanted) {
            return Ok(());
        }
        Err(denied(&table.name))
    }

    /// Notes what the role may not do of the queries in a policy, unless a part of it decides.
    fn needs_of(&self, policy: &Expr) {
        let holds = |all: &[Expr], decides: bool| {
            all.iter().any(|part| matches!(part, Expr::Const(Datum::Bool(it)) if *it == decides))
        };
        match policy {
            Expr::And(all) if holds(all, false) => return,
            Expr::Or(all) if holds(all, true) => return,
            _ => {}
        }
        policy.walk(&mut |part| {
            let Expr::Sub { query, barred, .. } = part else { return };
            if let Barred::By(denied) = barred {
                self.denied.borrow_mut().push((**denied).clone());
            }
            let _never_ends = each_of_query(query, true, &mut |expr| {
                self.needs_of(expr);
                Ok(false)
            });
        });
    }

    /// Whether policies bind the role; an error if `row_security` is off and they would.
    fn is_bound(&self, table: &Table) -> Result<bool> {
        let (roles, security) = (self.db.roles(self.pid), &table.security);
        let role = self.db.proc(self.pid).role();
        if !security.enabled
            || roles.bypasses(role)
            || (!security.forced && roles.owns(role, &security.owner))
        {
            return Ok(false);
        }
        if self.db.proc(self.pid).parameter("row_security") == "off" {
            let message = format!(
                "query would be affected by row-level security policy for table \"{}\"",
                table.name
            );
            return Err(PgError::new("42501", message));
        }
        Ok(true)
    }

    /// Conditions that rows must meet for the role to touch them with this command. A policy
    /// without an expression lets none through, nor keeps any out.
    pub fn row_filter(
        &self,
        table: &Table,
        alias: &str,
        offset: usize,
        command: CreatePolicyCommand,
    ) -> Result<Vec<Arc<Expr>>> {
        if !self.is_bound(table)? {
            return Ok(Vec::new());
        }
        let (open, strict) = self.policies(table, command);
        self.within(table, open.iter().chain(&strict), || {
            let analyze = |policy: &Arc<RowPolicy>| {
                self.half(policy, Half::Using, table, alias, offset).transpose()
            };
            let any = open.iter().filter_map(analyze).collect::<Result<Vec<Expr>>>()?;
            let strict = if any.is_empty() { Vec::new() } else { strict.clone() };
            let filter = strict.iter().filter_map(analyze).chain([Ok(any_of(any))]);
            filter.map(|expr| expr.map(Arc::new)).collect()
        })
    }

    /// What a new row must meet; `existing`: what a row in the way must meet to be updated.
    pub fn row_checks(
        &self,
        table: &Table,
        command: CreatePolicyCommand,
        existing: bool,
    ) -> Result<Vec<RowCheck>> {
        if !self.is_bound(table)? {
            return Ok(Vec::new());
        }
        let half = match command {
            _ if existing => Half::Using,
            CreatePolicyCommand::Select => Half::Using,
            _ => Half::Check,
        };
        let (open, strict) = self.policies(table, command);
        self.within(table, open.iter().chain(&strict), || {
            let analyze = |policy: &Arc<RowPolicy>| {
                self.half(policy, half, table, &table.name, 0).transpose()
            };
            let any = open.iter().filter_map(analyze).collect::<Result<Vec<Expr>>>()?;
            let strict = if any.is_empty() { Vec::new() } else { strict.clone() };
            let any = any_of(any);
            self.needs_of(&any);
            let mut checks = Vec::new();
            for policy in &strict {
                if let Some(expr) = analyze(policy) {
                    let (name, expr) = (Some(policy.name.clone()), expr?);
                    self.needs_of(&expr);
                    checks.push(RowCheck { policy: name, expr: Arc::new(expr), existing });
                }
            }
            let expr = Arc::new(any);
            checks.insert(0, RowCheck { policy: None, expr, existing });
            Ok(checks)
        })
    }

    /// The table's permissive and restrictive policies for the role and the command.
    fn policies(
        &self,
        table: &Table,
        command: CreatePolicyCommand,
    ) -> (Vec<Arc<RowPolicy>>, Vec<Arc<RowPolicy>>) {
        let role = self.db.proc(self.pid).role();
        let members = self.db.roles(self.pid).memberships(role, true);
        let fits = |policy: &&Arc<RowPolicy>| {
            (policy.command == CreatePolicyCommand::All || policy.command == command)
                && (policy.roles.is_empty() || policy.roles.iter().any(|r| members.contains(r)))
        };
        let fitting = table.security.policies.iter().filter(fits).cloned();
        fitting.partition(|policy| policy.permissive)
    }

    /// One half of a policy over the table's row; USING stands in for a missing WITH CHECK.
    fn half(
        &self,
        policy: &RowPolicy,
        half: Half,
        table: &Table,
        alias: &str,
        offset: usize,
    ) -> Result<Option<Expr>> {
        let parsed = match half {
            Half::Using => policy.using.as_ref(),
            Half::Check => policy.with_check.as_ref().or(policy.using.as_ref()),
        };
        let Some(parsed) = parsed else { return Ok(None) };
        let scope = table_scope(table, alias, offset);
        let hidden = std::mem::take(&mut *self.ctes.borrow_mut());
        let analyzed = self.expr(parsed, &scope).and_then(|typed| self.condition(typed, "POLICY"));
        *self.ctes.borrow_mut() = hidden;
        analyzed.map(Some)
    }

    /// Policies that read their own table never come to an end; those without a query read none.
    fn within<'p, T>(
        &self,
        table: &Table,
        mut policies: impl Iterator<Item = &'p Arc<RowPolicy>>,
        analyze: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let reads = |half: &Option<Arc<ast::Expr>>| half.as_ref().is_some_and(|e| has_query(e));
        if !policies.any(|policy| reads(&policy.using) || reads(&policy.with_check)) {
            return analyze();
        }
        if self.guarding.borrow().contains(&table.oid) {
            let message =
                format!("infinite recursion detected in policy for relation \"{}\"", table.name);
            return Err(PgError::new("42P17", message));
        }
        self.guarding.borrow_mut().push(table.oid);
        let analyzed = analyze();
        self.guarding.borrow_mut().pop();
        analyzed
    }
}

/// Nothing is let through where no policy lets it.
fn any_of(mut any: Vec<Expr>) -> Expr {
    match any.len() {
        0 => Expr::Const(Datum::Bool(false)),
        1 => any.remove(0),
        _ => Expr::Or(any),
    }
}

/// The names of one table's columns, at their places in a row.
pub fn table_scope(table: &Table, alias: &str, offset: usize) -> Scope<'static> {
    let place = |(at, column): (usize, &Column)| ScopeColumn {
        name: column.name.clone(),
        ty: column.ty,
        typmod: column.typmod,
        index: offset + at,
        origin: None,
        hidden: false,
        merged: None,
    };
    let columns = table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
    let columns = columns.map(place).collect();
    let relation = ScopeRelation {
        alias: alias.into(),
        columns,
        lacks: &[],
        table: None,
        scalar: false,
        optional: false,
    };
    Scope { relations: vec![relation], ..Scope::default() }
}

/// Has a scan test these conditions before any other.
pub fn filter_scan(from: &mut From, relation: usize, filter: &[Arc<Expr>]) {
    match from {
        From::Scan(scan) if scan.relation == relation => {
            scan.filter.splice(0..0, filter.iter().cloned());
        }
        From::Nothing | From::Scan(_) => {}
        From::Join { left, right, .. } => {
            filter_scan(left, relation, filter);
            filter_scan(right, relation, filter);
        }
    }
}

/// Whether an expression reads a column of the first relation of the row.
pub fn reads(expr: &Expr, width: usize) -> bool {
    expr.columns().is_none_or(|columns| columns.iter().any(|column| *column < width))
}

/// The privilege that a policy's command asks for.
pub fn command_privilege(command: ast::CreatePolicyCommand) -> Privileges {
    match command {
        CreatePolicyCommand::Insert => Privileges::INSERT,
        CreatePolicyCommand::Update => Privileges::UPDATE,
        CreatePolicyCommand::Delete => Privileges::DELETE,
        CreatePolicyCommand::All | CreatePolicyCommand::Select => Privileges::SELECT,
    }
}
