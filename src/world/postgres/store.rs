//! One cluster: its durable state, shared by its sessions. The mutex is confined to this file and
//! never held across an await.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::error::{PgError, Result};
use super::injection::{Injection, Injections};
use super::sql::{Parsed, Parses, Planned, parse};
use super::storage::locks::Pid;
use super::storage::{Db, Isolation};
use super::types::Ty;

/// What a cluster is configured with; sessions may change some of it for themselves.
#[derive(Clone, Debug)]
pub struct Settings {
    pub isolation: Isolation,
    /// How long a lock wait lasts before a deadlock is looked for.
    pub deadlock_timeout: Duration,
    pub max_connections: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        let (isolation, max_connections) = (Isolation::ReadCommitted, 100);
        Settings { isolation, deadlock_timeout: Duration::from_secs(1), max_connections }
    }
}

/// Plans by text.
type Plans = BTreeMap<Arc<str>, Vec<(Key, Arc<Planned>)>>;

/// What a plan depends on beside the text and the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    /// The statement's place in the text.
    at: usize,
    params: Vec<Ty>,
    /// Whose privileges and policies it has; superusers are all alike.
    role: Option<Arc<str>>,
}

#[derive(Default)]
pub struct Inner {
    pub db: Db,
    parses: Parses,
    plans: Plans,
}

const PLANS_MAX: usize = 4_096;

impl Inner {
    pub fn parse(&mut self, text: &str) -> Result<Parsed> {
        if let Some(parsed) = self.parses.get(text) {
            return Ok(parsed);
        }
        let parsed = shared_parse(text)?;
        self.parses.keep(text, &parsed);
        Ok(parsed)
    }

    /// A plan that is still good for the catalogue and the session's role.
    pub fn plan(&self, pid: Pid, text: &str, at: usize, params: &[Ty]) -> Option<Arc<Planned>> {
        let known = self.plans.get(text)?;
        let proc = self.db.proc(pid);
        let role = self.restricted(pid);
        if role.is_some() && proc.parameter("row_security") == "off" {
            return None;
        }
        let found = known.iter().find(|(key, planned)| {
            key.at == at
                && key.params == params
                && key.role.as_deref() == role
                && planned.version == self.db.catalog.version
        });
        found.map(|(_, planned)| planned.clone())
    }

    /// The session's role, unless it may do everything.
    fn restricted(&self, pid: Pid) -> Option<&str> {
        let role = self.db.proc(pid).role();
        (!self.db.catalog.roles.is_superuser(role)).then_some(role)
    }

    /// Remembers a plan, unless a table in it may yet vanish.
    pub fn keep_plan(
        &mut self,
        pid: Pid,
        text: &str,
        at: usize,
        params: &[Ty],
        planned: &Arc<Planned>,
    ) {
        let mut tables = self.db.catalog.tables.values();
        if tables.any(|table| table.creator.is_some() || table.dropper.is_some()) {
            return;
        }
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        let version = self.db.catalog.version;
        let role = self.restricted(pid).map(Into::into);
        let known = self.plans.entry(text.into()).or_default();
        known.retain(|(_, old)| old.version == version);
        known.push((Key { at, params: params.to_vec(), role }, planned.clone()));
    }
}

/// What any cluster of the process parsed: a tree depends on its text alone, and the clusters of a
/// thousand seeds are sent the same texts.
static PARSES: Mutex<Parses> = Mutex::new(Parses::new());

fn shared_parse(text: &str) -> Result<Parsed> {
    let known = || PARSES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parsed) = known().get(text) {
        return Ok(parsed);
    }
    let parsed = parse(text)?;
    known().keep(text, &parsed);
    Ok(parsed)
}

/// A cluster. Clones are the same cluster. It survives a crash of the host that serves it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Mutex<Inner>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Default for Store {
    fn default() -> Store {
        Store::new(Settings::default())
    }
}

impl Store {
    pub fn new(settings: Settings) -> Store {
        let inner = Inner { db: Db::new(settings), ..Inner::default() };
        Store { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Has these faults happen.
    pub fn inject(&self, faults: Vec<Injection>) {
        self.with(|inner| inner.db.injections = Injections::new(faults));
    }

    /// The host is gone: open transactions are rolled back, what was committed stays.
    pub fn crash(&self) {
        self.with(|inner| {
            let pids: Vec<Pid> = inner.db.procs.keys().copied().collect();
            for pid in pids {
                inner.db.crash(pid);
            }
        });
    }

    /// Sessions that are connected.
    pub fn sessions(&self) -> usize {
        self.with(|inner| inner.db.procs.len())
    }

    /// A step on the cluster's state.
    pub(super) fn with<R>(&self, step: impl FnOnce(&mut Inner) -> R) -> R {
        // A panic in a step is a bug that its test shows; the state is as good as it was.
        step(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sessions that the last crash ended within a transaction, once.
    pub(super) fn crashed(&self) -> Vec<Pid> {
        self.with(|inner| std::mem::take(&mut inner.db.crashed))
    }

    /// Ends the running statement of the session that has this key.
    pub(super) fn cancel(&self, pid: Pid, secret: i32) {
        self.with(|inner| {
            if inner.db.procs.get(&pid).is_some_and(|proc| proc.secret == secret) {
                inner.db.cancel(pid);
            }
        });
    }
}

/// A session's registration; dropping it ends the session, whatever it was doing.
pub struct Registration {
    store: Store,
    pid: Pid,
    /// Its client left: what ends it is not a crash of the server.
    pub left: bool,
}

impl Registration {
    pub fn new(store: Store, pid: Pid) -> Registration {
        Registration { store, pid, left: false }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (pid, left) = (self.pid, self.left);
        self.store.with(|inner| if left { inner.db.disconnect(pid) } else { inner.db.crash(pid) });
    }
}

/// The error of a session whose cluster went away.
pub fn gone() -> PgError {
    PgError::fatal("57P01", "terminating connection due to administrator command")
}
