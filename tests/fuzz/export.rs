//! The reader of exports, from the bytes of a file to batches of rows and counts.

use longplay::archive::import::{Step, Target, plan, read};
use longplay::domain::{ImportId, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

use crate::bytes::document;
use crate::{cases, unfit};

const NOW: Timestamp = Timestamp::from_millis(1_772_100_000_000);

fn valid() -> Vec<String> {
    let extended = r#"{"ts":"2020-05-06T18:43:21Z","ms_played":200000,"ip_addr":"203.0.113.7","master_metadata_track_name":"Low Tide","master_metadata_album_artist_name":"Ines","master_metadata_album_album_name":"Marzipan","spotify_track_uri":"spotify:track:T","episode_name":null,"offline_timestamp":0,"skipped":null}"#;
    let podcast = r#"{"ts":"2020-05-06T19:43:21Z","ms_played":0,"spotify_track_uri":null,"episode_name":"E","spotify_episode_uri":"spotify:episode:e"}"#;
    let account =
        r#"{"endTime":"2024-05-06 18:43","artistName":"Ines","trackName":"Low Tide","msPlayed":200000}"#;
    let own = r#"{"played_at":"2026-02-03T04:05:06.789Z","track":"Low Tide","artists":["Ines"],"album":"Marzipan","track_uri":"spotify:track:T","isrc":"Q","duration_ms":1,"context_uri":null,"source":"api","artist_uris":["spotify:artist:a"],"album_uri":null,"ms_played":null}"#;
    let listen = r#"{"listened_at":1770091506,"track_metadata":{"artist_name":"Ines","track_name":"Low Tide","additional_info":{"submission_client":"longplay","duration_ms":1}}}"#;
    vec![
        format!("[{extended},{podcast},\n {extended}]"),
        format!("\u{feff}[{account},{account}]"),
        format!("{own}\n{listen}\n{own}\n"),
        "played_at,track,artists,album,source\n2026-02-03T04:05:06.789Z,Low,\"[\"\"Ines\"\"]\",,api\n"
            .to_owned(),
        "[]".to_owned(),
    ]
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn whatever_a_file_holds_every_row_is_accounted_for(body in document(valid()), zipped in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(if zipped { "endsong_0.zip" } else { "endsong_0.json" });
        if zipped {
            use std::io::Write as _;
            let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
            zip.start_file("endsong_0.json", zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&body).unwrap();
            zip.finish().unwrap();
        } else {
            std::fs::write(&path, &body).unwrap();
        }
        let plan = match plan(std::slice::from_ref(&path)) {
            Ok(plan) => plan,
            Err(refused) => {
                prop_assert!(refused.to_string().contains("endsong_0"), "{refused}");
                return Ok(());
            }
        };
        prop_assert!(plan.digest().is_ok());
        let mut rows = 0;
        let mut batches = Vec::new();
        let collected = read(&plan, Target { import: Some(ImportId(1)), ..Target::default() }, NOW, &mut |step| {
            if let Step::Batch(body, many) = step {
                rows += i64::try_from(many).unwrap();
                batches.push(body);
            }
            true
        });
        let counts = collected.counts;
        let others = counts.podcasts + counts.audiobooks + counts.without_track + counts.unreadable;
        prop_assert_eq!(counts.read, rows + others);
        prop_assert!(i64::try_from(collected.troubles.len()).unwrap() <= counts.unreadable);
        for trouble in &collected.troubles {
            prop_assert_eq!(unfit(&trouble.why), None, "{}", trouble.why);
        }
        for batch in batches {
            let text = String::from_utf8(batch).unwrap();
            prop_assert!(!text.contains("203.0.113.7"));
            let batch: Value = serde_json::from_str(&text).unwrap();
            let tracks = batch["tracks"].as_array().unwrap().len() as u64;
            for row in batch["rows"].as_array().unwrap() {
                prop_assert!(row["track"].as_u64().unwrap() < tracks);
                prop_assert!(row["ms_played"].as_i64().is_none_or(|ms| ms >= 0));
            }
        }
    }
}

/// A zip that is none, too.
#[test]
fn a_zip_of_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    for bytes in
        [&b"PK"[..], b"PK\x05\x06", b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    {
        std::fs::write(&path, bytes).unwrap();
        assert!(plan(std::slice::from_ref(&path)).is_err());
    }
}
