//! What a frame means to a tab: replies settle commands, events move its place in the stream.
//! Must never interpret what it only has to tell.

use std::time::Duration;

use super::super::events;
use super::desk::{News, Session};
use super::policy::Ending;
use super::tab::Tab;
use super::talk::Line;
use super::wire::{self, Frame, Problem};
use crate::env::Env;

/// Before a command that was refused for the time being is sent again, unless the server says.
const AGAIN_AFTER_MS: u64 = 250;

/// What the end of a run is called, however it became known.
const END: &str = "agent_completed";

impl<E: Env> Tab<E> {
    pub async fn frame(&mut self, line: &mut Line<E>, text: &str) -> Result<(), Ending> {
        let Ok(frame) = serde_json::from_str::<Frame>(text) else {
            let tab = self.number.cast_unsigned();
            events::protocol_error(self.desk.user(), tab, "a frame that is none of the contract");
            return Ok(());
        };
        if frame.kind == "reply" {
            self.reply(line, frame).await;
        } else {
            self.event(&frame, text).await;
        }
        Ok(())
    }

    async fn reply(&mut self, line: &mut Line<E>, frame: Frame) {
        let ok = frame.ok.unwrap_or_default();
        let asked = self.unanswered.iter().position(|a| a.sent_as.as_ref() == Some(&frame.id));
        let idem = asked.map_or("", |index| self.unanswered[index].command.idem.as_str());
        let code = frame.error.as_ref().map_or("", |problem| problem.code.as_str());
        let tab = self.number.cast_unsigned();
        let user = self.desk.user();
        events::reply(user, tab, &frame.id, code, &ok.run_id, &ok.thread_id, idem, ok.told());
        if frame.id == line.connect && frame.error.is_none() {
            line.ready = true;
            self.back_off.reset();
            self.desk.tell(News::Ready { tab: self.number }).await;
        }
        let Some(index) = asked else { return };
        if let Some(problem) = frame.error {
            return self.refuse(index, problem).await;
        }
        let idem = self.unanswered.remove(index).command.idem;
        if !ok.run_id.is_empty() && !idem.is_empty() {
            self.learn(&ok.run_id, &idem).await;
        }
    }

    /// A command refused for the time being is kept for later; one refused for good is told.
    async fn refuse(&mut self, index: usize, problem: Problem) {
        if matches!(problem.status, 409 | 429 | 503) && problem.retry_after_ms.is_some() {
            let wait = problem.retry_after_ms.unwrap_or_default().max(AGAIN_AFTER_MS);
            let asked = &mut self.unanswered[index];
            asked.sent_as = None;
            asked.not_before = self.desk.env.now() + Duration::from_millis(wait);
            return;
        }
        let idem = self.unanswered.remove(index).command.idem;
        self.desk.tell(News::Refused { idem, code: problem.code }).await;
    }

    /// Which of the user's commands made a run. Its end may have come before the reply: a resumed
    /// connection tells history first, then answers what is asked again.
    async fn learn(&mut self, run: &str, idem: &str) {
        if self.idem_of.contains_key(run) {
            return;
        }
        self.idem_of.insert(run.to_owned(), idem.to_owned());
        let known = |session: &mut Session| {
            let first = session.idem_of.insert(run.to_owned(), idem.to_owned()).is_none();
            session.ended.get(run).filter(|_| first).cloned()
        };
        let ended = self.desk.session.with(known).await;
        self.desk.tell(News::Run { idem: idem.to_owned(), run: run.to_owned() }).await;
        if let Some(state) = ended {
            events::settled(self.desk.user(), idem, run, &state);
        }
    }

    /// The command that made the run, if any tab knows.
    async fn idem_of(&mut self, run: &str) -> String {
        if run.is_empty() {
            return String::new();
        }
        if let Some(idem) = self.idem_of.get(run) {
            return idem.clone();
        }
        let known = |session: &mut Session| session.idem_of.get(run).cloned();
        let idem = self.desk.session.with(known).await.unwrap_or_default();
        if !idem.is_empty() {
            self.idem_of.insert(run.to_owned(), idem.clone());
        }
        idem
    }

    /// Notes the end of a run; tells it when it is the first to know, and knows whose it is.
    async fn settle(&mut self, run: &str, idem: &str, state: &str) {
        let note = |session: &mut Session| {
            session.ended.insert(run.to_owned(), state.to_owned()).is_none()
        };
        if self.desk.session.with(note).await && !idem.is_empty() {
            events::settled(self.desk.user(), idem, run, state);
        }
    }

    async fn event(&mut self, frame: &Frame, raw: &str) {
        let idem = self.idem_of(&frame.run_id).await;
        if frame.seq > 0 {
            let place = (frame.epoch.clone(), frame.seq);
            self.memory.positions.insert(frame.stream.clone(), place);
        }
        tell(self.desk.user(), self.number, frame, raw, &idem);
        match wire::end_of(frame) {
            // A run that ended while nobody looked is shown as a snapshot that says so.
            Some(state) => {
                self.settle(&frame.run_id, &idem, state).await;
                self.report(END, &frame.run_id).await;
            }
            None => self.report(&frame.kind, &frame.run_id).await,
        }
    }

    /// Tells the script, if it may be waiting for this.
    async fn report(&self, kind: &str, run: &str) {
        if self.desk.awaited.contains(kind) {
            let (kind, run) = (kind.to_owned(), run.to_owned());
            self.desk.tell(News::Event { tab: self.number, kind, run }).await;
        }
    }
}

fn tell(user: &str, tab: i64, frame: &Frame, raw: &str, idem: &str) {
    let data = &frame.data;
    let text = if data.text.is_empty() { &data.message } else { &data.text };
    events::received(
        user,
        tab.cast_unsigned(),
        &frame.kind,
        &frame.id,
        &frame.tenant_id,
        &frame.user_id,
        &frame.thread_id,
        &frame.run_id,
        &frame.stream,
        &frame.epoch,
        frame.seq,
        frame.run_seq,
        frame.delta_seq,
        &data.tool_call_id,
        &data.status,
        &data.outcome,
        text,
        wire::marked(raw, user),
        idem,
    );
}
