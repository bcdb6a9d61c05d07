//! What is compared: one schema and one interleaving as SQL, and how sessions come by their turns.
//! Must never draw at run time: a script is data, so that it can be shrunk and kept.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One schema and one interleaving.
#[derive(Clone, Debug)]
pub struct Script {
    pub sessions: usize,
    /// The session that looks for deadlocks.
    pub detector: usize,
    pub set_up: Vec<String>,
    /// Session and statement.
    pub steps: Vec<(usize, String)>,
    /// What is to be the same in the end.
    pub contents: Vec<String>,
    pub tear_down: Vec<String>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "detector s{}; {}", self.detector, self.set_up.join("; "))
    }
}

/// How far behind the session whose turn it is the speaker comes, and the statement.
pub type Said = (usize, String);

/// A session, and what it says before others have their turn; what another session says in between
/// is told by how far behind it comes.
pub type Turn = (usize, Vec<Said>);

/// Session and statement of every turn.
pub fn steps(sessions: usize, turns: &[Turn]) -> Vec<(usize, String)> {
    let turn = |(session, said): &Turn| {
        let by = |(behind, sql): &Said| ((session + behind) % sessions, sql.clone());
        said.iter().map(by).collect::<Vec<_>>()
    };
    turns.iter().flat_map(turn).collect()
}

pub fn alone(said: Vec<String>) -> Vec<Said> {
    said.into_iter().map(|sql| (0, sql)).collect()
}

pub fn control() -> impl Strategy<Value = String> {
    let levels = select(vec!["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"]);
    prop_oneof![
        5 => levels.prop_map(|level| format!("BEGIN ISOLATION LEVEL {level}")),
        3 => Just("COMMIT".to_owned()),
        1 => Just("ROLLBACK".to_owned()),
        1 => Just("SAVEPOINT s".to_owned()),
        1 => Just("ROLLBACK TO s".to_owned()),
        1 => Just("RELEASE s".to_owned()),
    ]
}

/// What a session does with savepoints, in one go: of the statements by themselves hardly a case
/// has the right ones in the right order.
pub fn savepoints(statement: BoxedStrategy<String>) -> impl Strategy<Value = Vec<String>> {
    let said = |sql: &str| Just(sql.to_owned());
    let step = prop_oneof![
        2 => said("SAVEPOINT s"),
        1 => said("SAVEPOINT r"),
        2 => said("ROLLBACK TO s"),
        2 => said("RELEASE s"),
        1 => said("ROLLBACK TO r"),
        6 => statement,
    ];
    vec(step, 2..7).prop_map(|mut steps| {
        steps.insert(0, "SAVEPOINT s".to_owned());
        steps
    })
}

/// One session writes, or two, and the next one, which says up to so much, has to wait for them.
/// Left to chance it hardly happens that they want the same.
pub fn contest(
    writes: BoxedStrategy<String>,
    waits: BoxedStrategy<String>,
    most: usize,
) -> BoxedStrategy<Vec<Said>> {
    let end = select(vec!["COMMIT", "COMMIT", "ROLLBACK"]);
    let level = select(vec!["READ COMMITTED", "REPEATABLE READ"]);
    let within = prop::option::weighted(0.3, level);
    let other = prop::option::weighted(0.3, (writes.clone(), end.clone()));
    (vec(writes, 1..3), other, within, vec(waits, 1..=most), end)
        .prop_map(|(writes, other, within, waits, end)| {
            let begin = || "BEGIN".to_owned();
            let mut said = vec![(0, begin())];
            said.extend(writes.into_iter().map(|sql| (0, sql)));
            if let Some((write, _)) = &other {
                said.extend([(2, begin()), (2, write.clone())]);
            }
            said.extend(within.map(|level| (1, format!("BEGIN ISOLATION LEVEL {level}"))));
            said.extend(waits.into_iter().map(|sql| (1, sql)));
            said.push((0, end.to_owned()));
            said.extend(other.map(|(_, end)| (2, end.to_owned())));
            said.extend(within.map(|_| (1, "COMMIT".to_owned())));
            said
        })
        .boxed()
}
