//! Texts and bytes. Must never count bytes where SQL counts characters.

use std::sync::Arc;

use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::{Function, quoted};
use crate::world::postgres::types::{Array, Datum, Ty, hex as to_hex_digits, to_text};

macro_rules! table {
    ($(
        $name:literal [$($arg:ident),*] $ret:ident $strict:literal $variadic:literal $run:ident;
    )*) => {
        pub const TABLE: &[Function] = &[$(Function {
            name: $name, args: &[$(Ty::$arg),*], ret: Ty::$ret, strict: $strict,
            variadic: $variadic, run: $run,
        }),*];
    };
}

table! {
    "||" [TEXT, TEXT] TEXT true false concat_two; "||" [BYTEA, BYTEA] BYTEA true false concat_two;
    "||" [TEXT, ANY] TEXT true false concat_two; "||" [ANY, TEXT] TEXT true false concat_two;
    "concat" [ANY] TEXT false true concat; "concat_ws" [TEXT, ANY] TEXT false true concat_ws;
    "lower" [TEXT] TEXT true false lower; "upper" [TEXT] TEXT true false upper;
    "initcap" [TEXT] TEXT true false initcap;
    "length" [TEXT] INT4 true false length; "length" [BYTEA] INT4 true false length;
    "char_length" [TEXT] INT4 true false length; "character_length" [TEXT] INT4 true false length;
    "length" [BPCHAR] INT4 true false length; "char_length" [BPCHAR] INT4 true false length;
    "character_length" [BPCHAR] INT4 true false length;
    "octet_length" [BPCHAR] INT4 true false octets;
    "octet_length" [TEXT] INT4 true false octets; "octet_length" [BYTEA] INT4 true false octets;
    "substring" [TEXT, INT4] TEXT true false substring;
    "substring" [TEXT, INT4, INT4] TEXT true false substring;
    "substr" [TEXT, INT4] TEXT true false substring;
    "substr" [TEXT, INT4, INT4] TEXT true false substring;
    "left" [TEXT, INT4] TEXT true false left; "right" [TEXT, INT4] TEXT true false right;
    "btrim" [TEXT] TEXT true false btrim; "btrim" [TEXT, TEXT] TEXT true false btrim;
    "ltrim" [TEXT] TEXT true false ltrim; "ltrim" [TEXT, TEXT] TEXT true false ltrim;
    "rtrim" [TEXT] TEXT true false rtrim; "rtrim" [TEXT, TEXT] TEXT true false rtrim;
    "lpad" [TEXT, INT4] TEXT true false lpad; "lpad" [TEXT, INT4, TEXT] TEXT true false lpad;
    "rpad" [TEXT, INT4] TEXT true false rpad; "rpad" [TEXT, INT4, TEXT] TEXT true false rpad;
    "replace" [TEXT, TEXT, TEXT] TEXT true false replace;
    "repeat" [TEXT, INT4] TEXT true false repeat; "reverse" [TEXT] TEXT true false reverse;
    "strpos" [TEXT, TEXT] INT4 true false strpos; "position" [TEXT, TEXT] INT4 true false strpos;
    "starts_with" [TEXT, TEXT] BOOL true false starts_with;
    "^@" [TEXT, TEXT] BOOL true false starts_with;
    "split_part" [TEXT, TEXT, INT4] TEXT true false split_part;
    "ascii" [TEXT] INT4 true false ascii; "chr" [INT4] TEXT true false chr;
    "to_hex" [INT4] TEXT true false to_hex; "to_hex" [INT8] TEXT true false to_hex;
    "quote_literal" [TEXT] TEXT true false quote_literal;
    "quote_ident" [TEXT] TEXT true false quote_ident;
    "encode" [BYTEA, TEXT] TEXT true false encode; "md5" [TEXT] TEXT true false md5;
    "format" [TEXT, ANY] TEXT false true format; "format" [TEXT] TEXT false false format;
}

fn text(datum: &Datum) -> &str {
    datum.as_str().unwrap_or("")
}

fn int(number: usize) -> Datum {
    Datum::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn concat_two(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    if let (Datum::Bytes(a), Datum::Bytes(b)) = (&args[0], &args[1]) {
        return Ok(Datum::Bytes(a.iter().chain(b.iter()).copied().collect::<Vec<u8>>().into()));
    }
    Ok(Datum::text(as_cast(&args[0], types[0]) + &as_cast(&args[1], types[1])))
}

/// The text that a cast to text gives.
fn as_cast(datum: &Datum, ty: Ty) -> String {
    match datum {
        Datum::Bool(flag) => flag.to_string(),
        Datum::Text(text) if ty == Ty::BPCHAR => text.trim_end_matches(' ').to_owned(),
        _ => to_text(datum, ty),
    }
}

/// A text whose case can be changed: what other letters have depends on the locale.
pub fn ascii_only(datum: &Datum) -> Step<&str> {
    let text = text(datum);
    if text.is_ascii() {
        return Ok(text);
    }
    Err(PgError::unsupported("the case of letters beyond ASCII").into())
}

fn shown(args: &[Datum], types: &[Ty]) -> Vec<String> {
    let kept = args.iter().zip(types).filter(|(datum, _)| !datum.is_null());
    kept.map(|(datum, ty)| to_text(datum, *ty)).collect()
}

fn concat(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(shown(args, types).concat()))
}

fn concat_ws(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let Some((Datum::Text(separator), rest)) = args.split_first() else { return Ok(Datum::Null) };
    Ok(Datum::text(shown(rest, &types[1..]).join(separator)))
}

fn lower(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(ascii_only(&args[0])?.to_ascii_lowercase()))
}

fn upper(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(ascii_only(&args[0])?.to_ascii_uppercase()))
}

fn initcap(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let mut out = String::new();
    let mut inside = false;
    for c in ascii_only(&args[0])?.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric();
    }
    Ok(Datum::text(out))
}

fn length(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(match &args[0] {
        Datum::Bytes(bytes) => int(bytes.len()),
        Datum::Text(text) if types[0] == Ty::BPCHAR => {
            int(text.trim_end_matches(' ').chars().count())
        }
        other => int(text(other).chars().count()),
    })
}

fn octets(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(match &args[0] {
        Datum::Bytes(bytes) => int(bytes.len()),
        other => int(text(other).len()),
    })
}

/// Characters from `start` (from 1, may lie before the text) on, at most `length`.
fn substring(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let start = args[1].as_int().unwrap_or(1);
    let end = match args.get(2).and_then(Datum::as_int) {
        Some(length) if length < 0 => {
            return Err(PgError::new("22011", "negative substring length not allowed").into());
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let numbered = (1_i64..).zip(text(&args[0]).chars());
    let kept = numbered.filter(|(at, _)| *at >= start && *at < end).map(|(_, c)| c);
    Ok(Datum::text(kept.collect::<String>()))
}

/// How many of `total` characters a signed count means: negative counts from the other end.
fn signed(count: i64, total: usize) -> usize {
    if count >= 0 {
        usize::try_from(count).unwrap_or(usize::MAX).min(total)
    } else {
        total.saturating_sub(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX))
    }
}

fn left(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let text = text(&args[0]);
    let kept = signed(args[1].as_int().unwrap_or(0), text.chars().count());
    Ok(Datum::text(text.chars().take(kept).collect::<String>()))
}

fn right(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let text = text(&args[0]);
    let total = text.chars().count();
    let kept = match args[1].as_int().unwrap_or(0) {
        // It cannot be negated, and then counts as nothing to leave out.
        by if by == i64::from(i32::MIN) => total,
        by => signed(by, total),
    };
    Ok(Datum::text(text.chars().skip(total - kept).collect::<String>()))
}

fn trimmed(args: &[Datum], start: bool, end: bool) -> Datum {
    let set: Vec<char> = args.get(1).map_or_else(|| vec![' '], |set| text(set).chars().collect());
    let mut out = text(&args[0]);
    if start {
        out = out.trim_start_matches(|c| set.contains(&c));
    }
    if end {
        out = out.trim_end_matches(|c| set.contains(&c));
    }
    Datum::text(out)
}

fn btrim(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(trimmed(args, true, true))
}

fn ltrim(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(trimmed(args, true, false))
}

fn rtrim(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(trimmed(args, false, true))
}

/// What PostgreSQL cannot hold is 54000; what this server will not is refused.
fn check_length(bytes: usize, real_bytes: usize) -> Step<()> {
    if real_bytes > 0x3fff_ffff - 4 {
        return Err(PgError::new("54000", "requested length too large").into());
    }
    if bytes > 1 << 26 {
        return Err(PgError::unsupported("a text of this length").into());
    }
    Ok(())
}

fn padding(args: &[Datum]) -> Step<(String, String)> {
    let mut wanted = usize::try_from(args[1].as_int().unwrap_or(0)).unwrap_or(0);
    let fill = args.get(2).map_or(" ", text);
    if fill.is_empty() {
        wanted = wanted.min(text(&args[0]).chars().count());
    }
    check_length(wanted, wanted.saturating_mul(4))?;
    let kept: String = text(&args[0]).chars().take(wanted).collect();
    let missing = wanted - kept.chars().count();
    Ok((kept, fill.chars().cycle().take(if fill.is_empty() { 0 } else { missing }).collect()))
}

fn lpad(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (kept, fill) = padding(args)?;
    Ok(Datum::text(fill + &kept))
}

fn rpad(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (kept, fill) = padding(args)?;
    Ok(Datum::text(kept + &fill))
}

fn replace(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    if text(&args[1]).is_empty() {
        return Ok(args[0].clone());
    }
    Ok(Datum::text(text(&args[0]).replace(text(&args[1]), text(&args[2]))))
}

fn repeat(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let times = usize::try_from(args[1].as_int().unwrap_or(0)).unwrap_or(0);
    let bytes = text(&args[0]).len().saturating_mul(times);
    check_length(bytes, bytes)?;
    Ok(Datum::text(text(&args[0]).repeat(times)))
}

fn reverse(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(text(&args[0]).chars().rev().collect::<String>()))
}

fn strpos(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let found = text(&args[0]).find(text(&args[1]));
    Ok(found.map_or(Datum::Int(0), |at| int(text(&args[0])[..at].chars().count() + 1)))
}

fn starts_with(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(text(&args[0]).starts_with(text(&args[1]))))
}

fn split_part(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let wanted = args[2].as_int().unwrap_or(0);
    let parts: Vec<&str> = match text(&args[1]) {
        "" => vec![text(&args[0])],
        separator => text(&args[0]).split(separator).collect(),
    };
    let at = match wanted {
        0 => return Err(PgError::new("22023", "field position must not be zero").into()),
        1.. => usize::try_from(wanted - 1).ok(),
        _ => parts.len().checked_sub(usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    Ok(Datum::text(at.and_then(|at| parts.get(at)).copied().unwrap_or("")))
}

fn ascii(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Int(text(&args[0]).chars().next().map_or(0, |c| i64::from(u32::from(c)))))
}

fn chr(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let code = args[0].as_int().unwrap_or(0);
    let sqlstate = if code < 0 { "22023" } else { "54000" };
    let message = match code {
        i64::MIN..=-1 => "character number must be positive".to_owned(),
        0 => "null character not permitted".to_owned(),
        0x11_0000.. => format!("requested character too large for encoding: {code}"),
        _ => match u32::try_from(code).ok().and_then(char::from_u32) {
            Some(c) => return Ok(Datum::text(c.to_string())),
            None => format!("requested character not valid for encoding: {code}"),
        },
    };
    Err(PgError::new(sqlstate, message).into())
}

fn to_hex(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let number = args[0].as_int().unwrap_or(0);
    Ok(Datum::text(match i32::try_from(number) {
        Ok(narrow) if types[0] == Ty::INT4 => format!("{narrow:x}"),
        _ => format!("{number:x}"),
    }))
}

fn quote_literal(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(quoted_literal(text(&args[0]))))
}

fn quoted_literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\'', "''").replace('\\', "\\\\"))
}

fn quote_ident(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(quoted(text(&args[0]))))
}

fn encode(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Bytes(bytes) = &args[0] else { return Ok(Datum::Null) };
    match text(&args[1]) {
        "hex" => Ok(Datum::text(to_hex_digits(bytes))),
        other => Err(PgError::unsupported(format_args!("the encoding {other}")).into()),
    }
}

/// RFC 1321: text in, 32 hexadecimal digits out.
fn md5(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(to_hex_digits(&md5_digest(text(&args[0]).as_bytes()))))
}

fn md5_digest(input: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    // floor(2^32 * |sin(n + 1)|) without floating point: the table of the RFC.
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut message = input.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&((input.len() as u64).wrapping_mul(8)).to_le_bytes());
    for block in message.chunks_exact(64) {
        let word = |at: usize| {
            u32::from_le_bytes([
                block[at * 4],
                block[at * 4 + 1],
                block[at * 4 + 2],
                block[at * 4 + 3],
            ])
        };
        let [mut a, mut b, mut c, mut d] = state;
        for at in 0..64 {
            let (mix, index) = match at / 16 {
                0 => ((b & c) | (!b & d), at),
                1 => ((d & b) | (!d & c), (5 * at + 1) % 16),
                2 => (b ^ c ^ d, (3 * at + 5) % 16),
                _ => (c ^ (b | !d), (7 * at) % 16),
            };
            let sum = a.wrapping_add(mix).wrapping_add(MD5_SINES[at]).wrapping_add(word(index));
            let turned = sum.rotate_left(SHIFTS[at / 16][at % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (whole, part) in state.iter_mut().zip([a, b, c, d]) {
            *whole = whole.wrapping_add(part);
        }
    }
    let mut out = [0; 16];
    for (place, word) in out.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    out
}

#[rustfmt::skip]
const MD5_SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee,
    0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be,
    0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa,
    0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed,
    0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c,
    0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05,
    0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039,
    0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
    0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// `%s`, `%I`, `%L`, `%%`.
fn format(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let Datum::Text(pattern) = &args[0] else { return Ok(Datum::Null) };
    let mut rest = args.iter().zip(types).skip(1);
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let kind = chars.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        match kind {
            Some('s' | 'I' | 'L') => {}
            Some('0'..='9' | '-' | '*') => {
                return Err(PgError::unsupported("a width or position in format()").into());
            }
            other => {
                let message = match other {
                    Some(c) => format!("unrecognized format() type specifier \"{c}\""),
                    None => "unterminated format() type specifier".to_owned(),
                };
                let hint = "For a single \"%\" use \"%%\".";
                return Err(PgError::new("22023", message).hint(hint).into());
            }
        }
        let (datum, ty) =
            rest.next().ok_or_else(|| PgError::new("22023", "too few arguments for format()"))?;
        let text = to_text(datum, *ty);
        match kind {
            Some('s') => out.push_str(&text),
            Some('I') if datum.is_null() => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(PgError::new("22004", message).into());
            }
            Some('I') => out.push_str(&quoted(&text)),
            Some('L') if datum.is_null() => out.push_str("NULL"),
            _ => out.push_str(&quoted_literal(&text)),
        }
    }
    Ok(Datum::text(out))
}

/// An array of texts.
pub fn texts(items: impl IntoIterator<Item = String>) -> Datum {
    let items = items.into_iter().map(Datum::text).collect();
    Datum::Array(Arc::new(Array { items }))
}
