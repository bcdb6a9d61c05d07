//! Which function or operator a call means: the rules of PostgreSQL's chapter 10 (Type Conversion),
//! in the steps of its `parse_func.c` and `parse_oper.c`. Must never know what is implemented.

use super::analyze::Context;
use super::signatures::{Kind, Type, casts, category, has, named, named_type, takes};
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::types::Ty;

/// What types that follow from others may lack; PostgreSQL tells no place of it.
const UNDETERMINED: &str = "could not determine polymorphic type";
const NESTED: &str = "could not find array type";

/// Whether the error is about a call as a whole, and has no place.
pub fn is_of_types(error: &PgError) -> bool {
    let message = &error.fields().message;
    error.code() == "42P18" || message.starts_with(UNDETERMINED) || message.starts_with(NESTED)
}

/// What a call means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    Builtin(Chosen),
    /// One of those that were given beside PostgreSQL's.
    Own(usize),
    /// There is one, with types that are not here.
    Foreign,
    /// Several fit equally well.
    Ambiguous,
    /// All that could settle a polymorphic type are literals without one.
    Undetermined,
    /// It would take an array of arrays.
    Nested(Ty),
    Missing,
}

impl Meaning {
    /// Why there is no such call.
    pub fn error(self, kind: Kind, name: &str, args: &[Ty]) -> PgError {
        let signature = signature(kind, name, args);
        let operator = matches!(kind, Kind::Operator | Kind::Prefix);
        let other = [Kind::Aggregate, Kind::Window].iter().any(|kind| has(*kind, name));
        match self {
            Meaning::Ambiguous => {
                let (what, sort) = if operator {
                    (format!("operator is not unique: {signature}"), "operator")
                } else {
                    (format!("function {signature} is not unique"), "function")
                };
                PgError::new("42725", what).hint(format!(
                    "Could not choose a best candidate {sort}. \
                     You might need to add explicit type casts."
                ))
            }
            Meaning::Undetermined => {
                PgError::new("42804", format!("{UNDETERMINED} because input has type unknown"))
            }
            Meaning::Nested(ty) => {
                let name = ty.name();
                PgError::new("42704", format!("{NESTED} for data type {name}"))
            }
            Meaning::Missing if operator => common::no_operator(&signature),
            Meaning::Missing if kind == Kind::Aggregate || !other => {
                common::no_function(&signature)
            }
            _ => PgError::unsupported(signature),
        }
    }
}

/// A call as PostgreSQL's messages show it.
pub fn signature(kind: Kind, name: &str, args: &[Ty]) -> String {
    let names: Vec<String> = args.iter().map(|ty| ty.name()).collect();
    match (kind, names.as_slice()) {
        (Kind::Operator, [left, right]) => format!("{left} {name} {right}"),
        (Kind::Prefix, [only]) => format!("{name} {only}"),
        _ => format!("{name}({})", names.join(", ")),
    }
}

/// One of PostgreSQL's signatures, as a call uses it.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// One type an argument; `ANY` and `ANY_ARRAY` for what takes several.
    pub declared: Vec<Ty>,
    /// What each argument is converted to; `UNKNOWN` where a literal stays without a type.
    pub resolved: Vec<Ty>,
    pub variadic: bool,
}

/// What an argument may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Plain,
    /// `"any"`: each its own.
    Any,
    /// The same type wherever it stands, exactly.
    Element {
        array: bool,
        scalar: bool,
    },
    /// A type that all can be converted to.
    Compatible {
        array: bool,
        scalar: bool,
    },
    /// Enums and ranges, which are not here.
    Never,
}

fn slot(ty: Type) -> Slot {
    match ty.name {
        "any" => Slot::Any,
        "anyelement" => Slot::Element { array: false, scalar: false },
        "anynonarray" => Slot::Element { array: false, scalar: true },
        "anyarray" => Slot::Element { array: true, scalar: false },
        "anycompatible" => Slot::Compatible { array: false, scalar: false },
        "anycompatiblenonarray" => Slot::Compatible { array: false, scalar: true },
        "anycompatiblearray" => Slot::Compatible { array: true, scalar: false },
        name if name.starts_with("any") => Slot::Never,
        _ => Slot::Plain,
    }
}

/// `select_common_type`: the one that others are converted to; two of different categories.
fn select_common(types: &[Type]) -> std::result::Result<Type, (Type, Type)> {
    let unasked = |from, to| casts(from, to, Context::Implicit);
    let mut common = Type::UNKNOWN;
    for ty in types.iter().filter(|ty| **ty != Type::UNKNOWN) {
        let (own, preferred) = category(common);
        if common == Type::UNKNOWN {
            common = *ty;
        } else if *ty != common && own != category(*ty).0 {
            return Err((common, *ty));
        } else if !preferred && unasked(common, *ty) && !unasked(*ty, common) {
            common = *ty;
        }
    }
    Ok(common)
}

/// The type that all are brought to, text if none has one; `place` names them in the error.
pub fn common_type(types: &[Ty], place: &str) -> Result<Ty> {
    let named: Vec<Type> = types.iter().map(|ty| Type::of(*ty)).collect();
    let name = |ty: Type| ty.here().unwrap_or(Ty::ANY).name();
    let common = select_common(&named).map_err(|(a, b)| {
        let (a, b) = (name(a), name(b));
        PgError::new("42804", format!("{place} types {a} and {b} cannot be matched"))
    })?;
    let common = if common == Type::UNKNOWN { Type::TEXT } else { common };
    let fits = |ty: &Type| *ty == Type::UNKNOWN || casts(*ty, common, Context::Implicit);
    if let Some((at, bad)) = named.iter().enumerate().find(|(_, ty)| !fits(ty)) {
        let (from, to) = (name(*bad), name(common));
        // The result of ELSE stands first.
        let place = match (place, at) {
            ("CASE", 0) => "CASE/ELSE",
            ("CASE", _) => "CASE/WHEN",
            _ => place,
        };
        let message = format!("{place} could not convert type {from} to {to}");
        return Err(PgError::new("42846", message));
    }
    common.here().ok_or_else(|| PgError::unsupported(place))
}

/// What two sides of a comparison are converted to: what the operator takes, and the type in which
/// both have one form (an operator may take two types).
pub fn compared(symbol: &str, left: Ty, right: Ty) -> Result<([Ty; 2], Ty)> {
    let types = match resolve(Kind::Operator, symbol, &[left, right], &[]) {
        Meaning::Builtin(chosen) => [chosen.resolved[0], chosen.resolved[1]],
        other => return Err(other.error(Kind::Operator, symbol, &[left, right])),
    };
    let common = if types[0] == types[1] { types[0] } else { common_type(&types, symbol)? };
    Ok((types, common))
}

/// Whether a conversion exists and the context allows it.
pub fn can_cast(from: Ty, to: Ty, context: Context) -> bool {
    from == Ty::UNKNOWN || casts(Type::of(from), Type::of(to), context)
}

struct Candidate {
    args: Vec<Type>,
    variadic: bool,
    own: Option<usize>,
}

/// A call: its arguments' types, and PostgreSQL's tables.
struct Call<'a> {
    args: &'a [Type],
}

/// What a call of this name with these arguments means; `own` are functions beside PostgreSQL's.
pub fn resolve(kind: Kind, name: &str, args: &[Ty], own: &[Vec<Ty>]) -> Meaning {
    let args: Vec<Type> = args.iter().map(|ty| Type::of(*ty)).collect();
    let call = Call { args: &args };
    // Most calls are of the very types of a function: it is found without looking at the others.
    let wanted = call.assumed(kind);
    if !wanted.is_empty() && takes(kind, name, &wanted) {
        return call.meaning(&Candidate { args: wanted, variadic: false, own: None });
    }
    let mut candidates = candidates(kind, name, args.len());
    for (at, types) in own.iter().enumerate().filter(|(_, types)| types.len() == args.len()) {
        let types: Vec<Type> = types.iter().map(|ty| Type::of(*ty)).collect();
        if !candidates.iter().any(|known| known.args == types) {
            candidates.push(Candidate { args: types, variadic: false, own: Some(at) });
        }
    }
    if let Some(exact) = candidates.iter().find(|candidate| candidate.args == wanted) {
        return call.meaning(exact);
    }
    if kind == Kind::Function && call.is_cast(name) {
        return Meaning::Foreign;
    }
    candidates.retain(|candidate| fits(&args, &candidate.args));
    match candidates.as_slice() {
        [] => Meaning::Missing,
        [only] => call.meaning(only),
        _ => match call.select(candidates) {
            Some(one) => call.meaning(&one),
            None => Meaning::Ambiguous,
        },
    }
}

/// Those of this name that take this number of arguments; a variadic one only if no other takes
/// the same types.
fn candidates(kind: Kind, name: &str, number: usize) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let named = named(kind, name);
    for signature in named.iter().filter(|signature| !signature.variadic) {
        if (signature.needed..=signature.args.len()).contains(&number) {
            let args = signature.args[..number].to_vec();
            found.push(Candidate { args, variadic: false, own: None });
        }
    }
    for signature in named.iter().filter(|signature| signature.variadic) {
        let (Some(last), true) = (signature.args.last(), number >= signature.args.len()) else {
            continue;
        };
        let mut args = signature.args.clone();
        args.resize(number, *last);
        if !found.iter().any(|known| known.args == args) {
            found.push(Candidate { args, variadic: true, own: None });
        }
    }
    found
}

/// Whether the arguments can be converted, unasked.
fn fits(given: &[Type], wanted: &[Type]) -> bool {
    let plain = given.iter().zip(wanted).all(|(from, to)| {
        slot(*to) != Slot::Plain || *from == Type::UNKNOWN || casts(*from, *to, Context::Implicit)
    });
    plain && polymorphic(given, wanted).is_some()
}

/// What the polymorphic arguments are: of elements, and of compatible ones. `None` if they do
/// not go together; a type is `UNKNOWN` if only literals could tell.
fn polymorphic(given: &[Type], wanted: &[Type]) -> Option<(Type, Type)> {
    let mut element = Type::UNKNOWN;
    let mut compatible = Vec::new();
    let mut scalars = (false, false);
    for (from, to) in given.iter().zip(wanted) {
        let (array, exact) = match slot(*to) {
            Slot::Never if *from != Type::UNKNOWN => return None,
            Slot::Plain | Slot::Any | Slot::Never => continue,
            Slot::Element { array, scalar } => {
                scalars.0 |= scalar;
                (array, true)
            }
            Slot::Compatible { array, scalar } => {
                scalars.1 |= scalar;
                (array, false)
            }
        };
        if *from == Type::UNKNOWN {
            continue;
        }
        if array && !from.array {
            return None;
        }
        let part = if array { from.element() } else { *from };
        if !exact {
            compatible.push(part);
        } else if element == Type::UNKNOWN {
            element = part;
        } else if element != part {
            return None;
        }
    }
    let common = select_common(&compatible).ok()?;
    if !compatible.iter().all(|ty| casts(*ty, common, Context::Implicit)) {
        return None;
    }
    let bad = scalars.0 && element.array || scalars.1 && common.array;
    (!bad).then_some((element, common))
}

impl Call<'_> {
    fn is_unknown(&self, at: usize) -> bool {
        self.args[at] == Type::UNKNOWN
    }

    /// The name of a type, called like a function: its value by way of a text.
    fn is_cast(&self, name: &str) -> bool {
        let [only] = self.args else { return false };
        let text = *only == Type::UNKNOWN || category(*only).0 == 'S';
        named_type(name).is_some_and(|category| text || category == 'S')
    }

    /// Of operators, a literal without a type is first taken for what stands on the other side.
    fn assumed(&self, kind: Kind) -> Vec<Type> {
        let mut wanted = self.args.to_vec();
        if let (Kind::Operator, [left, right]) = (kind, self.args) {
            match (self.is_unknown(0), self.is_unknown(1)) {
                (true, false) => wanted[0] = *right,
                (false, true) => wanted[1] = *left,
                _ => {}
            }
        }
        wanted
    }

    /// `select_candidate`: exact matches, preferred types, then what literals are likely to be.
    fn select(&self, mut candidates: Vec<Candidate>) -> Option<Candidate> {
        self.keep_best(&mut candidates, |given, wanted| given == wanted);
        if candidates.len() == 1 {
            return candidates.pop();
        }
        self.keep_best(&mut candidates, |given, wanted| {
            given == wanted || category(wanted) == (category(given).0, true)
        });
        if candidates.len() == 1 {
            return candidates.pop();
        }
        let unknown = (0..self.args.len()).filter(|at| self.is_unknown(*at)).count();
        if unknown == 0 {
            return None;
        }
        self.keep_likely(&mut candidates);
        if candidates.len() == 1 {
            return candidates.pop();
        }
        let mut known = self.args.iter().filter(|ty| **ty != Type::UNKNOWN);
        let one = *known.next()?;
        if known.any(|ty| *ty != one) {
            return None;
        }
        let assumed = vec![one; self.args.len()];
        candidates.retain(|candidate| fits(&assumed, &candidate.args));
        if candidates.len() == 1 { candidates.pop() } else { None }
    }

    /// Those with the most arguments that count.
    fn keep_best(&self, all: &mut Vec<Candidate>, counts: fn(Type, Type) -> bool) {
        let score = |candidate: &Candidate| {
            let pairs = self.args.iter().zip(&candidate.args);
            pairs.filter(|(a, b)| **a != Type::UNKNOWN && counts(**a, **b)).count()
        };
        let best = all.iter().map(score).max();
        all.retain(|candidate| Some(score(candidate)) == best);
    }

    /// Where literals without a type stand: those of the category that all take there, or of
    /// strings if one does; and of the preferred type if one is.
    fn keep_likely(&self, candidates: &mut Vec<Candidate>) {
        let mut slots = Vec::new();
        for at in (0..self.args.len()).filter(|at| self.is_unknown(*at)) {
            let mut slot: Option<(char, bool)> = None;
            let mut conflict = false;
            for candidate in candidates.iter() {
                let (own, preferred) = category(candidate.args[at]);
                slot = match slot {
                    None => Some((own, preferred)),
                    Some((known, before)) if known == own => Some((known, before || preferred)),
                    Some(_) if own == 'S' => Some((own, preferred)),
                    other => {
                        conflict = true;
                        other
                    }
                };
            }
            let Some(slot) = slot else { return };
            if conflict && slot.0 != 'S' {
                return;
            }
            slots.push((at, slot));
        }
        let likely = |candidate: &Candidate| {
            slots.iter().all(|(at, (wanted, preferred))| {
                let own = category(candidate.args[*at]);
                own.0 == *wanted && (own.1 || !preferred)
            })
        };
        if candidates.iter().any(likely) {
            candidates.retain(likely);
        }
    }

    /// The types of the arguments, once the candidate is chosen.
    fn meaning(&self, candidate: &Candidate) -> Meaning {
        if let Some(own) = candidate.own {
            return Meaning::Own(own);
        }
        let Some((element, common)) = polymorphic(self.args, &candidate.args) else {
            return Meaning::Missing;
        };
        // Literals that nothing else settles are texts among compatible ones.
        let common = if common == Type::UNKNOWN { Type::TEXT } else { common };
        let (mut declared, mut resolved) = (Vec::new(), Vec::new());
        for (given, wanted) in self.args.iter().zip(&candidate.args) {
            let (array, ty) = match slot(*wanted) {
                Slot::Element { array, .. } => (Some(array), element),
                Slot::Compatible { array, .. } => (Some(array), common),
                Slot::Any => (Some(false), *given),
                _ => (None, *wanted),
            };
            if slot(*wanted) != Slot::Any && ty == Type::UNKNOWN {
                return Meaning::Undetermined;
            }
            let Some(here) = ty.here() else { return Meaning::Foreign };
            if array == Some(true) && here.array {
                return Meaning::Nested(here);
            }
            let ty = if array == Some(true) { Ty { array: true, ..here } } else { here };
            declared.push(array.map_or(ty, |array| Ty { array, ..Ty::ANY }));
            resolved.push(ty);
        }
        Meaning::Builtin(Chosen { declared, resolved, variadic: candidate.variadic })
    }
}
