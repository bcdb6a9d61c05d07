//! Identifiers: typed, opaque, drawn from the seam's entropy; and hex and time as text.
//! Must never be derived from a clock, a counter or an address.

use std::fmt;

use crate::env::Entropy;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl $name {
            pub fn draw<E: Entropy>(env: &E) -> $name {
                $name(draw(env, $prefix))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A customer of the service.
    TenantId "ten_";
    /// A person within a tenant.
    UserId "usr_";
    ThreadId "thr_";
    /// One execution of an agent; new for every accepted message.
    RunId "run_";
    RequestId "req_";
    ConnectionId "con_";
    /// One login.
    SessionId "ses_";
    ContextId "ctx_";
    EventId "evt_";
    MessageId "msg_";
    ToolCallId "call_";
}

/// `prefix` and 96 random bits in hex.
pub fn draw<E: Entropy>(env: &E, prefix: &str) -> String {
    let mut bytes = [0; 12];
    env.fill(&mut bytes);
    let mut id = String::with_capacity(prefix.len() + 2 * bytes.len());
    id.push_str(prefix);
    push_hex(&mut id, &bytes);
    id
}

pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T00:44:03.120Z`. The calendar is Howard
/// Hinnant's `civil_from_days`, for days since the epoch, which are never negative here.
pub fn rfc3339(unix_ms: u64) -> String {
    let (days, ms_of_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (second, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let parts = [
        (year, 1000, '-'),
        (month, 10, '-'),
        (day, 10, 'T'),
        (hour, 10, ':'),
        (minute, 10, ':'),
        (second, 10, '.'),
        (ms, 100, 'Z'),
    ];
    let mut text = String::with_capacity("1970-01-01T00:00:00.000Z".len());
    for (number, mut unit, after) in parts {
        while unit > 0 {
            let digit = u32::try_from(number / unit % 10).expect("a digit");
            text.push(char::from_digit(digit, 10).expect("a digit"));
            unit /= 10;
        }
        text.push(after);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_rfc_3339_writes_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
    }

    #[test]
    fn hex_reads_what_it_writes() {
        assert_eq!(unhex(&hex(&[0, 9, 171, 255])), Some(vec![0, 9, 171, 255]));
        assert_eq!(unhex("0g"), None);
    }
}
