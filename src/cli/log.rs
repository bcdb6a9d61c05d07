//! The log of a served process: one line an event on stderr, the catalogue's name first.
//! Must never be installed where a scenario runs: the world listens there.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::FormatTime as _;
use tracing_subscriber::fmt::{FmtContext, fmt, time};
use tracing_subscriber::registry::LookupSpan;

use super::Stop;

/// Installs the log, filtered by `directives`.
pub fn to_stderr(directives: &str) -> Result<(), Stop> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| Stop::usage(format!("error: `{directives}` is no log filter: {error}")))?;
    let log = fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).event_format(Line).init();
    Ok(())
}

/// `2026-11-21T01:02:03.4Z INFO gateway.accepted connection="c1"`
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        time().format_time(&mut writer)?;
        let metadata = event.metadata();
        // An event without a name of its own is named after its place, `event src/x.rs:1`.
        let name = match metadata.name() {
            unnamed if unnamed.starts_with("event ") => metadata.target(),
            name => name,
        };
        write!(writer, " {:<5} {name} ", metadata.level())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
