//! The native network: connect, accept, backlog, ordered byte streams cut into segments, latency,
//! FIN, RST, partitions that heal as TCP heals. Must never look into the bytes.

mod agenda;
mod connect;
mod fabric;
mod faults;
mod pipe;
mod stream;

pub use connect::{Acceptor, connect};
pub use fabric::Fabric;
pub use stream::Socket;
