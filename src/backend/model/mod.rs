//! Model providers: a turn of an agent as a stream of events. Dropping the stream aborts it.
//! Must never know a user but through the context it is given.

pub mod scripted;
pub mod tools;

use std::future::Future;

use serde_json::Value;

use super::context::UserExecutionContext;

/// One turn's input.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    pub question: String,
    /// Results of the tools called so far, in order.
    pub results: Vec<ToolResult>,
}

#[derive(Clone, Debug)]
pub struct ToolResult {
    pub tool: String,
    pub result: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    Text(String),
    ToolCall {
        tool: String,
        args: Value,
    },
    /// The turn is complete. A stream that ends without it was cut.
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model provider failed: {0}")]
pub struct ModelError(pub String);

pub trait ModelProvider: Send + Sync {
    type Stream: ModelStream;

    fn stream(&self, request: ModelRequest, context: &UserExecutionContext) -> Self::Stream;
}

pub trait ModelStream: Send {
    /// The next event; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Option<Result<ModelEvent, ModelError>>> + Send;
}
