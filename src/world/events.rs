//! The events that the world itself records. Must never name a system.

use crate::env::EventSpec;

macro_rules! world_events {
    ($($constant:ident = $name:literal [$($field:literal),*] $about:literal;)*) => {
        $(#[doc = $about] pub const $constant: &str = $name;)*
        /// Every event of the world.
        pub const CATALOGUE: &[EventSpec] = &[$(EventSpec {
            name: $name, fields: &[$($field),*], about: $about,
        }),*];
    };
}

world_events! {
    HOST_STARTED = "host.started" ["host", "life"]
        "The world, before the first step of a host's process; `life` counts from 1.";
    HOST_EXITED = "host.exited" ["host", "error"]
        "The world, after a host's process returned; `error` is empty for a clean exit.";
    HOST_CRASHED = "host.crashed" ["host", "kind"]
        "The world, after every task of the host was dropped; `kind` is `crash` or `power_loss`.";
    HOST_PAUSED = "host.paused" ["host", "ms"]
        "The world, when a host stops running for so many milliseconds.";
    HOST_STOPPING = "host.stopping" ["host"]
        "The world, when it asks a host's process to stop, as SIGTERM does.";
    USER_STARTED = "user.started" ["user"] "The world, before a user's first step.";
    USER_FINISHED = "user.finished" ["user"] "The world, after a user's last step.";
    USER_FAILED = "user.failed" ["user", "error"]
        "The world, after a user's step failed (an await that timed out).";
    TASK_PANICKED = "task.panicked" ["host", "task", "message", "location"]
        "The world, after a task panicked.";
    NET_PARTITION = "net.partition" ["from", "to", "one_way"]
        "The world, when packets stop passing.";
    NET_HEALED = "net.healed" ["from", "to"] "The world, when a partition ends.";
    NET_RESET = "net.reset" ["host", "peer"] "The world, when it resets one connection.";
    NET_STALLED = "net.stalled" ["host", "peer", "ms"]
        "The world, when one connection stops delivering.";
    CLOCK_JUMPED = "clock.jumped" ["host", "ms"] "The world, when a host's wall clock jumps.";
    FAULTS_OVER = "world.healed" []
        "The world, once: faults have stopped and the network is whole.";
}
