//! What a role may do. Checked when the action happens, not when the connection opened.
//! Must never grant to an unknown role.

/// The permissions of all of `roles`, sorted, each once.
pub fn of_roles<'a>(roles: impl IntoIterator<Item = &'a str>) -> Vec<&'static str> {
    let mut all: Vec<_> = roles.into_iter().flat_map(of_role).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn of_role(role: &str) -> &'static [&'static str] {
    match role {
        "admin" | "owner" | "user" | "trader" => {
            &["run.cancel", "run.start", "thread.read", "tool.read", "tool.trade"]
        }
        "viewer" => &["run.cancel", "run.start", "thread.read", "tool.read"],
        "guest" => &["thread.read"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_reads_and_starts_nothing() {
        assert_eq!(of_roles(["guest"]), ["thread.read"]);
    }

    #[test]
    fn an_unknown_role_grants_nothing() {
        assert!(of_roles(["root", ""]).is_empty());
    }

    #[test]
    fn two_roles_grant_what_either_grants() {
        assert_eq!(of_roles(["guest", "user"]), of_roles(["user"]));
    }
}
