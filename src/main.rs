//! Parse, dispatch, exit code. Must never hold logic.

use std::process::ExitCode;
use std::sync::Arc;

use seedbed::systems::System;
use seedbed::systems::backend::Backend;
use seedbed::systems::ledger::Ledger;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = std::env::args_os().collect();
    let systems: Vec<Arc<dyn System>> = vec![Arc::new(Backend), Arc::new(Ledger)];
    ExitCode::from(seedbed::cli::main(args, systems))
}
