//! Single flight's async face. Must never leave the turn with a future that was dropped.

use std::future::Future;
use std::sync::Arc;

use super::cores::once::{self, Answer, Asked};
use crate::env::Env;

/// A value made at most once, by the first who asks; the others wait. Clones share it.
#[derive(Clone)]
pub struct Once<E, T> {
    env: E,
    name: &'static str,
    core: Arc<once::Once<T>>,
}

impl<E: Env, T: Clone + Send> Once<E, T> {
    /// `name` says what is made once, for traces (`pool`).
    pub fn new(env: &E, name: &'static str) -> Once<E, T> {
        Once { env: env.clone(), name, core: Arc::new(once::Once::new()) }
    }

    /// The value, made by `make` if it is this caller's turn. If `make` fails or is dropped, the
    /// next in line takes its turn with a `make` of its own.
    pub async fn get_or_init<Er, F>(&self, make: impl FnOnce() -> F) -> Result<T, Er>
    where
        F: Future<Output = Result<T, Er>>,
    {
        self.env.point(self.name).await;
        let answer = match self.core.ask() {
            Asked::Answered(answer) => answer,
            Asked::Waits(wait) => wait.await,
        };
        if let Answer::Value(value) = answer {
            return Ok(value);
        }
        let mut turn = Turn { core: &self.core, over: false };
        let value = make().await?;
        self.env.point(self.name).await;
        turn.over = true;
        self.core.finish(&value);
        Ok(value)
    }

    /// The value, if it has been made.
    pub async fn get(&self) -> Option<T> {
        self.env.point(self.name).await;
        self.core.get()
    }
}

/// The right to initialise; passed on when dropped before it is over.
struct Turn<'a, T: Clone> {
    core: &'a once::Once<T>,
    over: bool,
}

impl<T: Clone> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if !self.over {
            self.core.give_up();
        }
    }
}
