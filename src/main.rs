//! Parse, dispatch, exit code. Must never hold logic.

use std::process::ExitCode;
use std::sync::Arc;

use seedbed::systems::backend::Backend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = std::env::args_os().collect();
    ExitCode::from(seedbed::cli::main(args, Arc::new(Backend)))
}
