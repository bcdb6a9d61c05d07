//! The command line. Must never decide what a run means.
