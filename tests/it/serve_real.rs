//! The backend for real: tokio, real sockets, a real PostgreSQL. The same lines that the world
//! runs. Must never reach into the backend: it talks to it as a client does.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use seedbed::backend::config::{Database, Model, PasswordCost, SeedUser};
use seedbed::backend::{self, Config, StartError};
use seedbed::env::{Clock, Env, Net, Spawn, Tokio};
use seedbed::world::postgres::{self, Store, Watch};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::pg_server::{self, PgServer, free_port};

const WITHIN: Duration = Duration::from_secs(20);

fn config(database: String) -> Config {
    let ms = Duration::from_millis;
    let user = |user: &str| SeedUser {
        tenant: "acme".to_owned(),
        user: user.to_owned(),
        password: format!("{user}'s secret"),
        roles: vec!["user".to_owned()],
    };
    Config {
        listen: format!("127.0.0.1:{}", free_port()),
        database: Database {
            addr: database,
            user: pg_server::USER.to_owned(),
            password: None,
            dbname: pg_server::DATABASE.to_owned(),
            pool: 4,
        },
        jwt_key: b"a key of this test".to_vec(),
        password_cost: PasswordCost { memory_kib: 8, passes: 1, lanes: 1 },
        users: vec![user("ana"), user("bob")],
        model: Model { first_chunk: ms(5), chunk: ms(1), tool: ms(1) },
        ..Config::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// Serves while `client` talks; both must end in time.
fn while_serving<F: Future<Output = ()>>(client: impl FnOnce(Tokio, String) -> F) {
    let server = PgServer::start();
    runtime().block_on(serving(Tokio::new(), server.addr(), client));
}

/// The same on the embedded store: the world's PostgreSQL on a real socket.
fn while_serving_embedded<F: Future<Output = ()>>(client: impl FnOnce(Tokio, String) -> F) {
    runtime().block_on(async {
        let env = Tokio::new();
        let listener = Net::bind(&env, "127.0.0.1:0").await.expect("a free port");
        let database = listener.local_addr().expect("it is bound").to_string();
        let store = postgres::serve_on(env.clone(), listener, Store::default(), Watch::none());
        let store = tokio::spawn(store);
        serving(env, database, client).await;
        store.abort();
    });
}

async fn serving<F: Future<Output = ()>>(
    env: Tokio,
    database: String,
    client: impl FnOnce(Tokio, String) -> F,
) {
    let config = config(database);
    let addr = config.listen.clone();
    let theirs = env.clone();
    let task = tokio::spawn(async move { backend::serve(theirs, config).await });
    tokio::time::timeout(WITHIN, client(env.clone(), addr)).await.expect("ends in time");
    assert_eq!(env.panicked(), 0);
    assert!(!task.is_finished(), "the server serves on");
    task.abort();
}

/// Status and body of one request.
async fn http<E: Env>(env: &E, addr: &str, request: String) -> (u16, String) {
    let mut stream = loop {
        match env.connect(addr).await {
            Ok(stream) => break stream,
            Err(_) => env.sleep(Duration::from_millis(10)).await,
        }
    };
    stream.write_all(request.as_bytes()).await.expect("the request leaves");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the answer comes");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.expect("a status line"), body.to_owned())
}

async fn get<E: Env>(env: &E, addr: &str, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    http(env, addr, request).await.0
}

async fn login<E: Env>(env: &E, addr: &str, user: &str, password: &str) -> (u16, Value) {
    let body = json!({ "tenant": "acme", "user": user, "password": password }).to_string();
    let request = format!(
        "POST /v1/auth/login HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, body) = http(env, addr, request).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    sent: u32,
}

impl Client {
    async fn open(env: &Tokio, addr: &str) -> Client {
        let stream = env.connect(addr).await.expect("the port is open");
        let url = format!("ws://{addr}/v1/ws");
        let opened = tokio_tungstenite::client_async(url, stream).await.expect("an upgrade");
        Client { socket: opened.0, sent: 0 }
    }

    /// Logged in and connected; also what `connect` answered.
    async fn connected(env: &Tokio, addr: &str, user: &str, resume: Value) -> (Client, Value) {
        let (_, body) = loop {
            let answer = login(env, addr, user, &format!("{user}'s secret")).await;
            if answer.0 == 200 {
                break answer;
            }
            env.sleep(Duration::from_millis(20)).await;
        };
        let mut client = Client::open(env, addr).await;
        let params = json!({ "token": body["access_token"], "resume": resume });
        let id = client.send("connect", "", params).await;
        let reply = client.reply(&id).await;
        (client, reply)
    }

    async fn send(&mut self, method: &str, idem: &str, params: Value) -> String {
        self.sent += 1;
        let id = format!("c{}", self.sent);
        let mut command = json!({ "v": 1, "id": id, "method": method, "params": params });
        if !idem.is_empty() {
            command["idem"] = idem.into();
        }
        self.socket.send(Message::text(command.to_string())).await.expect("the command leaves");
        id
    }

    async fn frame(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).expect("frames are JSON");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                end => panic!("a frame was due, not {end:?}"),
            }
        }
    }

    async fn reply(&mut self, id: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "reply" {
                assert_eq!(frame["id"], id);
                return frame;
            }
        }
    }

    /// Every frame of a run, its end included.
    async fn run(&mut self, run: &Value) -> Vec<Value> {
        let mut frames: Vec<Value> = Vec::new();
        while frames.last().is_none_or(|frame| frame["type"] != "agent_completed") {
            let frame = self.frame().await;
            if frame["run_id"] == *run {
                frames.push(frame);
            }
        }
        frames
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                end => panic!("a close frame was due, not {end:?}"),
            }
        }
    }
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = frames.iter().filter_map(|frame| frame["type"].as_str()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_user_logs_in_asks_and_sees_the_five_events_in_order() {
    while_serving(the_five_events);
}

#[test]
fn the_five_events_come_from_the_embedded_store_too() {
    while_serving_embedded(the_five_events);
}

async fn the_five_events(env: Tokio, addr: String) {
    assert_eq!(get(&env, &addr, "/livez").await, 200);
    let (mut client, _) = Client::connected(&env, &addr, "ana", json!([])).await;
    assert_eq!(get(&env, &addr, "/readyz").await, 200);
    let id = client.send("run.start", "k1", json!({ "text": "How is it going?" })).await;
    let reply = client.reply(&id).await;
    let frames = client.run(&reply["ok"]["run_id"]).await;
    let expected = [
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "tool_executing",
        "tool_completed",
        "agent_thinking",
        "message_delta",
        "agent_completed",
    ];
    assert_eq!(kinds(&frames), expected);
    let durable: Vec<_> = frames.iter().filter_map(|frame| frame["seq"].as_i64()).collect();
    assert_eq!(durable, (1..=8).collect::<Vec<_>>());
    let deltas = frames.iter().filter(|frame| frame["type"] == "message_delta");
    let told: String = deltas.filter_map(|frame| frame["data"]["text"].as_str()).collect();
    let end = frames.last().expect("an end");
    assert_eq!(end["data"]["outcome"], "success");
    assert_eq!(end["data"]["message"], told.as_str());
    assert!(told.contains("portfolio of ana"), "{told}");
}

#[test]
fn a_key_used_twice_makes_one_run_and_tells_its_end_again() {
    while_serving(async |env, addr| {
        let (mut client, _) = Client::connected(&env, &addr, "ana", json!([])).await;
        let id = client.send("run.start", "k1", json!({ "text": "Once" })).await;
        let first = client.reply(&id).await["ok"]["run_id"].clone();
        client.run(&first).await;
        let id = client.send("run.start", "k1", json!({ "text": "Once" })).await;
        let again = client.reply(&id).await;
        assert_eq!((&again["ok"]["run_id"], &again["ok"]["duplicate"]), (&first, &json!(true)));
        let state = client.frame().await;
        assert_eq!(
            (&state["type"], &state["data"]["state"]),
            (&"run_state".into(), &"completed".into())
        );
        let id = client.send("run.start", "k1", json!({ "text": "Twice" })).await;
        assert_eq!(client.reply(&id).await["error"]["code"], "idempotency_mismatch");
    });
}

#[test]
fn a_resume_tells_exactly_what_was_missed() {
    while_serving(async |env, addr| {
        let (mut client, _) = Client::connected(&env, &addr, "ana", json!([])).await;
        let id = client.send("run.start", "k1", json!({ "text": "How?" })).await;
        let reply = client.reply(&id).await;
        let frames = client.run(&reply["ok"]["run_id"]).await;
        let seen = frames.iter().find(|frame| frame["seq"] == 3).expect("the third event");
        let position =
            json!([{ "stream": seen["stream"], "epoch": seen["epoch"], "seq": seen["seq"] }]);
        drop(client);
        let (mut client, reply) = Client::connected(&env, &addr, "ana", position).await;
        assert_eq!(reply["ok"]["streams"][0]["recovered"], true);
        let replayed = client.run(&seen["run_id"]).await;
        let seqs: Vec<_> = replayed.iter().filter_map(|frame| frame["seq"].as_i64()).collect();
        assert_eq!(seqs, (4..=8).collect::<Vec<_>>());
    });
}

#[test]
fn a_cancelled_run_ends_once_and_frees_its_thread() {
    while_serving(async |env, addr| {
        let (mut client, _) = Client::connected(&env, &addr, "bob", json!([])).await;
        let id = client.send("run.start", "k1", json!({ "text": "Slow" })).await;
        let run = client.reply(&id).await["ok"]["run_id"].clone();
        client.send("run.cancel", "", json!({ "run_id": run })).await;
        let frames = client.run(&run).await;
        assert_eq!(frames[0]["type"], "agent_started");
        assert_eq!(frames.last().expect("an end")["data"]["outcome"], "cancelled");
        let begun = frames.iter().filter(|frame| frame["type"] == "tool_executing").count();
        let ended = frames.iter().filter(|frame| frame["type"] == "tool_completed").count();
        assert_eq!(begun, ended);
        let id = client.send("run.start", "k2", json!({ "text": "Again" })).await;
        let run = loop {
            let frame = client.frame().await;
            if frame["id"] == id.as_str() {
                break frame["ok"]["run_id"].clone();
            }
        };
        let end = client.run(&run).await;
        assert_eq!(end.last().expect("an end")["data"]["outcome"], "success");
    });
}

#[test]
fn a_wrong_password_and_a_forged_token_are_refused() {
    while_serving(async |env, addr| {
        let _ready = Client::connected(&env, &addr, "ana", json!([])).await;
        assert_eq!(login(&env, &addr, "ana", "guess").await.0, 401);
        assert_eq!(login(&env, &addr, "nobody", "guess").await.0, 401);
        let mut client = Client::open(&env, &addr).await;
        let id = client.send("connect", "", json!({ "token": "a.b.c" })).await;
        assert_eq!(client.reply(&id).await["error"]["code"], "invalid_token");
        assert_eq!(client.close_code().await, 4001);
    });
}

#[test]
fn the_sixth_connection_of_a_user_is_refused() {
    while_serving(async |env, addr| {
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(Client::connected(&env, &addr, "ana", json!([])).await.0);
        }
        let (mut sixth, reply) = Client::connected(&env, &addr, "ana", json!([])).await;
        assert_eq!(reply["error"]["code"], "connection_limit");
        assert_eq!(sixth.close_code().await, 4009);
    });
}

#[test]
fn an_unreachable_database_fails_the_start_in_one_sentence() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let config = Config { startup_patience: Duration::ZERO, ..config(nobody.clone()) };
    let end = runtime().block_on(backend::serve(Tokio::new(), config));
    assert!(matches!(&end, Err(StartError::Database { addr, .. }) if *addr == nobody));
}
