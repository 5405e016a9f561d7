//! Reading the archive. Times without a zone, days and hours are of the user's zone.

use std::time::Duration;

use chrono_tz::Tz;

use crate::archive::coverage::by_year;
use crate::domain::{
    Gap, Moment, Range, Stats, Timestamp, TopArtist, TopEntry, UserId, UserName, said, shifts, slot,
};
use crate::store::{PlayPage, PlayQuery};

use super::api::{PlaysQuery, Problem, StatsQuery, TopQuery};
use super::plan::zone_in_force;
use super::service::Service;

/// The most plays that one question gets.
const MOST_PLAYS: i64 = 10_000;
/// The most lines of a top list.
const MOST_TOP: i64 = 1_000;
/// By so much Spotify's clock may be ahead of this one: its plays count all the same.
const AHEAD: Duration = Duration::from_secs(86_400);

/// Whose archive is read, and how their clocks go.
pub(super) struct Reader {
    pub user: UserId,
    zone: Tz,
    now: Timestamp,
}

impl Reader {
    pub fn moment(&self, moment: Option<Moment>) -> Option<Timestamp> {
        moment.map(|moment| moment.seen_from(self.now, &self.zone))
    }

    fn start(&self, range: Option<Range>) -> Option<Timestamp> {
        range.and_then(|range| range.start(self.now, &self.zone))
    }
}

impl Service {
    /// Plays, newest first.
    pub async fn plays(&self, name: &UserName, query: PlaysQuery) -> Result<PlayPage, Problem> {
        let limit = within(query.limit, 50, MOST_PLAYS)?;
        let reader = self.reader(name).await?;
        let (since, until) = (reader.moment(query.since), reader.moment(query.until));
        let query = PlayQuery { since, until, before: query.before, limit };
        Ok(self.parts().store.page_of_plays(reader.user, query).await?)
    }

    /// What was heard most.
    pub async fn top(&self, name: &UserName, query: TopQuery) -> Result<Vec<TopEntry>, Problem> {
        let limit = within(query.limit, 10, MOST_TOP)?;
        if query.since.is_some() && query.range.is_some() {
            return Err(Problem::bad_request("since and range: give one of them"));
        }
        let reader = self.reader(name).await?;
        let since = reader.moment(query.since).or_else(|| reader.start(query.range));
        self.count_ahead(&reader).await?;
        Ok(self.parts().store.top(reader.user, query.kind, since, limit).await?)
    }

    /// When a user listened.
    pub async fn stats(&self, name: &UserName, query: StatsQuery) -> Result<Stats, Problem> {
        let reader = self.reader(name).await?;
        let since = reader.start(query.range);
        self.count_ahead(&reader).await?;
        let store = &self.parts().store;
        let first = store.first_played(reader.user, since).await?;
        let begins = first.unwrap_or(reader.now);
        let listening =
            store.listening(reader.user, &shifts(reader.zone, begins, reader.now + AHEAD)).await?;
        let coverage = match store.claimed(reader.user).await? {
            Some((shown, archived)) => {
                let from = since.map_or(shown, |since| since.max(shown));
                by_year(from, archived, &store.gaps(reader.user).await?, reader.zone)
            }
            None => Vec::new(),
        };
        Ok(Stats { coverage, ..Stats::of(&listening, reader.zone, since, first) })
    }

    /// Counts beforehand what can be, so that the next reader needn't: after many plays came or went.
    pub async fn count_for_readers(&self, name: &UserName) -> Result<(), Problem> {
        self.count_ahead(&self.reader(name).await?).await
    }

    /// Counts what can be counted beforehand. A store that can't be written is read all the same.
    async fn count_ahead(&self, reader: &Reader) -> Result<(), Problem> {
        let store = &self.parts().store;
        let Some(first) = store.first_played(reader.user, None).await? else { return Ok(()) };
        let slot = slot(&shifts(reader.zone, first, reader.now + AHEAD));
        if let Err(error) = store.count(reader.user, slot).await {
            tracing::debug!("the plays are counted one by one: {}", said(&error));
        }
        Ok(())
    }

    pub(super) async fn reader(&self, name: &UserName) -> Result<Reader, Problem> {
        let now = self.parts().clock.now();
        let known =
            self.roster().find(name).map(|known| (known.id, known.timezone.as_deref().map(str::to_owned)));
        let (user, timezone) = match known {
            Some(known) => known,
            None => {
                let user = self.parts().store.user(name).await?;
                user.map(|user| (user.id, user.timezone)).ok_or_else(|| Problem::unknown_user(name))?
            }
        };
        let zone = zone_in_force(timezone.as_deref(), &self.settings());
        Ok(Reader { user, zone, now })
    }

    /// Spotify's own top artists, as last fetched.
    pub async fn top_artists(&self, name: &UserName) -> Result<Vec<TopArtist>, Problem> {
        let user = self.any_user(name).await?;
        Ok(self.parts().store.top_artists(user).await?)
    }

    /// Where plays may be missing, newest first.
    pub async fn gaps(&self, name: &UserName) -> Result<Vec<Gap>, Problem> {
        let user = self.any_user(name).await?;
        Ok(self.parts().store.gaps(user).await?)
    }
}

fn within(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, Problem> {
    match asked {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!("limit {limit}: from 1 to {most}"))),
    }
}
