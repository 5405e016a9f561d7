//! What becomes of a row on its way into another store: of what is sealed, and of what a store notes of itself alone. All
//! other rows go as they are.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::row::{Cell, Kind, Table, quoted};
use super::side::Side;
use super::{Seal, Seals, Whose};
use crate::domain::{Epoch, Generation, Sealed, UserId};

/// How the rows of a store become those of another.
pub enum Manner<'s> {
    /// As they are: the other is the same store.
    Alike,
    /// The other is a store of its own. `fence`: why nobody may refresh with it until it is accepted.
    Anew { seals: &'s dyn Seals, from: Vec<Uuid>, fence: Option<String> },
}

impl Manner<'_> {
    /// Whether nothing is in a table. What a store notes of itself goes: the target has done nothing yet.
    pub async fn is_empty(&self, side: &mut Side, table: &Table) -> std::result::Result<bool, sqlx::Error> {
        if table.name != "meta" {
            let any = format!("SELECT CAST(1 AS BIGINT) FROM {} LIMIT 1", quoted(&table.name));
            return Ok(side.number(any).await?.is_none());
        }
        let notes = match self {
            Self::Alike => "DELETE FROM meta",
            Self::Anew { .. } => "DELETE FROM meta WHERE name <> 'deployment'",
        };
        side.run(notes.to_owned()).await.map(|()| true)
    }

    /// The row as it counts in the digest: of what is sealed, what is in it. `None`: it is not for the other store.
    pub fn counted(&self, table: &Table, whose: Whose, row: &[Cell]) -> Option<Vec<Cell>> {
        let Self::Anew { seals, .. } = self else { return Some(row.to_vec()) };
        if table.name == "meta"
            && let Some(Cell::Text(name)) = row.get(table.at("name")?)
            && OWN.contains(&name.as_str())
        {
            return None;
        }
        let mut counted = row.to_vec();
        for (at, seal) in sealed(table, row) {
            if let Cell::Blob(bytes) = &row[at]
                && let Some(text) = seals.open(whose, seal, &Sealed(bytes.clone()))
            {
                counted[at] = Cell::Blob(Sha256::digest(&*text).to_vec());
            }
        }
        Some(counted)
    }

    /// Seals for the target what can be opened. The rest nobody can use, here or there.
    pub fn seal(&self, table: &Table, row: &mut [Cell]) {
        let Self::Anew { seals, .. } = self else { return };
        let anew = |(at, seal): (usize, Seal<'_>)| match &row[at] {
            Cell::Blob(bytes) => {
                let text = seals.open(Whose::Source, seal, &Sealed(bytes.clone()))?;
                Some((at, seals.seal(seal, &text)))
            }
            _ => None,
        };
        let anew: Vec<(usize, Sealed)> = sealed(table, row).into_iter().filter_map(anew).collect();
        for (at, sealed) in anew {
            row[at] = Cell::Blob(sealed.0);
        }
    }

    /// What the target is to note of itself.
    pub async fn note(&self, side: &mut Side) -> std::result::Result<(), sqlx::Error> {
        let Self::Anew { from, fence, .. } = self else { return Ok(()) };
        let mut notes = vec![("moved_from", from.iter().flat_map(|of| *of.as_bytes()).collect::<Vec<u8>>())];
        notes.extend(fence.as_ref().map(|why| ("fence", why.clone().into_bytes())));
        let table = Table {
            name: "meta".to_owned(),
            columns: vec![("name".to_owned(), Kind::Text), ("value".to_owned(), Kind::Blob)],
            refers_to: Vec::new(),
        };
        let rows: Vec<Vec<Cell>> = notes
            .into_iter()
            .map(|(name, value)| vec![Cell::Text(name.to_owned()), Cell::Blob(value)])
            .collect();
        side.insert(&table, &rows).await
    }
}

/// What a store notes of itself alone.
const OWN: [&str; 4] = ["deployment", "home", "fence", "moved_from"];

/// Which columns of a row are sealed, and how.
pub fn sealed<'r>(table: &Table, row: &'r [Cell]) -> Vec<(usize, Seal<'r>)> {
    let cell = |name: &str| table.at(name).and_then(|at| Some((at, row.get(at)?)));
    let number = |name: &str| match cell(name) {
        Some((_, Cell::Int(number))) => Some(*number),
        _ => None,
    };
    let text = |name: &str| match cell(name) {
        Some((_, Cell::Text(text))) => Some(text.as_str()),
        _ => None,
    };
    let of = |name: &str, seal: Option<Seal<'r>>| Some((table.at(name)?, seal?));
    let login = || {
        let generation = Generation(number("generation")?);
        Some((UserId(number("user_id")?), Epoch(number("epoch")?), generation))
    };
    let seals = match table.name.as_str() {
        "grants" => [
            of("refresh_token", login().map(|(user, epoch, n)| Seal::Refresh(user, epoch, n))),
            of("access_token", login().map(|(user, epoch, n)| Seal::Access(user, epoch, n))),
        ],
        "logins" => [of("verifier", text("state").map(Seal::Verifier)), None],
        "meta" if text("name") == Some("key_probe") => [of("value", Some(Seal::Probe)), None],
        _ => [None, None],
    };
    seals.into_iter().flatten().collect()
}
