//! Each expectation of a scenario as an English sentence. Must never say less than is checked.

use super::automata::times;
use crate::scenario::{
    Claim, Expect, ForEach, Matches, Op, Order, Scenario, Scope, show, show_ppm,
};

/// One paragraph an expectation, in the order of the file.
pub fn explain(scenario: &Scenario) -> String {
    let one = |expect: &Expect| format!("{}: {}\n", expect.id, sentence(expect));
    scenario.expects.iter().map(one).collect()
}

fn sentence(expect: &Expect) -> String {
    let mut text = match (&expect.for_each, expect.key.as_slice()) {
        (Some(ForEach::User), _) => "For each user of the plan, ".to_owned(),
        (Some(ForEach::Match(name)), _) => format!("For each `{name}`, "),
        (None, []) => String::new(),
        (None, key) => format!("For each {}, ", list(key.iter().map(|v| format!("${v}")), "and")),
    };
    text.push_str(&claim(&expect.claim));
    if let Some(guard) = &expect.unless {
        text = format!("{text}, unless `{guard}` has come before");
    }
    let mut chars = text.chars();
    let capital = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let mut sentence = format!("{capital}{}.", chars.as_str());
    if let Some(why) = &expect.may_be_vacuous {
        sentence = format!("{sentence} It may have no case: {why}.");
    }
    sentence
}

fn claim(claim: &Claim) -> String {
    match claim {
        Claim::Order { order, both } => {
            let occur = if *both { ", and each of them comes" } else { "" };
            format!("{}{occur}", order_claim(order))
        }
        Claim::Response { when, then, within } => {
            let within =
                within.map_or("before the end".to_owned(), |w| format!("within {}", show(w)));
            format!("every `{when}` is followed by `{then}` {within}")
        }
        Claim::Count { of, at_least, at_most } => match at_most {
            Some(0) => format!("`{of}` never comes"),
            Some(most) if most == at_least => format!("`{of}` comes exactly {}", times(*most)),
            Some(most) if *at_least == 0 => format!("`{of}` comes at most {}", times(*most)),
            Some(most) => format!("`{of}` comes {at_least} to {most} times"),
            None => format!("`{of}` comes at least {}", times(*at_least)),
        },
        Claim::Sequence { of, field, from } => {
            let from = from.map_or(String::new(), |from| format!(", starting from {from}"));
            format!("the {field} of `{of}` goes up by one each time{from}")
        }
        Claim::Never { what, scope } => match scope {
            Scope::Always => format!("`{what}` never comes"),
            Scope::Between(left, right) => {
                format!("`{what}` never comes from `{left}` up to the next `{right}` or the end")
            }
            Scope::After(left) => format!("`{what}` never comes from the first `{left}` on"),
            Scope::Before(right) => format!("`{what}` never comes before the first `{right}`"),
        },
        Claim::Eventually { what, within } => {
            let within =
                within.map_or("before the end".to_owned(), |w| format!("within {}", show(w)));
            format!("`{what}` comes {within}")
        }
        Claim::Matches(matches) => stream_claim(matches),
        Claim::Sometimes { orders, at_least_ppm } => {
            let share = match at_least_ppm {
                0 => "at least one run".to_owned(),
                ppm => format!("at least {} of the runs", show_ppm(*ppm)),
            };
            let orders = list(orders.iter().map(|order| format!("`{order}`")), "and");
            format!("over a campaign, {orders} each hold, with all their events, in {share}")
        }
    }
}

fn stream_claim(matches: &Matches) -> String {
    let Matches { stream, names, ignore, grammar, .. } = matches;
    let ignored = match ignore.as_slice() {
        [] => String::new(),
        ignore => format!(" ({} ignored)", list(ignore.iter().map(|n| format!("`{n}`")), "and")),
    };
    format!("the {names} of all `{}`{ignored}, from first to last, read `{grammar}`", stream.on)
}

fn order_claim(order: &Order) -> String {
    let group = |index: usize, word: &str| {
        list(order.groups[index].iter().map(|atom| format!("`{atom}`")), word)
    };
    let part = |(index, op): (usize, &Op)| {
        let (left, right) = (index, index + 1);
        let window = |w: &Option<crate::scenario::Between<std::time::Duration>>| {
            w.map_or(String::new(), |w| format!(", {} to {} apart", show(w.low), show(w.high)))
        };
        match op {
            Op::Before => format!("no {} comes after {}", group(left, "or"), group(right, "or")),
            Op::LeadsTo(w) => {
                let (left, right) = (group(left, "and"), group(right, "and"));
                format!("every {left} is followed by a later {right}{}", window(w))
            }
            Op::Needs(w) => {
                let (left, right) = (group(left, "and"), group(right, "and"));
                format!("before every {left} there is {right}{}", window(w))
            }
        }
    };
    list(order.ops.iter().enumerate().map(part), "and")
}

/// `a, b and c`
fn list(items: impl Iterator<Item = String>, word: &str) -> String {
    let items: Vec<String> = items.collect();
    match items.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        items => items.join(""),
    }
}
