//! Sequences as they are made, owned and dropped. Must never hand out a number.

use std::sync::Arc;

use sqlparser::ast::{self, SequenceOptions};

use super::ddl::{analyzer, checked_name, is_taken, notice, undo};
use super::functions::system::next_identity;
use super::keys::made_name;
use super::{Cx, roles};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Context, Expr, Typed, data_type, ident, object_name};
use crate::world::postgres::storage::Undo;
use crate::world::postgres::storage::catalog::{Column, Counter, Sequence, Table};
use crate::world::postgres::storage::locks::{Mode, Oid};
use crate::world::postgres::storage::roles::Acl;
use crate::world::postgres::types::{Datum, Ty};

/// A sequence of numbers of this type, before its options.
fn plain(name: String, ty: Ty, role: Arc<str>) -> Sequence {
    let max = match ty {
        Ty::INT2 => i64::from(i16::MAX),
        Ty::INT4 => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    Sequence {
        name: name.into(),
        start: 1,
        increment: 1,
        min: 1,
        max,
        cycle: false,
        owner: None,
        column: 0,
        role,
        acl: Acl::default(),
    }
}

fn put(cx: &mut Cx<'_>, sequence: Sequence) -> Step<Oid> {
    cx.db.claim(cx.pid, &sequence.name, false)?;
    let oid = cx.db.catalog.new_oid();
    restart(cx, oid, sequence.first());
    cx.lock_table(oid, Mode::AccessExclusive)?;
    cx.db.put_sequence(cx.pid, oid, Some(sequence))?;
    Ok(oid)
}

/// Has it begin anew; taken back with the transaction.
fn restart(cx: &mut Cx<'_>, oid: Oid, first: Counter) {
    let before = cx.db.counters.insert(oid, first);
    undo(cx, Undo::Counter(oid, before));
}

/// `table_column_seq`, which goes with the column that the table is about to have; its numbers are
/// the column's default.
/// `options`: those of an identity column.
pub fn own_sequence(
    cx: &mut Cx<'_>,
    table: &Table,
    column: &str,
    ty: Ty,
    options: Option<&[SequenceOptions]>,
) -> Step<Arc<Expr>> {
    roles::require_create(cx)?;
    let name = made_name(cx, table, Some(column), "seq");
    let mut sequence = plain(name, ty, table.security.owner.clone());
    (sequence.owner, sequence.column) = (Some(table.oid), table.columns.len());
    apply_options(&mut sequence, ty, options.unwrap_or_default())?;
    let oid = put(cx, sequence)?;
    let analyzer = analyzer(cx);
    let oid = Typed::new(Expr::Const(Datum::Int(i64::from(oid))), Ty::REGCLASS);
    let mut next = analyzer.call("nextval", vec![oid])?;
    if let (Some(_), Expr::Counted(_, call)) = (options, &mut next.expr)
        && let Expr::Call { function, .. } = &mut **call
    {
        *function = next_identity;
    }
    Ok(Arc::new(analyzer.coerce(next, ty, -1, Context::Assignment)?))
}

pub fn create_sequence(cx: &mut Cx<'_>, statement: &ast::Statement) -> Step<()> {
    let ast::Statement::CreateSequence {
        temporary,
        if_not_exists,
        name,
        data_type: ty,
        sequence_options,
        owned_by,
    } = statement
    else {
        return Err(PgError::new("XX000", "no CREATE SEQUENCE").into());
    };
    if *temporary {
        return Err(PgError::unsupported("a temporary sequence").into());
    }
    let name = object_name(name)?;
    checked_name(&name)?;
    roles::require_create(cx)?;
    if is_taken(cx, &name) {
        if *if_not_exists {
            notice(cx, "42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(());
        }
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    let ty = ty.as_ref().map_or(Ok((Ty::INT8, -1)), data_type)?.0;
    if ![Ty::INT2, Ty::INT4, Ty::INT8].contains(&ty) {
        let message = "sequence type must be smallint, integer, or bigint";
        return Err(PgError::new("22023", message).into());
    }
    let mut sequence = plain(name, ty, cx.db.proc(cx.pid).role().into());
    apply_options(&mut sequence, ty, sequence_options)?;
    if let Some((table, column)) = owned_by.as_ref().map_or(Ok(None), |by| owner(cx, by))? {
        (sequence.owner, sequence.column) = (Some(table), column);
    }
    put(cx, sequence)?;
    Ok(())
}

/// The table and column of OWNED BY; `None` for NONE.
fn owner(cx: &Cx<'_>, by: &ast::ObjectName) -> Result<Option<(Oid, usize)>> {
    let parts: Vec<&ast::Ident> = by.0.iter().filter_map(ast::ObjectNamePart::as_ident).collect();
    let (table, column) = match parts.as_slice() {
        [none] if none.quote_style.is_none() && none.value.eq_ignore_ascii_case("none") => {
            return Ok(None);
        }
        [table, column] => (table, column),
        [schema, table, column] if ident(schema) == "public" => (table, column),
        _ => return Err(PgError::unsupported(format_args!("OWNED BY {by}"))),
    };
    let table = cx.db.table(&ident(table), cx.pid)?;
    let role = cx.db.proc(cx.pid).role();
    if *table.security.owner != *role {
        let message = "sequence must have same owner as table it is linked to";
        return Err(PgError::new("55000", message));
    }
    let column = ident(column);
    let at = table.column(&column).ok_or_else(|| {
        let relation = &table.name;
        let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
        PgError::new("42703", message)
    })?;
    Ok(Some((table.oid, at)))
}

fn wrong(message: String) -> PgError {
    PgError::new("22023", message)
}

/// What is not said follows from what is: a sequence begins at its lower bound, or if it descends
/// at its upper one.
fn apply_options(sequence: &mut Sequence, ty: Ty, options: &[SequenceOptions]) -> Result<()> {
    let (mut start, mut low, mut high, mut cache) = (None, None, None, 1);
    for (at, option) in options.iter().enumerate() {
        let kind = std::mem::discriminant(option);
        if options[..at].iter().any(|other| std::mem::discriminant(other) == kind) {
            return Err(PgError::new("42601", "conflicting or redundant options"));
        }
        match option {
            SequenceOptions::IncrementBy(by, _) => sequence.increment = number(by)?,
            SequenceOptions::MinValue(Some(min)) => low = Some(number(min)?),
            SequenceOptions::MaxValue(Some(max)) => high = Some(number(max)?),
            SequenceOptions::StartWith(at, _) => start = Some(number(at)?),
            // The parser's flag is true for NO CYCLE.
            SequenceOptions::Cycle(no) => sequence.cycle = !*no,
            SequenceOptions::Cache(of) => cache = number(of)?,
            SequenceOptions::MinValue(None) | SequenceOptions::MaxValue(None) => {}
        }
    }
    if sequence.increment == 0 {
        return Err(wrong("INCREMENT must not be zero".to_owned()));
    }
    let down = sequence.increment < 0;
    let widest = (-sequence.max - 1, sequence.max);
    let (lowest, highest) = if down { (widest.0, -1) } else { (1, widest.1) };
    let (min, max) = (low.unwrap_or(lowest), high.unwrap_or(highest));
    for (word, bound) in [("MAXVALUE", max), ("MINVALUE", min)] {
        if bound < widest.0 || bound > widest.1 {
            let name = ty.name();
            let what = format!("{word} ({bound}) is out of range for sequence data type {name}");
            return Err(wrong(what));
        }
    }
    if min >= max {
        return Err(wrong(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    let start = start.unwrap_or(if down { max } else { min });
    if start < min {
        return Err(wrong(format!("START value ({start}) cannot be less than MINVALUE ({min})")));
    }
    if start > max {
        let what = format!("START value ({start}) cannot be greater than MAXVALUE ({max})");
        return Err(wrong(what));
    }
    if cache <= 0 {
        return Err(wrong(format!("CACHE ({cache}) must be greater than zero")));
    }
    if cache > 1 {
        return Err(PgError::unsupported("a sequence with a CACHE"));
    }
    (sequence.min, sequence.max, sequence.start) = (min, max, start);
    Ok(())
}

fn number(expr: &ast::Expr) -> Result<i64> {
    let text = expr.to_string();
    text.parse().map_err(|_| PgError::unsupported(format_args!("the number {text}")))
}

/// The sequences that go with a table.
pub fn owned(cx: &Cx<'_>, table: Oid) -> Vec<(Oid, Arc<Sequence>)> {
    let owned = cx.db.sequences(cx.pid).filter(|(_, sequence)| sequence.owner == Some(table));
    owned.map(|(oid, sequence)| (oid, sequence.clone())).collect()
}

/// TRUNCATE … RESTART IDENTITY.
pub fn restart_owned(cx: &mut Cx<'_>, table: Oid) -> Step<()> {
    for (oid, sequence) in owned(cx, table) {
        cx.lock_table(oid, Mode::AccessExclusive)?;
        // It gets another file.
        cx.db.put_sequence(cx.pid, oid, Some((*sequence).clone()))?;
        restart(cx, oid, sequence.first());
    }
    Ok(())
}

/// Drops it, once nothing is numbered by it.
pub fn drop_sequence(cx: &mut Cx<'_>, oid: Oid) -> Step<()> {
    cx.lock_table(oid, Mode::AccessExclusive)?;
    cx.db.put_sequence(cx.pid, oid, None)
}

/// Whether a column's default asks the sequence for numbers.
pub fn is_numbered(column: &Column, (sequence, name): (Oid, &str)) -> bool {
    let mut found = false;
    if let Some(default) = &column.default {
        let own = [
            Datum::Int(i64::from(sequence)),
            Datum::text(name),
            Datum::text(format!("public.{name}")),
        ];
        default.walk(&mut |expr| {
            found |= matches!(expr, Expr::Const(datum) if own.contains(datum));
        });
    }
    found && !column.dropped
}

/// What goes with a column that goes.
pub fn drop_owned(cx: &mut Cx<'_>, table: &Table, at: usize) -> Step<()> {
    let mut sequences = owned(cx, table.oid);
    sequences.retain(|(_, sequence)| sequence.column == at);
    for (oid, sequence) in sequences {
        let numbers = |other: &Arc<Table>| {
            let mut columns = other.columns.iter().enumerate();
            columns.any(|(own, column)| {
                (other.oid, own) != (table.oid, at) && is_numbered(column, (oid, &sequence.name))
            })
        };
        if cx.db.tables(cx.pid).any(numbers) {
            let what = "DROP COLUMN where another column uses the sequence";
            return Err(PgError::unsupported(what).into());
        }
        drop_sequence(cx, oid)?;
    }
    Ok(())
}
