//! What imports have everything of, and the gaps that it closes or narrows: when an import ends, when a page finds a gap
//! afterwards, and when an import is taken back.

use std::collections::BTreeMap;

use super::super::sql::{Bind as _, Session, params, table};
use super::super::{Result, gaps};
use super::ImportEnd;
use crate::domain::piece::{Narrowed, Piece, Whole, cover, join, joined, without};
use crate::domain::{Covered, Gap, ImportId, RunId, Timestamp, UserId};

/// What would become of the gaps.
pub async fn asked(session: &mut Session, end: &ImportEnd) -> Result<Narrowed> {
    let covered = of_import(ImportId(0), &joined(end.covered.clone()));
    Ok(cover(pieces(session, end.user).await?, &covered, end.at).1)
}

/// Keeps what an import has everything of, and takes it out of the open gaps.
pub async fn keep(session: &mut Session, end: &ImportEnd, import: ImportId) -> Result<Narrowed> {
    let stretches = joined(end.covered.clone());
    if stretches.is_empty() {
        return Ok(Narrowed::default());
    }
    insert(session, end.user, import, &stretches).await?;
    let before = pieces(session, end.user).await?;
    let (after, narrowed) = cover(before.clone(), &of_import(import, &stretches), end.at);
    write(session, end.user, &before, &after).await?;
    Ok(narrowed)
}

/// Takes what imports have everything of out of the gaps that a run has found.
pub async fn narrow(session: &mut Session, user: UserId, run: RunId, at: Timestamp) -> Result<()> {
    let covered = stretches(session, user).await?;
    let mut before = pieces(session, user).await?;
    before.retain(|piece| piece.run == Some(run));
    let (after, _) = cover(before.clone(), &covered, at);
    write(session, user, &before, &after).await
}

/// What an import has everything of is forgotten, and so is what others have only as long as its plays are there: `taken`
/// is from the first to the last of these. Answers how many gaps are open again or wider.
pub async fn forget(
    session: &mut Session,
    user: UserId,
    import: ImportId,
    taken: Option<Covered>,
    others: &[ImportId],
) -> Result<i64> {
    let known = stretches(session, user).await?;
    delete(session, user, import).await?;
    for other in others {
        let theirs: Vec<Covered> = known.iter().filter(|(of, _)| of == other).map(|(_, to)| *to).collect();
        let left = taken.map_or_else(|| theirs.clone(), |taken| without(&theirs, taken));
        if left != theirs {
            delete(session, user, *other).await?;
            insert(session, user, *other, &left).await?;
        }
    }
    let covered = stretches(session, user).await?;
    let before = pieces(session, user).await?;
    let lies_there = |gap: &Gap| taken.is_some_and(|taken| gap.from <= taken.to && taken.from <= gap.to);
    let reopens = |piece: &Piece| {
        let by = piece.closed_by;
        by == Some(import) || (by.is_some_and(|by| others.contains(&by)) && lies_there(&piece.gap))
    };
    if !before.iter().any(reopens) {
        return Ok(0);
    }
    let open = |piece: Piece| if reopens(&piece) { piece.open() } else { piece };
    let open_again = join(before.iter().cloned().map(open).collect());
    let (after, _) = cover(open_again, &covered, session.now().await?);
    write(session, user, &before, &after).await?;
    let is_new = |piece: &&Piece| piece.gap.closed_at.is_none() && !before.contains(piece);
    Ok(i64::try_from(after.iter().filter(is_new).count()).unwrap_or(i64::MAX))
}

fn of_import(import: ImportId, stretches: &[Covered]) -> Vec<(ImportId, Covered)> {
    stretches.iter().map(|stretch| (import, *stretch)).collect()
}

/// Of all imports.
async fn stretches(session: &mut Session, user: UserId) -> Result<Vec<(ImportId, Covered)>> {
    session
        .all(
            "SELECT theirs.import_id, theirs.from_at, theirs.to_at
             FROM import_stretches AS theirs JOIN imports ON imports.id = theirs.import_id
             WHERE theirs.user_id = $1 AND imports.state = 'done' ORDER BY theirs.import_id, theirs.from_at",
            params![user],
            |row| {
                let stretch = Covered { from: row.get("from_at")?, to: row.get("to_at")? };
                Ok((row.get("import_id")?, stretch))
            },
        )
        .await
}

async fn insert(session: &mut Session, user: UserId, import: ImportId, stretches: &[Covered]) -> Result<()> {
    session
        .run(
            "INSERT INTO import_stretches (user_id, import_id, from_at, to_at)
             SELECT $1, $2, listed.from_at, listed.to_at FROM rows($3 AS listed: from_at BIGINT, to_at BIGINT)",
            vec![user.bind(), import.bind(), table![stretches; |stretch| stretch.from, |stretch| stretch.to]],
        )
        .await?;
    Ok(())
}

async fn delete(session: &mut Session, user: UserId, import: ImportId) -> Result<()> {
    let sql = "DELETE FROM import_stretches WHERE user_id = $1 AND import_id = $2";
    session.run(sql, params![user, import]).await?;
    Ok(())
}

/// The gaps on record, oldest first.
async fn pieces(session: &mut Session, user: UserId) -> Result<Vec<Piece>> {
    session
        .all(
            "SELECT from_at, to_at, cause, at_most, closed_at, run, closed_by, whole_from, whole_to, whole_at_most
             FROM gaps WHERE user_id = $1 ORDER BY from_at, to_at, cause",
            params![user],
            |row| {
                let whole: (Option<Timestamp>, Option<Timestamp>, Option<i64>) =
                    (row.maybe("whole_from")?, row.maybe("whole_to")?, row.maybe("whole_at_most")?);
                let whole = match whole {
                    (Some(from), Some(to), Some(at_most)) => Some(Whole { from, to, at_most }),
                    _ => None,
                };
                Ok(Piece {
                    gap: gaps::read(row)?,
                    run: row.maybe("run")?,
                    closed_by: row.maybe("closed_by")?,
                    whole,
                })
            },
        )
        .await
}

/// Puts those that have changed on record in place of what they were.
async fn write(session: &mut Session, user: UserId, before: &[Piece], after: &[Piece]) -> Result<()> {
    let key = |piece: &Piece| (piece.gap.from, piece.gap.to, piece.gap.cause.as_str());
    let known: BTreeMap<_, &Piece> = before.iter().map(|piece| (key(piece), piece)).collect();
    let mut new: BTreeMap<_, &Piece> = BTreeMap::new();
    for piece in after {
        // Of two that are alike by now, the one that is open says more.
        let other = new.entry(key(piece)).or_insert(piece);
        if piece.gap.closed_at.is_none() {
            *other = piece;
        }
    }
    let gone: Vec<&Piece> =
        before.iter().filter(|piece| new.get(&key(piece)).is_none_or(|new| new != piece)).collect();
    let come: Vec<&Piece> =
        new.values().copied().filter(|piece| known.get(&key(piece)).is_none_or(|old| old != piece)).collect();
    session
        .run(
            "DELETE FROM gaps WHERE user_id = $1 AND (from_at, to_at, cause) IN
               (SELECT listed.from_at, listed.to_at, listed.cause
                FROM rows($2 AS listed: from_at BIGINT, to_at BIGINT, cause TEXT))",
            vec![
                user.bind(),
                table![gone; |piece| piece.gap.from, |piece| piece.gap.to, |piece| piece.gap.cause],
            ],
        )
        .await?;
    session
        .run(
            "INSERT INTO gaps (user_id, from_at, to_at, cause, at_most, closed_at, run, closed_by, whole_from,
               whole_to, whole_at_most)
             SELECT $1, from_at, to_at, cause, at_most, closed_at, run, closed_by, whole_from, whole_to,
               whole_at_most
             FROM rows($2 AS listed: from_at BIGINT, to_at BIGINT, cause TEXT, at_most BIGINT, closed_at BIGINT,
               run BIGINT, closed_by BIGINT, whole_from BIGINT, whole_to BIGINT, whole_at_most BIGINT)
             WHERE TRUE ON CONFLICT (user_id, from_at, to_at, cause) DO NOTHING",
            vec![
                user.bind(),
                table![
                    come;
                    |piece| piece.gap.from,
                    |piece| piece.gap.to,
                    |piece| piece.gap.cause,
                    |piece| piece.gap.at_most,
                    |piece| piece.gap.closed_at,
                    |piece| piece.run,
                    |piece| piece.closed_by,
                    |piece| piece.whole.map(|whole| whole.from),
                    |piece| piece.whole.map(|whole| whole.to),
                    |piece| piece.whole.map(|whole| whole.at_most)
                ],
            ],
        )
        .await?;
    gaps::count_open(session, user).await.map(drop)
}
