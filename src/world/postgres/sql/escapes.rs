//! Escapes in literals: `E'…'` and `U&'…'` (PostgreSQL 15, 4.1.2). Must never look beyond one
//! literal. Places of errors are characters into it, from 1.

use crate::world::postgres::error::PgError;

struct Reader<'t> {
    chars: &'t [char],
    at: usize,
    /// Bytes that are to become characters.
    out: Vec<u8>,
    /// The first half of a pair.
    high: Option<u32>,
}

impl Reader<'_> {
    /// Half a pair, where something else stands than the other half.
    fn half(&self, at: usize) -> PgError {
        let rest = self.chars.get(at..).unwrap_or_default();
        let shown: String = match rest.first() {
            Some('\\') => rest[..self.at - at].iter().collect(),
            Some(c) => c.to_string(),
            None => "'".to_owned(),
        };
        let message = format!("invalid Unicode surrogate pair at or near \"{shown}\"");
        PgError::new("42601", message).at(Some(at + 1))
    }

    fn push(&mut self, c: char) {
        self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// So many hexadecimal digits; takes them.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits: String = self.chars.get(self.at..self.at + count)?.iter().collect();
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        self.at += count;
        u32::from_str_radix(&digits, 16).ok()
    }

    /// A character by its number, or one half of it.
    fn unit(&mut self, unit: u32, from: usize) -> Result<(), PgError> {
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
                self.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
            (Some(_), _) | (None, 0xdc00..=0xdfff) => return Err(self.half(from)),
            (None, 0xd800..=0xdbff) => self.high = Some(unit),
            (None, _) => {
                let c = char::from_u32(unit).filter(|c| *c != '\0').ok_or_else(|| {
                    PgError::new("42601", "invalid Unicode escape value").at(Some(from + 1))
                })?;
                self.push(c);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<String, PgError> {
        let text = String::from_utf8(self.out).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let long = match bytes[at] {
                0xf0..=0xf7 => 4,
                0xe0..=0xef => 3,
                0xc0..=0xdf => 2,
                _ => 1,
            };
            let shown = bytes[at..bytes.len().min(at + long)].iter();
            let shown: Vec<String> = shown.map(|byte| format!("0x{byte:02x}")).collect();
            let shown = shown.join(" ");
            PgError::new("22021", format!("invalid byte sequence for encoding \"UTF8\": {shown}"))
        })?;
        if text.contains('\0') {
            return Err(PgError::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
        }
        Ok(text)
    }
}

/// Reads a literal, each character by `step`; `numbered`: where the number of one stands.
fn read(
    raw: &str,
    numbered: impl Fn(char, Option<char>) -> bool,
    step: impl Fn(&mut Reader<'_>, char, Option<char>, usize) -> Result<(), PgError>,
) -> Result<String, PgError> {
    let chars: Vec<char> = raw.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, out: Vec::new(), high: None };
    while let Some(c) = chars.get(reader.at).copied() {
        let from = reader.at;
        reader.at += 1;
        let next = chars.get(reader.at).copied();
        if reader.high.is_some() && !numbered(c, next) {
            return Err(reader.half(from));
        }
        step(&mut reader, c, next, from)?;
    }
    if reader.high.is_some() {
        return Err(reader.half(reader.at));
    }
    reader.finish()
}

/// The value of what stands in `E'…'`, where `''` is still twofold.
pub fn escaped(raw: &str) -> Result<String, PgError> {
    let numbered = |c, next| c == '\\' && matches!(next, Some('u' | 'U'));
    read(raw, numbered, |reader, c, next, from| {
        match (c, next) {
            ('\'', Some('\'')) => {
                reader.at += 1;
                reader.push('\'');
            }
            ('\\', Some(next)) => {
                reader.at += 1;
                escape(reader, next, from)?;
            }
            (c, _) => reader.push(c),
        }
        Ok(())
    })
}

fn escape(reader: &mut Reader<'_>, next: char, from: usize) -> Result<(), PgError> {
    match next {
        'b' => reader.push('\u{8}'),
        'f' => reader.push('\u{c}'),
        'n' => reader.push('\n'),
        'r' => reader.push('\r'),
        't' => reader.push('\t'),
        'v' => reader.push('\u{b}'),
        'u' | 'U' => {
            let unit = reader.digits(if next == 'u' { 4 } else { 8 }).ok_or_else(|| {
                PgError::new("22025", "invalid Unicode escape")
                    .hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
                    .at(Some(from + 1))
            })?;
            reader.unit(unit, from)?;
        }
        'x' if reader.chars.get(reader.at).is_some_and(char::is_ascii_hexdigit) => {
            let value = reader.digits(2).or_else(|| reader.digits(1)).unwrap_or(0);
            reader.out.push(u8::try_from(value).unwrap_or(0));
        }
        '0'..='7' => {
            let octal = |c: &&char| ('0'..='7').contains(*c);
            let more = reader.chars[reader.at..].iter().take(2).take_while(octal).count();
            let digits: String = reader.chars[reader.at - 1..reader.at + more].iter().collect();
            reader.at += more;
            let value = u32::from_str_radix(&digits, 8).unwrap_or(0) & 0xff;
            reader.out.push(u8::try_from(value).unwrap_or(0));
        }
        other => reader.push(other),
    }
    Ok(())
}

/// The value of what stands in `U&'…'`.
pub fn unicode(raw: &str, escape: char) -> Result<String, PgError> {
    let numbered = |c, next| c == escape && next != Some(escape);
    read(raw, numbered, |reader, c, next, from| {
        if !numbered(c, next) {
            reader.at += usize::from(c == escape);
            reader.push(c);
            return Ok(());
        }
        let long = next == Some('+');
        reader.at += usize::from(long);
        let unit = reader.digits(if long { 6 } else { 4 }).ok_or_else(|| {
            PgError::new("42601", "invalid Unicode escape")
                .hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
                .at(Some(from + 1))
        })?;
        reader.unit(unit, from)
    })
}
