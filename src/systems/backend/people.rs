//! Who the users of a plan are to the backend: tenant, name, password. A user's id is its name in
//! the scenario, so that events of both sides agree. Must never depend on anything but the plan.

use crate::plan::UserPlan;

/// Users are dealt to them in turn.
const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// The same for everybody: what is rehearsed is not guessing.
pub const PASSWORD: &str = "correct horse battery staple";

pub fn tenant(user: &UserPlan) -> &'static str {
    TENANTS[user.index % TENANTS.len()]
}
