//! Close codes. 4000–4099: do not reconnect unchanged; 4100–4199: after a back-off; 4200–4299:
//! at once. Must never use 1011 but for an internal fault.

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    pub reason: &'static str,
}

const fn close(code: u16, reason: &'static str) -> Close {
    Close { code, reason }
}

pub const NORMAL: Close = close(1000, "");
pub const PROTOCOL: Close = close(1002, "protocol error");
pub const BAD_DATA: Close = close(1007, "not text");
pub const TOO_BIG: Close = close(1009, "message too big");
pub const INTERNAL: Close = close(1011, "internal fault");
pub const TRY_LATER: Close = close(1013, "try again later");
pub const INVALID_TOKEN: Close = close(4001, "invalid token");
pub const NO_CONNECT: Close = close(4008, "no connect in time");
pub const CONNECTION_LIMIT: Close = close(4009, "connection limit");
pub const BAD_PROTOCOL: Close = close(4010, "bad protocol");
pub const INVALID_IDENTITY: Close = close(4011, "invalid identity");
pub const RATE: Close = close(4101, "too many commands");
pub const SLOW: Close = close(4102, "slow consumer");
pub const NO_PONG: Close = close(4103, "no pong");
pub const DEPENDENCY_DOWN: Close = close(4104, "dependency down");
pub const TOKEN_EXPIRED: Close = close(4200, "token expired");
pub const DRAINING: Close = close(4203, "draining");
