//! The assistant's tools. Every result carries the marker of the user it is for, so that a leak
//! between two users' runs shows. Must never read another context than the one it is given.

use serde_json::{Map, Value, json};

use super::super::context::UserExecutionContext;

const SYMBOLS: [&str; 4] = ["ACME", "BOLT", "CRUX", "DUNE"];

/// Why a tool was not run, or what it said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    #[error("there is no tool `{0}`")]
    Unknown(String),
    #[error("arguments of `{0}` do not fit")]
    BadArguments(String),
    #[error("`{0}` is not permitted")]
    Forbidden(String),
}

pub fn marker(context: &UserExecutionContext) -> String {
    marker_of(context.user_id().as_str())
}

/// `portfolio of ana`
pub fn marker_of(user: &str) -> String {
    format!("portfolio of {user}")
}

/// Whether the call may be made at all.
pub fn check(tool: &str, args: &Value, context: &UserExecutionContext) -> Result<(), ToolError> {
    let known: &[&str] = match tool {
        "get_portfolio" => &[],
        "get_quotes" | "risk_report" => &["currency"],
        _ => return Err(ToolError::Unknown(tool.to_owned())),
    };
    let fits = |args: &Map<String, Value>| {
        args.iter().all(|(key, value)| known.contains(&key.as_str()) && value.is_string())
    };
    if !args.as_object().is_some_and(fits) {
        return Err(ToolError::BadArguments(tool.to_owned()));
    }
    if !context.may("tool.read") {
        return Err(ToolError::Forbidden(tool.to_owned()));
    }
    Ok(())
}

/// The work of a tool that [`check`] let pass.
pub fn call(tool: &str, context: &UserExecutionContext) -> Value {
    let holdings = holdings(context.user_id().as_str());
    let total: u64 = holdings.iter().map(|(_, shares)| shares * 10).sum();
    let summary = match tool {
        "get_portfolio" => format!("{} holdings worth {total} EUR", holdings.len()),
        "risk_report" => format!("{} in 100 of it at risk", total % 100),
        _ => format!("{} quotes", holdings.len()),
    };
    let holdings: Map<String, Value> =
        holdings.into_iter().map(|(symbol, shares)| (symbol.to_owned(), shares.into())).collect();
    json!({ "marker": marker(context), "summary": summary, "holdings": holdings })
}

/// Shares by symbol: a made-up constant of the user.
fn holdings(user: &str) -> Vec<(&'static str, u64)> {
    let sum: u64 = user.bytes().map(u64::from).sum();
    (1..).zip(SYMBOLS).map(|(place, symbol)| (symbol, sum * place % 97 + 1)).collect()
}
