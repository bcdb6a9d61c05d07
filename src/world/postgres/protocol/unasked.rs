//! What a session is told without asking: notices, notifications, parameters that changed.
//! Must never send it: it is put with the answers.

use std::collections::BTreeMap;

use super::frame::Out;
use crate::world::postgres::exec::setting;
use crate::world::postgres::storage::locks::Pid;
use crate::world::postgres::store::Inner;

/// Between messages: notifications, outside a transaction.
pub fn between(inner: &mut Inner, pid: Pid, out: &mut Out) {
    let Some(proc) = inner.db.procs.get_mut(&pid).filter(|proc| proc.txn.is_none()) else { return };
    for notification in std::mem::take(&mut proc.inbox) {
        out.notification(notification.pid, &notification.channel, &notification.payload);
    }
}

/// The parameters as the client knows them.
#[derive(Default)]
pub struct Reported {
    values: BTreeMap<&'static str, String>,
    version: Option<u64>,
}

impl Reported {
    /// Tells parameters that changed.
    pub fn report(&mut self, inner: &Inner, pid: Pid, out: &mut Out) {
        let Some(proc) = inner.db.procs.get(&pid) else { return };
        if self.version == Some(proc.parameters.version) {
            return;
        }
        self.version = Some(proc.parameters.version);
        for (name, shown) in setting::REPORTED {
            let value = setting::show(&inner.db, pid, name).unwrap_or_default();
            if self.values.get(shown) != Some(&value) {
                out.parameter_status(shown, &value);
                self.values.insert(shown, value);
            }
        }
    }
}
