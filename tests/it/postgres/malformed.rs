//! Bytes that are no messages: the session that sends them ends with 08P01, nothing panics, and
//! the others live on. Must never depend on what the bytes mean.

use std::time::Duration;

use seedbed::env::{Net as _, Spawn as _, Tokio};
use seedbed::seed::{Seed, Stream};
use seedbed::world::postgres::{Settings, Store, Watch, serve_on};

use super::raw::{Raw, message};
use super::runtime;

/// Broken messages, each after a start-up that went well.
const BROKEN: &[(&str, &[u8])] = &[
    ("a kind that there is not", b"~\0\0\0\x04"),
    ("a length that does not hold itself", b"Q\0\0\0\x03"),
    ("a length beyond every bound", b"Q\x7f\xff\xff\xff"),
    ("a negative length", b"Q\xff\xff\xff\xff"),
    ("a query without its end", b"Q\0\0\0\x06ab"),
    ("more after the end of a query", b"Q\0\0\0\x08a\0bc"),
    ("a Parse that ends in its name", b"P\0\0\0\x05a"),
    ("a Parse that promises types", b"P\0\0\0\x08\0\0\0\x09"),
    ("a Bind whose value is longer than it", b"B\0\0\0\x10\0\0\0\0\0\x01\0\0\xff\xff\0\0"),
    ("a Describe of nothing", b"D\0\0\0\x06X\0"),
    ("an Execute without a limit", b"E\0\0\0\x05\0"),
    ("a Sync with a body", b"S\0\0\0\x05x"),
];

struct Served {
    env: Tokio,
    addr: String,
}

/// A server whose panics are counted.
async fn served() -> Served {
    let env = Tokio::new();
    let listener = env.bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is bound").to_string();
    let serving = serve_on(env.clone(), listener, Store::new(Settings::default()), Watch::none());
    env.spawn("listener", async move {
        serving.await.expect("it listens");
    });
    Served { env, addr }
}

#[test]
fn each_broken_message_ends_its_session_with_08p01() {
    runtime().block_on(async {
        let served = served().await;
        let mut other = Raw::connect(&served.addr).await;
        for (what, bytes) in BROKEN {
            let mut raw = Raw::connect(&served.addr).await;
            raw.send(bytes).await;
            let told = tokio::time::timeout(Duration::from_secs(10), raw.next()).await;
            let told = told.unwrap_or_else(|_| panic!("{what}: no answer")).expect(what);
            assert_eq!((told.kind, told.field(b'C')), (b'E', Some("08P01")), "{what}");
            assert_eq!(told.field(b'S'), Some("FATAL"), "{what}");
            assert!(raw.next().await.is_none(), "{what}: the session is over");
            assert!(!other.simple("SELECT 1").await.is_empty(), "the others live on");
        }
        assert_eq!(served.env.panicked(), 0);
    });
}

/// A message of a kind that there is, with a body of its shape or of none.
fn arbitrary(stream: &mut Stream) -> Vec<u8> {
    const KINDS: &[u8] = b"QPBDECSHdcfFpQPBDECSHQPBDECSHQPBDECSX";
    const TEXTS: &[&str] =
        &["SELECT 1", "SELECT $1::int", "BEGIN", "COMMIT", "", "SELEC", "LISTEN a"];
    let kind = KINDS[stream.index(KINDS.len())];
    let text = TEXTS[stream.index(TEXTS.len())].as_bytes();
    let mut body = match kind {
        b'Q' => [text, b"\0"].concat(),
        b'P' => [b"s\0", text, b"\0\0\0"].concat(),
        b'B' => b"\0s\0\0\0\0\x01\0\0\0\x011\0\0".to_vec(),
        b'D' | b'C' => b"Ss\0".to_vec(),
        b'E' => vec![0; 5],
        b'S' | b'H' | b'X' | b'c' => Vec::new(),
        _ => (0..stream.index(40)).map(|_| byte(stream)).collect(),
    };
    if stream.chance_ppm(40_000) && !body.is_empty() {
        let at = stream.index(body.len());
        body[at] = byte(stream);
    }
    let mut bytes = message(kind, &body);
    if stream.chance_ppm(20_000) {
        let at = stream.index(bytes.len());
        bytes[at] = byte(stream);
    }
    if stream.chance_ppm(10_000) {
        bytes.truncate(stream.index(bytes.len()));
    }
    bytes
}

fn byte(stream: &mut Stream) -> u8 {
    u8::try_from(stream.below(256)).expect("a byte")
}

/// Sessions of twenty messages each.
async fn bombard(messages: u64) {
    let served = served().await;
    let mut other = Raw::connect(&served.addr).await;
    for session in 0..messages / 20 {
        let mut stream = Stream::new(Seed(session), "malformed");
        let bytes: Vec<u8> = (0..20).flat_map(|_| arbitrary(&mut stream)).collect();
        let mut raw = Raw::connect(&served.addr).await;
        raw.send(&bytes).await;
        raw.finish().await;
        let rest = async { while raw.next().await.is_some() {} };
        let ended = tokio::time::timeout(Duration::from_secs(30), rest).await;
        assert!(ended.is_ok(), "session {session} does not end: {bytes:?}");
        assert_eq!(served.env.panicked(), 0, "session {session}: {bytes:?}");
        assert!(!other.simple("SELECT 1").await.is_empty(), "the others live on");
    }
}

/// `SEEDBED_MESSAGES` of them; the nightly run asks for a million.
#[test]
fn arbitrary_messages_harm_nobody() {
    let wanted = std::env::var("SEEDBED_MESSAGES").ok();
    let messages = wanted.map_or(20_000, |count| count.parse().expect("a number of messages"));
    runtime().block_on(bombard(messages));
}
