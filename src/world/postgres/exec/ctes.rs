//! WITH queries: each is run as far as its rows are asked for, and they are kept for all who read
//! it. Must never run one that nobody reads, unless it writes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Cx, Frame, PlanRun, QueryRun};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::Cte;
use crate::world::postgres::types::Row;

/// The WITH queries of one query.
#[derive(Default)]
pub struct Ctes<'p> {
    all: Vec<Entry<'p>>,
}

struct Entry<'p> {
    cte: &'p Cte,
    run: RefCell<CteRun<'p>>,
    /// What the repeated part of a recursive one reads of it while it runs.
    round: RefCell<Option<Arc<Vec<Row>>>>,
}

/// A query on its way, with its WITH queries.
pub trait Run<'p> {
    fn ctes(&mut self) -> &mut Ctes<'p>;

    /// Its next row, while they are at hand.
    fn give(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<Option<Row>>;

    fn next(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<Option<Row>> {
        if self.ctes().all.is_empty() {
            return self.give(cx, outer);
        }
        let ctes = std::mem::take(self.ctes());
        let given = ctes.within(cx, outer, |cx| self.give(cx, outer));
        *self.ctes() = ctes;
        given
    }

    /// Runs those of its WITH queries that write to their end, the last one first, as PostgreSQL
    /// does when no more rows are wanted.
    fn finish(&mut self, cx: &mut Cx<'_>) -> Step<()> {
        let ctes = self.ctes();
        let writers = ctes.all.iter().rev().filter(|entry| entry.cte.plan.writes());
        for entry in writers {
            ctes.within(cx, None, |cx| read_whole(entry.cte.slot, cx))?;
        }
        Ok(())
    }
}

/// How far one has come.
#[derive(Default)]
struct CteRun<'p> {
    first: Option<PlanRun<'p>>,
    /// The part that is repeated, and what the round before gave to it.
    again: Option<(Box<QueryRun<'p>>, Arc<Vec<Row>>)>,
    rows: Vec<Row>,
    whole: bool,
    /// Where the rows of the current round begin.
    fresh: usize,
    seen: BTreeSet<Row>,
}

/// The WITH queries that can be read at some place: those of a query, and of the ones around it.
pub struct Visible<'a> {
    own: &'a dyn Readable,
    /// The row around the query.
    outer: Option<&'a Frame<'a>>,
    around: Option<&'a Visible<'a>>,
    /// What they have done stays done when the step is taken again.
    stays: bool,
}

trait Readable {
    /// A row by its number, or `None` at the end; nothing at all if the query is none of them.
    fn row(
        &self,
        slot: usize,
        at: usize,
        here: &Visible<'_>,
        cx: &mut Cx<'_>,
    ) -> Option<Step<Option<Row>>>;
}

impl<'p> Ctes<'p> {
    pub fn new(ctes: &'p [Cte]) -> Ctes<'p> {
        let entry = |cte| Entry { cte, run: RefCell::default(), round: RefCell::default() };
        Ctes { all: ctes.iter().map(entry).collect() }
    }

    /// Goes on with their query.
    fn within<T>(
        &self,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
        run: impl FnOnce(&mut Cx<'_>) -> T,
    ) -> T {
        let stays = !cx.state.calls.begins_anew();
        let here = Visible { own: self, outer, around: cx.ctes, stays };
        let (pid, params) = (cx.pid, cx.params);
        run(&mut Cx { db: cx.db, pid, params, state: cx.state, ctes: Some(&here) })
    }
}

impl Readable for Ctes<'_> {
    fn row(
        &self,
        slot: usize,
        at: usize,
        here: &Visible<'_>,
        cx: &mut Cx<'_>,
    ) -> Option<Step<Option<Row>>> {
        let entry = self.all.iter().find(|entry| entry.cte.slot == slot)?;
        if let Some(round) = &*entry.round.borrow() {
            return Some(Ok(round.get(at).cloned()));
        }
        let run = &mut *entry.run.borrow_mut();
        while run.rows.len() <= at && !run.whole {
            if let Err(stop) = run.pull(entry, here, cx) {
                return Some(Err(stop));
            }
        }
        Some(Ok(run.rows.get(at).cloned()))
    }
}

impl<'p> CteRun<'p> {
    /// Asks for one row more. What it calls is its own affair, whoever asks.
    fn pull(&mut self, entry: &Entry<'p>, here: &Visible<'_>, cx: &mut Cx<'_>) -> Step<()> {
        let strand = here.stays.then(|| cx.state.calls.enter(Some(entry.cte.slot)));
        match self.next(entry, cx, here.outer)? {
            Some(row) => self.rows.push(row),
            None => self.whole = true,
        }
        if let Some(strand) = strand {
            cx.settled();
            cx.state.calls.enter(strand);
        }
        Ok(())
    }

    fn next(
        &mut self,
        entry: &Entry<'p>,
        cx: &mut Cx<'_>,
        outer: Option<&Frame<'_>>,
    ) -> Step<Option<Row>> {
        loop {
            let row = match &mut self.again {
                None => {
                    let first = self.first.get_or_insert_with(|| PlanRun::new(&entry.cte.plan));
                    first.next(cx, outer)?
                }
                Some((run, round)) => {
                    entry.round.replace(Some(round.clone()));
                    let row = run.next(cx, outer);
                    entry.round.replace(None);
                    row?
                }
            };
            let Some((step, all)) = &entry.cte.recursive else { return Ok(row) };
            match row {
                Some(row) if *all || self.seen.insert(row.clone()) => return Ok(Some(row)),
                Some(_) => {}
                None if self.fresh == self.rows.len() => return Ok(None),
                None => {
                    let round = Arc::new(self.rows[self.fresh..].to_vec());
                    self.fresh = self.rows.len();
                    self.again = Some((Box::new(QueryRun::new(step)), round));
                }
            }
            if self.rows.len() > 1_000_000 {
                let what = "a recursive query of more than 1,000,000 rows";
                return Err(PgError::unsupported(what).into());
            }
        }
    }
}

/// A row of a WITH query by its number; `None` at the end.
pub fn row(slot: usize, at: usize, cx: &mut Cx<'_>) -> Step<Option<Row>> {
    let mut level = cx.ctes;
    while let Some(here) = level {
        let (pid, params) = (cx.pid, cx.params);
        let own = &mut Cx { db: cx.db, pid, params, state: cx.state, ctes: Some(here) };
        if let Some(found) = here.own.row(slot, at, here, own) {
            return found;
        }
        level = here.around;
    }
    Ok(None)
}

/// Runs a WITH query to its end.
pub fn read_whole(slot: usize, cx: &mut Cx<'_>) -> Step<()> {
    row(slot, usize::MAX, cx).map(drop)
}
