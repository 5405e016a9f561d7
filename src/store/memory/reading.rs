//! What is read of the archive, in memory: counted one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{PlayPage, PlayQuery, ReadStore, Result};
use super::rows::Rows;
use super::{MemoryStore, archive, catalogue};
use crate::domain::{Counted, Listening, Shift, Source, Timestamp, TopArtist, TopEntry, TopKind, UserId};

#[async_trait]
impl ReadStore for MemoryStore {
    async fn page_of_plays(&self, user: UserId, query: PlayQuery) -> Result<PlayPage> {
        self.reading("reading the plays of a user", |rows, _| archive::plays(rows, user, query)).await
    }

    async fn first_played(&self, user: UserId, since: Option<Timestamp>) -> Result<Option<Timestamp>> {
        self.reading("reading the first play of a user", |rows, _| {
            let mut played = rows.user(user)?.plays.keys().map(|(at, _)| *at);
            played.find(|at| since.is_none_or(|since| *at >= since))
        })
        .await
    }

    async fn claimed(&self, user: UserId) -> Result<Option<(Timestamp, Timestamp)>> {
        self.reading("reading since when a user is archived", |rows, _| {
            let row = rows.user(user)?;
            let mut shown = row.plays.iter().filter(|(_, play)| play.source == Source::Api);
            Some((shown.next()?.0.0, row.last_archived_at?))
        })
        .await
    }

    async fn count(&self, _: UserId, _: Duration) -> Result<()> {
        Ok(())
    }

    async fn top(
        &self,
        user: UserId,
        kind: TopKind,
        since: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<TopEntry>> {
        let count = |rows: &Rows, _| catalogue::top(rows, user, kind, since, limit);
        self.reading("reading the top list of a user", count).await
    }

    async fn listening(&self, user: UserId, shifts: &[Shift]) -> Result<Listening> {
        self.reading("reading when a user listened", |rows, _| listening(rows, user, shifts)).await
    }

    async fn top_artists(&self, user: UserId) -> Result<Vec<TopArtist>> {
        self.reading("reading the top artists of a user", |rows, _| catalogue::top_artists(rows, user)).await
    }
}

fn listening(rows: &Rows, user: UserId, shifts: &[Shift]) -> Listening {
    let (mut days, mut hours) = (BTreeMap::new(), BTreeMap::new());
    let plays = rows.user(user).map(|row| &row.plays).into_iter().flatten();
    for ((at, track), _) in plays {
        let Some(shift) = shifts.iter().find(|shift| shift.begins <= *at && *at < shift.ends) else {
            continue;
        };
        let here = at.as_millis() + shift.millis;
        let ms = rows.tracks.get(track).and_then(|track| track.duration_ms).unwrap_or(0);
        for (counts, at) in [(&mut days, here / 86_400_000), (&mut hours, here / 3_600_000 % 24)] {
            let counted: &mut Counted = counts.entry(at).or_insert(Counted { at, ..Counted::default() });
            counted.plays += 1;
            counted.ms += ms;
        }
    }
    Listening { days: days.into_values().collect(), hours: hours.into_values().collect() }
}
