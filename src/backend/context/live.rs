//! The live contexts: how many a user and all users may have, and when one is let go.
//! Must never hold a context: it only counts them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::super::config::Limits;
use super::super::events;
use super::super::ids::ContextId;
use super::{ContextError, Request, UserExecutionContext};
use crate::env::Env;
use crate::sync::Shared;

/// A limit of live contexts is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error(transparent)]
    Refused(#[from] ContextError),
    #[error("too many live contexts")]
    Limit,
}

#[derive(Default)]
struct Counts {
    all: usize,
    /// By tenant and user.
    of_user: BTreeMap<(String, String), usize>,
}

/// The factory as the gateway uses it.
#[derive(Clone)]
pub struct Contexts<E: Env> {
    env: E,
    counts: Shared<E, Counts>,
    user_max: usize,
    all_max: usize,
}

impl<E: Env> Contexts<E> {
    pub fn new(env: &E, limits: &Limits) -> Contexts<E> {
        let counts = Shared::new(env, "contexts", Counts::default());
        let (user_max, all_max) = (limits.contexts_per_user, limits.contexts);
        Contexts { env: env.clone(), counts, user_max, all_max }
    }

    /// Builds, counts and announces a context.
    pub async fn create(&self, request: Request) -> Result<UserExecutionContext, Full> {
        let (user, tenant) = (request.user_id.clone(), request.tenant_id.clone());
        let id = ContextId::draw(&self.env);
        let context = UserExecutionContext::from_request(id, request)
            .map_err(Full::from)
            .inspect_err(|error| events::context_refused(&user, &error.to_string()))?;
        let key = (tenant, user);
        if !self.count(&key).await {
            events::context_refused(&key.1, "limit");
            return Err(Full::Limit);
        }
        Ok(context_announced(context, &self.counts, key))
    }

    pub async fn live(&self) -> usize {
        self.counts.with(|counts| counts.all).await
    }

    /// Checked and counted in one step.
    async fn count(&self, key: &(String, String)) -> bool {
        self.counts
            .with(|counts| {
                let of_user = counts.of_user.get(key).copied().unwrap_or(0);
                let room = counts.all < self.all_max && of_user < self.user_max;
                if room {
                    counts.all += 1;
                    counts.of_user.insert(key.clone(), of_user + 1);
                }
                room
            })
            .await
    }
}

fn context_announced<E: Env>(
    context: UserExecutionContext,
    counts: &Shared<E, Counts>,
    key: (String, String),
) -> UserExecutionContext {
    events::context_created(
        context.id().as_str(),
        context.tenant_id().as_str(),
        context.user_id().as_str(),
        context.thread_id().as_str(),
        context.run_id().as_str(),
        context.request_id().as_str(),
        context.connection_id().as_str(),
    );
    let (id, run) = (context.id().to_string(), context.run_id().to_string());
    let counts = counts.clone();
    context.leased(Lease(Arc::new(Release(Box::new(move || {
        counts.with_in_drop(|counts| forget(counts, &key));
        events::context_dropped(&id, &key.1, &run);
    })))))
}

fn forget(counts: &mut Counts, key: &(String, String)) {
    counts.all -= 1;
    if let Some(of_user) = counts.of_user.get_mut(key) {
        *of_user -= 1;
        if *of_user == 0 {
            counts.of_user.remove(key);
        }
    }
}

/// A place among the live contexts, given back when the last holder drops it.
#[derive(Clone, Debug)]
pub(super) struct Lease(#[expect(dead_code, reason = "held for its drop")] Arc<Release>);

struct Release(Box<dyn Fn() + Send + Sync>);

impl Drop for Release {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Release")
    }
}
