//! What must not happen twice although its step is taken again after a wait: calls of functions of
//! one's own, and of those whose every call counts. Must never run one.

use std::sync::Arc;

use super::{Cx, Frame, eval};
use crate::world::postgres::error::{Step, Stop, common};
use crate::world::postgres::sql::Expr;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::Datum;

/// Which call it was.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Builtin(&'static str),
    Routine(Oid, Vec<Datum>),
    /// What a text named.
    Named(Datum),
}

/// The calls of the current step that are through.
#[derive(Debug, Default)]
pub struct Calls {
    /// Of the statement itself.
    main: Strand,
    /// Of its WITH queries by slot: each goes on where it was, whatever part of the step asks.
    others: Vec<(usize, Strand)>,
    /// Which of them is running.
    current: Option<usize>,
    /// Those of constants alone, which are made once for the whole statement.
    constant: Vec<(Call, Datum)>,
}

/// Calls in their order.
#[derive(Debug, Default)]
struct Strand {
    made: Vec<(Call, Datum)>,
    /// Those before it have been met again since the step began.
    at: usize,
    /// Within subqueries, which begin anew with the step.
    within: usize,
}

impl Calls {
    /// The step is taken, perhaps again.
    pub fn restart(&mut self) {
        self.current = None;
        let others = self.others.iter_mut().map(|(_, strand)| strand);
        for strand in others.chain([&mut self.main]) {
            (strand.at, strand.within) = (0, 0);
        }
    }

    fn strand(&mut self) -> &mut Strand {
        let Some(slot) = self.current else { return &mut self.main };
        let known = self.others.iter().position(|(of, _)| *of == slot);
        let at = known.unwrap_or_else(|| {
            self.others.push((slot, Strand::default()));
            self.others.len() - 1
        });
        &mut self.others[at].1
    }

    /// A WITH query goes on, or the statement itself; what did before.
    pub fn enter(&mut self, slot: Option<usize>) -> Option<usize> {
        std::mem::replace(&mut self.current, slot)
    }

    /// Whether what runs now begins anew with the step.
    pub fn begins_anew(&mut self) -> bool {
        self.strand().within > 0
    }

    /// A part of the step is through and will not come again.
    pub fn settled(&mut self) {
        let strand = self.strand();
        if strand.at > 0 && strand.within == 0 {
            strand.made.drain(..strand.at);
            strand.at = 0;
        }
    }

    /// What is asked anew has not been called.
    pub fn forget(&mut self) {
        let strand = self.strand();
        strand.made.clear();
        strand.at = 0;
    }

    /// A call was made.
    pub fn note(&mut self, call: Call, result: Datum) {
        self.strand().made.push((call, result));
    }

    /// It will give this wherever it stands.
    pub fn keep(&mut self, call: Call, result: Datum) {
        if self.kept(&call).is_none() {
            self.constant.push((call, result));
        }
    }

    fn kept(&self, wanted: &Call) -> Option<Datum> {
        self.constant.iter().find(|(call, _)| call == wanted).map(|(_, result)| result.clone())
    }

    fn met(&mut self, wanted: impl Fn(&Call) -> bool) -> Option<Datum> {
        let strand = self.strand();
        let found = strand.made[strand.at..].iter().position(|(call, _)| wanted(call))?;
        strand.at += found + 1;
        Some(strand.made[strand.at - 1].1.clone())
    }
}

/// A call of a builtin that counts.
pub fn counted(name: &'static str, call: &Expr, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    once(Call::Builtin(name), cx, |cx| eval(call, cx, frame))
}

/// What the call gave before the step was taken again, or gives now.
pub fn once(
    call: Call,
    cx: &mut Cx<'_>,
    run: impl FnOnce(&mut Cx<'_>) -> Step<Datum>,
) -> Step<Datum> {
    if let Some(known) = cx.state.calls.met(|made| *made == call) {
        return Ok(known);
    }
    let result = run(cx)?;
    let strand = cx.state.calls.strand();
    strand.made.push((call, result.clone()));
    strand.at = strand.made.len();
    Ok(result)
}

/// A call of a function of one's own: whoever takes the step runs it and comes back. `stays`:
/// nothing might have stood in its place.
pub fn routine(
    oid: Oid,
    args: &[Expr],
    stays: bool,
    cx: &mut Cx<'_>,
    frame: &Frame<'_>,
) -> Step<Datum> {
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        values.push(eval(arg, cx, frame)?);
    }
    let Some(routine) = cx.db.routine(oid, cx.pid) else {
        return Err(common::function_gone(oid).into());
    };
    if routine.strict && values.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let routine = routine.clone();
    let call = Call::Routine(oid, values);
    if let Some(known) = cx.state.calls.kept(&call) {
        return Ok(known);
    }
    if let Some(known) = cx.state.calls.met(|made| *made == call) {
        return Ok(known);
    }
    let Call::Routine(_, args) = call else { return Ok(Datum::Null) };
    Err(Stop::Call(Arc::new((routine, args, stays))))
}

/// Runs what begins anew when the step does.
pub fn within<T>(cx: &mut Cx<'_>, run: impl FnOnce(&mut Cx<'_>) -> Step<T>) -> Step<T> {
    cx.state.calls.strand().within += 1;
    let done = run(cx);
    // After a stop it may be within a WITH query: the step is taken from its beginning.
    if done.is_ok() {
        cx.state.calls.strand().within -= 1;
    }
    done
}
