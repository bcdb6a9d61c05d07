//! Reading FROM: every node fills its part of one row. Must never lock a row.

use std::sync::Arc;

use super::ctes::Run as _;
use super::query::QueryRun;
use super::{Cx, Frame, ctes, eval, is_true};
use crate::world::postgres::error::Step;
use crate::world::postgres::sql::{
    Builtin, From, JoinKind, Lookup, Relation, Scan, Select, Source,
};
use crate::world::postgres::storage::heap::Tid;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::{Datum, Row, Ty};

/// A query's row as it is put together, and which version each part came from.
#[derive(Clone, Debug, Default)]
pub struct Tuple {
    pub values: Vec<Datum>,
    pub tids: Vec<Option<Tid>>,
}

impl Tuple {
    pub fn new(select: &Select) -> Tuple {
        Tuple { values: vec![Datum::Null; select.width], tids: vec![None; select.relations.len()] }
    }

    pub fn put(&mut self, relation: &Relation, row: &[Datum]) {
        let part = &mut self.values[relation.offset..relation.offset + relation.width];
        for (place, datum) in part.iter_mut().zip(row) {
            place.clone_from(datum);
        }
    }

    fn clear(&mut self, relation: &Relation) {
        self.values[relation.offset..relation.offset + relation.width].fill(Datum::Null);
    }
}

/// Where a scan's rows come from, once it has begun.
enum Rows {
    Fresh,
    /// The whole table, up to its end when the scan began.
    Heap {
        next: Tid,
        end: Tid,
    },
    Tids(std::vec::IntoIter<Tid>),
    Made(Arc<Vec<Row>>, usize),
    /// Those of a WITH query.
    Cte(usize),
    /// Those of a query in FROM, which is run as far as they are asked for.
    Query(usize),
}

pub struct ScanRun<'p> {
    scan: &'p Scan,
    relation: &'p Relation,
    rows: Rows,
    /// A row whose conditions are being tested: a wait within them comes back to it.
    current: bool,
    /// The query in FROM, what it gave so far, and whether that is all.
    sub: Option<Box<QueryRun<'p>>>,
    made: Vec<Row>,
    whole: bool,
}

#[allow(clippy::struct_excessive_bools, reason = "how far each side has come")]
pub struct JoinRun<'p> {
    kind: JoinKind,
    left: Node<'p>,
    right: Node<'p>,
    join: &'p From,
    begun: bool,
    has_left: bool,
    matched: bool,
    pending: bool,
    /// RIGHT and FULL: the right side's rows, and which of them found a partner.
    right_rows: Option<Vec<(Tuple, bool)>>,
    at: usize,
    tail: bool,
}

pub enum Node<'p> {
    Once(bool),
    Scan(Box<ScanRun<'p>>),
    Join(Box<JoinRun<'p>>),
}

impl<'p> Node<'p> {
    pub fn new(from: &'p From, select: &'p Select) -> Node<'p> {
        match from {
            From::Nothing => Node::Once(false),
            From::Scan(scan) => Node::Scan(Box::new(ScanRun {
                scan,
                relation: &select.relations[scan.relation],
                rows: Rows::Fresh,
                current: false,
                sub: None,
                made: Vec::new(),
                whole: false,
            })),
            From::Join { kind, left, right, .. } => Node::Join(Box::new(JoinRun {
                kind: *kind,
                left: Node::new(left, select),
                right: Node::new(right, select),
                join: from,
                begun: false,
                has_left: false,
                matched: false,
                pending: false,
                right_rows: None,
                at: 0,
                tail: false,
            })),
        }
    }

    fn rewind(&mut self) {
        match self {
            Node::Once(done) => *done = false,
            Node::Scan(run) => {
                run.rows = Rows::Fresh;
                run.current = false;
                // A query that reads no row before it is run once.
                if matches!(run.relation.source, Source::Query { lateral: true, .. }) {
                    (run.sub, run.whole) = (None, false);
                    run.made.clear();
                }
            }
            Node::Join(run) => {
                run.left.rewind();
                run.right.rewind();
                (run.has_left, run.matched, run.pending) = (false, false, false);
                (run.right_rows, run.at, run.tail) = (None, 0, false);
            }
        }
    }

    /// Runs what is to be read as a whole before anything is read.
    fn prepare(&self, cx: &mut Cx<'_>) -> Step<()> {
        match self {
            Node::Once(_) => Ok(()),
            Node::Scan(run) => run.prepare(cx),
            Node::Join(run) => {
                run.left.prepare(cx)?;
                if run.kind == JoinKind::Left { Ok(()) } else { run.right.prepare(cx) }
            }
        }
    }

    fn clear(&self, tuple: &mut Tuple) {
        match self {
            Node::Once(_) => {}
            Node::Scan(run) => {
                tuple.clear(run.relation);
                tuple.tids[run.scan.relation] = None;
            }
            Node::Join(run) => {
                run.left.clear(tuple);
                run.right.clear(tuple);
            }
        }
    }

    /// Puts the next row into its part of `tuple`; `false` at the end.
    pub fn next(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        match self {
            Node::Once(done) => Ok(!std::mem::replace(done, true)),
            Node::Scan(run) => run.next(tuple, cx, outer),
            Node::Join(run) => match run.kind {
                JoinKind::Inner | JoinKind::Left => run.next_left(tuple, cx, outer),
                JoinKind::Right | JoinKind::Full => run.next_right(tuple, cx, outer),
            },
        }
    }
}

fn all_true(
    conditions: &[Arc<crate::world::postgres::sql::Expr>],
    tuple: &Tuple,
    cx: &mut Cx<'_>,
    outer: Option<&Frame<'_>>,
) -> Step<bool> {
    let frame = Frame { row: &tuple.values, outer };
    for condition in conditions {
        if !is_true(condition, cx, &frame)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks again at a row of outer joins of which a part has changed: what they no longer tie to it
/// is NULL.
pub fn untie(
    from: &From,
    select: &Select,
    tuple: &mut Tuple,
    cx: &mut Cx<'_>,
    outer: Option<&Frame<'_>>,
) -> Step<()> {
    let From::Join { kind, left, right, on, .. } = from else { return Ok(()) };
    untie(left, select, tuple, cx, outer)?;
    untie(right, select, tuple, cx, outer)?;
    let optional = match kind {
        JoinKind::Left => right,
        JoinKind::Right => left,
        // No row of a FULL JOIN can be locked.
        JoinKind::Inner | JoinKind::Full => return Ok(()),
    };
    if !all_true(on, tuple, cx, outer)? {
        Node::new(optional, select).clear(tuple);
    }
    Ok(())
}

impl ScanRun<'_> {
    fn next(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        if matches!(self.rows, Rows::Fresh) {
            self.prepare(cx)?;
            self.begin(tuple, cx, outer)?;
        }
        loop {
            if !self.current && !self.load(tuple, cx, outer)? {
                return Ok(false);
            }
            self.current = true;
            let passed = all_true(&self.scan.filter, tuple, cx, outer)?;
            self.current = false;
            cx.settled();
            if passed {
                return Ok(true);
            }
        }
    }

    /// Runs what is to be read as a whole.
    fn prepare(&self, cx: &mut Cx<'_>) -> Step<()> {
        match &self.relation.source {
            Source::Cte(slot) if self.scan.whole => ctes::read_whole(*slot, cx),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, tuple: &Tuple, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<()> {
        let frame = Frame { row: &tuple.values, outer };
        let relation = self.relation;
        for bound in &self.scan.bounds {
            if eval(bound, cx, &frame)?.is_null() {
                self.rows = Rows::Tids(Vec::new().into_iter());
                cx.settled();
                return Ok(());
            }
        }
        self.rows = match &relation.source {
            Source::Table(table) => match &self.scan.lookup {
                None => Rows::Heap { next: 0, end: cx.db.heap(table.oid).end() },
                Some(lookup) => Rows::Tids(find(table.oid, lookup, cx, &frame)?.into_iter()),
            },
            Source::System(view) => Rows::Made(Arc::new(super::system::rows(cx.db, *view)), 0),
            Source::Cte(_) => Rows::Cte(0),
            Source::Query { query, .. } => {
                self.sub.get_or_insert_with(|| Box::new(QueryRun::new(query)));
                Rows::Query(0)
            }
            Source::Function { function, args, types, ordinality } => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    values.push(eval(arg, cx, &frame)?);
                }
                let wide = self.relation.width > 1 + usize::from(*ordinality);
                // Of several arrays each may be NULL.
                let set = if wide {
                    function(cx, &values, types)?
                } else {
                    call_set(*function, cx, &values, types)?
                };
                Rows::Made(Arc::new(unroll(set, *ordinality, wide)), 0)
            }
        };
        cx.settled();
        Ok(())
    }

    /// The next row that the snapshot shows, whatever the conditions say.
    fn load(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        match (&self.relation.source, &mut self.rows) {
            (Source::Table(table), _) => Ok(self.load_version(table.oid, tuple, cx)),
            (Source::Query { lateral, .. }, Rows::Query(at)) => {
                if *at == self.made.len() && !self.whole {
                    let frame = Frame { row: &tuple.values, outer };
                    let around = if *lateral { Some(&frame) } else { outer };
                    let run = self.sub.as_mut().expect("begun");
                    match run.next(cx, around)? {
                        Some(row) => self.made.push(row),
                        None => self.whole = true,
                    }
                    cx.settled();
                }
                let Some(row) = self.made.get(*at) else { return Ok(false) };
                *at += 1;
                tuple.put(self.relation, row);
                Ok(true)
            }
            (Source::Cte(slot), Rows::Cte(at)) => {
                let Some(row) = ctes::row(*slot, *at, cx)? else { return Ok(false) };
                *at += 1;
                tuple.put(self.relation, &row);
                Ok(true)
            }
            (_, Rows::Made(rows, at)) => {
                let Some(row) = rows.get(*at) else { return Ok(false) };
                *at += 1;
                tuple.put(self.relation, row);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn load_version(&mut self, table: Oid, tuple: &mut Tuple, cx: &Cx<'_>) -> bool {
        let heap = cx.db.heap(table);
        let own = cx.db.own(cx.pid);
        loop {
            let (tid, version) = match &mut self.rows {
                Rows::Heap { next, end } => match heap.at_or_after(*next) {
                    Some((tid, version)) if tid < *end => {
                        *next = tid + 1;
                        (tid, version)
                    }
                    _ => return false,
                },
                Rows::Tids(tids) => {
                    let Some(tid) = tids.next() else { return false };
                    match heap.get(tid) {
                        Some(version) => (tid, version),
                        None => continue,
                    }
                }
                Rows::Fresh | Rows::Made(..) | Rows::Cte(_) | Rows::Query(_) => return false,
            };
            if version.visible(&cx.state.snapshot, cx.state.cid, own, &cx.db.xacts) {
                tuple.put(self.relation, &version.row);
                if version.row.len() < self.relation.width {
                    let from = self.relation.offset + version.row.len();
                    tuple.values[from..self.relation.offset + self.relation.width]
                        .fill(Datum::Null);
                }
                tuple.tids[self.scan.relation] = Some(tid);
                return true;
            }
        }
    }
}

fn find(oid: Oid, lookup: &Lookup, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Vec<Tid>> {
    if let Some(any) = &lookup.any {
        let Datum::Array(array) = eval(any, cx, frame)? else { return Ok(Vec::new()) };
        let mut tids = Vec::new();
        for item in array.items.iter().filter(|item| !item.is_null()) {
            tids.extend(cx.db.heap(oid).lookup(lookup.index, &[item.clone()].into()));
        }
        tids.sort_unstable();
        tids.dedup();
        return Ok(tids);
    }
    let mut prefix = Vec::with_capacity(lookup.prefix.len());
    for expr in &lookup.prefix {
        let datum = eval(expr, cx, frame)?;
        if datum.is_null() {
            return Ok(Vec::new());
        }
        prefix.push(datum);
    }
    Ok(cx.db.heap(oid).lookup(lookup.index, &prefix.into()))
}

/// The array that a set-returning function gives: all are strict, NULL gives no rows.
pub fn call_set(function: Builtin, cx: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    if args.iter().any(Datum::is_null) { Ok(Datum::Null) } else { function(cx, args, types) }
}

/// One row per item of an array; `wide`: the items are rows themselves.
fn unroll(datum: Datum, ordinality: bool, wide: bool) -> Vec<Row> {
    let Datum::Array(array) = datum else { return Vec::new() };
    let mut rows: Vec<Row> = Vec::with_capacity(array.items.len());
    for (number, item) in (1_i64..).zip(&array.items) {
        rows.push(match (item, ordinality) {
            (Datum::Record(record), _) if wide => {
                let fields = record.fields.iter().map(|(_, field)| field.clone());
                fields.chain(ordinality.then_some(Datum::Int(number))).collect()
            }
            (item, true) => [item.clone(), Datum::Int(number)].into(),
            (item, false) => [item.clone()].into(),
        });
    }
    rows
}

impl JoinRun<'_> {
    fn parts(
        &self,
    ) -> (&[Arc<crate::world::postgres::sql::Expr>], &[Arc<crate::world::postgres::sql::Expr>])
    {
        match self.join {
            From::Join { on, filter, .. } => (on, filter),
            _ => (&[], &[]),
        }
    }

    fn next_left(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        let From::Join { on, filter, .. } = self.join else { return Ok(false) };
        if !self.begun && self.kind == JoinKind::Inner {
            self.right.prepare(cx)?;
        }
        self.begun = true;
        loop {
            if !self.has_left {
                if !self.left.next(tuple, cx, outer)? {
                    return Ok(false);
                }
                (self.has_left, self.matched, self.pending) = (true, false, false);
                self.right.rewind();
            }
            if !self.pending {
                if self.right.next(tuple, cx, outer)? {
                    self.pending = true;
                } else {
                    self.has_left = false;
                    if self.kind == JoinKind::Inner || self.matched {
                        continue;
                    }
                    self.right.clear(tuple);
                    if all_true(filter, tuple, cx, outer)? {
                        return Ok(true);
                    }
                    continue;
                }
            }
            let joined = all_true(on, tuple, cx, outer)?;
            let passed = joined && all_true(filter, tuple, cx, outer)?;
            self.pending = false;
            cx.settled();
            self.matched |= joined;
            if passed {
                return Ok(true);
            }
        }
    }

    /// RIGHT and FULL keep the right side's rows to see which found no partner.
    fn next_right(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        if self.right_rows.is_none() {
            let mut rows = Vec::new();
            self.right.rewind();
            while self.right.next(tuple, cx, outer)? {
                rows.push((tuple.clone(), false));
            }
            self.right_rows = Some(rows);
        }
        while !self.tail {
            if !self.has_left {
                if !self.left.next(tuple, cx, outer)? {
                    (self.tail, self.at) = (true, 0);
                    break;
                }
                (self.has_left, self.matched, self.at) = (true, false, 0);
            }
            if self.match_right(tuple, cx, outer)? {
                return Ok(true);
            }
            self.has_left = false;
            if self.kind == JoinKind::Full && !self.matched {
                self.right.clear(tuple);
                let (_, filter) = self.parts();
                if all_true(filter, tuple, cx, outer)? {
                    return Ok(true);
                }
            }
        }
        self.unmatched(tuple, cx, outer)
    }

    fn match_right(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        let From::Join { on, filter, .. } = self.join else { return Ok(false) };
        let rows = self.right_rows.as_mut().expect("read before the left side");
        while self.at < rows.len() {
            self.right.fill(tuple, &rows[self.at].0);
            let joined = all_true(on, tuple, cx, outer)?;
            if joined {
                rows[self.at].1 = true;
                self.matched = true;
            }
            let passed = joined && all_true(filter, tuple, cx, outer)?;
            self.at += 1;
            cx.settled();
            if passed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn unmatched(
        &mut self,
        tuple: &mut Tuple,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<bool> {
        let From::Join { filter, .. } = self.join else { return Ok(false) };
        let rows = self.right_rows.as_mut().expect("read before the left side");
        while self.at < rows.len() {
            let (row, matched) = &rows[self.at];
            self.at += 1;
            if *matched {
                continue;
            }
            self.left.clear(tuple);
            self.right.fill(tuple, row);
            if all_true(filter, tuple, cx, outer)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Node<'_> {
    /// Copies this node's part of a kept row.
    fn fill(&self, tuple: &mut Tuple, from: &Tuple) {
        match self {
            Node::Once(_) => {}
            Node::Scan(run) => {
                let part = run.relation.offset..run.relation.offset + run.relation.width;
                tuple.values[part.clone()].clone_from_slice(&from.values[part]);
                tuple.tids[run.scan.relation] = from.tids[run.scan.relation];
            }
            Node::Join(run) => {
                run.left.fill(tuple, from);
                run.right.fill(tuple, from);
            }
        }
    }
}
