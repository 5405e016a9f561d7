//! Reading the archive as a whole, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::catalogue::stored_play;
use super::rows::{PlayRow, Rows};
use crate::domain::{ExportedPlay, Timestamp, UserId};
use crate::store::Result;
use crate::store::export::{ExportStore, Exportable, PageStart, Place};

#[async_trait]
impl ExportStore for MemoryStore {
    async fn exportable(
        &self,
        user: UserId,
        from: PageStart,
        until: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<Exportable>> {
        self.reading("exporting plays", move |rows, _| {
            let Some(row) = rows.user(user) else { return Vec::new() };
            let until = until.unwrap_or(Timestamp::from_millis(i64::MAX));
            let plays = row.plays.iter().filter(|((at, _), _)| *at < until);
            let mut found: Vec<_> =
                plays.filter_map(|((at, key), play)| exportable(rows, *at, key, play)).collect();
            found.retain(|one| one.place > from.after());
            found.sort_by_key(|one| one.place);
            found.truncate(usize::try_from(limit.max(0)).unwrap_or(usize::MAX));
            found
        })
        .await
    }
}

fn exportable(rows: &Rows, played_at: Timestamp, key: &str, play: &PlayRow) -> Option<Exportable> {
    let track = rows.tracks.get(key)?;
    let album = track.album.as_ref().and_then(|album| rows.albums.get(album));
    let artists: Vec<_> = track.artists.iter().filter_map(|key| rows.artists.get(key)).collect();
    Some(Exportable {
        place: Place { at: played_at, track: i64::try_from(track.id).ok()? },
        key: key.to_owned(),
        play: ExportedPlay {
            play: stored_play(rows, played_at, key, play)?,
            artist_uris: artists.iter().map(|artist| artist.uri.clone()).collect(),
            album_uri: album.and_then(|album| album.uri.clone()),
            ms_played: None,
        },
    })
}
