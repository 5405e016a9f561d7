//! What goes out comes in again as it was.

use std::time::Duration;

use crate::fixture::{Host, now};

/// One play that the API has told of, and what an export of Spotify's knows besides.
const HISTORY: &str = r#"[
 {"ts":"2019-03-01T10:00:00Z","ms_played":201000,"master_metadata_track_name":"Old Song","master_metadata_album_artist_name":"Someone","master_metadata_album_album_name":"Then","spotify_track_uri":"spotify:track:0000000000000000000001","reason_end":"trackdone"},
 {"ts":"2019-03-01T10:00:00Z","ms_played":201000,"master_metadata_track_name":"Old Song","master_metadata_album_artist_name":"Someone","master_metadata_album_album_name":"Then","spotify_track_uri":"spotify:track:0000000000000000000001","reason_end":"trackdone"},
 {"ts":"2019-03-01T10:05:00Z","ms_played":90000,"master_metadata_track_name":"Quoted \"Song\", with commas\u2028","master_metadata_album_artist_name":"Zoë & Co","master_metadata_album_album_name":null,"spotify_track_uri":"spotify:track:0000000000000000000002","reason_end":null},
 {"ts":"2019-03-01T10:06:00Z","ms_played":4000,"master_metadata_track_name":"Skipped","master_metadata_album_artist_name":"Someone","master_metadata_album_album_name":"Then","spotify_track_uri":"spotify:track:0000000000000000000003","reason_end":"fwdbtn"}
]"#;

#[test]
fn an_export_read_into_an_empty_archive_gives_the_same_export() {
    let host = Host::new();
    host.spotify.listen_until("alice", 12, now() - Duration::from_secs(3_600));
    let _daemon = host.serve();
    host.settled_user("alice");
    host.write("Streaming_History_Audio_2019.json", HISTORY);
    let history = host.path("Streaming_History_Audio_2019.json").display().to_string();
    host.run(&["import", "alice", &history]).ok();
    for format in ["jsonl", "csv"] {
        let first = host.run(&["export", "alice", "--format", format]).ok();
        assert_eq!(first.lines().count(), 14 + usize::from(format == "csv"), "{first}");
        let file = format!("alice.{format}");
        host.write(&file, &first);
        let empty = Host::new();
        empty.run(&["users", "add", "bob"]).ok();
        empty.run(&["import", "bob", &host.path(&file).display().to_string()]).ok();
        assert_eq!(empty.run(&["export", "bob", "--format", format]).ok(), first, "{format}");
        // And again: nothing is new.
        empty.run(&["import", "bob", &host.path(&file).display().to_string()]).ok();
        assert_eq!(empty.run(&["export", "bob", "--format", format]).ok(), first, "{format}");
    }
}
