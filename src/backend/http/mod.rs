//! HTTP: the accept loop, the routes, and the WebSocket upgrade.
//! Must never let a library spawn a task.

pub mod login;
pub mod routes;
pub mod server;
pub mod upgrade;
