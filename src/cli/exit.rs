//! Every exit code, in one table. Must never hold a code that something else computes.

use std::process::ExitCode;

use crate::report::{Summary, Verdict};

/// How the process ends. The worst of several runs wins: internal, diverged, violated,
/// inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Held,
    /// A violation, or a campaign that was vacuous.
    Violated,
    /// Wrong usage, a scenario that does not parse, or an environment that lacks something.
    Usage,
    Diverged,
    NothingSelected,
    Inconclusive,
    Internal,
    Interrupted,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Held => 0,
            Exit::Violated => 1,
            Exit::Usage => 2,
            Exit::Diverged => 3,
            Exit::NothingSelected => 4,
            Exit::Inconclusive => 5,
            Exit::Internal => 70,
            Exit::Interrupted => 130,
        }
    }

    /// `git bisect run` reads 0 as good, 1 as bad and 125 as "cannot tell".
    pub fn under_bisect(self) -> u8 {
        match self {
            Exit::Held | Exit::Violated => self.code(),
            _ => 125,
        }
    }

    pub fn of(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Held => Exit::Held,
            Verdict::Violated => Exit::Violated,
            Verdict::Inconclusive => Exit::Inconclusive,
            Verdict::Diverged => Exit::Diverged,
            Verdict::Internal => Exit::Internal,
        }
    }

    pub fn of_summary(summary: &Summary) -> Exit {
        if summary.interrupted {
            return Exit::Interrupted;
        }
        let counts = summary.counts();
        let worst = [Verdict::Internal, Verdict::Diverged, Verdict::Violated];
        if let Some(verdict) = worst.into_iter().find(|verdict| counts.of(*verdict) > 0) {
            return Exit::of(verdict);
        }
        if summary.vacuous() {
            return Exit::Violated;
        }
        match (counts.all(), counts.of(Verdict::Inconclusive)) {
            (0, _) => Exit::NothingSelected,
            (_, 0) => Exit::Held,
            _ => Exit::Inconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ScenarioReport;

    fn summary(verdicts: &[Verdict]) -> Summary {
        let mut report = ScenarioReport::new("x");
        for verdict in verdicts {
            report.counts.add(*verdict, 1);
        }
        Summary { scenarios: vec![report], ..Summary::default() }
    }

    #[test]
    fn the_worst_verdict_decides_in_the_order_70_3_1_5() {
        use Verdict::{Diverged, Held, Inconclusive, Internal, Violated};
        let all = [Held, Inconclusive, Violated, Diverged, Internal];
        let codes: Vec<u8> =
            (0..=5).map(|some| Exit::of_summary(&summary(&all[..some])).code()).collect();
        assert_eq!(codes, [4, 0, 5, 1, 3, 70]);
    }

    #[test]
    fn an_interrupted_run_exits_130_whatever_it_had_found() {
        let mut summary = summary(&[Verdict::Violated]);
        summary.interrupted = true;
        assert_eq!(Exit::of_summary(&summary).code(), 130);
    }

    #[test]
    fn under_bisect_only_held_and_violated_are_verdicts() {
        use Exit::{Diverged, Held, Inconclusive, Internal, Interrupted, NothingSelected, Usage};
        assert_eq!((Held.under_bisect(), Exit::Violated.under_bisect()), (0, 1));
        for exit in [Usage, Diverged, NothingSelected, Inconclusive, Internal, Interrupted] {
            assert_eq!(exit.under_bisect(), 125);
        }
    }
}
