//! The hazards that can be planted, as a value of the configuration. Without the cargo feature
//! `planted` no plant is ever live. Must never be a static: parallel seeds do not share it.

use std::fmt;
use std::str::FromStr;

macro_rules! plants {
    ($($id:ident $about:literal;)*) => {
        /// A race that systems of this kind shipped; the site of each documents the danger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Plant { $(#[doc = $about] $id,)* }

        impl Plant {
            pub const ALL: &[Plant] = &[$(Plant::$id),*];

            pub fn name(self) -> &'static str {
                match self { $(Plant::$id => stringify!($id),)* }
            }

            pub fn about(self) -> &'static str {
                match self { $(Plant::$id => $about,)* }
            }
        }
    };
}

plants! {
    H01 "an upgrade is accepted while services are still starting, and closed with 1011";
    H02 "a phase is published when it starts, not when it is finished";
    H03 "the readiness guard fails and the upgrade is admitted anyway";
    H09 "the connection limit is checked outside the registration step";
    H10 "an old connection's clean-up removes the newer registration of its user";
    H11 "closing one tab removes all tabs of the user from the registry";
    H18 "history is read, then the connection subscribes: an event between falls through";
    H22 "two emitters tell the end of a run";
    H24 "completion does not ask whether the run was cancelled meanwhile";
    H26 "a shared supervisor holds the last user's context across an await";
    H34 "the end of a run is told before its commit";
    H39 "a database session is held during the whole run";
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is no plant of the backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown plant `{0}`")]
pub struct UnknownPlant(pub String);

impl FromStr for Plant {
    type Err = UnknownPlant;

    fn from_str(name: &str) -> Result<Plant, UnknownPlant> {
        let found = Plant::ALL.iter().find(|plant| plant.name() == name);
        found.copied().ok_or_else(|| UnknownPlant(name.to_owned()))
    }
}

/// The plants that are live in one process of the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plants(u64);

impl Plants {
    #[must_use]
    pub fn with(self, plant: Plant) -> Plants {
        Plants(self.0 | 1 << plant as u64)
    }

    /// Constant false without the feature, so that the planted line is compiled away.
    pub fn has(self, plant: Plant) -> bool {
        cfg!(feature = "planted") && self.0 & (1 << plant as u64) != 0
    }
}

impl FromIterator<Plant> for Plants {
    fn from_iter<I: IntoIterator<Item = Plant>>(plants: I) -> Plants {
        plants.into_iter().fold(Plants::default(), Plants::with)
    }
}
