//! What must hold of the books in every run, judged by the rows that committed.
//! Must never know which scenario runs.

use std::collections::BTreeMap;

use crate::scenario::Word;
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

pub const WORDS: &[Word] = &[
    Word { name: "L1", about: "Every balance is what its entries make of it: no update is lost." },
    Word { name: "L2", about: "A request is booked at most once." },
    Word { name: "L3", about: "What its user is told was done is booked." },
];

/// Fresh checkers for one run.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![Box::new(Balances::default()), Box::new(Once::default()), Box::new(Told::default())]
}

fn text<'e>(event: &'e Event, field: &str) -> &'e str {
    event.text(field).unwrap_or_default()
}

/// Whether the event is a committed row of `table`.
fn row(event: &Event, table: &str) -> bool {
    event.name == "db.commit" && text(event, "table") == table
}

/// L1.
#[derive(Debug, Default)]
struct Balances {
    accounts: BTreeMap<String, Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// What opening and entries make.
    made: i64,
    /// What the row holds.
    held: i64,
    entries: Vec<EventIndex>,
}

impl Balances {
    /// An entry comes before the balances of its transaction.
    fn entry(&mut self, event: &Event) {
        let cents = event.number("cents").unwrap_or(0);
        for (side, sign) in [("debit", -1), ("credit", 1)] {
            let name = text(event, side);
            if !name.is_empty() {
                let account = self.accounts.entry(name.to_owned()).or_default();
                account.made += sign * cents;
                account.entries.push(event.index);
            }
        }
    }

    fn balance(&mut self, event: &Event) -> Result<(), Broken> {
        let (name, cents) = (text(event, "account"), event.number("cents").unwrap_or(0));
        let account = self.accounts.entry(name.to_owned()).or_default();
        account.held = cents;
        if text(event, "op") == "insert" {
            account.made = cents;
        }
        account.check(name)
    }
}

impl Account {
    fn check(&self, name: &str) -> Result<(), Broken> {
        if self.held == self.made {
            return Ok(());
        }
        let (held, made) = (self.held, self.made);
        let message = format!("`{name}` holds {held} cents, and its entries make {made}");
        Err(Broken::new(message).with(self.entries.iter().rev().take(2).rev().copied()))
    }
}

impl Invariant for Balances {
    fn id(&self) -> &'static str {
        "L1"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.commit"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        if row(event, "entries") {
            self.entry(event);
        } else if row(event, "accounts") {
            return self.balance(event);
        }
        Ok(())
    }

    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        self.accounts.iter().try_for_each(|(name, account)| account.check(name))
    }
}

/// L2.
#[derive(Debug, Default)]
struct Once {
    booked: BTreeMap<String, EventIndex>,
}

impl Invariant for Once {
    fn id(&self) -> &'static str {
        "L2"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.commit"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        if !row(event, "entries") {
            return Ok(());
        }
        let key = text(event, "key");
        match self.booked.insert(key.to_owned(), event.index) {
            None => Ok(()),
            Some(first) => Err(Broken::new(format!("`{key}` was booked twice")).with([first])),
        }
    }
}

/// L3.
#[derive(Debug, Default)]
struct Told {
    booked: BTreeMap<String, EventIndex>,
}

impl Invariant for Told {
    fn id(&self) -> &'static str {
        "L3"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.commit", "ledger.answered"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        if row(event, "entries") {
            self.booked.insert(text(event, "key").to_owned(), event.index);
        }
        let done = event.name == "ledger.answered" && text(event, "outcome") == "done";
        let key = text(event, "key");
        if done && !self.booked.contains_key(key) {
            let user = text(event, "user");
            return Err(Broken::new(format!("`{user}` was told that `{key}` is done")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Moment;

    fn event(name: &'static str, fields: &[(&'static str, &str)]) -> Event {
        let value = |text: &str| text.parse::<i64>().map_or_else(|_| text.into(), Into::into);
        Event {
            index: 0,
            step: 0,
            at: Moment::default(),
            host: "db".into(),
            task: "t",
            name,
            fields: fields.iter().map(|(key, text)| (*key, value(text))).collect(),
            cause: None,
        }
    }

    fn entry(key: &str, debit: &str, credit: &str, cents: &str) -> Event {
        let fields = [("key", key), ("debit", debit), ("credit", credit), ("cents", cents)];
        event("db.commit", &[&[("table", "entries"), ("op", "insert")][..], &fields].concat())
    }

    fn account(op: &str, account: &str, cents: &str) -> Event {
        let fields = [("table", "accounts"), ("op", op), ("account", account), ("cents", cents)];
        event("db.commit", &fields)
    }

    fn told(key: &str) -> Event {
        event("ledger.answered", &[("user", "u"), ("key", key), ("outcome", "done")])
    }

    /// The first invariant that breaks, at an event or at the end.
    fn broken(events: &[Event]) -> Option<&'static str> {
        let mut invariants = all();
        for event in events {
            for invariant in &mut invariants {
                if invariant.event(event).is_err() {
                    return Some(invariant.id());
                }
            }
        }
        let end = End { step: 0, at: Moment::default(), left: Vec::new() };
        for invariant in &mut invariants {
            if invariant.end(&end).is_err() {
                return Some(invariant.id());
            }
        }
        None
    }

    #[test]
    fn a_transfer_and_a_deposit_make_the_balances_that_are_held() {
        let held = [
            account("insert", "a", "100"),
            account("insert", "b", "100"),
            entry("k1", "a", "b", "30"),
            account("update", "a", "70"),
            account("update", "b", "130"),
            told("k1"),
            entry("k2", "", "a", "5"),
            account("update", "a", "75"),
        ];
        assert_eq!(broken(&held), None);
    }

    #[test]
    fn a_lost_update_and_an_entry_without_its_balance_break_l1() {
        let opened = account("insert", "a", "100");
        let first = [entry("k1", "", "a", "10"), account("update", "a", "110")];
        let lost = [entry("k2", "", "a", "5"), account("update", "a", "105")];
        let all = [&[opened.clone()][..], &first, &lost].concat();
        assert_eq!(broken(&all), Some("L1"));
        assert_eq!(broken(&[opened, entry("k1", "", "a", "10")]), Some("L1"));
    }

    #[test]
    fn a_second_entry_of_a_request_breaks_l2_and_one_that_is_told_without_it_l3() {
        let booked = [account("insert", "a", "0"), entry("k", "", "a", "1")];
        let twice = [&booked[..], &[entry("k", "", "a", "1")]].concat();
        assert_eq!(broken(&twice), Some("L2"));
        assert_eq!(broken(&[told("k")]), Some("L3"));
    }
}
