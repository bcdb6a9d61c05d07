//! Runs, one and many. Must never know how a result is shown.
