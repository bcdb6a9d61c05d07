//! Identity: passwords, access tokens, permissions. Must never look at a clock but the seam's.

pub mod password;
pub mod permissions;
pub mod token;
