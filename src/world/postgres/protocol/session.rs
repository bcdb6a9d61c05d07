//! A session: start-up, then message by message until the client leaves.
//! Must never run two statements at once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use sqlparser::ast::{DiscardObject, Statement};

use super::aloud::Speech;
use super::arguments::{argument_values, unpreparable};
use super::begin::How;
use super::connection::Connection;
use super::extended::Portal;
use super::frame::{Front, Startup, decode, decode_startup};
use super::run::{Prepared, Runner};
use super::transaction::{self, is_boundary};
use super::unasked::{self, Reported};
use super::utility::{Answer, is_utility};
use crate::env::{Env, Moment};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::setting;
use crate::world::postgres::sql::Analyzer;
use crate::world::postgres::storage::Proc;
use crate::world::postgres::store::{Registration, Store};
use crate::world::postgres::types::{Datum, Ty};
use crate::world::postgres::watch::Watch;

pub struct Session<E: Env> {
    pub(super) runner: Runner<E>,
    pub(super) connection: Connection<E::Stream>,
    pub(super) speech: Speech,
    /// Those prepared with SQL's PREPARE are among them too.
    pub(super) statements: BTreeMap<String, Arc<Prepared>>,
    pub(super) portals: BTreeMap<String, Portal>,
    /// After an error in the extended protocol everything up to Sync is ignored.
    skipping: bool,
    /// Since when it waits for the client's next command.
    idle: Option<Moment>,
    reported: Reported,
}

/// Serves one connection to its end.
pub async fn session<E: Env>(env: E, stream: E::Stream, store: Store, watch: Watch) {
    let mut connection = Connection::new(stream);
    // A peer that is gone needs no answer.
    let Ok(Some(parameters)) = start_up(&mut connection, &store).await else { return };
    let secret = i32::try_from(env.next_u64() >> 33).unwrap_or(0);
    let proc = new_proc(&store, &parameters, watch, secret, env.next_u64());
    let registered = proc.and_then(|mut proc| {
        proc.now = env.now();
        store.with(|inner| inner.db.connect(proc))
    });
    let pid = match registered {
        Ok(pid) => pid,
        Err(error) => {
            connection.out.error(&error);
            connection.close().await;
            return;
        }
    };
    let mut registration = Registration::new(store.clone(), pid);
    let runner = Runner { env, store, pid };
    let mut session = Session {
        runner,
        connection,
        speech: Speech::default(),
        statements: BTreeMap::new(),
        portals: BTreeMap::new(),
        skipping: false,
        idle: None,
        reported: Reported::default(),
    };
    session.greet(secret);
    // The peer left or broke the protocol: either way there is nobody to tell.
    let _ended = session.serve().await;
    registration.left = true;
}

/// The parameters of a session; `None` for a cancel request or a peer that left.
async fn start_up<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    store: &Store,
) -> io::Result<Option<Vec<(String, String)>>> {
    loop {
        match decode_startup(&mut connection.input) {
            Ok(None) => {
                if connection.fill().await? == 0 {
                    return Ok(None);
                }
            }
            Ok(Some(Startup::Encryption)) => connection.send_byte(b'N').await?,
            Ok(Some(Startup::Cancel { pid, secret })) => {
                store.cancel(pid, secret);
                return Ok(None);
            }
            Ok(Some(Startup::Session(parameters, minor))) => {
                if minor > 0 {
                    connection.out.negotiate_version();
                }
                return Ok(Some(parameters));
            }
            Err(error) => {
                connection.out.error(&error);
                connection.close().await;
                return Ok(None);
            }
        }
    }
}

fn new_proc(
    store: &Store,
    parameters: &[(String, String)],
    watch: Watch,
    secret: i32,
    random: u64,
) -> Result<Proc> {
    let find = |wanted: &str| {
        parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    let user = find("user").ok_or_else(|| {
        PgError::fatal("28000", "no PostgreSQL user name specified in startup packet")
    })?;
    let database = find("database").unwrap_or_else(|| user.clone());
    let mut proc = Proc::new(user, database);
    (proc.secret, proc.watch, proc.random) = (secret, watch, random);
    store.with(|inner| {
        let set = ["deadlock_timeout", "default_transaction_isolation"];
        for name in set {
            let value = setting::default(&inner.db, name).unwrap_or_default();
            proc.parameters.put(name, Some(value));
        }
    });
    let mut given = Vec::new();
    proc.parameters.put("session_authorization", Some(proc.user.clone()));
    for (name, value) in parameters {
        if !matches!(name.as_str(), "user" | "database" | "options" | "replication")
            && !name.starts_with("_pq_.")
        {
            given.push((name.to_lowercase(), value.clone()));
        }
    }
    let options = find("options").unwrap_or_default();
    for word in options.split_whitespace() {
        let assignment = word.trim_start_matches("-c").trim_start_matches("--");
        if let Some((name, value)) = assignment.split_once('=') {
            given.push((name.to_lowercase().replace('-', "_"), value.to_owned()));
        }
    }
    for (name, value) in given {
        let value = setting::checked(&name, &value).map_err(|error| error.severity("FATAL"))?;
        proc.parameters.put(&name, Some(value));
    }
    proc.at_start.clone_from(proc.parameters.all());
    Ok(proc)
}

impl<E: Env> Session<E> {
    fn greet(&mut self, secret: i32) {
        self.connection.out.authentication_ok();
        let (runner, reported, out) = (&self.runner, &mut self.reported, &mut self.connection.out);
        runner.store.with(|inner| reported.report(inner, runner.pid, out));
        self.connection.out.backend_key(self.runner.pid, secret);
        self.connection.out.ready(b'I');
        self.idle = Some(self.runner.env.now());
    }

    /// Writes what has been said since.
    pub(super) fn speak(&mut self) {
        let said = self.runner.store.with(|inner| {
            let proc = inner.db.procs.get_mut(&self.runner.pid);
            proc.map(|proc| std::mem::take(&mut proc.said)).unwrap_or_default()
        });
        for said in said {
            self.speech.write(said, &mut self.connection.out);
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let front = match decode(&mut self.connection.input) {
                Ok(Some(front)) => front,
                Ok(None) => {
                    self.connection.flush().await?;
                    if !self.listen().await? {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) if error.is_fatal() => return self.hang_up(&error).await,
                Err(error) => {
                    self.fail(&error);
                    continue;
                }
            };
            if front == Front::Terminate {
                return Ok(());
            }
            if self.skipping && front != Front::Sync {
                continue;
            }
            self.idle = None;
            if let Err(error) = self.handle(front).await {
                if error.is_fatal() {
                    return self.hang_up(&error).await;
                }
                self.fail(&error);
            }
        }
    }

    async fn hang_up(&mut self, error: &PgError) -> io::Result<()> {
        if error.is_severed() {
            // What was about to be answered is not known to be true.
            self.connection.out.0.clear();
        } else {
            self.connection.out.error(error);
        }
        self.connection.close().await;
        Ok(())
    }

    /// An error within the extended protocol: nothing more until Sync.
    fn fail(&mut self, error: &PgError) {
        self.runner.failed(error);
        self.failed();
        self.speak();
        self.connection.out.error(error);
        self.runner.stop_clock();
        self.skipping = true;
    }

    /// Waits for bytes; `false` when the session is over. Notifications are sent meanwhile.
    async fn listen(&mut self) -> io::Result<bool> {
        loop {
            let heard = match self.runner.silence(self.idle) {
                None => self.hear().await,
                Some((until, error)) => {
                    let env = self.runner.env.clone();
                    match env.timeout(until.since(env.now()), self.hear()).await {
                        Ok(heard) => heard,
                        Err(_) if error.is_fatal() => {
                            self.runner.failed(&error);
                            self.hang_up(&error).await?;
                            return Ok(false);
                        }
                        Err(_) => {
                            self.fail(&error);
                            self.connection.flush().await?;
                            continue;
                        }
                    }
                }
            };
            match heard? {
                None => {
                    let (runner, out) = (&self.runner, &mut self.connection.out);
                    runner.store.with(|inner| unasked::between(inner, runner.pid, out));
                    self.connection.flush().await?;
                }
                Some(bytes) => return Ok(bytes > 0),
            }
        }
    }

    /// Bytes read, or `None` when there is a notification to send.
    async fn hear(&mut self) -> io::Result<Option<usize>> {
        let (runner, connection) = (&self.runner, &mut self.connection);
        poll_fn(|cx| {
            if let Poll::Ready(read) = connection.poll_fill(cx) {
                return Poll::Ready(read.map(Some));
            }
            let told = runner.store.with(|inner| {
                let Some(proc) = inner.db.procs.get_mut(&runner.pid) else { return false };
                if proc.channels.is_empty() {
                    return false;
                }
                proc.park(cx.waker());
                proc.txn.is_none() && !proc.inbox.is_empty()
            });
            if told { Poll::Ready(Ok(None)) } else { Poll::Pending }
        })
        .await
    }

    async fn handle(&mut self, front: Front) -> Result<()> {
        if matches!(
            front,
            Front::Parse { .. }
                | Front::Bind { .. }
                | Front::Describe { .. }
                | Front::Execute { .. }
        ) {
            self.runner.start_clock();
        }
        match front {
            Front::Query(text) => self.query(&text).await,
            Front::Parse { name, text, types } => self.parse(name, &text, &types).await,
            Front::Bind { portal, statement, formats, values, results } => {
                self.bind(portal, &statement, &formats, &values, results).await
            }
            Front::Describe { portal, name } => self.describe(portal, &name).await,
            Front::Execute { portal, max } => self.execute(&portal, max).await,
            Front::Close { portal, name } => {
                self.close(portal, &name);
                Ok(())
            }
            Front::Sync => {
                self.skipping = false;
                self.runner.catch_up();
                self.runner.stop_clock();
                let finished = self.runner.finish_implicit().await;
                if let Err(error) = finished {
                    if error.is_severed() {
                        return Err(error);
                    }
                    self.connection.out.error(&error);
                }
                self.ready();
                Ok(())
            }
            Front::Flush | Front::Ignored | Front::Terminate => Ok(()),
            Front::FunctionCall => Err(PgError::unsupported("the function call protocol")),
        }
    }

    fn ready(&mut self) {
        self.speak();
        let (runner, reported, out) = (&self.runner, &mut self.reported, &mut self.connection.out);
        let status = runner.store.with(|inner| {
            unasked::between(inner, runner.pid, out);
            reported.report(inner, runner.pid, out);
            transaction::status(&inner.db, runner.pid)
        });
        if status == b'I' {
            self.portals.clear();
        }
        self.idle = Some(runner.env.now());
        out.ready(status);
    }

    pub(super) fn parsed(&self, text: &str) -> Result<crate::world::postgres::sql::Parsed> {
        self.runner.store.with(|inner| inner.parse(text))
    }

    /// A simple query: all its statements, one transaction unless they say otherwise.
    async fn query(&mut self, text: &str) -> Result<()> {
        self.statements.remove("");
        if let Err(error) = self.query_all(text).await {
            if error.is_fatal() {
                return Err(error);
            }
            self.runner.failed(&error);
            self.failed();
            self.speak();
            self.connection.out.error(&error);
        }
        self.runner.stop_clock();
        self.ready();
        Ok(())
    }

    async fn query_all(&mut self, text: &str) -> Result<()> {
        let parsed = self.parsed(text)?;
        let statements = &parsed.statements;
        if statements.is_empty() {
            self.runner.finish_implicit().await?;
            self.connection.out.empty(b'I');
        }
        let mut told = false;
        self.runner.note_several(statements.len() > 1);
        for (at, statement) in statements.iter().enumerate() {
            let last = at + 1 == statements.len();
            let prepared = Prepared {
                text: parsed.text.clone(),
                at,
                statement: Some(statement.clone()),
                given: Arc::default(),
                params: Arc::default(),
                columns: None,
                told,
                plan: None,
            };
            told = told || !is_boundary(statement);
            self.runner.check_failed(statement)?;
            self.runner.start_clock();
            let unnamed = self.portals.remove("");
            self.speech = Speech::default();
            let (level, how) = (self.runner.level(), How { aloud: true, ..How::default() });
            let answer = match self.statement(&prepared, &[], how).await {
                Ok(answer) => answer,
                Err(error) => {
                    let has = self.runner.has_started();
                    let left = if has { Some(Portal::failed(prepared, level)) } else { unnamed };
                    self.portals.extend(left.map(|portal| (String::new(), portal)));
                    return Err(error);
                }
            };
            self.runner.catch_up();
            self.runner.stop_clock();
            self.speak();
            if let Some(columns) = answer.columns.as_ref().filter(|_| !answer.said) {
                self.connection.out.row_description(columns, &[]);
                for row in &answer.rows {
                    self.connection.out.data_row(row, columns, &[]);
                }
            }
            if last {
                self.runner.finish_implicit().await?;
                self.speak();
            }
            self.connection.out.command_complete(&answer.tag, answer.count);
        }
        Ok(())
    }

    /// Runs a statement, of either protocol; those about prepared statements are the session's.
    pub(super) async fn statement(
        &mut self,
        prepared: &Prepared,
        params: &[Datum],
        how: How,
    ) -> Result<Answer> {
        let Some(statement) = &prepared.statement else { return Ok(Answer::default()) };
        if matches!(
            **statement,
            Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate { .. }
        ) {
            self.runner.check_failed(statement)?;
            self.runner.start(true);
        }
        match &**statement {
            Statement::Prepare { name, data_types, statement } => {
                if is_utility(statement) {
                    return Err(unpreparable(&prepared.text, statement));
                }
                let name = crate::world::postgres::sql::ident(name);
                let types = self.runner.with(|inner| {
                    let analyzer = Analyzer::new(&inner.db, self.runner.pid, &prepared.text, &[]);
                    let known = data_types.iter().map(|ty| Ok(analyzer.data_type(ty)?.0));
                    known.collect::<Result<Arc<[Ty]>>>()
                })?;
                let statement = Arc::new((**statement).clone());
                let (text, at) = (&prepared.text, prepared.at);
                let inner = self.runner.prepare(text, at, Some(statement), types).await?;
                if self.statements.contains_key(&name) {
                    let message = format!("prepared statement \"{name}\" already exists");
                    return Err(PgError::new("42P05", message));
                }
                self.statements.insert(name, Arc::new(inner));
                Ok(Answer::tag("PREPARE"))
            }
            Statement::Execute { name: Some(name), parameters, .. } => {
                let name = crate::world::postgres::sql::object_name(name)?;
                let (run, text) = (self.prepared(&name)?, &prepared.text);
                self.runner.same_result(&run).await?;
                let params = argument_values(&self.runner, &name, parameters, &run, text).await?;
                self.beside_portals(&run, &params, How::default()).await
            }
            Statement::Deallocate { name, .. } => {
                let name = crate::world::postgres::sql::ident(name);
                if name == "all" {
                    self.statements.retain(|name, _| name.is_empty());
                    return Ok(Answer::tag("DEALLOCATE ALL"));
                }
                self.prepared(&name)?;
                self.statements.remove(&name);
                Ok(Answer::tag("DEALLOCATE"))
            }
            Statement::Discard { object_type: DiscardObject::ALL } => {
                let answer = self.runner.execute(prepared, params, how).await?;
                self.statements.retain(|name, _| name.is_empty());
                Ok(answer)
            }
            _ => self.beside_portals(prepared, params, how).await,
        }
    }

    pub(super) fn prepared(&self, name: &str) -> Result<Arc<Prepared>> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            PgError::new("26000", message)
        })
    }
}
