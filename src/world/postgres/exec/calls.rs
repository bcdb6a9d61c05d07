//! What must not happen twice although its step is taken again after a wait: calls of functions of
//! one's own, and of those whose every call counts. Must never run one.

use std::sync::Arc;

use super::{Cx, Frame, eval};
use crate::world::postgres::error::{PgError, Step, Stop};
use crate::world::postgres::sql::Expr;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::Datum;

/// Which call it was.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Builtin(&'static str),
    Routine(Oid, Vec<Datum>),
}

/// The calls of the current step that are through, in their order.
#[derive(Debug, Default)]
pub struct Calls {
    made: Vec<(Call, Datum)>,
    /// Those before it have been met again since the step began.
    at: usize,
    /// Within subqueries, which begin anew with the step.
    within: usize,
    /// Those of constants alone, which are made once for the whole statement.
    constant: Vec<(Call, Datum)>,
}

impl Calls {
    /// The step is taken, perhaps again.
    pub fn restart(&mut self) {
        (self.at, self.within) = (0, 0);
    }

    /// A part of the step is through and will not come again.
    pub fn settled(&mut self) {
        if self.at > 0 && self.within == 0 {
            self.made.drain(..self.at);
            self.at = 0;
        }
    }

    /// What is asked anew has not been called.
    pub fn forget(&mut self) {
        self.made.clear();
        self.at = 0;
    }

    /// A call was made.
    pub fn note(&mut self, call: Call, result: Datum) {
        self.made.push((call, result));
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
        let found = self.made[self.at..].iter().position(|(call, _)| wanted(call))?;
        self.at += found + 1;
        Some(self.made[self.at - 1].1.clone())
    }
}

/// A call of a builtin that counts.
pub fn counted(name: &'static str, call: &Expr, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    let known = cx.state.calls.met(|call| matches!(call, Call::Builtin(other) if *other == name));
    if let Some(known) = known {
        return Ok(known);
    }
    let result = eval(call, cx, frame)?;
    cx.state.calls.note(Call::Builtin(name), result.clone());
    cx.state.calls.at = cx.state.calls.made.len();
    Ok(result)
}

/// A call of a function of one's own: whoever takes the step runs it and comes back.
pub fn routine(oid: Oid, args: &[Expr], cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        values.push(eval(arg, cx, frame)?);
    }
    let Some(routine) = cx.db.routine(oid, cx.pid) else {
        let message = format!("cache lookup failed for function {oid}");
        return Err(PgError::new("XX000", message).into());
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
    Err(Stop::Call(Arc::new((routine, args))))
}

/// Runs what begins anew when the step does.
pub fn within<T>(cx: &mut Cx<'_>, run: impl FnOnce(&mut Cx<'_>) -> Step<T>) -> Step<T> {
    cx.state.calls.within += 1;
    let done = run(cx);
    cx.state.calls.within -= 1;
    done
}
