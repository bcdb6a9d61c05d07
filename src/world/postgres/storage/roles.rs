//! Roles, privileges and row policies (PostgreSQL 15, chapters 5.7, 5.8 and 22).
//! Must never decide what a statement may do: it only knows who was given what.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlparser::ast;

use super::entries::Entries;
use super::xact::Xid;

/// What may be done with a table, a sequence or a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges(u16);

impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const SELECT: Privileges = Privileges(1);
    pub const INSERT: Privileges = Privileges(2);
    pub const UPDATE: Privileges = Privileges(4);
    pub const DELETE: Privileges = Privileges(8);
    pub const TRUNCATE: Privileges = Privileges(16);
    pub const REFERENCES: Privileges = Privileges(32);
    pub const TRIGGER: Privileges = Privileges(64);
    pub const USAGE: Privileges = Privileges(128);
    pub const CREATE: Privileges = Privileges(256);
    pub const ALL: Privileges = Privileges(511);
    /// Those that there are of a column.
    pub const OF_COLUMNS: Privileges = Privileges(1 | 2 | 4 | 32);

    /// The first of them, as SQL calls it.
    pub fn name(self) -> Option<&'static str> {
        let names = [
            (Privileges::SELECT, "SELECT"),
            (Privileges::INSERT, "INSERT"),
            (Privileges::UPDATE, "UPDATE"),
            (Privileges::DELETE, "DELETE"),
            (Privileges::TRUNCATE, "TRUNCATE"),
            (Privileges::REFERENCES, "REFERENCES"),
            (Privileges::TRIGGER, "TRIGGER"),
            (Privileges::USAGE, "USAGE"),
            (Privileges::CREATE, "CREATE"),
        ];
        names.into_iter().find(|(one, _)| self.meets(*one)).map(|(_, name)| name)
    }

    pub fn with(self, more: Privileges) -> Privileges {
        Privileges(self.0 | more.0)
    }

    pub fn without(self, less: Privileges) -> Privileges {
        Privileges(self.0 & !less.0)
    }

    /// Whether it holds at least one of those that are wanted.
    pub fn meets(self, wanted: Privileges) -> bool {
        self.0 & wanted.0 != 0
    }

    pub fn holds(self, wanted: Privileges) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

/// Who was granted what; the name `public` stands for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(BTreeMap<Arc<str>, Privileges>);

pub const PUBLIC: &str = "public";

impl Acl {
    pub fn grant(&mut self, role: &str, privileges: Privileges) {
        let own = self.0.entry(role.into()).or_default();
        *own = own.with(privileges);
    }

    pub fn revoke(&mut self, role: &str, privileges: Privileges) {
        if let Some(own) = self.0.get_mut(role) {
            *own = own.without(privileges);
        }
        self.0.retain(|_, own| *own != Privileges::NONE);
    }

    /// What a role has that is a member of `roles`.
    pub fn of(&self, roles: &[Arc<str>]) -> Privileges {
        let own = roles.iter().filter_map(|role| self.0.get(role));
        let public = self.0.get(PUBLIC);
        own.chain(public).fold(Privileges::NONE, |all, one| all.with(*one))
    }

    pub fn names(&self, role: &str) -> bool {
        self.0.contains_key(role)
    }
}

/// A row-level security policy of a table.
#[derive(Clone, Debug)]
pub struct RowPolicy {
    pub name: Arc<str>,
    pub permissive: bool,
    pub command: ast::CreatePolicyCommand,
    /// Nobody named: everybody.
    pub roles: Vec<Arc<str>>,
    pub using: Option<Arc<ast::Expr>>,
    pub with_check: Option<Arc<ast::Expr>>,
}

/// Whose a table is and who may do what with which of its rows.
#[derive(Clone, Debug)]
pub struct Security {
    pub owner: Arc<str>,
    pub acl: Acl,
    pub enabled: bool,
    /// The owner is bound too.
    pub forced: bool,
    /// In the order of their names, as PostgreSQL applies them.
    pub policies: Vec<Arc<RowPolicy>>,
}

impl Security {
    pub fn owned_by(owner: &str) -> Security {
        let (owner, acl, policies) = (owner.into(), Acl::default(), Vec::new());
        Security { owner, acl, enabled: false, forced: false, policies }
    }
}

#[allow(clippy::struct_excessive_bools, reason = "independent attributes of a role")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub superuser: bool,
    pub bypasses: bool,
    pub login: bool,
    pub inherit: bool,
    pub member_of: Vec<Arc<str>>,
}

/// Roles that were created. A name that nobody created and that a session logged in with is a
/// superuser, as the one that a cluster begins with.
#[derive(Debug, Default)]
pub struct Roles {
    pub known: Entries<Arc<str>, Role>,
    /// Privileges on the schema `public` beyond USAGE, which everybody has.
    pub schema: Entries<(), Acl>,
}

/// Roles as a transaction with these ids sees them.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub roles: &'a Roles,
    pub own: &'a [Xid],
}

impl View<'_> {
    pub fn get(&self, name: &str) -> Option<&Role> {
        self.roles.known.get(name, self.own).map(|role| &**role)
    }

    /// Who is a member of the role itself.
    pub fn members(&self, name: &str) -> Vec<Arc<str>> {
        let own = |role: &Role| role.member_of.iter().any(|one| **one == *name);
        let known = self.roles.known.seen(self.own);
        known.filter(|(_, role)| own(role)).map(|(member, _)| member.clone()).collect()
    }

    pub fn knows(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Privileges on the schema.
    pub fn schema(&self) -> Acl {
        self.roles.schema.get(&(), self.own).map(|acl| (**acl).clone()).unwrap_or_default()
    }

    pub fn is_superuser(&self, name: &str) -> bool {
        self.get(name).is_none_or(|role| role.superuser)
    }

    pub fn bypasses(&self, name: &str) -> bool {
        self.get(name).is_none_or(|role| role.superuser || role.bypasses)
    }

    /// The role itself and those it is a member of; `inherited`: only those whose privileges it
    /// has without SET ROLE.
    pub fn memberships(&self, name: &str, inherited: bool) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = vec![name.into()];
        let mut at = 0;
        while let Some(next) = found.get(at).cloned() {
            at += 1;
            let Some(role) = self.get(&next) else { continue };
            if inherited && !role.inherit {
                continue;
            }
            for group in &role.member_of {
                if !found.contains(group) {
                    found.push(group.clone());
                }
            }
        }
        found
    }

    /// Whether `name` may act as `wanted`.
    pub fn is_member(&self, name: &str, wanted: &str) -> bool {
        self.is_superuser(name) || self.memberships(name, false).iter().any(|one| **one == *wanted)
    }

    /// Whether `name` has what `owner` has by owning a thing.
    pub fn owns(&self, name: &str, owner: &str) -> bool {
        self.is_superuser(name) || self.memberships(name, true).iter().any(|one| **one == *owner)
    }
}
