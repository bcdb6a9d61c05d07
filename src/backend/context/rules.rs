//! What makes a request unfit for a context. Pure. Must never repair what it is given.

use serde_json::{Map, Value};

use super::{ContextError, Request};

const PLACEHOLDERS: &[&str] = &[
    "registry",
    "placeholder",
    "default",
    "temp",
    "none",
    "null",
    "undefined",
    "0",
    "1",
    "xxx",
    "yyy",
    "example",
    "test",
    "demo",
    "sample",
    "template",
    "mock",
    "fake",
    "dummy",
];

const PREFIXES: &[&str] = &[
    "placeholder_",
    "registry_",
    "temp_",
    "example_",
    "demo_",
    "sample_",
    "template_",
    "mock_",
    "fake_",
    "default_",
    "test_",
];

/// Real accounts that begin like placeholders.
const ALLOWED: &[&str] = &[
    "default_user",
    "default_admin",
    "default_system",
    "default_account",
    "default_service",
    "default_client",
    "default_guest",
];

/// From this length on an id is drawn, and a prefix means nothing.
const PREFIX_LEN: usize = 20;

/// Fields of a context; free-form data must not pretend to set them.
pub const RESERVED_KEYS: &[&str] = &[
    "tenant_id",
    "user_id",
    "thread_id",
    "run_id",
    "request_id",
    "connection_id",
    "session_id",
    "permissions",
    "deadline",
    "created_at",
    "agent_context",
    "audit_metadata",
    "depth",
    "parent_request_id",
];

pub fn check(request: &Request) -> Result<(), ContextError> {
    for (field, id) in [
        ("tenant_id", &request.tenant_id),
        ("user_id", &request.user_id),
        ("thread_id", &request.thread_id),
        ("run_id", &request.run_id),
        ("request_id", &request.request_id),
        ("connection_id", &request.connection_id),
        ("session_id", &request.session_id),
    ] {
        check_id(field, id)?;
    }
    check_data("agent_context", &request.agent_context, &request.user_id)?;
    check_data("audit_metadata", &request.audit_metadata, &request.user_id)?;
    if request.thread_owner != request.user_id {
        return isolation("the thread is not of the user");
    }
    if request.run_thread != request.thread_id {
        return isolation("the run is not of the thread");
    }
    Ok(())
}

pub fn check_id(field: &'static str, id: &str) -> Result<(), ContextError> {
    let invalid = |why| Err(ContextError::InvalidContext { field, why });
    let lower = id.trim().to_lowercase();
    if lower.is_empty() {
        return invalid("is empty");
    }
    if PLACEHOLDERS.contains(&lower.as_str()) {
        return invalid("is a placeholder");
    }
    let begins = || PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if lower.len() < PREFIX_LEN && begins() && !ALLOWED.contains(&lower.as_str()) {
        return invalid("begins like a placeholder");
    }
    Ok(())
}

fn check_data(
    what: &'static str,
    data: &Map<String, Value>,
    user: &str,
) -> Result<(), ContextError> {
    if let Some(key) = data.keys().find(|key| RESERVED_KEYS.contains(&key.as_str())) {
        return isolation(format!("{what} sets the reserved key `{key}`"));
    }
    match data.values().find_map(|value| foreign_user(value, user)) {
        Some(other) => isolation(format!("{what} holds `{other}`, another user's id")),
        None => Ok(()),
    }
}

/// A `user_id` anywhere inside `value` that is not `user`.
fn foreign_user(value: &Value, user: &str) -> Option<String> {
    match value {
        Value::Array(items) => items.iter().find_map(|item| foreign_user(item, user)),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let foreign = key == "user_id" && value.as_str() != Some(user);
            if foreign { Some(text(value)) } else { foreign_user(value, user) }
        }),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn isolation<T>(what: impl Into<String>) -> Result<T, ContextError> {
    Err(ContextError::ContextIsolation { what: what.into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::UserExecutionContext;
    use super::*;
    use crate::backend::ids::{ContextId, RequestId};

    fn request() -> Request {
        Request {
            tenant_id: "acme".into(),
            user_id: "ana".into(),
            thread_id: "thr_1".into(),
            run_id: "run_1".into(),
            request_id: "req_1".into(),
            connection_id: "con_1".into(),
            session_id: "ses_1".into(),
            thread_owner: "ana".into(),
            run_thread: "thr_1".into(),
            ..Request::default()
        }
    }

    fn is_isolation(request: &Request) -> bool {
        matches!(check(request), Err(ContextError::ContextIsolation { .. }))
    }

    #[test]
    fn a_plain_request_makes_a_context() {
        assert_eq!(check(&request()), Ok(()));
    }

    #[test]
    fn every_id_is_checked() {
        let spoil: [fn(&mut Request) -> &mut String; 7] = [
            |r| &mut r.tenant_id,
            |r| &mut r.user_id,
            |r| &mut r.thread_id,
            |r| &mut r.run_id,
            |r| &mut r.request_id,
            |r| &mut r.connection_id,
            |r| &mut r.session_id,
        ];
        for field in spoil {
            for bad in ["", "  ", "None", "temp_7"] {
                let mut request = request();
                bad.clone_into(field(&mut request));
                assert!(matches!(check(&request), Err(ContextError::InvalidContext { .. })));
            }
        }
    }

    #[test]
    fn placeholders_are_refused_in_any_case_and_only_exactly() {
        for word in PLACEHOLDERS {
            assert!(check_id("user_id", &word.to_uppercase()).is_err(), "{word}");
            assert!(check_id("user_id", &format!("a{word}")).is_ok(), "{word}");
        }
    }

    #[test]
    fn a_placeholder_prefix_is_refused_below_twenty_characters() {
        for prefix in PREFIXES {
            assert!(check_id("user_id", &format!("{prefix}a")).is_err(), "{prefix}");
            let short = format!("{prefix:x<19}");
            let long = format!("{prefix:x<20}");
            assert!(check_id("user_id", &short).is_err(), "{short}");
            assert!(check_id("user_id", &long).is_ok(), "{long}");
        }
    }

    #[test]
    fn real_default_accounts_are_allowed() {
        assert!(ALLOWED.iter().all(|id| check_id("user_id", id).is_ok()));
    }

    #[test]
    fn free_form_data_must_not_set_a_field() {
        for key in RESERVED_KEYS {
            let mut in_agent = request();
            in_agent.agent_context.insert((*key).to_owned(), json!("ana"));
            assert!(is_isolation(&in_agent), "{key}");
            let mut in_audit = request();
            in_audit.audit_metadata.insert((*key).to_owned(), json!("ana"));
            assert!(is_isolation(&in_audit), "{key}");
        }
    }

    #[test]
    fn another_users_id_is_found_however_deep() {
        let mut request = request();
        let own = json!([{ "a": { "user_id": "ana" } }]);
        request.agent_context.insert("history".to_owned(), own);
        assert_eq!(check(&request), Ok(()));
        let foreign = json!([{ "a": { "user_id": "bob" } }]);
        request.agent_context.insert("history".to_owned(), foreign);
        assert!(is_isolation(&request));
    }

    #[test]
    fn a_thread_of_another_user_and_a_run_of_another_thread_are_refused() {
        let mut foreign_thread = request();
        foreign_thread.thread_owner = "bob".into();
        assert!(is_isolation(&foreign_thread));
        let mut foreign_run = request();
        foreign_run.run_thread = "thr_2".into();
        assert!(is_isolation(&foreign_run));
    }

    #[test]
    fn children_keep_user_and_run_and_end_at_depth_ten() {
        let id = || ContextId("ctx_1".into());
        let mut context = UserExecutionContext::from_request(id(), request()).unwrap();
        for depth in 1..=super::super::DEPTH_MAX {
            let parent = context.request_id().clone();
            context = context.child(id(), RequestId(format!("req_1_{depth}"))).unwrap();
            assert_eq!(context.depth(), depth);
            assert_eq!(context.parent_request_id(), Some(&parent));
            assert_eq!(context.user_id().as_str(), "ana");
            assert_eq!(context.run_id().as_str(), "run_1");
        }
        assert!(context.child(id(), RequestId("req_2".into())).is_err());
    }
}
