//! What a state directory remembers of the store that it works with, and of itself: it tells a promoted replica, which it
//! knows, from a copy that it doesn't; and that it is itself a copy.

use std::io;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::Owner;
use crate::store::{Change, Home, home_of, machine};

use super::state::{StatePaths, write_private};

/// What it remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Which store.
    pub deployment: Uuid,
    /// What that lived on.
    pub home: Home,
    /// On which machine this was.
    pub machine: Option<String>,
    /// The name that this directory had.
    #[serde(default)]
    pub instance: Option<Owner>,
    /// Where the file with its name was.
    #[serde(default)]
    pub place: Option<Home>,
}

impl Seen {
    /// What is on record; `None` where nothing is, or nothing that can be read.
    pub fn read(paths: &StatePaths) -> Option<Self> {
        let text = std::fs::read_to_string(paths.seen()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// As things are now.
    pub fn here(paths: &StatePaths, deployment: Uuid, home: Home, owner: Owner) -> Self {
        let before = Self::read(paths).filter(|seen| seen.deployment == deployment);
        let told =
            before.as_ref().map(|seen| &seen.home).filter(|before| home.since(before) == Change::Nothing);
        let machine = machine();
        Self {
            deployment,
            home: home.completed(told),
            place: home_of(&paths.instance(), machine.as_deref()).ok(),
            machine,
            instance: Some(owner),
        }
    }

    /// Puts it on record, where that says something else.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn note(&self, paths: &StatePaths) -> io::Result<()> {
        if Self::read(paths).as_ref() == Some(self) {
            return Ok(());
        }
        write_private(&paths.seen(), &serde_json::to_string(self)?)
    }
}

/// Whether the directory is a copy of the one that was named so, as far as can be told.
pub fn is_copied(paths: &StatePaths, owner: Owner) -> bool {
    let Some(seen) = Seen::read(paths).filter(|seen| seen.instance == Some(owner)) else { return false };
    let (Some(before), Ok(now)) = (seen.place, home_of(&paths.instance(), machine().as_deref())) else {
        return false;
    };
    matches!(now.since(&before), Change::Elsewhere(_))
}
