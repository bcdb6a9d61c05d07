//! Laws of the context factory and of the tables of states, on generated requests.
//! Must never repeat the rules: a law says what holds for every input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use seedbed::backend::context::{ContextError, RESERVED_KEYS, Request, UserExecutionContext};
use seedbed::backend::ids::{ContextId, RequestId};
use seedbed::backend::run::state::State as RunState;
use seedbed::backend::ws::state::State as ConnectionState;
use serde_json::{Map, Value, json};

/// Failures are kept, so that each is tried again first.
fn laws() -> ProptestConfig {
    let kept = FileFailurePersistence::Direct("tests/proptest-regressions/laws_context.txt");
    ProptestConfig { failure_persistence: Some(Box::new(kept)), ..Default::default() }
}

/// An id that the gateway could have drawn.
fn drawn() -> impl Strategy<Value = String> {
    "(usr|thr|run|req|con|ses)_[0-9a-f]{24}"
}

/// JSON without a user's id, three levels deep.
fn data() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![any::<bool>().prop_map(Value::from), "[a-z]{0,8}".prop_map(Value::from)];
    let tree = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("k_[a-z]{1,4}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    vec(("k_[a-z]{1,4}", tree), 0..4).prop_map(|fields| fields.into_iter().collect())
}

prop_compose! {
    fn request()(ids in vec(drawn(), 7), agent in data(), audit in data()) -> Request {
        let [tenant_id, user_id, thread_id, run_id, request_id, connection_id, session_id] =
            <[String; 7]>::try_from(ids).expect("seven ids");
        Request {
            thread_owner: user_id.clone(),
            run_thread: thread_id.clone(),
            tenant_id,
            user_id,
            thread_id,
            run_id,
            request_id,
            connection_id,
            session_id,
            agent_context: agent,
            audit_metadata: audit,
            ..Request::default()
        }
    }
}

fn build(request: Request) -> Result<UserExecutionContext, ContextError> {
    UserExecutionContext::from_request(ContextId("ctx_1".to_owned()), request)
}

fn is_isolation(result: &Result<UserExecutionContext, ContextError>) -> bool {
    matches!(result, Err(ContextError::ContextIsolation { .. }))
}

/// Puts `value` somewhere into `data`, as deep as `depth`.
fn bury(data: &mut Map<String, Value>, depth: usize, value: Value) {
    let wrap = |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "k": inner }) };
    data.insert("k_buried".to_owned(), (0..depth).fold(value, wrap));
}

proptest! {
    #![proptest_config(laws())]

    #[test]
    fn a_request_of_drawn_ids_is_built_unchanged(request in request()) {
        let context = build(request.clone()).expect("a good request");
        prop_assert_eq!(context.tenant_id().as_str(), request.tenant_id);
        prop_assert_eq!(context.user_id().as_str(), request.user_id);
        prop_assert_eq!(context.thread_id().as_str(), request.thread_id);
        prop_assert_eq!(context.run_id().as_str(), request.run_id);
        prop_assert_eq!(context.agent_context(), &request.agent_context);
        prop_assert_eq!(context.audit_metadata(), &request.audit_metadata);
    }

    #[test]
    fn whose_thread_or_run_it_is_decides(request in request(), other in drawn(), which: bool) {
        let mut request = request;
        let mine = if which { &mut request.thread_owner } else { &mut request.run_thread };
        prop_assume!(*mine != other);
        *mine = other;
        prop_assert!(is_isolation(&build(request)));
    }

    #[test]
    fn a_foreign_id_is_refused_at_any_depth_and_ones_own_never(
        request in request(), other in drawn(), depth in 0usize..6, audit: bool,
    ) {
        prop_assume!(request.user_id != other);
        let place = |request: &mut Request, user: &str| {
            let data =
                if audit { &mut request.audit_metadata } else { &mut request.agent_context };
            bury(data, depth, json!({ "user_id": user }));
        };
        let (mut own, mut foreign) = (request.clone(), request.clone());
        place(&mut own, &request.user_id);
        place(&mut foreign, &other);
        prop_assert!(build(own).is_ok());
        prop_assert!(is_isolation(&build(foreign)));
    }

    #[test]
    fn no_reserved_key_gets_in(request in request(), key in 0..RESERVED_KEYS.len(), audit: bool) {
        let mut request = request;
        let own = json!(request.user_id);
        let data = if audit { &mut request.audit_metadata } else { &mut request.agent_context };
        data.insert(RESERVED_KEYS[key].to_owned(), own);
        prop_assert!(is_isolation(&build(request)));
    }

    #[test]
    fn a_child_changes_nothing_but_its_request(request in request(), next in drawn()) {
        let parent = build(request).expect("a good request");
        let child = parent.child(ContextId("ctx_2".to_owned()), RequestId(next.clone()));
        let child = child.expect("a first child");
        prop_assert_eq!(child.request_id().as_str(), next);
        prop_assert_eq!(child.parent_request_id(), Some(parent.request_id()));
        prop_assert_eq!(child.user_id(), parent.user_id());
        prop_assert_eq!(child.run_id(), parent.run_id());
        prop_assert_eq!(child.depth(), parent.depth() + 1);
        prop_assert_eq!(parent.depth(), 0);
    }

    /// However a run is driven: each state at most once, and a terminal one is the last.
    #[test]
    fn a_walk_over_the_edges_of_a_run_ends_and_never_comes_back(picks in vec(0usize..8, 0..12)) {
        let (mut state, mut seen) = (RunState::Pending, vec![RunState::Pending]);
        for pick in picks {
            let edges = state.edges();
            if edges.is_empty() {
                break;
            }
            state = edges[pick % edges.len()];
            prop_assert!(!seen.contains(&state), "{} again", state.name());
            seen.push(state);
        }
        prop_assert!(seen.len() <= 5);
        prop_assert_eq!(state.is_terminal(), state.outcome().is_some());
    }

    #[test]
    fn every_walk_of_a_connection_can_still_close(picks in vec(0usize..8, 0..40)) {
        let mut state = ConnectionState::Connecting;
        for pick in picks {
            let edges = state.edges();
            if edges.is_empty() {
                break;
            }
            state = edges[pick % edges.len()];
        }
        let closing = |state: ConnectionState| state.edges().contains(&ConnectionState::Closing);
        let ending = state.edges().contains(&ConnectionState::Closed);
        prop_assert!(closing(state) || ending || state == ConnectionState::Closed);
    }
}
