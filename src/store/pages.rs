//! Spotify's page of recent plays: what is known of it, and how it is stored, with few statements however long it is.

use super::catalogue::{self, Kept};
use super::sql::{Bind as _, Session, params, table};
use super::{Added, PageFacts, PageStored, Result, claims, gaps, imports};
use crate::domain::{Habits, Play, RunId, Timestamp, UserId};

/// How many plays and gaps are told of the time that a page covers: far more than it can have items.
const TOLD: i64 = 200;

pub async fn facts(
    session: &mut Session,
    user: UserId,
    run: RunId,
    plays: &[Play],
    oldest: Option<Timestamp>,
) -> Result<PageFacts> {
    let oldest = oldest.map_or(i64::MAX, Timestamp::as_millis);
    let rows: Vec<(i64, &Play)> = (0..).zip(plays).collect();
    let page = table![rows; |(n, _)| *n, |(_, play)| play.played_at, |(_, play)| play.track.key()];
    let (facts, has_gaps) = session
        .one(
            "SELECT
               EXISTS (SELECT 1 FROM gaps WHERE user_id = $1) AS has_gaps,
               (SELECT names(page.n ORDER BY page.n) FROM rows($5 AS page: n BIGINT, at BIGINT, track TEXT)
                WHERE NOT EXISTS (SELECT 1 FROM plays JOIN tracks ON tracks.id = plays.track_id
                  WHERE plays.user_id = $1 AND plays.played_at = page.at AND tracks.key = page.track
                    AND plays.import_id IS NULL)) AS unknown,
               (SELECT played_at FROM plays WHERE user_id = $1 AND source = 'api' AND import_id IS NULL
                ORDER BY played_at DESC LIMIT 1) AS newest,
               (SELECT played_at FROM plays WHERE user_id = $1 AND source = 'api' AND played_at < $2
                ORDER BY played_at DESC LIMIT 1) AS before,
               (SELECT last_archived_at FROM users WHERE id = $1) AS archived,
               (SELECT names(played_at ORDER BY played_at DESC) FROM
                 (SELECT played_at FROM plays WHERE user_id = $1 AND source = 'api' AND played_at >= $2
                  ORDER BY played_at DESC LIMIT $3) AS shown) AS stored,
               (SELECT names(result ORDER BY run_id) FROM runs WHERE user_id = $1 AND run_id < $4 AND run_id >
                 (SELECT COALESCE(max(run_id), 0) FROM runs
                  WHERE user_id = $1 AND result IN ('ok', 'partial'))) AS results,
               (SELECT from_hour FROM habits WHERE user_id = $1) AS from_hour,
               (SELECT counts FROM habits WHERE user_id = $1) AS counts",
            vec![user.bind(), oldest.bind(), TOLD.bind(), run.bind(), page],
            |row| {
                let stored: Vec<i64> = row.list("stored")?;
                let from_hour: Option<i64> = row.maybe("from_hour")?;
                let counts: Option<Vec<u8>> = row.maybe("counts")?;
                let facts = PageFacts {
                    unknown: row.list("unknown")?,
                    newest_stored: row.maybe("newest")?,
                    before: row.maybe("before")?,
                    last_archived_at: row.maybe("archived")?,
                    stored: stored.into_iter().map(Timestamp::from_millis).collect(),
                    results_since: row.list("results")?,
                    habits: from_hour.zip(counts).map(|(from_hour, counts)| Habits { from_hour, counts }),
                    ..PageFacts::default()
                };
                Ok((facts, row.get::<bool>("has_gaps")?))
            },
        )
        .await?;
    if !has_gaps {
        return Ok(facts);
    }
    Ok(PageFacts { gaps: gaps::since(session, user, facts.before, TOLD).await?, ..facts })
}

/// Answers what was new, and gives the user back. A run that has ended stays as it ended, so that this can be repeated.
pub async fn store(session: &mut Session, page: &PageStored) -> Result<Added> {
    let new_plays = store_plays(session, page.user, page.run, &page.plays, false).await?;
    // The user's row before the run's, as whoever deletes them takes it.
    let kept = session
        .run(
            "UPDATE users SET plays = plays + $2, last_archived_at = $3, last_run_result = $4,
               last_run_reason = $5, blocked = NULL,
               newest_played_at = CASE WHEN newest_played_at >= $6 THEN newest_played_at
                 ELSE COALESCE($6, newest_played_at) END,
               shown_since = COALESCE(shown_since, $10),
               run_owner = CASE WHEN run_owner = $7 THEN NULL ELSE run_owner END,
               run_claim = CASE WHEN run_owner = $7 THEN NULL ELSE run_claim END,
               next_run_at = CASE WHEN run_owner = $7 THEN $8 ELSE next_run_at END
             WHERE id = $1
               AND EXISTS (SELECT 1 FROM runs WHERE user_id = $1 AND run_id = $9 AND finished_at IS NULL)",
            params![
                page.user,
                count(new_plays),
                page.at,
                page.result,
                &page.reason,
                page.newest,
                page.release.owner,
                page.release.next,
                page.run,
                page.plays.iter().map(|play| play.played_at).min(),
            ],
        )
        .await?;
    if kept == 0 {
        claims::release(session, page.user, page.release).await?;
        return recorded(session, page).await;
    }
    session
        .run(
            "UPDATE runs SET finished_at = $3, result = $4, reason = $5, new_plays = $6
             WHERE user_id = $1 AND run_id = $2 AND finished_at IS NULL",
            params![page.user, page.run, page.at, page.result, &page.reason, count(new_plays)],
        )
        .await?;
    let gaps = match page.gaps.is_empty() {
        true => Vec::new(),
        false => {
            if gaps::put(session, page.user, page.run, &page.gaps).await? {
                imports::narrow(session, page.user, page.run, page.at).await?;
            }
            gaps::found_by(session, page.user, page.run).await?
        }
    };
    Ok(Added { plays: usize::try_from(new_plays).unwrap_or(usize::MAX), gaps })
}

/// What a run that has ended added.
async fn recorded(session: &mut Session, page: &PageStored) -> Result<Added> {
    let new_plays: Option<i64> = session
        .first(
            "SELECT new_plays FROM runs WHERE user_id = $1 AND run_id = $2",
            params![page.user, page.run],
            |row| row.get("new_plays"),
        )
        .await?;
    let gaps = gaps::found_by(session, page.user, page.run).await?;
    Ok(Added { plays: usize::try_from(new_plays.unwrap_or(0)).unwrap_or(0), gaps })
}

/// What is known of a user's imports.
#[derive(Clone, Copy, Default)]
struct Imported {
    any: bool,
    /// Whether anybody has imports.
    anybodys: bool,
    /// The newest play that is not known to the millisecond.
    until: Option<Timestamp>,
}

/// Tracks that are as they are kept are sorted out first: a read costs no write. Of a run that has ended nothing is new,
/// unless it is told that it is `over`. A play that came with an import is no new one either: it becomes what the page says,
/// and stays when the import goes.
pub async fn store_plays(
    session: &mut Session,
    user: UserId,
    run: RunId,
    plays: &[Play],
    over: bool,
) -> Result<u64> {
    if plays.is_empty() {
        return Ok(0);
    }
    // An import of the same plays comes before or after.
    session.lock_user(user).await?;
    let rows: Vec<(i64, &Play)> = (0..).zip(plays).collect();
    let new: Vec<(i64, Option<Kept>, Imported)> = session
        .all(
            "SELECT page.n, tracks.id, tracks.name, tracks.isrc, tracks.duration_ms,
               (SELECT imported_until FROM users WHERE users.id = $1) AS imported_until,
               EXISTS (SELECT 1 FROM imports WHERE imports.user_id = $1) AS imported,
               EXISTS (SELECT 1 FROM imports) AS imported_by_anybody,
               albums.key AS album_key, albums.name AS album_name,
               (SELECT names(artists.key || '\n' || artists.name ORDER BY track_artists.position)
                FROM track_artists JOIN artists ON artists.id = track_artists.artist_id
                WHERE track_artists.track_id = tracks.id) AS artists
             FROM rows($4 AS page: n BIGINT, track TEXT)
               LEFT JOIN tracks ON tracks.key = page.track LEFT JOIN albums ON albums.id = tracks.album_id
             WHERE EXISTS (SELECT 1 FROM users WHERE id = $1)
               AND ($3 OR EXISTS (SELECT 1 FROM runs WHERE user_id = $1 AND run_id = $2 AND finished_at IS NULL))",
            vec![
                user.bind(),
                run.bind(),
                over.bind(),
                table![rows; |(n, _)| *n, |(_, play)| play.track.key()],
            ],
            |row| {
                let kept = row.maybe::<i64>("id")?.map(|_| Kept::read(row)).transpose()?;
                let imported = Imported {
                    any: row.get("imported")?,
                    anybodys: row.get("imported_by_anybody")?,
                    until: row.maybe("imported_until")?,
                };
                Ok((row.get("n")?, kept, imported))
            },
        )
        .await?;
    let imported = new.first().map_or_else(Imported::default, |(.., imported)| *imported);
    let play = |n: i64| plays.get(usize::try_from(n).ok()?);
    let new: Vec<(String, &Play, Option<Kept>)> = new
        .into_iter()
        .filter_map(|(n, kept, _)| play(n).map(|play| (play.track.key(), play, kept)))
        .collect();
    if new.is_empty() {
        return Ok(0);
    }
    let unknown =
        || new.iter().filter(|(_, play, kept)| !kept.as_ref().is_some_and(|kept| kept.is(&play.track)));
    let changed = unknown().any(|(_, _, kept)| kept.is_some());
    let tracks = unknown().map(|(key, play, _)| (key.as_str(), &play.track));
    catalogue::keep_tracks(session, tracks, changed, imported.anybodys).await?;
    let plays: Vec<&Play> = new.iter().map(|(_, play, _)| *play).collect();
    let known = imports::meet(session, user, &plays, imported.until).await?;
    let new: Vec<_> =
        (0..).zip(&new).map(|(n, (key, play, _))| (key, play, known.get(&n).copied().flatten())).collect();
    if imported.any {
        imports::adopt(session, user, run, &plays).await?;
    }
    let stored = session
        .run(
            "INSERT INTO plays (user_id, run, source, played_at, track_id, context_uri, ms_played)
             SELECT $1, $2, 'api', page.at, (SELECT id FROM tracks WHERE key = page.track), page.context, page.ms
             FROM rows($3 AS page: at BIGINT, track TEXT, context TEXT, ms BIGINT)
             WHERE TRUE
             ON CONFLICT (user_id, played_at, track_id) DO NOTHING",
            vec![
                user.bind(),
                run.bind(),
                table![
                    new;
                    |(_, play, _)| play.played_at,
                    |(key, ..)| *key,
                    |(_, play, _)| play.context_uri.as_deref(),
                    |(_, _, ms)| *ms
                ],
            ],
        )
        .await?;
    Ok(stored.saturating_sub(u64::try_from(known.len()).unwrap_or(0)))
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
