//! What an export looks like, byte for byte.

use super::*;
use crate::domain::{Source, StoredPlay, Timestamp};

fn play() -> ExportedPlay {
    let play = StoredPlay {
        played_at: Timestamp::from_millis(1_767_225_600_123),
        track: "=\"One\", \u{1f600}".to_owned(),
        artists: vec!["Ann".to_owned(), "Bob; Jr.".to_owned()],
        album: Some("Both\nSides".to_owned()),
        track_uri: Some("spotify:track:1".to_owned()),
        isrc: Some("DEA".to_owned()),
        duration_ms: Some(1_000),
        context_uri: None,
        source: Source::Api,
    };
    ExportedPlay {
        play,
        artist_uris: vec![Some("spotify:artist:2".to_owned()), None],
        album_uri: Some("spotify:album:3".to_owned()),
        ms_played: None,
    }
}

fn text(format: Format, play: &ExportedPlay) -> String {
    String::from_utf8([format.head(), format.lines([play].into_iter())].concat()).unwrap()
}

#[test]
fn a_line_of_json_has_every_field_in_its_order() {
    assert_eq!(
        text(Format::Jsonl, &play()),
        "{\"played_at\":\"2026-01-01T00:00:00.123Z\",\"track\":\"=\\\"One\\\", \u{1f600}\",\
         \"artists\":[\"Ann\",\"Bob; Jr.\"],\"album\":\"Both\\nSides\",\"track_uri\":\"spotify:track:1\",\
         \"isrc\":\"DEA\",\"duration_ms\":1000,\"context_uri\":null,\"source\":\"api\",\
         \"artist_uris\":[\"spotify:artist:2\",null],\"album_uri\":\"spotify:album:3\",\"ms_played\":null}\n"
    );
}

#[test]
fn csv_has_the_fields_of_json_as_columns() {
    let fields = serde_json::to_string(&play()).unwrap();
    let columns = String::from_utf8(Format::Csv.head()).unwrap();
    let mut at = 0;
    for column in columns.trim_end().split(',') {
        at += fields[at..].find(&format!("\"{column}\":")).unwrap();
    }
    assert_eq!(
        text(Format::Csv, &play()),
        format!(
            "{columns}2026-01-01T00:00:00.123Z,\"=\"\"One\"\", \u{1f600}\",\"[\"\"Ann\"\",\"\"Bob; Jr.\"\"]\",\
             \"Both\nSides\",spotify:track:1,DEA,1000,,api,\"[\"\"spotify:artist:2\"\",null]\",spotify:album:3,\n"
        )
    );
}

#[test]
fn csv_is_read_back_as_it_was_written() {
    let text = text(Format::Csv, &play());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(&record[1], play().play.track);
    assert_eq!(serde_json::from_str::<Vec<String>>(&record[2]).unwrap(), play().play.artists);
    assert_eq!(&record[3], "Both\nSides");
    assert_eq!(serde_json::from_str::<Vec<Option<String>>>(&record[9]).unwrap(), play().artist_uris);
}

#[test]
fn a_listen_is_what_listenbrainz_takes() {
    let listen: Value = serde_json::from_str(&text(Format::Listenbrainz, &play())).unwrap();
    let keys: Vec<_> = listen.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["listened_at", "track_metadata"], "any other is refused");
    assert_eq!(listen["listened_at"], 1_767_225_600);
    let track = &listen["track_metadata"];
    assert_eq!(track["artist_name"], "Ann, Bob; Jr.");
    assert_eq!(
        (&track["track_name"], &track["release_name"]),
        (&json!(play().play.track), &json!("Both\nSides"))
    );
    let info = json!({
        "submission_client": "longplay",
        "music_service": "spotify.com",
        "origin_url": "https://open.spotify.com/track/1",
        "spotify_id": "https://open.spotify.com/track/1",
        "spotify_album_id": "https://open.spotify.com/album/3",
        "isrc": "DEA",
        "duration_ms": 1_000,
    });
    assert_eq!(track["additional_info"], info);
}

#[test]
fn what_listenbrainz_refuses_is_left_out_of_its_format_alone() {
    let nameless = ExportedPlay { play: StoredPlay { artists: Vec::new(), ..play().play }, ..play() };
    assert_eq!(text(Format::Listenbrainz, &nameless), "");
    assert_eq!(text(Format::Jsonl, &nameless).lines().count(), 1);
}

#[test]
fn plays_of_one_moment_come_by_the_track_wherever_a_page_ends() {
    let one = |at: i64, key: &str, track: i64| Exportable {
        place: crate::store::export::place(Timestamp::from_millis(at), track),
        key: key.to_owned(),
        play: ExportedPlay {
            play: StoredPlay { played_at: Timestamp::from_millis(at), ..play().play },
            ..play()
        },
    };
    let all = [one(1, "b", 1), one(2, "c", 2), one(2, "b", 3), one(2, "a", 4), one(3, "a", 4)];
    for size in 1..=all.len() {
        let mut ordered = Ordered::default();
        let mut out: Vec<Exportable> =
            all.chunks(size).flat_map(|page| ordered.page(page.to_vec())).collect();
        out.extend(ordered.rest());
        let keys: Vec<_> = out.iter().map(|one| (one.place.at.as_millis(), one.key.as_str())).collect();
        assert_eq!(keys, [(1, "b"), (2, "a"), (2, "b"), (2, "c"), (3, "a")], "pages of {size}");
    }
}
