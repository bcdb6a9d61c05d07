//! Parse, dispatch, exit code. Must never hold logic.
fn main() {}
