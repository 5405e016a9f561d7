//! Where rows end, and what they say.

use serde_json::{Value, json};

use super::super::frame::{Frames, Next, Position};
use super::super::lines::{self, Line};
use super::super::row::{Kind, Row, precision_of};
use super::super::wire::Wire;
use super::{NOW, minute};
use crate::domain::merge::Precision;
use crate::domain::{Source, Timestamp};

/// The rows of a file, with their numbers, and why it ends where it doesn't end well.
fn frames(text: &str) -> (Vec<String>, Option<(&'static str, u64)>) {
    let mut frames = Frames::new(OneByOne(text.as_bytes()));
    let mut rows = Vec::new();
    loop {
        match frames.next() {
            Next::Row(bytes, Position { row, byte }) => {
                assert_eq!(row, rows.len() as u64 + 1);
                let at = usize::try_from(byte).unwrap();
                assert_eq!(&text.as_bytes()[at..at + bytes.len()], bytes, "its place is right");
                rows.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
            Next::Broken(why, position) => return (rows, Some((why, position.row))),
            Next::End => return (rows, None),
        }
    }
}

/// Bytes as slowly as they can come.
struct OneByOne<'a>(&'a [u8]);

impl std::io::Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn rows_are_cut_where_they_end_whatever_stands_in_them() {
    assert_eq!(frames("[]"), (vec![], None));
    assert_eq!(frames(""), (vec![], None));
    let rows = vec![r#"{"a":"}]\"{"}"#.to_owned(), "null".to_owned(), r#"{"b":{"c":[1]}}"#.to_owned()];
    assert_eq!(
        frames(&format!("\u{feff} [ {} ]\n", rows.join(" ,\n")).replace(" ,\n{\"b", ",{\"b")),
        (rows.clone(), None)
    );
    let lines = vec![r#"{"a":1}"#.to_owned(), "{broken".to_owned(), r#"{"b":2}"#.to_owned()];
    assert_eq!(frames(&format!("{}\n", lines.join("\n\n"))), (lines, None));
}

#[test]
fn a_file_that_is_cut_off_keeps_what_came_before() {
    for end in ["", ",", ",{\"a\":", ",{\"a\":\"tex"] {
        let (rows, broken) = frames(&format!("[{{\"a\":1}}{end}"));
        assert_eq!((rows.len(), broken), (1, Some(("the file is cut off here", 2))), "{end}");
    }
    assert_eq!(frames("[{\"a\":1}}").1, Some(("this is no JSON", 2)));
    let endless = format!("[{{\"a\":1}},{{\"a\":\"{}", "x".repeat(3 << 20));
    let mut frames = Frames::new(endless.as_bytes());
    assert!(matches!(frames.next(), Next::Row(..)));
    assert!(matches!(frames.next(), Next::Broken("no row ends within a megabyte", Position { row: 2, .. })));
    assert_eq!(frames.next(), Next::End);
}

fn row(json: &Value) -> Result<(Value, Kind), String> {
    let text = json.to_string();
    let wire = Wire::read(text.as_bytes())?;
    let kind = wire.kind().ok_or("no kind")?;
    let shown = match wire.row(NOW)? {
        Row::Played(played) => json!([
            played.at,
            played.precision,
            played.ms_played,
            played.track.uri,
            played.track.name,
            played.track.artists.iter().map(|(_, name)| name.as_ref()).collect::<Vec<_>>(),
        ]),
        Row::Podcast(_) => json!("podcast"),
        Row::Audiobook(_) => json!("audiobook"),
        Row::WithoutTrack(_) => json!("without"),
    };
    Ok((shown, kind))
}

#[test]
fn every_shape_is_read() {
    let extended = json!({"ts":"2020-05-06T18:43:21Z","ms_played":2000,"username":"u","offline_timestamp":0,
        "master_metadata_track_name":"T","master_metadata_album_artist_name":"A",
        "spotify_track_uri":"spotify:track:x","episode_name":null,"shuffle":null});
    let shown = json!(["2020-05-06T18:43:21.000Z", "second", 2000, "spotify:track:x", "T", ["A"]]);
    assert_eq!(row(&extended), Ok((shown, Kind::Extended)));
    let account = json!({"endTime":"2024-05-06 18:43","artistName":"A","trackName":"T","msPlayed":5});
    let shown = json!(["2024-05-06T18:43:00.000Z", "minute", 5, null, "T", ["A"]]);
    assert_eq!(row(&account), Ok((shown, Kind::Account)));
    let other = |more: Value| {
        let mut all = json!({"ts":"2020-05-06T18:43:21Z","ms_played":1});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row(&all).unwrap().0
    };
    assert_eq!(other(json!({"episode_name":"E","spotify_episode_uri":"spotify:episode:e"})), "podcast");
    assert_eq!(other(json!({"audiobook_title":"B","spotify_episode_uri":null})), "audiobook");
    assert_eq!(other(json!({"master_metadata_track_name":null})), "without");
    let account =
        |field: &str| row(&json!({"endTime":"2024-05-06 18:43","msPlayed":5,(field):"X"})).unwrap().0;
    assert_eq!(account("podcastName"), "podcast");
    assert_eq!(account("audiobookName"), "audiobook");
    let listen = json!({"listened_at":1_770_091_506,"track_metadata":{"artist_name":"A","track_name":"T",
        "additional_info":{"submission_client":"longplay","spotify_id":"https://open.spotify.com/track/x"}}});
    let shown = json!(["2026-02-03T04:05:06.000Z", "second", null, "spotify:track:x", "T", ["A"]]);
    assert_eq!(row(&listen), Ok((shown, Kind::Own)));
}

#[test]
fn what_can_not_be_is_refused_in_words_without_values() {
    let extended =
        |ts: &str, ms: Value| row(&json!({"ts":ts,"ms_played":ms,"spotify_track_uri":"x"})).unwrap_err();
    let good = "2020-05-06T18:43:21Z";
    assert_eq!(extended("1999-05-06T18:43:21Z", json!(1)), "its time is before Spotify was");
    assert_eq!(extended("2099-05-06T18:43:21Z", json!(1)), "its time lies in the future");
    assert_eq!(extended("yesterday", json!(1)), "its time can't be read");
    assert_eq!(extended(good, json!(-1)), "nothing is played for so long");
    assert_eq!(extended(good, json!(i64::MAX)), "nothing is played for so long");
    assert_eq!(extended(good, json!("1")), "a field has another type than it should");
    assert_eq!(Wire::read(b"{\"ts\":").unwrap_err(), "it is no JSON object");
}

#[test]
fn how_exact_our_own_files_are_shows_in_their_times() {
    let of = |at: &str, source, has_uri| precision_of(Timestamp::parse(at).unwrap(), source, has_uri);
    assert_eq!(of("2020-01-01T00:00:00Z", Source::Api, true), Precision::Millisecond);
    assert_eq!(of("2020-01-01T00:00:07Z", Source::Import, true), Precision::Second);
    assert_eq!(of("2020-01-01T00:00:00Z", Source::Import, true), Precision::Second);
    assert_eq!(of("2020-01-01T00:00:00.002Z", Source::Import, false), Precision::Minute);
    assert_eq!(of("2020-01-01T00:00:00.777Z", Source::Import, true), Precision::Millisecond);
}

#[test]
fn what_is_understood_at_once_is_as_what_is_cut_first() {
    let good = minute(0);
    let long = minute(1).replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(3_000)), 1);
    let nested = minute(2).replacen('{', r#"{"x":{"y":["}","{",{"z":1}]},"#, 1);
    let account = r#"{"endTime":"2024-05-06 18:43","artistName":"A","trackName":"T","msPlayed":50000}"#;
    let twice = minute(3).replacen('{', r#"{"ts":"2020-05-06T18:43:21Z","#, 1);
    let others = minute(4).replacen('{', r#"{"album":{},"track":"X","#, 1);
    let both = minute(5).replacen('{', r#"{"endTime":"2024-05-06 18:43","#, 1);
    let broken: [&[u8]; 17] = [
        b"{\"ts\":",
        b"{\"ts\":1}",
        b"{\"a\":1}",
        b"{}",
        b"{]}",
        b"null",
        b"7",
        b"",
        b",",
        b"}",
        b"{\"ts\":\"\xff\"}",
        b"{\"ts\":\"2020-05-06T18:43:21Z\",\"ms_played\":1,\"spotify_track_uri\":\"\xe2\x82\",\"x\":\"\xff\"}",
        account.as_bytes(),
        twice.as_bytes(),
        others.as_bytes(),
        both.as_bytes(),
        b"{\"ts\":\"2020-05-06T18:43:21Z\",\"spotify_track_uri\":\"x\"}",
    ];
    let with = |format: &str, broken: &[u8]| -> Vec<u8> {
        let mut parts = format.split('!');
        let mut text = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            text.extend([broken, part.as_bytes()].concat());
        }
        text
    };
    let mut texts = vec![
        format!("[{good},{long},{nested} , {good}]").into_bytes(),
        format!("[ {good}\n{good} ]").into_bytes(),
    ];
    for length in 2_040..2_056 {
        let padded =
            minute(6).replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(length - minute(6).len() - 7)), 1);
        assert_eq!(padded.len(), length);
        texts.push(format!("[{padded},{good}]").into_bytes());
    }
    for broken in broken {
        texts.push(with(&format!("[{good},!,{nested},{good}]"), broken));
        texts.push(with(&format!("[{good},!"), broken));
        texts.push(with(&format!("[!,{good} !]"), broken));
        texts.push(with(&format!("{good}\n!\n{good}"), broken));
    }
    for text in texts {
        let lines = |from: &mut dyn std::io::Read| {
            let mut lines = Vec::new();
            lines::read(from, NOW, &mut |line, read| {
                lines.push((
                    match line {
                        Line::Row(row, kind) => format!("{row:?} {kind:?}"),
                        Line::Unreadable(why, position) => format!("{why} {position:?}"),
                        Line::Broken(why, position) => format!("{why} {position:?}"),
                    },
                    read,
                ));
                true
            })
            .unwrap();
            lines
        };
        let shown = String::from_utf8_lossy(&text);
        assert_eq!(lines(&mut text.as_slice()), lines(&mut OneByOne(&text)), "{shown}");
    }
}
