//! Which unique indexes an ON CONFLICT target means (PostgreSQL 15, INSERT).
//! Must never choose one whose predicate the target does not repeat.

use sqlparser::ast;

use super::analyze::Analyzer;
use super::names::ident;
use super::parse::{Parsed, TARGET, parse};
use super::plan::Expr;
use super::security::table_scope;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::storage::catalog::{Index, IndexPart, Table};

/// What a target asks for. Expressions are compared as they are analysed, by their text.
#[derive(Default)]
struct Wanted {
    columns: Vec<usize>,
    expressions: Vec<String>,
    condition: Option<Expr>,
}

impl Wanted {
    fn fits(&self, index: &Index) -> bool {
        let implied = index.predicate.as_ref().is_none_or(|predicate| {
            self.condition.as_ref().is_some_and(|condition| implies(condition, predicate))
        });
        implied && self.is_on(index)
    }

    /// Whether these are the index's parts, whichever rows are in it.
    fn is_on(&self, index: &Index) -> bool {
        let mut columns: Vec<usize> = Vec::new();
        let mut expressions: Vec<String> = Vec::new();
        for part in &index.parts {
            match part {
                IndexPart::Column(column) => columns.push(*column),
                IndexPart::Expression(expr, ..) => expressions.push(format!("{expr:?}")),
            }
        }
        columns.sort_unstable();
        expressions.sort_unstable();
        index.unique && !index.dropped && columns == self.columns && expressions == self.expressions
    }
}

/// Whether the condition is the predicate, or has it among what it joins by AND.
fn implies(condition: &Expr, predicate: &Expr) -> bool {
    if format!("{condition:?}") == format!("{predicate:?}") {
        return true;
    }
    matches!(condition, Expr::And(all) if all.iter().any(|part| implies(part, predicate)))
}

/// The position of the index of a constraint that ON CONFLICT names.
pub fn arbiter(name: &str, table: &Table) -> Result<usize> {
    let wanted = |index: &Index| !index.dropped && index.constraint && *index.name == *name;
    table.indexes.iter().position(wanted).ok_or_else(|| {
        if table.checks.iter().any(|check| *check.name == *name)
            || table.foreign_keys.iter().any(|key| *key.name == *name)
        {
            let message = "constraint in ON CONFLICT clause has no associated index";
            return PgError::new("42809", message);
        }
        let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
        PgError::new("42704", message)
    })
}

impl Analyzer<'_> {
    /// Positions of the indexes that the target of ON CONFLICT names.
    /// That there are none is for the planner to say: the inner result.
    pub fn arbiters(
        &self,
        names: &[ast::Ident],
        table: &Table,
        alias: &str,
    ) -> Result<Result<Vec<usize>>> {
        let mut wanted = match names {
            [one] if one.value.starts_with(TARGET) => {
                self.wanted(&one.value[TARGET.len()..], table)?
            }
            names => {
                let column = |name: &ast::Ident| {
                    let place = self.operator("(", name.span);
                    let name = ident(name);
                    let at = table.column(&name);
                    let at = at.ok_or_else(|| {
                        let found = table_scope(table, alias, 0).find(None, &name);
                        found.err().unwrap_or_else(|| common::no_column(&name)).at(place)
                    })?;
                    self.refuse_both(None, &name).map_err(|error| error.at(place))?;
                    Ok(at)
                };
                let columns = names.iter().map(column).collect::<Result<Vec<usize>>>()?;
                Wanted { columns, ..Wanted::default() }
            }
        };
        wanted.columns.sort_unstable();
        wanted.expressions.sort_unstable();
        let indexes = table.indexes.iter().enumerate();
        let found: Vec<usize> =
            indexes.filter(|(_, index)| wanted.fits(index)).map(|(at, _)| at).collect();
        let partial = || table.indexes.iter().any(|index| wanted.is_on(index));
        if found.is_empty() && wanted.condition.is_some() && partial() {
            let what = "a conflict target whose condition is not that of the index";
            return Err(PgError::unsupported(what));
        }
        if found.is_empty() {
            let message = "there is no unique or exclusion constraint matching the ON CONFLICT \
                           specification";
            return Ok(Err(PgError::new("42P10", message)));
        }
        Ok(Ok(found))
    }

    /// A target that is more than columns, as the query that the parser made of it.
    fn wanted(&self, query: &str, table: &Table) -> Result<Wanted> {
        let parsed = parse(query)?;
        // It is held against the definition of an index.
        let inlines = self.inlines.replace(false);
        let wanted = self.wanted_of(&parsed, table);
        self.inlines.set(inlines);
        wanted
    }

    fn wanted_of(&self, parsed: &Parsed, table: &Table) -> Result<Wanted> {
        let select = match parsed.statements.first().map(|statement| &**statement) {
            Some(ast::Statement::Query(query)) => query.body.as_select(),
            _ => None,
        };
        let select = select.ok_or_else(|| PgError::unsupported("this conflict target"))?;
        let mut wanted = Wanted::default();
        for item in &select.projection {
            let ast::SelectItem::UnnamedExpr(expr) = item else {
                return Err(PgError::unsupported("this conflict target"));
            };
            match self.settle(self.table_expr(expr, table)?)?.expr {
                Expr::Column { depth: 0, index } => wanted.columns.push(index),
                other => wanted.expressions.push(format!("{other:?}")),
            }
        }
        if let Some(condition) = &select.selection {
            let typed = self.table_expr(condition, table)?;
            wanted.condition = Some(self.condition(typed, "WHERE")?);
        }
        Ok(wanted)
    }
}
