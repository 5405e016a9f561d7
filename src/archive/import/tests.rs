mod coverage;
mod rows;

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::domain::{ImportId, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_772_100_000_000);

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
        ("endsong_0.json", history(10_000..20_000)),
        ("endsong_1.json", history(0..10_000)),
        ("endsong_2.json", history(20_000..21_000)),
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
    assert_eq!(steps, ["file", "batch", "file", "batch", "file", "the rest", "batch"]);
    assert_eq!(times.len(), 21_000);
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
