//! Each invariant of the backend against hand-made histories: a good one passes, and each kind of
//! bad one is broken, by that invariant and with that message. Must never run the backend.

use std::sync::Arc;
use std::time::Duration;

use seedbed::env::Moment;
use seedbed::systems::backend::invariants::{self, Facts};
use seedbed::trace::{Event, Value};
use seedbed::verdict::{Broken, End, Invariant};

use super::reads;

/// One event a line: `name key=value …`; numbers and truth values are read as such, unless
/// they open with an apostrophe. A line that
/// opens with `left` is a task left at the end: `left host task`; `later MS` lets time pass; `@`
/// stands for [`AT`].
fn history(text: &str) -> (Vec<Event>, End) {
    let text = text.replace('@', AT);
    let mut events = Vec::new();
    let mut later = 0_u64;
    let mut end = End { at: Moment(Duration::from_secs(9)), step: 99, left: Vec::new() };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a line has a word");
        if name == "left" {
            let (host, task) = (words.next().expect("host"), words.next().expect("task"));
            end.left.push((host.to_owned(), Box::leak(task.to_owned().into_boxed_str()), 1));
            continue;
        }
        if name == "later" {
            later += words.next().and_then(|ms| ms.parse::<u64>().ok()).expect("milliseconds");
            continue;
        }
        let fields = words.map(|word| {
            let (key, value) = word.split_once('=').expect("a field has a value");
            let key: &'static str = Box::leak(key.to_owned().into_boxed_str());
            let number = value.parse::<i64>().map(Value::Number).ok();
            let flag = value.parse::<bool>().map(Value::Bool).ok();
            (key, number.or(flag).unwrap_or_else(|| Value::from(value.trim_start_matches('\''))))
        });
        let index = u32::try_from(events.len()).expect("a short history");
        events.push(Event {
            index,
            step: u64::from(index),
            at: Moment(Duration::from_millis(later + u64::from(index))),
            host: Arc::from("world"),
            task: "",
            name: Box::leak(name.to_owned().into_boxed_str()),
            fields: fields.collect(),
            cause: None,
        });
    }
    end.at = end.at.max(Moment(Duration::from_millis(later + 1000)));
    (events, end)
}

/// What all events of the run in [`GOOD`] have in common where ana receives them.
const AT: &str = "user=ana tab=1 tenant=acme owner=ana thread=t1 run=r1 stream=t1 epoch=e";

fn facts() -> Facts {
    Facts {
        connections_max: 2,
        runs_of_user_max: 1,
        runs_of_tenant_max: 1,
        run_deadline: Duration::from_secs(60),
        purge_after: Duration::from_secs(5),
        ping_every: Duration::from_secs(1),
        pong_within: Duration::from_secs(10),
        close_within: Duration::from_secs(5),
        drain_grace: Duration::from_secs(10),
        calm: Moment::default(),
        resuming: ["ana".to_owned()].into(),
        tenants: [
            ("ana".to_owned(), "acme"),
            ("bob".to_owned(), "globex"),
            ("eve".to_owned(), "acme"),
        ]
        .into(),
    }
}

fn judge(checker: &mut dyn Invariant, text: &str) -> Result<(), Broken> {
    let (events, end) = history(text);
    for event in &events {
        checker.overdue(event.at)?;
        reads::show(checker, event)?;
    }
    checker.end(&end)
}

/// Who breaks, and why: `I9: the registry counts …`; `held` when nobody does.
fn verdict_of(id: &str, text: &str) -> String {
    let mut checkers = invariants::all(&facts());
    let checker = checkers.iter_mut().find(|checker| checker.id() == id).expect("an id");
    match judge(&mut **checker, text) {
        Ok(()) => "held".to_owned(),
        Err(broken) => broken.message,
    }
}

#[track_caller]
fn holds(id: &str, text: &str) {
    assert_eq!(verdict_of(id, text), "held", "{id}");
}

#[track_caller]
fn breaks(id: &str, text: &str, why: &str) {
    let verdict = verdict_of(id, text);
    assert!(verdict.contains(why), "{id}: expected `{why}`, got `{verdict}`");
}

/// One user, one tab, one run, from start-up to the end: every invariant holds on it.
const GOOD: &str = "
    host.started host=gateway life=1
    user.started user=ana
    gateway.built what=pool
    gateway.ready
    user.connecting user=ana tab=1
    store.probed up=true
    gateway.accepted connection=c1
    conn.state connection=c1 from=connecting to=accepted
    user.connected user=ana tab=1
    user.sent user=ana tab=1 method=connect id=k1 idem=
    frame.handled connection=c1 user= method=connect id=k1
    conn.authenticated connection=c1 tenant=acme user=ana session=s
    conn.state connection=c1 from=accepted to=authenticated
    registry.registered user=ana connection=c1 generation=1 live=1
    user.reply user=ana tab=1 id=k1 error= run= thread= idem=
    user.sent user=ana tab=1 method=run.start id=k2 idem=m1
    pool.taken session=1 in_use=1 capacity=2
    db.commit table=threads op=insert thread=t1 user=ana key=main
    db.commit table=idempotency op=insert run=r1 thread=t1 user=ana key=m1
    db.commit table=messages op=insert run=r1 thread=t1 user=ana type=user
    db.commit table=runs op=insert run=r1 thread=t1 user=ana state=pending
    pool.returned session=1 in_use=0 kept=true
    run.accepted run=r1 thread=t1 tenant=acme user=ana connection=c1 command=k2
    run.slot run=r1 user=ana taken=true active=1
    context.created context=x1 tenant=acme user=ana thread=t1 run=r1 request=q connection=c1
    agent.started run=r1 user=ana context=x1 agent=supervisor
    user.reply user=ana tab=1 id=k2 error= run=r1 thread=t1 idem=m1
    run.state run=r1 attempt=1 from=pending to=starting
    db.commit table=events op=insert run=r1 thread=t1 type=agent_started seq=1
    event.appended run=r1 thread=t1 tenant=acme user=ana type=agent_started seq=1 run_seq=1
    frame.sent connection=c1 user=ana type=agent_started run=r1 seq=1 run_seq=1
    user.received type=agent_started @ seq=1 run_seq=1 marker=
    run.state run=r1 attempt=1 from=starting to=running
    db.commit table=events op=insert run=r1 thread=t1 type=tool_executing seq=2
    event.appended run=r1 thread=t1 tenant=acme user=ana type=tool_executing seq=2 run_seq=2
    frame.sent connection=c1 user=ana type=tool_executing run=r1 seq=2 run_seq=2
    user.received type=tool_executing @ seq=2 run_seq=2 tool_call=a marker=ana
    db.commit table=events op=insert run=r1 thread=t1 type=tool_completed seq=3
    event.appended run=r1 thread=t1 tenant=acme user=ana type=tool_completed seq=3 run_seq=3
    frame.sent connection=c1 user=ana type=tool_completed run=r1 seq=3 run_seq=3
    user.received type=tool_completed @ seq=3 run_seq=3 tool_call=a marker=ana
    frame.sent connection=c1 user=ana type=message_delta run=r1 seq=-1 run_seq=-1
    user.received type=message_delta @ seq=0 run_seq=0 text=hello marker=
    agent.stream_ended run=r1 stopped=true
    run.state run=r1 attempt=1 from=running to=completing
    db.commit table=messages op=insert run=r1 thread=t1 user=ana type=assistant
    db.commit table=events op=insert run=r1 thread=t1 type=agent_completed seq=4
    db.commit table=runs op=update run=r1 thread=t1 user=ana state=completed
    run.state run=r1 attempt=1 from=completing to=completed
    event.appended run=r1 thread=t1 tenant=acme user=ana type=agent_completed seq=4 run_seq=4
    frame.sent connection=c1 user=ana type=agent_completed run=r1 seq=4 run_seq=4
    run.slot run=r1 user=ana taken=false active=0
    run.purged run=r1
    context.dropped context=x1 user=ana run=r1
    user.received type=agent_completed @ seq=4 run_seq=4 outcome=success text=hello marker=
    conn.state connection=c1 from=authenticated to=closing
    conn.closed connection=c1 user=ana code=1000 reason=
    registry.removed user=ana connection=c1 generation=1 live=0
    conn.gone connection=c1 user=ana
    user.closed user=ana tab=1 code=1000 reason=
    user.finished user=ana
";

/// [`GOOD`] without the lines that contain `cut`, and with `more` after the line that contains
/// `after` (at the end when `after` is empty).
fn with(cut: &str, after: &str, more: &str) -> String {
    let mut text = String::new();
    for line in GOOD.lines().filter(|line| cut.is_empty() || !line.contains(cut)) {
        text += line;
        text += "\n";
        if !after.is_empty() && line.contains(after) {
            text += more;
            text += "\n";
        }
    }
    if after.is_empty() { text + more } else { text }
}

#[test]
fn every_invariant_holds_on_a_good_history_and_is_listed() {
    let mut judged = Vec::new();
    for mut checker in invariants::all(&facts()) {
        assert_eq!(judge(&mut *checker, GOOD), Ok(()), "{}", checker.id());
        assert!(!checker.owed(), "{} owes nothing at the end", checker.id());
        judged.push(checker.id());
    }
    let listed = invariants::WORDS.iter().map(|word| word.name).filter(|name| *name != "I20");
    assert_eq!(judged, listed.collect::<Vec<_>>());
}

#[test]
fn i1_nothing_is_let_in_before_ready() {
    breaks("I1", &with("gateway.ready", "", ""), "accepted before ready");
    let early = "frame.handled connection=c0 user=ana method=ping id=k0";
    breaks("I1", &with("", "what=pool", early), "handled before ready");
    let again = "host.crashed host=gateway kind=crash\n gateway.accepted connection=c2";
    breaks("I1", &with("", "", again), "c2 was accepted before ready");
}

#[test]
fn i2_a_run_ends_once() {
    let twice = "event.appended run=r1 user=ana type=agent_completed seq=5 run_seq=5";
    breaks("I2", &with("", "", twice), "twice in the log");
    let twice = "frame.sent connection=c1 type=agent_completed run=r1 seq=5 run_seq=5";
    breaks("I2", &with("", "", twice), "twice on one connection");
    let twice = "user.received user=ana tab=1 type=agent_completed run=r1 seq=5 run_seq=5";
    breaks("I2", &with("", "", twice), "twice for one tab");
    breaks("I2", &with("state=completed", "", ""), "r1 never ended");
    let down = "host.crashed host=gateway kind=crash";
    holds("I2", &with("state=completed", "", down));
}

#[test]
fn i3_a_client_misses_nothing() {
    let gap = "user.received user=ana tab=1 type=x run=r2 stream=t1 epoch=e seq=6 run_seq=1";
    breaks("I3", &with("", "", gap), "received e:6 of t1 after e:4");
    let other = "user.received user=ana tab=1 type=x run=r2 stream=t1 epoch=f seq=5 run_seq=1";
    breaks("I3", &with("", "", other), "received f:5 of t1 after e:4");
    let run = "user.received user=ana tab=1 type=x run=r1 stream=t1 epoch=e seq=5 run_seq=7";
    breaks("I3", &with("", "", run), "received :7 of r1 after :4");
    let late = "user.received user=ana tab=1 type=agent_started run=r2 seq=5 run_seq=2";
    breaks("I3", &with("", "", late), "run r2 of `ana` starts with event 2");
    let resumed = format!("user.connected user=ana tab=1\n{gap}");
    breaks("I3", &with("", "", &resumed), "received e:6");
    let snapshot = gap.replace("type=x", "type=run_state");
    holds("I3", &with("", "", &snapshot));
    let fresh = with("", "", &format!("user.connected user=ana tab=1\n{gap}"));
    holds("I3", &fresh.replace("=ana", "=bob"));
}

#[test]
fn i4_tool_calls_close_once_and_before_the_end() {
    breaks("I4", &with("type=tool_completed @", "", ""), "ended with call a open");
    let line = "user.received user=ana tab=1 type=tool_executing run=r1 tool_call=a";
    breaks("I4", &with("", "type=tool_executing @", line), "began twice");
    let line = "user.received user=ana tab=1 type=tool_completed run=r1 tool_call=b";
    breaks("I4", &with("", "type=tool_executing @", line), "never began");
}

#[test]
fn i5_nothing_of_one_user_reaches_another() {
    for (field, value) in [("owner", "bob"), ("marker", "bob")] {
        let line = format!("user.received user=ana tab=1 type=x {field}={value}");
        breaks("I5", &with("", "", &line), &format!("whose {field} is `bob`"));
    }
    let line = "user.received user=ana tab=1 type=x tenant=globex";
    breaks("I5", &with("", "", line), "of tenant globex");
    let line = "user.received user=bob tab=1 type=x run=r1";
    breaks("I5", &with("", "", line), "has user bob, not ana");
    let line = "event.appended run=r1 thread=t2 tenant=acme user=ana type=x";
    breaks("I5", &with("", "", line), "has thread t2, not t1");
    let line = "context.created context=x2 user=bob run=r2\n\
                agent.started run=r1 user=ana context=x2";
    breaks("I5", &with("", "", line), "in the context of `bob`'s run r2");
    let line = "conn.authenticated connection=c2 user=bob\n\
                frame.sent connection=c2 user=bob type=x run=r1";
    breaks("I5", &with("", "", line), "has user bob, not ana");
}

#[test]
fn i6_states_follow_their_tables() {
    let line = "run.state run=r1 attempt=1 from=completed to=failed";
    breaks("I6", &with("", "", line), "which is no edge");
    let line = "run.state run=r1 attempt=1 from=running to=failed";
    breaks("I6", &with("", "", line), "but was completed");
    let line = "run.state run=r2 attempt=1 from=starting to=running";
    breaks("I6", &with("", "", line), "but was pending");
    let line = "db.commit table=runs op=update run=r1 state=failed";
    breaks("I6", &with("", "", line), "committed as completed, then as failed");
    let line = "conn.state connection=c1 from=closing to=idle";
    breaks("I6", &with("", "", line), "which is no edge");
    let fenced = "run.state run=r3 attempt=2 from=pending to=starting\n\
                  run.state run=r3 attempt=1 from=starting to=running";
    breaks("I6", &with("", "", fenced), "after attempt 2");
    // The next life of the gateway finds the run where the database left it, and goes on there.
    let begun = "run.state run=r3 attempt=1 from=pending to=starting";
    let adopted = "host.crashed host=gateway kind=crash\n\
                   run.state run=r3 attempt=1 from=running to=dead";
    holds("I6", &with("", "", &format!("{begun}\n{adopted}")));
    breaks("I6", &with("", "", adopted), "but was pending");
}

#[test]
fn i7_the_end_is_committed_before_anyone_is_told() {
    breaks("I7", &with("state=completed", "", ""), "before its end was committed");
    let row = "db.commit table=events op=insert run=r1 thread=t1 type=tool_executing";
    breaks("I7", &with(row, "", ""), "tool_executing of run r1 was told before its row 2");
}

#[test]
fn i8_the_outcome_told_is_the_one_committed() {
    let failed = GOOD.replace("state=completed", "state=failed");
    breaks("I8", &failed, "was told success of run r1, committed failed");
    breaks("I8", &with("state=completed", "", ""), "nothing was committed");
    breaks("I8", &with("type=assistant", "", ""), "its answer was not kept");
}

#[test]
fn i9_the_limit_holds_and_the_registry_counts_right() {
    let more = "registry.registered user=ana connection=c2 generation=2 live=2\n\
                registry.registered user=ana connection=c3 generation=3 live=3";
    breaks("I9", &with("", "generation=1 live=1", more), "2 are allowed");
    let wrong = "registry.registered user=ana connection=c2 generation=2 live=5";
    breaks("I9", &with("", "", wrong), "counts 5 connections of `ana`, not 1");
    let slot = |run: &str, user: &str| format!("run.slot run={run} user={user} taken=true");
    breaks("I9", &with("", "active=1", &slot("r2", "ana")), "`ana` has 2 active runs, 1 are");
    let tenant = "tenant acme has 2 active runs, 1 are allowed";
    breaks("I9", &with("", "active=1", &slot("r2", "eve")), tenant);
    breaks("I9", &with("active=1", "", ""), "run r1 works without a slot");
    let waits = "run.accepted run=r3 thread=t1 tenant=acme user=ana\nlater 600\nx\nlater 5600\nx";
    breaks("I9", &with("", "", waits), "run r3 of `ana` waits for a free slot");
    holds("I9", &with("active=0", "", waits));
    holds(
        "I9",
        &with(
            "",
            "",
            &waits.replace("\nlater 600", "\nhost.paused host=gateway ms=7000\nlater 600"),
        ),
    );
}

#[test]
fn i10_nothing_is_left_of_what_ended() {
    breaks("I10", &with("conn.gone", "", ""), "connection c1 is not gone");
    breaks("I10", &with("context.dropped", "", ""), "context x1 is still held");
    breaks("I10", &with("active=0", "", ""), "`ana` still holds 1 slots");
    let leaks = "run.slot run=r2 user=ana taken=false active=0 of_tenant=1";
    breaks("I10", &with("", "", leaks), "tenant acme still holds 1 slots");
    breaks("I10", &with("", "", "pool.left in_use=1"), "1 places in the pool are still taken");
    breaks("I10", &with("", "", "left gateway writer"), "1 tasks `writer`");
    holds("I10", &with("", "", "left gateway reaper"));
    holds("I10", &with("", "", "left gateway command"));
    breaks("I10", &with("registry.removed", "", ""), "is gone, but still in the registry");
    breaks("I10", &with("run.purged", "", "later 20000"), "r1 ended, and is never forgotten");
    holds("I10", &with("conn.gone", "", "host.crashed host=gateway kind=crash"));
}

#[test]
fn i11_commands_are_answered_or_their_connection_closes() {
    let open = "user.connected user=ana tab=1\n\
                user.sent user=ana tab=1 method=ping id=k9 idem=";
    breaks("I11", &with("", "", open), "command k9 of `ana`, tab 1, was never answered");
    holds("I11", &with("", "", &format!("{open}\nuser.closed user=ana tab=1 code=0")));
    breaks("I11", &with("", "", "user.reply user=ana tab=1 id=k2"), "not open");
    breaks("I11", &with("", "", &format!("{open}\nlater 2600\nx")), "not answered in time");
    let held = "gateway.held connection=c5";
    breaks("I11", &with("", "", &format!("{held}\nlater 18000\nx")), "c5 is held by a gateway");
    holds("I11", &with("", "", &format!("{held}\ngateway.left connection=c5\nlater 18000\nx")));
    let failed = format!("{held}\ngateway.failed reason=r");
    breaks(
        "I11",
        &with("", "", &format!("{failed}\nlater 4600\nx")),
        "c5 is held by a gateway that could",
    );
    let paused = "host.paused host=gateway ms=2000";
    holds(
        "I11",
        &with("", "", &format!("{failed}\n{paused}\nlater 4600\nx\ngateway.left connection=c5")),
    );
    let told = "gateway.refused connection=c5 status=503 reason=r";
    holds("I11", &with("", "", &format!("{failed}\n{told}\nlater 4600\nx")));
    let stopped = "host.exited host=gateway error=";
    breaks("I11", &with("conn.closed", "", stopped), "did not tell c1");
    breaks("I11", &with("", "", &format!("{held}\n{stopped}")), "did not tell c5");
    holds("I11", &with("conn.closed", "", "host.crashed host=gateway kind=crash"));
}

#[test]
fn i11_who_has_to_go_goes() {
    let ends = "conn.gone";
    let pinged = "conn.pinged connection=c7";
    breaks("I11", &with("", "", &format!("{pinged}\nlater 14600\nx")), "a ping was never answered");
    let again = format!("{pinged}\nlater 8000\n{pinged}\nlater 6600\nx");
    breaks("I11", &with("", "", &again), "a ping was never answered");
    holds("I11", &with("", "", &format!("{pinged}\nconn.heard connection=c7\nlater 14600\nx")));
    let slow = "frame.dropped connection=c7 user= type=* why=slow";
    breaks(
        "I11",
        &with("", "", &format!("{slow}\nlater 14600\nx")),
        "c7 is still there, though it was",
    );
    holds("I11", &with("", "", &format!("{slow}\n{ends} connection=c7\nlater 14600\nx")));
    let run = "run.accepted run=r9 thread=t1 tenant=acme user=ana";
    let leaves = "gateway.draining\nlater 3000\nhost.exited host=gateway error=";
    breaks("I11", &with("", "", &format!("{run}\n{leaves}")), "left before r9, with");
    let late = leaves.replace("3000", "10001");
    holds("I11", &with("", "", &format!("{run}\n{late}")));
}

#[test]
fn i12_one_message_makes_one_run() {
    let twice = "run.accepted run=r1 thread=t1 tenant=acme user=ana";
    breaks("I12", &with("", "", twice), "accepted twice");
    let two = "user.reply user=ana tab=1 id=k3 run=r2 idem=m1";
    breaks("I12", &with("", "", two), "made two runs, r1 and r2");
    let shared = "user.reply user=ana tab=1 id=k3 run=r1 idem=m2";
    breaks("I12", &with("", "", shared), "share run r1");
    breaks("I12", &with("type=user", "", ""), "r1 was accepted without its message");
}

#[test]
fn i13_a_connection_closes_once() {
    let again = "conn.closed connection=c1 user=ana code=1011";
    breaks("I13", &with("", "", again), "closed twice");
    let late = "frame.sent connection=c1 user=ana type=x";
    breaks("I13", &with("", "", late), "after its close");
    let breach = "user.protocol_error user=ana tab=1 what=late";
    breaks("I13", &with("", "", breach), "breach of the protocol: late");
}

#[test]
fn i14_the_gateway_blames_itself_only_for_injected_faults() {
    let close = "user.closed user=ana tab=1 code=1011";
    breaks("I14", &with("", "", close), "without an internal fault");
    let outside = format!("host.crashed host=db kind=crash\n{close}");
    breaks("I14", &with("", "", &outside), "without an internal fault");
    let panic = "task.panicked host=gateway task=writer message=oops";
    breaks("I14", &with("", "", panic), "task `writer` of the gateway panicked: oops");
}

#[test]
fn i15_the_dead_are_dead_and_deadlines_are_kept() {
    let accepted = "run.accepted run=r2 thread=t1 tenant=acme user=ana";
    let works = format!("{accepted}\nrun.state run=r2 attempt=1 from=pending to=starting");
    let dead = "run.state run=r2 attempt=1 from=starting to=dead";
    breaks("I15", &with("", "", &format!("{works}\nlater 8000\n{dead}")), "but it gets on");
    holds("I15", &with("", "", &format!("{works}\nlater 11000\n{dead}")));
    let calls = format!("{works}\nagent.calls run=r2 what=model within_ms=15000");
    breaks("I15", &with("", "", &format!("{calls}\nlater 12000\n{dead}")), "but it gets on");
    breaks("I15", &with("", "", &format!("{works}\nlater 13500\nx")), "nobody notices");
    holds("I15", &with("", "", &format!("{calls}\nlater 13500\nx")));
    breaks("I15", &with("", "", &format!("{accepted}\n{dead}")), "dead before it works");
    breaks("I15", &with("", "", &format!("{accepted}\nlater 61500\nx")), "past its deadline");
    let late = "run.state run=r2 attempt=1 from=starting to=timeout";
    breaks("I15", &with("", "", &format!("{works}\nlater 5000\n{late}")), "before its deadline");
}

#[test]
fn i16_a_live_connection_is_kept_and_told() {
    let removed = "registry.removed user=ana connection=c1 generation=1 live=0";
    let acts = format!("{removed}\nframe.handled connection=c1 user=ana method=ping id=k");
    breaks("I16", &with("", "type=tool_executing @", &acts), "c1 of `ana` lives");
    holds("I16", &with("", "type=agent_completed @", removed));
    let sent = "frame.sent connection=c1 user=ana type=tool_executing";
    let stuck = with(sent, "type=tool_executing seq", "later 15500\nx").replace(sent, "x");
    breaks("I16", &stuck, "c1 waits for event 2 of run r1");
    let heard = stuck.replace("later 15500", "later 9000\nconn.heard connection=c1\nlater 6500");
    assert!(!verdict_of("I16", &heard).contains("waits for event"), "a sign of life gives time");
    let skipped = "frame.sent connection=c1 user=ana type=tool_executing";
    breaks("I16", &with(skipped, "", ""), "never sent event 2 of run r1");
    let lost = "event.appended run=r2 thread=t1 user=bob type=agent_started seq=1 run_seq=1";
    let live = "registry.registered user=bob connection=c2 generation=1 live=1";
    breaks("I16", &with("", "", &format!("{live}\n{lost}")), "c2 of `bob` still lacks 1 of r2");
    holds("I16", &with("", "", &format!("{live}\n{lost}\nconn.closed connection=c2 code=0")));
    let early = "frame.sent connection=c2 user=bob type=agent_started run=r2 seq=1 run_seq=1";
    holds("I16", &with("", "", &format!("{live}\n{early}\n{lost}")));
    // Another tab was sent it from the log, before this one came with that cursor.
    let other = early.replace("c2", "c9");
    holds("I16", &with("", "", &format!("{other}\n{live}\n{lost}")));
    breaks("I16", &with("", "", &format!("{live}\n{other}\n{lost}")), "still lacks 1 of r2");
}

#[test]
fn i17_a_key_is_used_up_with_its_run() {
    let again = "db.commit table=idempotency op=insert run=r2 thread=t1 user=ana key=m1";
    breaks("I17", &with("", "", again), "key m1 of `ana` was used up twice");
    breaks("I17", &with("table=idempotency", "", ""), "its key is still unused");
}

#[test]
fn i18_admission_follows_the_store() {
    let accepted = "gateway.accepted connection=c2";
    let stale = format!("later 2200\n{accepted}");
    breaks("I18", &with("", "", &stale), "by a probe of the store that is 22");
    let down = format!("store.probed up=false\nlater 1200\n{accepted}");
    breaks("I18", &with("", "", &down), "but the probe of the store said false");
    let crossed = format!("store.probed up=false\nlater 800\n{accepted}");
    holds("I18", &with("", "", &crossed));
    breaks("I18", &with("store.probed", "", ""), "accepted without a probe");
    breaks("I18", &with("", "", "gateway.refused connection=c2 reason=store"), "said true");
    let says = "gateway.probed ready=true state=draining store=true";
    breaks("I18", &with("", "", says), "/readyz says otherwise");
    holds("I18", &with("", "", &says.replace("draining", "ready")));
}

#[test]
fn i19_the_pool_counts_its_sessions() {
    let over = "pool.taken session=1 in_use=1 capacity=1\n\
                pool.taken session=2 in_use=2 capacity=1";
    breaks("I19", &with("", "", over), "above the pool's capacity");
    let wrong = "pool.taken session=1 in_use=0 capacity=9";
    breaks("I19", &with("", "", wrong), "counts 0 sessions in use, 1 are out");
    let on_its_way = "pool.taken session=1 in_use=2 capacity=9\npool.returned session=1 in_use=0";
    holds("I19", &with("", "", on_its_way));
    breaks("I19", &with("", "", "pool.returned session=7 in_use=0"), "out of turn");
}

#[test]
fn i21_each_client_sees_the_grammar() {
    breaks("I21", &with("type=agent_started @", "", ""), "came before its start");
    let late = "user.received user=ana tab=1 type=message_delta run=r1";
    breaks("I21", &with("", "", late), "came after its end");
    let again = "user.received user=ana tab=1 type=agent_started run=r1";
    breaks("I21", &with("", "to=completing", again), "came twice");
    // A snapshot may overtake the start, which then comes once.
    let shown = "user.received user=ana tab=1 type=run_state run=r1";
    holds("I21", &with("", "user.reply user=ana tab=1 id=k2", shown));
    let again = format!("{shown}\n{again}");
    breaks("I21", &with("", "to=completing", &again), "came twice");
    // Another tab that comes in the middle is owed the rest only.
    let other = "user.received user=ana tab=2 type=agent_completed run=r1";
    holds("I21", &with("", "", other));
}

#[test]
fn i22_what_is_single_is_built_once() {
    breaks("I22", &with("", "", "gateway.built what=pool"), "pool was built twice");
    let again = "host.crashed host=gateway kind=crash\n gateway.built what=pool";
    holds("I22", &with("", "", again));
    let thread = "db.commit table=threads op=insert thread=t2 user=ana key=main";
    breaks("I22", &with("", "", thread), "two threads for one key");
    holds("I22", &with("", "", &thread.replace("main", "other")));
}

#[test]
fn i23_success_needs_a_whole_answer() {
    let cut = "agent.stream_ended run=r1 stopped=false";
    breaks("I23", &with("", "to=completing", cut), "r1 is a success, but its answer was cut");
    breaks("I23", &with("stream_ended", "", ""), "r1 is a success without any answer");
    let failed = GOOD.replace("state=completed", "state=failed");
    breaks("I23", &failed, "r1 has failed, but nothing else had");
    holds("I23", &failed.replace("stopped=true", "stopped=false"));
    holds("I23", &failed.replace("run.slot run=r1 user=ana taken=true", "db.failed x=1"));
    let cancelled = GOOD.replace("state=completed", "state=cancelled");
    breaks("I23", &cancelled, "is cancelled, which nobody asked");
    let asked = "user.sent user=ana tab=1 method=run.cancel id=k3 idem= run=r1";
    holds("I23", &format!("{asked}\n{cancelled}"));
    let told = "user.reply user=ana tab=1 id=k3 run=r1 outcome=cancelled";
    breaks("I23", &with("", "", told), "said cancelled of run r1, committed completed");
}

#[test]
fn i25_errors_have_their_class_and_are_retried_as_it_allows() {
    let wrong = "db.failed what=q class=connection sqlstate='57014 retried=false";
    breaks("I25", &with("", "", wrong), "57014, timeout, taken for connection");
    let retried = "db.failed what=q class=timeout sqlstate='57014 retried=true";
    breaks("I25", &with("", "", retried), "tried again after a failure of timeout");
    holds("I25", &with("", "", "db.failed what=q class=deadlock sqlstate=40P01 retried=true"));
    holds("I25", &with("", "", "db.failed what=q class=connection sqlstate= retried=true"));
    let defect = "db.failed what=q class=constraint sqlstate='23505 retried=false";
    breaks("I25", &with("", "", defect), "q is wrong: the database answers 23505");
    let struck = "db.struck host=db session=1 fault=statement sqlstate='23505";
    holds("I25", &with("", "", &format!("{struck}\n{defect}")));
}

#[test]
fn i24_the_deltas_are_the_message() {
    let wrong = GOOD.replace("outcome=success text=hello", "outcome=success text=goodbye");
    breaks("I24", &wrong, "the message is");
    let middle = "user.received type=message_delta run=r2 user=ana tab=1 delta_seq=4 text=x";
    breaks("I24", &with("", "", middle), "its beginning was never told");
    let snapshot = "user.received type=run_state run=r2 user=ana tab=1 text=y";
    holds("I24", &with("", "", &format!("{snapshot}\n{middle}")));
    let cut = "run.state run=r1 attempt=1 from=running";
    holds("I24", &wrong.replace(cut, "user.closed user=ana tab=1\nx from=running"));
    let failed = wrong.replace("outcome=success", "outcome=failed");
    holds("I24", &failed);
    // A tab that came after the start got it from history, which has no deltas.
    holds("I24", &wrong.replace("user.reply user=ana tab=1 id=k1", "x id=k1"));
}
