//! One run and many runs: which seeds, on which threads, in which order, and whether a run is the
//! same when it is run again. Must never judge a history nor print one.

mod campaign;
mod divergence;
mod run;
mod token;

pub use campaign::{Campaign, Ran};
pub use divergence::{Divergence, USUAL_CAUSES, lines, tell};
pub use run::{HarnessError, Run, Runner};
pub use token::{Token, TokenError};
