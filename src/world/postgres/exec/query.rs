//! Running a query: rows, groups, order, row locks, output. Must never write a row.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::again::still_true;
use super::aggregate::{Accumulator, accumulate};
use super::ctes::{Ctes, Run};
use super::scan::{Node, Tuple, call_set, untie};
use super::tuple::{Locked, lock_row};
use super::{Cx, Frame, eval, is_true};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::{Body, Expr, Query, Select, SetOp, SortKey, Source};
use crate::world::postgres::types::{Datum, Row};

/// Whether an output column is made before the rows are sorted (`make_sort_input_target`).
fn is_cheap(expr: &Expr) -> bool {
    let mut cheap = true;
    expr.walk(&mut |part| {
        cheap &= !matches!(part, Expr::Sub { .. } | Expr::Routine { .. } | Expr::Counted(..));
    });
    cheap && !matches!(expr, Expr::Column { .. } | Expr::Const(_) | Expr::Param(_))
}

/// How far a query has come.
enum Stage<'p> {
    Fresh,
    /// Rows leave as they are read.
    Stream,
    /// Rows are kept in order, and locked as they leave.
    Sorted(std::vec::IntoIter<Tuple>),
    /// Output rows are all there.
    Output(std::vec::IntoIter<Row>),
    Values(std::slice::Iter<'p, Vec<Expr>>),
    /// UNION ALL without an order: one side after the other.
    Append(usize),
}

pub struct QueryRun<'p> {
    query: &'p Query,
    ctes: Ctes<'p>,
    stage: Stage<'p>,
    node: Option<Node<'p>>,
    tuple: Tuple,
    /// A row that is being locked.
    pending: Option<Tuple>,
    /// What is given out of it, worked out before it is locked.
    given: Option<Row>,
    /// So many of its locks are taken.
    locked: usize,
    /// It as it was read, if a part of it is a newer version: conditions are to be tested again.
    read: Option<Tuple>,
    kept: Vec<(Vec<Datum>, Tuple)>,
    /// A row read for `kept` whose keys are being worked out.
    unsorted: bool,
    groups: Groups,
    output: Vec<Row>,
    sides: [Option<Box<QueryRun<'p>>>; 2],
    left: Vec<Row>,
    limit: Option<(u64, Option<u64>)>,
}

/// Groups in the order in which they were first met.
#[derive(Default)]
struct Groups {
    places: BTreeMap<Vec<Datum>, usize>,
    all: Vec<(Vec<Datum>, Vec<Accumulator>)>,
    current: bool,
    /// With their aggregates, to be given out.
    finished: VecDeque<Vec<Datum>>,
    /// What they give, with sort keys.
    sorted: Vec<(Vec<Datum>, Row)>,
}

impl<'p> QueryRun<'p> {
    pub fn new(query: &'p Query) -> QueryRun<'p> {
        QueryRun {
            query,
            ctes: Ctes::new(&query.ctes),
            stage: Stage::Fresh,
            node: None,
            tuple: Tuple::default(),
            pending: None,
            given: None,
            locked: 0,
            read: None,
            kept: Vec::new(),
            unsorted: false,
            groups: Groups::default(),
            output: Vec::new(),
            sides: [None, None],
            left: Vec::new(),
            limit: None,
        }
    }
}

impl<'p> Run<'p> for QueryRun<'p> {
    fn ctes(&mut self) -> &mut Ctes<'p> {
        &mut self.ctes
    }

    fn give(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<Option<Row>> {
        if matches!(self.stage, Stage::Fresh) {
            self.begin(cx, outer)?;
        }
        loop {
            if matches!(self.limit, Some((_, Some(0)))) {
                return Ok(None);
            }
            let Some(row) = self.produce(cx, outer)? else { return Ok(None) };
            let (skip, left) = self.limit.as_mut().expect("set when the query began");
            if *skip > 0 {
                *skip -= 1;
                continue;
            }
            if let Some(left) = left {
                *left -= 1;
            }
            return match &self.query.output {
                None => Ok(Some(row)),
                Some(casts) => Ok(Some(project(casts, cx, &Frame { row: &row, outer })?)),
            };
        }
    }
}

impl<'p> QueryRun<'p> {
    fn begin(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<()> {
        if self.limit.is_none() {
            let limit = count(self.query.limit.as_ref(), "LIMIT", "2201W", cx, outer)?;
            let offset = count(self.query.offset.as_ref(), "OFFSET", "2201X", cx, outer)?;
            self.limit = Some((offset.unwrap_or(0), limit));
            cx.settled();
        }
        if matches!(self.limit, Some((_, Some(0)))) {
            self.stage = Stage::Output(Vec::new().into_iter());
            return Ok(());
        }
        match &self.query.body {
            Body::Select(select) => self.begin_select(select, cx, outer),
            Body::Values(rows) if self.query.sort.is_empty() => {
                self.stage = Stage::Values(rows.iter());
                Ok(())
            }
            Body::Values(rows) => {
                for row in rows {
                    let frame = Frame { row: &[], outer };
                    self.output.push(project(row, cx, &frame)?);
                }
                self.finish_output(cx, outer)
            }
            Body::Set { op: SetOp::Union, all: true, left, right }
                if self.query.sort.is_empty() =>
            {
                self.sides = [left, right].map(|side| Some(Box::new(QueryRun::new(side))));
                self.stage = Stage::Append(0);
                Ok(())
            }
            Body::Set { op, all, left, right } => {
                for (at, side) in [left, right].into_iter().enumerate() {
                    let run = self.sides[at].get_or_insert_with(|| Box::new(QueryRun::new(side)));
                    let into = if at == 0 { &mut self.left } else { &mut self.output };
                    while let Some(row) = run.next(cx, outer)? {
                        into.push(row);
                        cx.settled();
                    }
                }
                let right = std::mem::take(&mut self.output);
                self.output = combine(*op, *all, std::mem::take(&mut self.left), right);
                self.finish_output(cx, outer)
            }
        }
    }

    fn begin_select(
        &mut self,
        select: &'p Select,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<()> {
        if self.node.is_none() {
            self.node = Some(Node::new(&select.from, select));
            self.tuple = Tuple::new(select);
        }
        if select.grouped {
            return self.group(select, cx, outer);
        }
        let whole = select.distinct || select.expand.is_some() || !select.distinct_on.is_empty();
        if !whole && self.query.sort.is_empty() {
            self.stage = Stage::Stream;
            return Ok(());
        }
        if select.distinct || select.expand.is_some() {
            while self.next_tuple(cx, outer)? {
                self.emit(select, cx, outer)?;
            }
            if select.distinct {
                let mut seen = BTreeSet::new();
                self.output.retain(|row| seen.insert(row.clone()));
            }
            return self.finish_output(cx, outer);
        }
        while self.next_tuple(cx, outer)? {
            let frame = Frame { row: &self.tuple.values, outer };
            let keys = sort_values(&self.query.sort, cx, &frame)?;
            if self.query.limit.is_some() {
                // PostgreSQL works out what is cheap before it sorts: what fails, fails.
                for expr in select.project.iter().filter(|expr| is_cheap(expr)) {
                    eval(expr, cx, &frame)?;
                }
            }
            self.unsorted = false;
            self.kept.push((keys, self.tuple.clone()));
            cx.settled();
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_by(|(a, _), (b, _)| order(a, b, &self.query.sort));
        let mut tuples: Vec<Tuple> = kept.into_iter().map(|(_, tuple)| tuple).collect();
        if !select.distinct_on.is_empty() {
            let mut seen = BTreeSet::new();
            let mut first = Vec::new();
            for tuple in tuples {
                let frame = Frame { row: &tuple.values, outer };
                if seen.insert(project(&select.distinct_on, cx, &frame)?) {
                    first.push(tuple);
                }
            }
            tuples = first;
        }
        self.stage = Stage::Sorted(tuples.into_iter());
        Ok(())
    }

    /// Reads the next row unless one is still being worked on.
    fn next_tuple(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<bool> {
        if !self.unsorted {
            let node = self.node.as_mut().expect("made when the query began");
            if !node.next(&mut self.tuple, cx, outer)? {
                return Ok(false);
            }
            self.unsorted = true;
        }
        Ok(true)
    }

    fn emit(&mut self, select: &Select, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<()> {
        let frame = Frame { row: &self.tuple.values, outer };
        let Some(expand) = &select.expand else {
            let row = project(&select.project, cx, &frame)?;
            self.output.push(row);
            self.unsorted = false;
            cx.settled();
            return Ok(());
        };
        let values = project(&expand.args, cx, &frame)?;
        let set = call_set(expand.function, cx, &values, &expand.types)?;
        let mut rows = Vec::new();
        if let Datum::Array(array) = set {
            let mut wide = self.tuple.values.clone();
            wide.push(Datum::Null);
            for item in &array.items {
                wide[select.width] = item.clone();
                rows.push(project(&select.project, cx, &Frame { row: &wide, outer })?);
            }
        }
        self.output.append(&mut rows);
        self.unsorted = false;
        cx.settled();
        Ok(())
    }

    fn group(&mut self, select: &Select, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<()> {
        loop {
            if !self.groups.current {
                let node = self.node.as_mut().expect("made when the query began");
                if !node.next(&mut self.tuple, cx, outer)? {
                    break;
                }
                self.groups.current = true;
            }
            let frame = Frame { row: &self.tuple.values, outer };
            let keys = values(&select.keys, cx, &frame)?;
            let all = &mut self.groups.all;
            let place = *self.groups.places.entry(keys).or_insert_with_key(|keys| {
                all.push((keys.clone(), Accumulator::for_all(&select.aggregates)));
                all.len() - 1
            });
            accumulate(&select.aggregates, &mut self.groups.all[place].1, cx, &frame)?;
            self.groups.current = false;
            cx.settled();
        }
        let began = !self.groups.finished.is_empty() || !self.groups.sorted.is_empty();
        if self.groups.all.is_empty() && select.keys.is_empty() && !began {
            self.groups.all.push((Vec::new(), Accumulator::for_all(&select.aggregates)));
        }
        for (mut row, accumulators) in std::mem::take(&mut self.groups.all) {
            for (accumulator, aggregate) in accumulators.into_iter().zip(&select.aggregates) {
                row.push(accumulator.finish(aggregate)?);
            }
            self.groups.finished.push_back(row);
        }
        while let Some(row) = self.groups.finished.front() {
            let frame = Frame { row, outer };
            let passed = match &select.having {
                Some(having) => is_true(having, cx, &frame)?,
                None => true,
            };
            if passed {
                let keys = if self.query.sort_output {
                    Vec::new()
                } else {
                    sort_values(&self.query.sort, cx, &frame)?
                };
                let row = project(&select.project, cx, &frame)?;
                self.groups.sorted.push((keys, row));
            }
            self.groups.finished.pop_front();
            cx.settled();
        }
        let mut sorted = std::mem::take(&mut self.groups.sorted);
        if self.query.sort_output {
            self.output = sorted.into_iter().map(|(_, row)| row).collect();
            if select.distinct {
                let mut seen = BTreeSet::new();
                self.output.retain(|row| seen.insert(row.clone()));
            }
            return self.finish_output(cx, outer);
        }
        sorted.sort_by(|(a, _), (b, _)| order(a, b, &self.query.sort));
        let rows: Vec<Row> = sorted.into_iter().map(|(_, row)| row).collect();
        self.stage = Stage::Output(rows.into_iter());
        Ok(())
    }

    /// Sorts the output rows by output columns.
    fn finish_output(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<()> {
        let mut keyed = Vec::with_capacity(self.output.len());
        for row in std::mem::take(&mut self.output) {
            let frame = Frame { row: &row, outer };
            keyed.push((sort_values(&self.query.sort, cx, &frame)?, row));
        }
        keyed.sort_by(|(a, _), (b, _)| order(a, b, &self.query.sort));
        let rows: Vec<Row> = keyed.into_iter().map(|(_, row)| row).collect();
        self.stage = Stage::Output(rows.into_iter());
        Ok(())
    }

    fn produce(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<Option<Row>> {
        match &mut self.stage {
            Stage::Fresh => return Ok(None),
            Stage::Output(rows) => return Ok(rows.next()),
            Stage::Values(rows) => {
                let Some(row) = rows.as_slice().first() else { return Ok(None) };
                let row = project(row, cx, &Frame { row: &[], outer })?;
                rows.next();
                cx.settled();
                return Ok(Some(row));
            }
            Stage::Append(at) => {
                while let Some(Some(side)) = self.sides.get_mut(*at) {
                    let row = side.next(cx, outer)?;
                    cx.settled();
                    if row.is_some() {
                        return Ok(row);
                    }
                    *at += 1;
                }
                return Ok(None);
            }
            Stage::Stream | Stage::Sorted(_) => {}
        }
        let Body::Select(select) = &self.query.body else { return Ok(None) };
        loop {
            if self.pending.is_none() && !self.fetch(cx, outer)? {
                return Ok(None);
            }
            if self.query.locks.is_empty() {
                let tuple = self.pending.as_ref().expect("just fetched");
                let row = project(&select.project, cx, &Frame { row: &tuple.values, outer })?;
                self.recycle();
                return Ok(Some(row));
            }
            let worked_out = |tuple: Option<&Tuple>, cx: &mut Cx<'_>| {
                let tuple = tuple.expect("fetched above");
                project(&select.project, cx, &Frame { row: &tuple.values, outer })
            };
            if self.given.is_none() {
                self.given = Some(worked_out(self.pending.as_ref(), cx)?);
                cx.settled();
            }
            if !self.lock_pending(select, cx, outer)? {
                self.recycle();
                continue;
            }
            if self.read.is_some() {
                self.given = Some(worked_out(self.pending.as_ref(), cx)?);
            }
            self.pending = None;
            return Ok(self.given.take());
        }
    }

    /// Gives the row's buffer back to the scan, which fills it anew.
    fn recycle(&mut self) {
        if let (Some(tuple), Stage::Stream) = (self.pending.take(), &self.stage) {
            self.tuple = tuple;
        }
    }

    fn fetch(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<bool> {
        (self.read, self.given, self.locked) = (None, None, 0);
        if let Stage::Sorted(rows) = &mut self.stage {
            self.pending = rows.next();
            return Ok(self.pending.is_some());
        }
        let node = self.node.as_mut().expect("made when the query began");
        if !node.next(&mut self.tuple, cx, outer)? {
            return Ok(false);
        }
        // With locks the scan goes on from its own copy.
        self.pending = Some(if self.query.locks.is_empty() {
            std::mem::take(&mut self.tuple)
        } else {
            self.tuple.clone()
        });
        Ok(true)
    }

    /// Locks the pending row's versions; `false` if the row is not to be given out.
    fn lock_pending(
        &mut self,
        select: &Select,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        // What is called to test it again may write what is locked.
        while let Some(lock) = self.query.locks.get(self.locked) {
            let relation = &select.relations[lock.relation];
            let tuple = self.pending.as_ref().expect("the caller fetched it");
            let (Source::Table(table), Some(tid)) = (&relation.source, tuple.tids[lock.relation])
            else {
                self.locked += 1;
                continue;
            };
            match lock_row(cx, table, tid, lock.strength, lock.policy)? {
                Locked::Same => {}
                Locked::Gone => return Ok(false),
                Locked::Newer(newer) => {
                    let row = cx.db.heap(table.oid).get(newer).map(|version| version.row.clone());
                    let Some(row) = row else { return Ok(false) };
                    let tuple = self.pending.as_mut().expect("the caller fetched it");
                    self.read.get_or_insert_with(|| tuple.clone());
                    tuple.put(relation, &row);
                    tuple.tids[lock.relation] = Some(newer);
                }
            }
            self.locked += 1;
        }
        let Some(read) = &self.read else { return Ok(true) };
        let tuple = self.pending.as_mut().expect("the caller fetched it");
        untie(&select.from, select, tuple, cx, outer)?;
        let over = |tuple| Frame { row: tuple, outer };
        still_true(&select.quals, cx, &over(&read.values), &over(&tuple.values))
    }
}

pub fn project(exprs: &[Expr], cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Row> {
    Ok(values(exprs, cx, frame)?.into())
}

pub fn values(exprs: &[Expr], cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Vec<Datum>> {
    let mut row = Vec::with_capacity(exprs.len());
    for expr in exprs {
        row.push(eval(expr, cx, frame)?);
    }
    Ok(row)
}

fn sort_values(keys: &[SortKey], cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Vec<Datum>> {
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        values.push(eval(&key.expr, cx, frame)?);
    }
    Ok(values)
}

pub fn order(a: &[Datum], b: &[Datum], keys: &[SortKey]) -> Ordering {
    for ((a, b), key) in a.iter().zip(b).zip(keys) {
        let ordering = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if key.descending => b.cmp(a),
            (false, false) => a.cmp(b),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

fn count(
    expr: Option<&Expr>,
    name: &str,
    code: &'static str,
    cx: &mut Cx<'_>,
    outer: Option<&Frame<'_>>,
) -> Step<Option<u64>> {
    let Some(expr) = expr else { return Ok(None) };
    match eval(expr, cx, &Frame { row: &[], outer })? {
        Datum::Int(number) => match u64::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(PgError::new(code, format!("{name} must not be negative")).into()),
        },
        _ => Ok(None),
    }
}

fn combine(op: SetOp, all: bool, left: Vec<Row>, right: Vec<Row>) -> Vec<Row> {
    let mut counts: BTreeMap<Row, usize> = BTreeMap::new();
    if op != SetOp::Union {
        for row in &right {
            *counts.entry(row.clone()).or_default() += 1;
        }
    }
    let mut take = |row: &Row| match counts.get_mut(row) {
        Some(count) if *count > 0 => {
            if all {
                *count -= 1;
            }
            true
        }
        _ => false,
    };
    let mut rows: Vec<Row> = match op {
        SetOp::Union => left.into_iter().chain(right).collect(),
        SetOp::Except => left.into_iter().filter(|row| !take(row)).collect(),
        SetOp::Intersect => left.into_iter().filter(|row| take(row)).collect(),
    };
    if !all {
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert(row.clone()));
    }
    rows
}
