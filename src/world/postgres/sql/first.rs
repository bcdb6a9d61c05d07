//! Which of several faults of a SELECT is told: the first in PostgreSQL's order of analysis, which
//! is another than the one here. Must never find fault with what is right.

use sqlparser::ast;

use super::aggregates::has_aggregate;
use super::analyze::Analyzer;
use super::names::ident;
use super::output::literal_position;
use super::scope::{Group, Scope};
use crate::world::postgres::error::PgError;

impl Analyzer<'_> {
    /// The first fault of a SELECT that has one, if it can be told without its groups
    /// (`transformSelectStmt`).
    pub fn first_wrong(
        &self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        scope: &mut Scope<'_>,
    ) -> Option<PgError> {
        // Queries within are looked at again with each one around them.
        let looks = self.looks.get().checked_sub(1)?;
        self.looks.set(looks);
        let star = |item: &ast::SelectItem| matches!(item, ast::SelectItem::QualifiedWildcard(..));
        if select.projection.iter().any(star) {
            return None;
        }
        let items = || select.projection.iter().filter_map(output);
        // These may mean an output column.
        let named = |expr: &&ast::Expr| {
            let name = match expr {
                ast::Expr::Identifier(name) => Some(ident(name)),
                _ => None,
            };
            let same = |alias: Option<&ast::Ident>| alias.map(ident) == name;
            literal_position(expr).is_none()
                && (name.is_none() || !items().any(|(_, alias)| same(alias)))
        };
        let keys = match &select.group_by {
            ast::GroupByExpr::Expressions(keys, _) => &keys[..],
            ast::GroupByExpr::All(_) => &[],
        };
        let distinct = match &select.distinct {
            Some(ast::Distinct::On(keys)) => &keys[..],
            _ => &[],
        };
        let output = items().map(|(expr, _)| expr);
        let sorted = order.iter().map(|key| &key.expr);
        let before = output.clone().chain(&select.selection).chain(&select.having);
        let grouped = before.chain(sorted.clone()).any(has_aggregate);
        scope.group = grouped.then(|| Group { loose: true, ..Group::default() });
        let counts = |error: &PgError| error.code() != "0A000";
        let scope = &*scope;
        let expr = |expr| self.expr(expr, scope).err();
        let having = |expr| {
            let typed = self.expr(expr, scope);
            typed.and_then(|typed| self.condition(typed, "HAVING")).err()
        };
        let wrong = output.filter_map(expr);
        let filter = |expr| self.filter(expr, scope).err();
        let wrong = wrong.chain(select.selection.iter().filter_map(filter));
        let wrong = wrong.chain(select.having.iter().filter_map(having));
        let wrong = wrong.chain(sorted.filter(named).filter_map(expr));
        let key = |key| self.expr_in("GROUP BY", key, scope).err();
        let wrong = wrong.chain(keys.iter().filter(named).filter_map(key));
        wrong.chain(distinct.iter().filter(named).filter_map(expr)).find(counts)
    }
}

fn output(item: &ast::SelectItem) -> Option<(&ast::Expr, Option<&ast::Ident>)> {
    match item {
        ast::SelectItem::UnnamedExpr(expr) => Some((expr, None)),
        ast::SelectItem::ExprWithAlias { expr, alias } => Some((expr, Some(alias))),
        _ => None,
    }
}
