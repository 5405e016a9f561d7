//! Spotify's JSON of plays and artists, field by field as it is really sent, with the nulls that occur.

use serde_json::{Map, Value, json};

use super::music::Listen;
use crate::domain::{Album, Artist, Track};

/// One of the recently-played pages, newest play first.
pub(super) fn recently_played(plays: &[&Listen], limit: usize, href: &str, markets: bool) -> Value {
    let items: Vec<Value> = plays.iter().map(|listen| item(listen, markets)).collect();
    let (mut next, mut cursors) = (Value::Null, Value::Null);
    if let (Some(newest), Some(oldest)) = (plays.first(), plays.last()) {
        let newest = newest.play.played_at.as_millis();
        let oldest = oldest.play.played_at.as_millis();
        // The cursor is at times a millisecond below the newest play.
        cursors = json!({"after": (newest - newest % 2).to_string(), "before": oldest.to_string()});
        next = json!(format!("{href}?before={oldest}&limit={limit}"));
    }
    json!({
        "items": items,
        "next": next,
        "cursors": cursors,
        "limit": limit,
        "href": format!("{href}?limit={limit}"),
    })
}

fn item(listen: &Listen, markets: bool) -> Value {
    let track = if listen.without_track { Value::Null } else { track(&listen.play.track, markets) };
    let context = listen.play.context_uri.as_deref().map_or(Value::Null, context);
    json!({"track": track, "played_at": listen.play.played_at.to_string(), "context": context})
}

/// A context by its URI; the old form `spotify:user:NAME:playlist:ID` is a playlist as well.
fn context(uri: &str) -> Value {
    let mut parts = uri.rsplit(':');
    let (id, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("playlist"));
    json!({
        "type": kind,
        "external_urls": {"spotify": format!("https://open.spotify.com/{kind}/{id}")},
        "href": format!("https://api.spotify.com/v1/{kind}s/{id}"),
        "uri": uri,
    })
}

/// What tracks, albums and artists have in common: everything that follows from the URI.
fn entity(kind: &str, name: &str, uri: Option<&str>) -> Value {
    let id = uri.and_then(|uri| uri.rsplit(':').next());
    let mut urls = Map::new();
    if let Some(id) = id {
        urls.insert("spotify".to_owned(), json!(format!("https://open.spotify.com/{kind}/{id}")));
    }
    json!({
        "external_urls": urls,
        "href": id.map(|id| format!("https://api.spotify.com/v1/{kind}s/{id}")),
        "id": id,
        "name": name,
        "type": kind,
        "uri": uri,
    })
}

fn artist(artist: &Artist) -> Value {
    entity("artist", &artist.name, artist.uri.as_deref())
}

fn album(album: &Album, artists: &[Artist], markets: bool) -> Value {
    let mut body = entity("album", &album.name, album.uri.as_deref());
    body["album_type"] = json!("album");
    body["artists"] = artists.iter().take(1).map(artist).collect();
    body["images"] =
        json!([{"height": 640, "url": "https://i.scdn.co/image/ab67616d0000b273", "width": 640}]);
    body["release_date"] = json!("2024-03-01");
    body["release_date_precision"] = json!("day");
    body["total_tracks"] = json!(11);
    if markets {
        body["available_markets"] = every_market();
    }
    body
}

fn track(track: &Track, markets: bool) -> Value {
    let mut body = entity("track", &track.name, track.uri.as_deref());
    body["album"] = track.album.as_ref().map_or(Value::Null, |a| album(a, &track.artists, markets));
    body["artists"] = track.artists.iter().map(artist).collect();
    body["disc_number"] = json!(1);
    body["duration_ms"] = json!(track.duration_ms);
    body["explicit"] = json!(false);
    body["external_ids"] = track.isrc.as_ref().map_or_else(|| json!({}), |isrc| json!({"isrc": isrc}));
    body["is_local"] = json!(false);
    body["preview_url"] = Value::Null;
    body["track_number"] = json!(3);
    if markets {
        body["available_markets"] = every_market();
        body["popularity"] = json!(40);
    }
    body
}

/// Two letters for each of 184 countries: what makes a real page large.
fn every_market() -> Value {
    (0..184_u8).map(|n| format!("{}{}", char::from(b'A' + n / 26), char::from(b'A' + n % 26))).collect()
}

/// Nulls, or leaves out, everything that Spotify has been seen to null or leave out, and adds a field that is unknown.
pub(super) fn thin_out(page: &mut Value, absent: bool) {
    const PAGE: [&str; 4] = ["next", "cursors", "href", "total"];
    const ITEM: [&str; 1] = ["context"];
    const TRACK: [&str; 8] = [
        "album",
        "href",
        "external_ids",
        "external_urls",
        "preview_url",
        "disc_number",
        "track_number",
        "is_local",
    ];
    const ARTIST: [&str; 3] = ["href", "id", "external_urls"];
    thin(page, &PAGE, absent);
    page["sim_extra"] = json!({"unknown": [1, 2, 3]});
    for item in page["items"].as_array_mut().into_iter().flatten() {
        thin(item, &ITEM, absent);
        thin(&mut item["track"], &TRACK, absent);
        if let Some(artists) = item.pointer_mut("/track/artists").and_then(Value::as_array_mut) {
            artists.iter_mut().for_each(|artist| thin(artist, &ARTIST, absent));
        }
    }
}

fn thin(body: &mut Value, names: &[&str], absent: bool) {
    let Some(fields) = body.as_object_mut() else { return };
    for name in names {
        if absent {
            fields.remove(*name);
        } else {
            fields.insert((*name).to_owned(), Value::Null);
        }
    }
}

/// A page of top artists.
pub(super) fn top_artists(artists: &[&Artist], total: usize, limit: usize, href: &str) -> Value {
    let items: Vec<Value> = artists
        .iter()
        .map(|top| {
            let mut body = artist(top);
            body["genres"] = json!([]);
            body["images"] = json!([]);
            body
        })
        .collect();
    json!({
        "items": items,
        "total": total,
        "limit": limit,
        "offset": 0,
        "href": href,
        "next": Value::Null,
        "previous": Value::Null,
    })
}
