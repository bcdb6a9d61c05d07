//! What a campaign saw of each expectation, over all its runs and shards.
//! Must never judge a campaign that is smaller than the file asks for.

use crate::scenario::{Claim, Expect, Scenario, Span, show_ppm};

/// Counts of one run or, merged, of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that came to a verdict.
    pub runs: u64,
    /// In the order of the scenario.
    pub expects: Vec<ExpectTally>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectTally {
    pub id: String,
    /// Runs in which it had a case.
    pub active: u64,
    /// For each order of a `sometimes`, the runs in which it was seen.
    pub hits: Vec<u64>,
}

/// What a whole campaign lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The expectation's id.
    pub id: String,
    pub lack: Lack,
    pub message: String,
    pub span: Span,
    /// Whether it fails the gate: the campaign was as long as the file asks for, and had the faults
    /// that it takes.
    pub judged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The expectation never had a case.
    Vacuous,
    /// An order of a `sometimes` was seen too seldom.
    Unreached { order: String, hits: u64 },
}

impl Tally {
    /// Adds the counts of another part of the same campaign. An empty tally takes on any shape.
    pub fn merge(&mut self, other: &Tally) {
        self.runs += other.runs;
        if self.expects.is_empty() {
            self.expects.clone_from(&other.expects);
            return;
        }
        for (mine, theirs) in self.expects.iter_mut().zip(&other.expects) {
            assert_eq!(mine.id, theirs.id, "tallies of two scenarios");
            mine.active += theirs.active;
            for (mine, theirs) in mine.hits.iter_mut().zip(&theirs.hits) {
                *mine += theirs;
            }
        }
    }

    /// What the campaign lacks, judged if it had at least the file's own number of runs. `whole`:
    /// the engine has left no fault out; how often a `sometimes` is reached depends on them.
    pub fn campaign(&self, scenario: &Scenario, whole: bool) -> Vec<Finding> {
        let enough = self.runs >= scenario.run.seeds;
        let each = scenario.expects.iter().zip(&self.expects);
        let judged =
            |expect: &Expect| enough && (whole || !matches!(expect.claim, Claim::Sometimes { .. }));
        each.flat_map(|(expect, tally)| self.findings(expect, tally, judged(expect))).collect()
    }

    fn findings(&self, expect: &Expect, tally: &ExpectTally, judged: bool) -> Vec<Finding> {
        let finding = |lack, message| Finding {
            id: expect.id.clone(),
            lack,
            message,
            span: expect.span.clone(),
            judged,
        };
        let runs = self.runs;
        match &expect.claim {
            Claim::Sometimes { orders, at_least_ppm } => {
                let seldom = |hits: u64| {
                    let share = u128::from(hits) * 1_000_000;
                    hits == 0 || share < u128::from(*at_least_ppm) * u128::from(runs)
                };
                let wanted = match at_least_ppm {
                    0 => "at least one".to_owned(),
                    ppm => show_ppm(*ppm),
                };
                let lacking = orders.iter().zip(&tally.hits).filter(|(_, hits)| seldom(**hits));
                lacking
                    .map(|(order, hits)| {
                        let message = format!(
                            "`{order}` was seen in {hits} of {runs} runs, expected {wanted}"
                        );
                        finding(Lack::Unreached { order: order.to_string(), hits: *hits }, message)
                    })
                    .collect()
            }
            _ if tally.active == 0 && expect.may_be_vacuous.is_none() => {
                let message = format!("`{}` never had a case in {runs} runs", expect.id);
                vec![finding(Lack::Vacuous, message)]
            }
            _ => Vec::new(),
        }
    }
}
