//! `UserExecutionContext`: for whom, in which thread and run, with which permissions something is
//! done. Immutable, built only by its factory, never shared between users.
//! Must never be built from parts of two requests.

mod live;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use live::{Contexts, Full};
pub use rules::RESERVED_KEYS;

use super::ids::{
    ConnectionId, ContextId, RequestId, RunId, SessionId, TenantId, ThreadId, UserId,
};
use crate::env::Moment;

/// Children of children end here.
pub const DEPTH_MAX: u32 = 10;

/// What a context is made from: one request of one user. Texts come from outside.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub tenant_id: String,
    pub user_id: String,
    pub thread_id: String,
    pub run_id: String,
    pub request_id: String,
    pub connection_id: String,
    pub session_id: String,
    pub permissions: Vec<String>,
    /// When the run must have ended.
    pub deadline: Moment,
    pub created_at: Moment,
    pub agent_context: Map<String, Value>,
    pub audit_metadata: Map<String, Value>,
    /// The thread's owner, as the store has it.
    pub thread_owner: String,
    /// The thread that the run was made in, as the store has it.
    pub run_thread: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    #[error("invalid context: {field} {why}")]
    InvalidContext { field: &'static str, why: &'static str },
    #[error("context isolation: {what}")]
    ContextIsolation { what: String },
}

/// See the module. Cheap to clone: a clone is the same context.
#[derive(Clone, Debug)]
pub struct UserExecutionContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: ContextId,
    tenant_id: TenantId,
    user_id: UserId,
    thread_id: ThreadId,
    run_id: RunId,
    request_id: RequestId,
    connection_id: ConnectionId,
    session_id: SessionId,
    permissions: BTreeSet<String>,
    deadline: Moment,
    created_at: Moment,
    agent_context: Map<String, Value>,
    audit_metadata: Map<String, Value>,
    depth: u32,
    parent_request_id: Option<RequestId>,
    /// Holds the place among the live contexts; tells when the last holder let go.
    lease: Option<live::Lease>,
}

impl UserExecutionContext {
    /// The factory: every rule of isolation is checked here and nowhere else.
    pub fn from_request(
        id: ContextId,
        request: Request,
    ) -> Result<UserExecutionContext, ContextError> {
        rules::check(&request)?;
        Ok(UserExecutionContext(Arc::new(Inner {
            id,
            tenant_id: TenantId(request.tenant_id),
            user_id: UserId(request.user_id),
            thread_id: ThreadId(request.thread_id),
            run_id: RunId(request.run_id),
            request_id: RequestId(request.request_id),
            connection_id: ConnectionId(request.connection_id),
            session_id: SessionId(request.session_id),
            permissions: request.permissions.into_iter().collect(),
            deadline: request.deadline,
            created_at: request.created_at,
            agent_context: request.agent_context,
            audit_metadata: request.audit_metadata,
            depth: 0,
            parent_request_id: None,
            lease: None,
        })))
    }

    /// A context for work on behalf of this one: same user, thread and run, a new request.
    pub fn child(
        &self,
        id: ContextId,
        request: RequestId,
    ) -> Result<UserExecutionContext, ContextError> {
        let parent = &self.0;
        if parent.depth >= DEPTH_MAX {
            return Err(ContextError::InvalidContext { field: "depth", why: "is exhausted" });
        }
        rules::check_id("request_id", request.as_str())?;
        Ok(UserExecutionContext(Arc::new(Inner {
            id,
            tenant_id: parent.tenant_id.clone(),
            user_id: parent.user_id.clone(),
            thread_id: parent.thread_id.clone(),
            run_id: parent.run_id.clone(),
            request_id: request,
            connection_id: parent.connection_id.clone(),
            session_id: parent.session_id.clone(),
            permissions: parent.permissions.clone(),
            deadline: parent.deadline,
            created_at: parent.created_at,
            agent_context: parent.agent_context.clone(),
            audit_metadata: parent.audit_metadata.clone(),
            depth: parent.depth + 1,
            parent_request_id: Some(parent.request_id.clone()),
            lease: parent.lease.clone(),
        })))
    }

    /// Attaches the place that a context takes among the live ones.
    fn leased(self, lease: live::Lease) -> UserExecutionContext {
        let mut inner = Arc::into_inner(self.0).expect("a context is leased before it is shared");
        inner.lease = Some(lease);
        UserExecutionContext(Arc::new(inner))
    }

    pub fn id(&self) -> &ContextId {
        &self.0.id
    }

    pub fn tenant_id(&self) -> &TenantId {
        &self.0.tenant_id
    }

    pub fn user_id(&self) -> &UserId {
        &self.0.user_id
    }

    pub fn thread_id(&self) -> &ThreadId {
        &self.0.thread_id
    }

    pub fn run_id(&self) -> &RunId {
        &self.0.run_id
    }

    pub fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    pub fn connection_id(&self) -> &ConnectionId {
        &self.0.connection_id
    }

    pub fn session_id(&self) -> &SessionId {
        &self.0.session_id
    }

    pub fn may(&self, permission: &str) -> bool {
        self.0.permissions.contains(permission)
    }

    pub fn deadline(&self) -> Moment {
        self.0.deadline
    }

    pub fn created_at(&self) -> Moment {
        self.0.created_at
    }

    pub fn agent_context(&self) -> &Map<String, Value> {
        &self.0.agent_context
    }

    pub fn audit_metadata(&self) -> &Map<String, Value> {
        &self.0.audit_metadata
    }

    pub fn depth(&self) -> u32 {
        self.0.depth
    }

    pub fn parent_request_id(&self) -> Option<&RequestId> {
        self.0.parent_request_id.as_ref()
    }
}
