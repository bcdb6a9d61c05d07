//! The cost of a seed. Must never judge a verdict.
fn main() {}
