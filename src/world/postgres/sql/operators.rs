//! Which expressions are PostgreSQL's: its operators, how they bind and what may not stand beside
//! what (PostgreSQL 15, 4.1.6). Must never look at types.

use super::grammar::{NOT_BEFORE, Symbol};
use super::matching::Match;

/// How an operator binds, from OR on; nothing binds more loosely than `NOTHING`.
const NOTHING: u8 = 0;
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARISON: u8 = 5;
const LIKE: u8 = 6;
const OTHER: u8 = 7;
const SUM: u8 = 8;
const PRODUCT: u8 = 9;
const POWER: u8 = 10;
const AT: u8 = 11;
const COLLATE: u8 = 12;
const SIGN: u8 = 13;
const CAST: u8 = 14;

/// Operators of one strength that cannot stand in a row.
fn stands_alone(strength: u8) -> bool {
    matches!(strength, IS | COMPARISON | LIKE)
}

/// What follows an operator.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Value,
    /// A value, or ANY or ALL and what is compared.
    Compared,
    Operator,
    Nothing,
    Rule(&'static str),
    Is,
    Negated,
    Between,
    Like,
    Similar,
    AtTimeZone,
}

type Infix = (u8, Form, bool);

/// The operators by their symbols; `true`: also in expressions beside which key words stand.
pub struct Operators(Vec<Option<Infix>>);

const INFIX: &[(&str, Infix)] = &[
    ("or", (OR, Form::Value, false)),
    ("and", (AND, Form::Value, false)),
    ("is", (IS, Form::Is, true)),
    ("isnull", (IS, Form::Nothing, false)),
    ("notnull", (IS, Form::Nothing, false)),
    ("<", (COMPARISON, Form::Compared, true)),
    (">", (COMPARISON, Form::Compared, true)),
    ("=", (COMPARISON, Form::Compared, true)),
    ("<=", (COMPARISON, Form::Compared, true)),
    (">=", (COMPARISON, Form::Compared, true)),
    ("<>", (COMPARISON, Form::Compared, true)),
    ("NOT_LA", (LIKE, Form::Negated, false)),
    ("between", (LIKE, Form::Between, false)),
    ("in", (LIKE, Form::Rule("in_list"), false)),
    ("like", (LIKE, Form::Like, false)),
    ("ilike", (LIKE, Form::Like, false)),
    ("similar", (LIKE, Form::Similar, false)),
    ("<operator>", (OTHER, Form::Compared, true)),
    ("operator", (OTHER, Form::Operator, true)),
    ("+", (SUM, Form::Compared, true)),
    ("-", (SUM, Form::Compared, true)),
    ("*", (PRODUCT, Form::Compared, true)),
    ("/", (PRODUCT, Form::Compared, true)),
    ("%", (PRODUCT, Form::Compared, true)),
    ("^", (POWER, Form::Compared, true)),
    ("at", (AT, Form::AtTimeZone, false)),
    ("collate", (COLLATE, Form::Rule("long_name"), false)),
    ("::", (CAST, Form::Rule("type"), true)),
];

impl Operators {
    /// The symbols are those of the grammar that it is to be a part of.
    pub fn new(symbol: impl Fn(&str) -> Option<Symbol>) -> Operators {
        let mut all = Vec::new();
        for (name, infix) in INFIX {
            let at = usize::from(symbol(name).expect("a symbol of the grammar"));
            all.resize(all.len().max(at + 1), None);
            all[at] = Some(*infix);
        }
        Operators(all)
    }
}

impl Match<'_> {
    fn is(&self, at: usize, name: &str) -> bool {
        self.grammar.symbol(name) == Some(self.symbol(at))
    }

    /// Where the expression ends that begins here; `all`: with every operator there is.
    pub fn value(&mut self, all: bool, at: usize) -> Option<usize> {
        if let Some(known) = self.values.get(&(all, at)) {
            return *known;
        }
        let end = self.bound(all, at, NOTHING);
        self.values.insert((all, at), end);
        end
    }

    /// An expression beside an operator that binds as strongly as `beside`.
    fn bound(&mut self, all: bool, at: usize, beside: u8) -> Option<usize> {
        let mut at = self.nested(|own| own.prefixed(all, at))?;
        loop {
            let infix =
                self.grammar.operators.0.get(usize::from(self.symbol(at))).copied().flatten();
            let Some((strength, form, _)) = infix.filter(|(.., plain)| all || *plain) else {
                return Some(at);
            };
            if strength == beside && stands_alone(strength) {
                self.fail(at);
                return None;
            }
            if strength <= beside {
                return Some(at);
            }
            let unlike = match form {
                Form::Similar => !self.is(at + 1, "to"),
                Form::AtTimeZone => !self.is(at + 1, "time"),
                _ => false,
            };
            if unlike && beside == NOTHING {
                self.fail(at + 1);
                return Some(at);
            }
            let after = |own: &mut Self| own.nested(|own| own.after(all, at + 1, strength, form));
            at = match self.reach(after) {
                (Some(end), _) => end,
                // With nothing after it that could follow it, the word is a label.
                (None, far) if far == at + 1 && beside == NOTHING => return Some(at),
                (None, _) => return None,
            };
        }
    }

    fn prefixed(&mut self, all: bool, at: usize) -> Option<usize> {
        if self.is(at, "+") || self.is(at, "-") {
            return self.bound(all, at + 1, SIGN);
        }
        if self.is(at, "<operator>") || self.is(at, "operator") {
            let end = self.longest("qualified_operator", at);
            if let Some(end) = end {
                return self.bound(all, end, OTHER);
            }
        }
        if all && (self.is(at, "not") || self.symbol(at) == NOT_BEFORE) {
            return self.bound(all, at + 1, NOT);
        }
        if all && self.is(at, "default") {
            return Some(at + 1);
        }
        self.longest("operand", at)
    }

    /// What stands after an operator.
    fn after(&mut self, all: bool, at: usize, strength: u8, form: Form) -> Option<usize> {
        match form {
            Form::Value => self.bound(all, at, strength),
            Form::Compared => self.compared(all, at, strength),
            Form::Operator => {
                let end = self.longest("qualified_operator", at - 1)?;
                self.compared(all, end, strength)
            }
            Form::Nothing => Some(at),
            Form::Rule(rule) => self.longest(rule, at),
            Form::Is => {
                let end = self.longest(if all { "is_what" } else { "is_plainly" }, at)?;
                if self.is(end - 1, "from") { self.bound(all, end, IS) } else { Some(end) }
            }
            Form::Negated => {
                let inner = self.grammar.operators.0[usize::from(self.symbol(at))];
                let (strength, form, _) = inner.expect("NOT has been looked at");
                self.after(all, at + 1, strength, form)
            }
            Form::Between => {
                let either = self.is(at, "symmetric") || self.is(at, "asymmetric");
                let low = self.value(false, at + usize::from(either))?;
                if !self.is(low, "and") {
                    self.fail(low);
                    return None;
                }
                self.bound(true, low + 1, LIKE)
            }
            Form::Like | Form::Similar => {
                let quantified = form == Form::Like;
                let end = match quantified {
                    true => self.compared(all, at, strength)?,
                    false if self.is(at, "to") => self.bound(all, at + 1, strength)?,
                    false => {
                        self.fail(at);
                        return None;
                    }
                };
                let escape = self.is(end, "escape");
                if escape { self.bound(all, end + 1, strength) } else { Some(end) }
            }
            Form::AtTimeZone => {
                if !self.is(at + 1, "zone") {
                    self.fail(at + 1);
                    return None;
                }
                self.bound(all, at + 2, AT)
            }
        }
    }

    fn compared(&mut self, all: bool, at: usize, strength: u8) -> Option<usize> {
        let quantified = ["any", "some", "all"].iter().any(|word| self.is(at, word));
        if all && quantified {
            self.longest("quantified", at)
        } else {
            self.bound(all, at, strength)
        }
    }
}
