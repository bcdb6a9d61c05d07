//! What a client does when its connection ends: the classes of close codes, and back-off.
//! Must never retry what the contract says not to retry unchanged.

use std::time::Duration;

use crate::env::Entropy;

/// How a connection, or the attempt to make one, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// TCP failed or broke, or nobody answered.
    Lost,
    /// The client itself closed it.
    Left,
    /// A close frame came.
    Closed(u16),
    /// An HTTP answer that is no upgrade, with its `Retry-After`.
    Refused(u16, Option<Duration>),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Stop,
    AtOnce,
    /// After the back-off, and not before this.
    Later(Duration),
    /// The same, with a new token.
    LogIn,
}

pub fn next(ending: Ending) -> Next {
    let second = Duration::from_secs(1);
    match ending {
        Ending::Refused(503 | 429, after) => Next::Later(after.unwrap_or(Duration::ZERO)),
        Ending::Refused(401, _) | Ending::Closed(4001 | 4200) => Next::LogIn,
        Ending::Refused(500.., _) | Ending::Closed(1013) => Next::Later(second),
        // What was wrong is different by then: a token is there, older connections have ended.
        Ending::Closed(4008 | 4009) => Next::Later(2 * second),
        Ending::Lost | Ending::Closed(1001 | 1006 | 1011 | 1012 | 4100..=4199) => {
            Next::Later(Duration::ZERO)
        }
        Ending::Closed(4201..=4299) => Next::AtOnce,
        Ending::Left | Ending::Refused(..) | Ending::Closed(_) => Next::Stop,
    }
}

/// Delays that double from 100 ms to 3.2 s, half of each drawn.
#[derive(Debug, Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    pub fn delay<E: Entropy>(&mut self, env: &E) -> Duration {
        let full_ms = 100 << self.failures.min(5);
        self.failures += 1;
        Duration::from_millis(full_ms / 2 + env.below(full_ms / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_close_codes_has_its_answer() {
        assert_eq!(next(Ending::Closed(1000)), Next::Stop);
        assert_eq!(next(Ending::Closed(1012)), Next::Later(Duration::ZERO));
        assert_eq!(next(Ending::Closed(4003)), Next::Stop);
        assert_eq!(next(Ending::Closed(4102)), Next::Later(Duration::ZERO));
        assert_eq!(next(Ending::Closed(4200)), Next::LogIn);
        assert_eq!(next(Ending::Closed(4203)), Next::AtOnce);
        assert_eq!(next(Ending::Refused(404, None)), Next::Stop);
    }
}
