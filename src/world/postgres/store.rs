//! One cluster: its durable state, shared by its sessions. The mutex is confined to this file and
//! never held across an await.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::error::{PgError, Result};
use super::injection::{Injection, Injections};
use super::sql::{
    Fragment, Grammar, Parsed, Parses, Planned, Routine, Symbol, Unplanned, parse, plan_fragment,
};
use super::storage::catalog::Table;
use super::storage::locks::{Oid, Pid};
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

/// Plans of the SQL in functions: by the function, and its piece's place in memory. They are good
/// for one version of the catalogue, which keeps the function and so the place.
type Fragments = BTreeMap<(Oid, usize), Arc<Planned>>;

/// Plans of one text that the process remembers, for as many definitions of its tables.
const ALIKE_MAX: usize = 8;

/// What a plan was made for beside the text: the statement's place in it, and the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    at: usize,
    params: Arc<[Ty]>,
}

#[derive(Default)]
pub struct Inner {
    pub db: Db,
    parses: Parses,
    plans: Plans,
    fragments: Fragments,
}

const PLANS_MAX: usize = 4_096;

impl Inner {
    pub fn parse(&mut self, text: &str) -> Result<Parsed> {
        if let Some(parsed) = self.parses.get(text) {
            return Ok(parsed);
        }
        let parsed = shared_parse(text)?;
        self.parses.keep(&parsed);
        Ok(parsed)
    }

    /// The plan of a statement: one that is still good, or what `make` gives.
    pub fn planned(
        &mut self,
        pid: Pid,
        (text, at): (&Arc<str>, usize),
        params: &Arc<[Ty]>,
        make: impl FnOnce(&Db) -> Result<Planned, Unplanned>,
    ) -> Result<Arc<Planned>, Unplanned> {
        if self.db.proc(pid).parameters.asked().foreign_times.is_some() {
            return make(&self.db).map(Arc::new);
        }
        let fits = |key: &Key| key.at == at && key.params == *params;
        let known = self.plans.get(text).into_iter().flatten();
        let mut good = known.filter(|(key, planned)| fits(key) && self.suits(pid, planned));
        if let Some((_, planned)) = good.next() {
            return Ok(planned.clone());
        }
        let key = Key { at, params: params.clone() };
        let planned = if let Some(planned) = self.shared_plan(pid, text, &key) {
            Arc::new(planned)
        } else {
            let planned = Arc::new(make(&self.db)?);
            share(text, &key, &planned);
            planned
        };
        self.keep_plan(text, key, &planned);
        Ok(planned)
    }

    /// The plan of a piece of SQL in a function.
    pub fn fragment(
        &mut self,
        pid: Pid,
        routine: &Routine,
        fragment: &Fragment,
    ) -> Result<Arc<Planned>, Unplanned> {
        let key = (routine.oid, Arc::as_ptr(&fragment.statement).addr());
        if let Some(known) = self.fragments.get(&key).filter(|known| self.suits(pid, known)) {
            return Ok(known.clone());
        }
        let planned = Arc::new(plan_fragment(&self.db, pid, routine, fragment, true)?);
        if planned.settled {
            let version = planned.version;
            self.fragments.retain(|_, known| known.version == version);
            self.fragments.insert(key, planned.clone());
        }
        Ok(planned)
    }

    /// What another cluster planned for tables that are alike.
    fn shared_plan(&self, pid: Pid, text: &str, key: &Key) -> Option<Planned> {
        if self.db.restricted(pid).is_some() || self.db.catalog.is_open() {
            return None;
        }
        let alike = |planned: &Planned| {
            let found = |table: &Arc<Table>| self.db.table(&table.name, pid);
            planned.definitions.iter().all(|table| found(table).is_ok_and(|t| t.is_alike(table)))
        };
        let known = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, planned) = known.get(text)?.iter().find(|(own, p)| own == key && alike(p))?;
        Some(Planned { version: self.db.catalog.version, ..(**planned).clone() })
    }

    /// Whether a plan is good for the catalogue, the session's role and its way with times.
    pub fn suits(&self, pid: Pid, planned: &Planned) -> bool {
        let role = self.db.restricted(pid);
        let secure = || self.db.proc(pid).parameter("row_security") != "off";
        planned.settled
            && self.db.proc(pid).parameters.asked().foreign_times.is_none()
            && planned.version == self.db.catalog.version
            && planned.role.as_deref() == role
            && (role.is_none() || secure())
    }

    /// Remembers a plan, unless a table in it may yet vanish.
    fn keep_plan(&mut self, text: &Arc<str>, key: Key, planned: &Arc<Planned>) {
        if !planned.settled {
            return;
        }
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        let version = self.db.catalog.version;
        let known = self.plans.entry(text.clone()).or_default();
        known.retain(|(_, old)| old.version == version);
        known.push((key, planned.clone()));
    }
}

/// What any cluster of the process planned for a role that may do everything: such a plan depends
/// on its text, its parameters and the definitions of its tables alone; one that calls functions of
/// the cluster is not among them.
static PLANS: Mutex<Plans> = Mutex::new(Plans::new());

fn share(text: &Arc<str>, key: &Key, planned: &Arc<Planned>) {
    if planned.role.is_some() || !planned.settled || planned.calls {
        return;
    }
    let mut known = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= PLANS_MAX {
        known.clear();
    }
    let alike = known.entry(text.clone()).or_default();
    if alike.len() >= ALIKE_MAX {
        alike.remove(0);
    }
    alike.push((key.clone(), planned.clone()));
}

/// What any cluster of the process parsed: a tree depends on its text alone, and the clusters of a
/// thousand seeds are sent the same texts.
static PARSES: Mutex<Parses> = Mutex::new(Parses::new());

/// The grammar that every text is held against, read by the first who needs it.
static GRAMMAR: Mutex<Option<Arc<Grammar>>> = Mutex::new(None);

pub fn grammar() -> Arc<Grammar> {
    let mut known = GRAMMAR.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_with(|| Arc::new(Grammar::new())).clone()
}

/// Rows of symbols that are known to be statements: texts that differ only in values and names;
/// which of the symbols are labels of columns.
static FORMS: Mutex<BTreeMap<Vec<Symbol>, Arc<[usize]>>> = Mutex::new(BTreeMap::new());
const FORMS_MAX: usize = 4_096;
/// Longer ones are not kept.
const FORM_SYMBOLS_MAX: usize = 256;

pub fn known_form(symbols: &[Symbol]) -> Option<Arc<[usize]>> {
    FORMS.lock().unwrap_or_else(PoisonError::into_inner).get(symbols).cloned()
}

pub fn keep_form(symbols: Vec<Symbol>, labels: Arc<[usize]>) {
    let mut forms = FORMS.lock().unwrap_or_else(PoisonError::into_inner);
    if symbols.len() <= FORM_SYMBOLS_MAX && forms.len() < FORMS_MAX {
        forms.insert(symbols, labels);
    }
}

fn shared_parse(text: &str) -> Result<Parsed> {
    let known = || PARSES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parsed) = known().get(text) {
        return Ok(parsed);
    }
    let parsed = parse(text)?;
    known().keep(&parsed);
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
