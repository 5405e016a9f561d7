use std::path::PathBuf;

use serde_json::{Value, json};

use super::frame::{Frames, Next, Position};
use super::lines::Line;
use super::row::{Kind, Row, precision_of};
use super::wire::Wire;
use super::*;
use crate::domain::merge::Precision;
use crate::domain::{Covered, ImportId, Source, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_772_100_000_000);

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

fn written(files: &[(&str, String)]) -> (tempfile::TempDir, Plan) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let plan = plan(&[PathBuf::from(folder.path())]).unwrap();
    (folder, plan)
}

fn minute(n: i64) -> String {
    let at = Timestamp::from_millis(1_600_000_000_000 + n * 60_000);
    format!(
        r#"{{"ts":"{}","ms_played":40000,"spotify_track_uri":"spotify:track:{}"}}"#,
        at.utc().format("%FT%TZ"),
        n % 7
    )
}

/// The batches of a plan.
fn batches(plan: &Plan) -> (Vec<Value>, Collected) {
    let mut batches = Vec::new();
    let target = Target { import: Some(ImportId(1)), reader: 5, ..Target::default() };
    let collected = read(plan, target, NOW, &mut |step| {
        if let Step::Batch(body, rows) = step {
            let batch: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(batch["rows"].as_array().unwrap().len(), rows);
            batches.push(batch);
        }
        true
    });
    (batches, collected)
}

#[test]
fn batches_are_in_the_order_of_time_over_all_files_and_end_where_nothing_is_near() {
    let rows = |range: std::ops::Range<i64>| {
        // Every hundredth row an hour's silence follows; the latest come first.
        let rows: Vec<String> = range.rev().map(|n| minute(n + n / 100 * 60)).collect();
        format!("[{}]", rows.join(","))
    };
    let (_folder, plan) = written(&[
        ("Streaming_History_Audio_2020_0.json", rows(5_000..12_000)),
        ("Streaming_History_Audio_2020_1.json", rows(0..5_000)),
    ]);
    let (batches, collected) = batches(&plan);
    assert_eq!((collected.counts.read, collected.counts.unreadable), (12_000, 0));
    let times: Vec<Vec<i64>> = batches
        .iter()
        .map(|batch| {
            batch["rows"].as_array().unwrap().iter().map(|row| row["at"].as_i64().unwrap()).collect()
        })
        .collect();
    assert!(times.concat().is_sorted());
    assert_eq!(times.concat().len(), 12_000);
    assert_eq!(times.len(), 2, "{:?}", times.iter().map(Vec::len).collect::<Vec<_>>());
    for pair in times.windows(2) {
        assert!(pair[1][0] - pair[0][pair[0].len() - 1] > 3_600_000);
    }
    assert!(batches.iter().all(|batch| batch["tracks"].as_array().unwrap().len() == 7));
    assert_eq!(collected.covered.len(), 1);
    assert_eq!(collected.covered[0].from.as_millis(), times[0][0]);
}

#[test]
fn tracks_are_told_until_a_batch_that_told_them_was_answered() {
    let (_folder, plan) = written(&[("endsong_0.json", history(0..60_000))]);
    let told = |import: Option<ImportId>| {
        let target = Target { import, ..Target::default() };
        let answered = std::sync::Arc::clone(&target.answered);
        let (mut told, mut batches) = (Vec::new(), 0);
        read(&plan, target, NOW, &mut |step| {
            if let Step::Batch(body, _) = step {
                let batch: Value = serde_json::from_slice(&body).unwrap();
                let numbers = |key: &str, of: &str| -> std::collections::BTreeSet<u64> {
                    batch[key].as_array().unwrap().iter().map(|one| one[of].as_u64().unwrap()).collect()
                };
                assert_eq!(numbers("rows", "track").len(), 7);
                told.push(numbers("tracks", "number").len());
                // The third batch comes while the first is being answered.
                batches += 1;
                answered.store(if batches >= 3 { 1 } else { 0 }, std::sync::atomic::Ordering::Relaxed);
            }
            true
        });
        told
    };
    assert_eq!(told(Some(ImportId(1))), [7, 7, 7, 0, 0, 0, 0, 0][..told(None).len()]);
    assert!(told(None).len() > 4 && told(None).iter().all(|tracks| *tracks == 7), "nothing is kept");
}

#[test]
fn what_is_understood_at_once_is_as_what_is_cut_first() {
    let good = minute(0);
    let long = minute(1).replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(3_000)), 1);
    let nested = minute(2).replacen('{', r#"{"x":{"y":["}","{",{"z":1}]},"#, 1);
    let broken = ["{\"ts\":", "{\"ts\":1}", "{\"a\":1}", "{}", "{]}", "null", "7", "", ",", "}"];
    let mut texts = vec![format!("[{good},{long},{nested} , {good}]"), format!("[ {good}\n{good} ]")];
    for broken in broken {
        texts.push(format!("[{good},{broken},{nested},{good}]"));
        texts.push(format!("[{good},{broken}"));
        texts.push(format!("[{broken},{good} {broken}]"));
    }
    for text in texts {
        let lines = |from: &mut dyn std::io::Read| {
            let mut lines = Vec::new();
            super::lines::read(from, NOW, &mut |line, read| {
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
        assert_eq!(lines(&mut text.as_bytes()), lines(&mut OneByOne(text.as_bytes())), "{text}");
    }
}

#[test]
fn a_part_that_is_cut_off_covers_nothing() {
    let (_folder, plan) = written(&[
        ("endsong_0.json", format!("[{},{}]", minute(0), minute(90))),
        ("endsong_1.json", format!("[{},{}", minute(10), minute(20))),
    ]);
    let (_, collected) = batches(&plan);
    assert_eq!((collected.counts.read, collected.counts.unreadable), (5, 1));
    assert_eq!(collected.covered, []);
    assert_eq!(collected.troubles[0].row, 3);
}

#[test]
fn the_same_files_have_the_same_digest_wherever_they_lie() {
    let file = format!("[{}]", minute(0));
    let (_one, first) = written(&[("endsong_0.json", file.clone())]);
    let (_two, second) = written(&[("endsong_7.json", file), ("notes.json", "{}".to_owned())]);
    let (_three, third) = written(&[("endsong_0.json", format!("[{}]", minute(1)))]);
    assert_eq!(first.digest().unwrap(), second.digest().unwrap());
    assert_ne!(first.digest().unwrap(), third.digest().unwrap());
    assert_eq!((second.inputs.len(), second.passed_over), (1, 1));
}

/// A file of an extended history, a row a minute.
fn history(range: std::ops::Range<i64>) -> String {
    // Every hundredth row an hour's silence follows.
    format!("[{}]", range.map(|n| minute(n + n / 100 * 60)).collect::<Vec<_>>().join(","))
}

#[test]
fn rows_before_the_next_file_begins_are_handed_on_before_it_is_read() {
    let (_folder, plan) = written(&[
        ("endsong_0.json", history(6_000..12_000)),
        ("endsong_1.json", history(0..6_000)),
        ("endsong_2.json", history(12_000..13_000)),
    ]);
    let (mut steps, mut times) = (Vec::new(), Vec::new());
    read(&plan, Target::default(), NOW, &mut |step| {
        steps.push(match step {
            Step::Read(_) => "file",
            Step::Sorted(rows) => {
                if rows < 6_000 {
                    "the rest"
                } else {
                    "everything"
                }
            }
            Step::Batch(body, _) => {
                let batch: Value = serde_json::from_slice(&body).unwrap();
                times.extend(batch["rows"].as_array().unwrap().iter().map(|row| row["at"].as_i64().unwrap()));
                "batch"
            }
        });
        true
    });
    assert_eq!(steps, ["file", "batch", "file", "batch", "file", "the rest", "batch", "batch"]);
    assert_eq!(times.len(), 13_000);
    assert!(times.is_sorted(), "however the files are named");
}

#[test]
fn rows_of_account_data_wait_for_every_file() {
    let account = |range: std::ops::Range<i64>| {
        let row = |n: i64| {
            let at = Timestamp::from_millis(1_600_000_000_000 + n * 3_600_000);
            format!(
                r#"{{"endTime":"{}","artistName":"A","trackName":"T","msPlayed":5}}"#,
                at.utc().format("%F %R")
            )
        };
        format!("[{}]", range.map(row).collect::<Vec<_>>().join(","))
    };
    let (_folder, plan) = written(&[
        ("StreamingHistory_music_0.json", account(0..6_000)),
        ("endsong_0.json", history(400_000..406_000)),
    ]);
    let mut held = None;
    read(&plan, Target::default(), NOW, &mut |step| {
        match step {
            Step::Sorted(rows) => held = Some(rows),
            Step::Batch(..) => assert_eq!(held, Some(12_000), "they met"),
            Step::Read(_) => {}
        }
        true
    });
    assert_eq!(held, Some(12_000));
}

#[test]
fn a_row_whose_names_are_too_long_is_unreadable_where_it_stands() {
    let row = |name: usize| {
        format!(
            r#"{{"ts":"2020-05-06T18:43:21Z","ms_played":40000,"master_metadata_track_name":"{}"}}"#,
            "n".repeat(name)
        )
    };
    let csv = |name: usize| {
        format!("played_at,track,artists,artist_uris\n2020-05-06T18:43:21Z,{},[],[]\n", "n".repeat(name))
    };
    let coded = format!(
        r#"{{"played_at":"2020-05-06T18:43:21Z","track":"n","artists":[],"isrc":"{}"}}"#,
        "I".repeat(65)
    );
    let (_folder, plan) = written(&[
        ("endsong_0.json", format!("[{},\n{}]", row(2_499), row(2_500))),
        ("own.csv", csv(2_500)),
        ("own.jsonl", coded),
    ]);
    let (batches, collected) = batches(&plan);
    assert_eq!((collected.counts.read, collected.counts.unreadable), (4, 3));
    assert_eq!(batches[0]["rows"].as_array().unwrap().len(), 1);
    let troubles: Vec<_> = collected.troubles.iter().map(|it| (it.row, it.why.as_str())).collect();
    assert_eq!(troubles, [2, 1, 1].map(|row| (row, "its names or its ISRC are too long")));
}

fn minutes(covered: &[Covered]) -> Vec<(i64, i64)> {
    let minute = |at: Timestamp| (at.as_millis() - 1_600_000_000_000) / 60_000;
    covered.iter().map(|stretch| (minute(stretch.from), minute(stretch.to))).collect()
}

fn rows(from: i64, to: i64) -> String {
    format!("[{},{}]", minute(from), minute(to))
}

/// What files of these names cover, in minutes: in a folder, and in a zip of it.
fn covers(files: &[(&str, i64, i64)]) -> [Vec<(i64, i64)>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<(&str, String)> = files.iter().map(|(name, from, to)| (*name, rows(*from, *to))).collect();
    for (name, text) in &texts {
        let path = folder.path().join("data").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let zip = folder.path().join("all.zip");
    std::fs::write(&zip, zipped(&texts)).unwrap();
    [folder.path().join("data"), zip].map(|path| {
        let (_, collected) = batches(&plan(&[path]).unwrap());
        minutes(&collected.covered)
    })
}

fn zipped(files: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in files {
        zip.start_file(*name, stored).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn files_that_lie_far_apart_cover_nothing_between() {
    let both = |one, two| [vec![one, two], vec![one, two]];
    let years = [("endsong_0.json", 0, 100), ("Streaming_History_Audio_2022-2024_1.json", 9_000, 9_100)];
    assert_eq!(covers(&years), both((0, 100), (9_000, 9_100)));
    let firsts = [
        ("Streaming_History_Audio_2015-2017_0.json", 0, 100),
        ("Streaming_History_Audio_2022-2024_0.json", 9_000, 9_100),
    ];
    assert_eq!(covers(&firsts), both((0, 100), (9_000, 9_100)), "two exports in one folder");
    let folders = [("a/endsong_0.json", 0, 100), ("b/endsong_1.json", 9_000, 9_100)];
    assert_eq!(covers(&folders), both((0, 100), (9_000, 9_100)));
    let missing = [("endsong_0.json", 0, 100), ("endsong_2.json", 9_000, 9_100)];
    assert_eq!(covers(&missing), both((0, 100), (9_000, 9_100)), "one is missing");
}

#[test]
fn files_of_one_export_join_on_to_each_other() {
    let years = [
        ("Streaming_History_Audio_2015-2017_0.json", 0, 100),
        ("Streaming_History_Audio_2017-2019_1.json", 900, 1_000),
        ("Streaming_History_Video_2015-2019.json", 0, 99_000),
    ];
    assert_eq!(covers(&years), [vec![(0, 1_000)], vec![(0, 1_000)]], "and what was watched says nothing");
    let overlap = [("endsong_3.json", 0, 100), ("a.json", 50, 200)];
    assert_eq!(covers(&overlap), [vec![(0, 200)], vec![(0, 200)]]);
    // Older exports have numbers in no order, so that nobody can tell what is missing.
    let mixed = [("endsong_0.json", 900, 1_000), ("endsong_1.json", 0, 100), ("endsong_2.json", 500, 600)];
    assert_eq!(
        covers(&mixed),
        [vec![(0, 100), (500, 600), (900, 1_000)], vec![(0, 100), (500, 600), (900, 1_000)]]
    );
}

#[test]
fn a_damaged_zip_in_a_folder_is_told_of_and_nothing_is_covered() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("endsong_0.json", rows(0, 100).as_bytes());
    write("Userdata.json", br#"{"username":"u"}"#);
    write("cover.jpg", b"\xff\xd8\xff");
    write("other.zip", &zipped(&[("a.json", "[{}]".to_owned()), ("b.pdf", "%PDF".to_owned())]));
    let read = || batches(&plan(&[PathBuf::from(folder.path())]).unwrap()).1;
    let whole = read();
    assert_eq!((whole.damaged, whole.covered.len(), whole.counts.unreadable), (0, 1, 0));

    let good = zipped(&[("my/endsong_1.json", rows(200, 300)), ("my/data.json", rows(400, 500))]);
    let at = |text: &[u8], nth: usize| {
        good.windows(text.len()).enumerate().filter(|(_, w)| *w == text).map(|(n, _)| n).nth(nth).unwrap()
    };
    // The header of an entry, the rows of one that has no export's name, and of one that has.
    let header = at(b"PK\x03\x04", 1) + 2;
    let last = at(b"spotify:track", 3);
    let first = at(b"spotify:track", 1);
    let cases = [
        (&good[..good.len() / 2], usize::MAX, "broken.zip", (3, 1)),
        (&b"<html>not found</html>"[..], usize::MAX, "broken.zip", (3, 1)),
        (&good[..], header, "broken.zip/my/data.json", (5, 1)),
        (&good[..], last, "broken.zip/my/data.json", (5, 1)),
        (&good[..], first, "broken.zip/my/endsong_1.json", (7, 1)),
    ];
    for (bytes, damage, file, (rows, unreadable)) in cases {
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(damage) {
            *byte ^= 0x20;
        }
        write("broken.zip", &bytes);
        let collected = read();
        assert_eq!((collected.counts.read, collected.counts.unreadable), (rows, unreadable), "{file}");
        assert_eq!((collected.damaged, collected.troubles.len()), (1, 1), "{file}");
        assert!(collected.troubles[0].file.ends_with(file), "{:?}", collected.troubles);
        let covered = minutes(&collected.covered);
        assert!(!covered.contains(&(200, 300)), "{file}: {covered:?}");
        assert!(file.ends_with("endsong_1.json") && damage == first || covered.is_empty(), "{covered:?}");
    }
    std::fs::remove_file(folder.path().join("endsong_0.json")).unwrap();
    write("broken.zip", b"PK\x03\x04 and then nothing");
    let refused = plan(&[PathBuf::from(folder.path())]).unwrap_err().to_string();
    assert!(refused.contains("broken.zip: this zip can't be read"), "{refused}");
}
