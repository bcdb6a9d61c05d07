//! A seed in a fresh process of this very binary, and the comparison with it. Must never share
//! anything with this process but the token and the files it names.

use std::process::{Command, Stdio};

use crate::search::{Divergence, Run, Runner, Token, lines};
use crate::verdict::Outcome;

/// What another process saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    pub digest: String,
    /// Empty unless asked for.
    pub lines: Vec<String>,
}

/// Runs `token` in a fresh process. The error is a sentence.
pub fn rerun(token: &Token, wall_max_s: u64, with_lines: bool) -> Result<Fresh, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("rerun").arg(token.to_string()).args(["--wall-max", &wall_max_s.to_string()]);
    if with_lines {
        command.arg("--lines");
    }
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, stderr.trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let digest = lines.pop().and_then(|last| Some(last.strip_prefix("digest ")?.to_owned()));
    digest.map(|digest| Fresh { digest, lines }).ok_or_else(|| "it told no digest".to_owned())
}

/// Turns `run` into a divergence when a fresh process sees another history. The error says why
/// there was no such process, which is no verdict.
pub fn recheck(runner: &Runner, token: &Token, run: &mut Run) -> Result<(), String> {
    if matches!(run.outcome, Outcome::Inconclusive(_) | Outcome::Diverged(_)) {
        return Ok(());
    }
    let fresh = rerun(token, runner.wall_max.as_secs(), false)?;
    if fresh.digest != run.digest.to_string() {
        run.outcome = Outcome::Diverged(place(runner, token, run, &fresh));
    }
    Ok(())
}

/// Where a fresh process parts from this one.
fn place(runner: &Runner, token: &Token, run: &Run, fresh: &Fresh) -> String {
    let digests = format!("trace {} here, {} in a fresh process", run.digest, fresh.digest);
    let here = runner.run(token.seed, true).map(|run| lines(&run.trace).collect::<Vec<_>>());
    let there = rerun(token, runner.wall_max.as_secs(), true);
    let (Ok(here), Ok(there)) = (here, there) else { return digests };
    Divergence::first(&here, &there.lines).map_or_else(
        || format!("{digests}; run once more, both were the same"),
        |first| format!("{digests}; first difference:\n{first}"),
    )
}
