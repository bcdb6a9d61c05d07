//! Sessions that share a theme: what they do beside each other, and on which tables.
//! Must never leave it to a planner in which order rows are found.

mod definitions;
mod keys;
mod routines;
mod rows;

use proptest::collection::vec;
use proptest::prelude::*;

use super::interleaving::{Script, Turn, alone, contest, control, savepoints, steps};

/// What the scripts of a theme are made of.
struct Theme {
    set_up: BoxedStrategy<Vec<String>>,
    /// What is said before anything else, and by whom.
    first: Vec<(usize, String)>,
    statement: BoxedStrategy<String>,
    contents: Vec<String>,
    tear_down: Vec<String>,
}

fn owned(statements: &[&str]) -> Vec<String> {
    statements.iter().map(|&statement| statement.to_owned()).collect()
}

/// One of them.
fn one_of(statements: &[&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(statements.to_vec()).prop_map(str::to_owned).boxed()
}

fn turns(statement: BoxedStrategy<String>) -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        9 => statement.clone().prop_map(|sql| vec![sql]),
        1 => (statement.clone(), statement.clone())
            .prop_map(|(one, other)| vec![format!("{one}; {other}")]),
        3 => control().prop_map(|sql| vec![sql]),
        1 => savepoints(statement.clone()),
    ];
    let contest = contest(statement.clone(), statement, 4);
    let turn = prop_oneof![1 => turn.prop_map(alone), 2 => contest];
    vec((0..3_usize, turn), 1..6)
}

impl Theme {
    fn scripts(self) -> BoxedStrategy<Script> {
        let Theme { set_up, first, statement, contents, tear_down } = self;
        (set_up, 2..4_usize, 0..3_usize, turns(statement))
            .prop_map(move |(set_up, sessions, detector, turns)| Script {
                sessions,
                detector: detector % sessions,
                set_up,
                steps: first.iter().cloned().chain(steps(sessions, &turns)).collect(),
                contents: contents.clone(),
                tear_down: tear_down.clone(),
            })
            .boxed()
    }
}

pub fn any() -> BoxedStrategy<Script> {
    prop_oneof![
        4 => definitions::any(),
        2 => keys::partial().scripts(),
        2 => keys::chains().scripts(),
        2 => rows::of_one_table().scripts(),
        2 => rows::advisory().scripts(),
        2 => rows::multixacts(),
        2 => routines::functions().scripts(),
        2 => routines::policies().scripts(),
    ]
    .boxed()
}
