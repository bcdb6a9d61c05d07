//! A user's script: its steps one after the other, against the tabs. A step that does not come
//! to its end in time is the user's failure. Must never touch a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::desk::{Desk, Memory, News, Order};
use super::dial::{self, Account};
use super::policy::BackOff;
use super::tab::Tab;
use super::wire::{self, Command};
use crate::env::{Env, Moment};
use crate::plan::{StepPlan, UserPlan};
use crate::sync::Mailbox;

/// For a step that names no bound of its own.
const WITHIN: Duration = Duration::from_mins(1);

/// Plays a user's whole script. A step's bound runs from the later of its start and `calm`, the
/// moment from which nothing is broken on purpose.
pub async fn play<E: Env>(
    env: E,
    account: Account,
    user: UserPlan,
    calm: Moment,
) -> Result<(), String> {
    let awaited = user.steps.iter().filter(|step| step.word == "await");
    let awaited: BTreeSet<_> =
        awaited.filter_map(|step| step.text("value")).map(str::to_owned).collect();
    let desk = Desk::new(&env, account, user.reconnect, awaited);
    let mut script = Script { desk, calm, tabs: BTreeMap::new(), asks: 0, seen: Seen::default() };
    for step in &user.steps {
        script.step(step).await.map_err(|why| format!("{}: {why}", step.word))?;
    }
    for tab in script.tabs.keys().copied().collect::<Vec<_>>() {
        script.leave(tab).await?;
    }
    Ok(())
}

/// What the tabs have told so far.
#[derive(Default)]
struct Seen {
    ready: BTreeSet<i64>,
    /// Type, run and tab.
    events: BTreeSet<(String, String, i64)>,
    runs: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
    gone: BTreeMap<i64, String>,
    memories: BTreeMap<i64, Memory>,
}

struct Script<E> {
    desk: Desk<E>,
    calm: Moment,
    /// Open tabs by number.
    tabs: BTreeMap<i64, Mailbox<E, Order>>,
    asks: u64,
    seen: Seen,
}

impl<E: Env> Script<E> {
    async fn step(&mut self, step: &StepPlan) -> Result<(), String> {
        let tab = step.int("tab").unwrap_or(1);
        let within = step.duration("within").unwrap_or(WITHIN);
        match step.word.as_str() {
            "login" => self.login(within).await,
            "connect" => {
                let at = Moment(step.duration("at").unwrap_or_default());
                self.desk.env.sleep_until(at).await;
                self.connect(tab, within).await
            }
            "open" => {
                self.open(tab);
                Ok(())
            }
            "ask" => self.ask(tab, step).await,
            "await" => self.expect(step, within).await,
            "cancel" => self.cancel(tab, within).await,
            "ping" => self.order(tab, Order::Send(command("ping", json!({})))).await,
            "drop" => {
                let heard_after = step.duration("heard_after").unwrap_or_default();
                self.order(tab, Order::Drop { heard_after }).await
            }
            "disconnect" => self.leave(tab).await,
            "wait" => {
                self.desk.env.sleep(step.duration("value").unwrap_or_default()).await;
                Ok(())
            }
            word => Err(format!("no such step: {word}")),
        }
    }

    async fn login(&mut self, within: Duration) -> Result<(), String> {
        let env = self.desk.env.clone();
        let deadline = env.now().max(self.calm) + within;
        let mut back_off = BackOff::default();
        loop {
            match dial::login(&env, &self.desk.account).await {
                Ok(token) => {
                    self.desk.session.with(|session| session.token = Some(token)).await;
                    return Ok(());
                }
                Err(refusal) if env.now() > deadline => return Err(refusal.error),
                Err(_) => env.sleep(back_off.delay(&env)).await,
            }
        }
    }

    async fn connect(&mut self, number: i64, within: Duration) -> Result<(), String> {
        self.open(number);
        self.until(within, |seen| {
            let gone = seen.gone.get(&number).map(|why| Err(format!("tab {number}: {why}")));
            gone.or_else(|| seen.ready.contains(&number).then_some(Ok(())))
        })
        .await
    }

    fn open(&mut self, number: i64) {
        self.seen.ready.remove(&number);
        self.seen.gone.remove(&number);
        let memory = self.seen.memories.remove(&number).unwrap_or_default();
        let tab = Tab::new(&self.desk, number, memory);
        self.tabs.insert(number, tab.orders.clone());
        self.desk.env.spawn("tab", tab.run());
    }

    async fn ask(&mut self, tab: i64, step: &StepPlan) -> Result<(), String> {
        self.asks += 1;
        let text = step.text("value").unwrap_or("");
        let more =
            "and more ".repeat(usize::try_from(step.int("words").unwrap_or(0)).unwrap_or(0) / 2);
        let message = format!("{text} {more}({})", wire::mark(self.desk.user()));
        let idem = self.idem(self.asks);
        let mut params = json!({ "message": message });
        if let Some(thread) = step.text("thread") {
            params["thread"] = thread.into();
        }
        self.order(tab, Order::Send(Command { method: "run.start", idem, params })).await
    }

    /// Waits for an event of an ask, at the tab named or else at any.
    async fn expect(&mut self, step: &StepPlan, within: Duration) -> Result<(), String> {
        let kind = step.text("value").unwrap_or("").to_owned();
        let ask = step.int("of").map_or(self.asks, i64::cast_unsigned);
        let (idem, tab) = (self.idem(ask), step.int("tab"));
        self.until(within, |seen| {
            let refused = seen.refused.get(&idem);
            let refused = refused.map(|code| Err(format!("{idem} was refused: {code}")));
            let came = seen.came(&kind, &idem, tab);
            refused.or_else(|| came.then_some(Ok(())))
        })
        .await
        .map_err(|why| format!("{kind}: {why}"))
    }

    async fn cancel(&mut self, tab: i64, within: Duration) -> Result<(), String> {
        let idem = self.idem(self.asks);
        let mut run = String::new();
        self.until(within, |seen| {
            seen.runs.get(&idem).map(|found| {
                run.clone_from(found);
                Ok(())
            })
        })
        .await?;
        let command = command("run.cancel", json!({ "run_id": run }));
        self.order(tab, Order::Send(command)).await
    }

    async fn leave(&mut self, tab: i64) -> Result<(), String> {
        let Some(orders) = self.tabs.remove(&tab) else { return Err(format!("no tab {tab}")) };
        let _gone = orders.push(Order::Leave, 1).await;
        self.until(WITHIN, |seen| seen.gone.contains_key(&tab).then_some(Ok(()))).await
    }

    async fn order(&mut self, tab: i64, order: Order) -> Result<(), String> {
        let orders = self.tabs.get(&tab).ok_or_else(|| format!("no tab {tab}"))?;
        orders.push(order, 1).await.map_err(|_| format!("tab {tab} is closed"))
    }

    /// The idempotency key of the user's n-th ask.
    fn idem(&self, ask: u64) -> String {
        format!("{}#{ask}", self.desk.user())
    }

    /// Takes news until `done` has an answer or the bound passes.
    async fn until(
        &mut self,
        within: Duration,
        mut done: impl FnMut(&Seen) -> Option<Result<(), String>> + Send,
    ) -> Result<(), String> {
        let env = self.desk.env.clone();
        let deadline = env.now().max(self.calm) + within;
        loop {
            if let Some(answer) = done(&self.seen) {
                return answer;
            }
            let left = deadline.since(env.now());
            match env.timeout(left, self.desk.news.recv()).await {
                Ok(Some(news)) => self.seen.take(news),
                Ok(None) => return Err("nobody tells any news".to_owned()),
                Err(elapsed) => return Err(elapsed.to_string()),
            }
        }
    }
}

fn command(method: &'static str, params: serde_json::Value) -> Command {
    Command { method, idem: String::new(), params }
}

impl Seen {
    /// Whether the tab, or else any, was told such an event of the run that the command made.
    fn came(&self, kind: &str, idem: &str, tab: Option<i64>) -> bool {
        let Some(run) = self.runs.get(idem) else { return false };
        let low = (kind.to_owned(), run.clone(), tab.unwrap_or(i64::MIN));
        let high = (kind.to_owned(), run.clone(), tab.unwrap_or(i64::MAX));
        self.events.range(low..=high).next().is_some()
    }

    fn take(&mut self, news: News) {
        match news {
            News::Ready { tab } => {
                self.ready.insert(tab);
            }
            News::Event { tab, kind, run } => {
                self.events.insert((kind, run, tab));
            }
            News::Run { idem, run } => {
                self.runs.insert(idem, run);
            }
            News::Refused { idem, code } => {
                self.refused.insert(idem, code);
            }
            News::Gone { tab, why, memory } => {
                self.gone.insert(tab, why);
                self.memories.insert(tab, memory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_at_its_tab_though_another_tab_learns_later_whose_run_it_is() {
        let mut seen = Seen::default();
        let (kind, run, idem) = ("agent_completed", "r1".to_owned(), "ana#2".to_owned());
        seen.take(News::Event { tab: 1, kind: kind.to_owned(), run: run.clone() });
        assert!(!seen.came(kind, &idem, None), "nobody knows whose run it is");
        seen.take(News::Run { idem: idem.clone(), run });
        assert!(seen.came(kind, &idem, Some(1)));
        assert!(seen.came(kind, &idem, None));
        assert!(!seen.came(kind, &idem, Some(2)), "the other tab was not told");
    }
}
