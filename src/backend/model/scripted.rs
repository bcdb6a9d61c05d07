//! The default provider: a rule-based portfolio assistant, without a network. Its plan is fixed:
//! a turn of tool calls, then a turn that answers from their results, so that every event occurs.
//! Must never answer from anything but this request: each text carries its user's marker.

use std::collections::VecDeque;
use std::fmt::Write;

use serde_json::{Value, json};

use super::super::config::Model;
use super::super::context::UserExecutionContext;
use super::tools::marker;
use super::{ModelError, ModelEvent, ModelProvider, ModelRequest, ModelStream};
use crate::env::Env;

/// Characters of a chunk of text, about.
const CHUNK: usize = 24;

#[derive(Clone)]
pub struct Scripted<E: Env> {
    env: E,
    pace: Model,
}

impl<E: Env> Scripted<E> {
    pub fn new(env: &E, pace: Model) -> Scripted<E> {
        Scripted { env: env.clone(), pace }
    }
}

/// A turn whose events are known and come at the configured pace.
pub struct ScriptedStream<E: Env> {
    env: E,
    pace: Model,
    begun: bool,
    events: VecDeque<ModelEvent>,
}

impl<E: Env> ModelProvider for Scripted<E> {
    type Stream = ScriptedStream<E>;

    fn stream(&self, request: ModelRequest, context: &UserExecutionContext) -> ScriptedStream<E> {
        let mut events: VecDeque<_> = if request.results.is_empty() {
            plan(&request.question)
        } else {
            answer(&request, context)
        };
        events.push_back(ModelEvent::Stop);
        ScriptedStream { env: self.env.clone(), pace: self.pace.clone(), begun: false, events }
    }
}

impl<E: Env> ModelStream for ScriptedStream<E> {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        let event = self.events.pop_front()?;
        let stops = event == ModelEvent::Stop;
        if !self.begun {
            self.env.sleep(self.pace.first_chunk).await;
        } else if !stops {
            self.env.sleep(self.pace.chunk).await;
        }
        self.begun = true;
        Some(Ok(event))
    }
}

/// Which tools a question needs: the portfolio always, then what its words ask for.
fn plan(question: &str) -> VecDeque<ModelEvent> {
    let question = question.to_lowercase();
    let second = if question.contains("risk") { "risk_report" } else { "get_quotes" };
    let call = |tool: &str, args: Value| ModelEvent::ToolCall { tool: tool.to_owned(), args };
    VecDeque::from([call("get_portfolio", json!({})), call(second, json!({ "currency": "EUR" }))])
}

fn answer(request: &ModelRequest, context: &UserExecutionContext) -> VecDeque<ModelEvent> {
    let mut text = format!("You asked: {} ", request.question);
    for result in &request.results {
        let summary = result.result.get("summary").and_then(Value::as_str).unwrap_or("nothing");
        let _ = write!(text, "{} says: {summary}. ", result.tool);
    }
    let _ = write!(text, "This is the {}.", marker(context));
    chunks(&text).into_iter().map(ModelEvent::Text).collect()
}

/// Cuts after whole words.
fn chunks(text: &str) -> Vec<String> {
    let mut chunks = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let last = chunks.last_mut().expect("never empty");
        last.push_str(word);
        if last.len() >= CHUNK {
            chunks.push(String::new());
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_joined_are_the_text() {
        let text = "You asked: how is my portfolio doing? It is doing well.";
        assert!(chunks(text).len() > 1);
        assert_eq!(chunks(text).concat(), text);
    }

    #[test]
    fn every_question_calls_two_tools() {
        assert_eq!(plan("How is it?").len(), 2);
        assert_eq!(plan("What is my RISK?").len(), 2);
    }
}
