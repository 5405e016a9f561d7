//! Reading the archive by command and by API: plays page by page, times of the user's zone, top lists, stats.

use serde_json::{Value, json};

use crate::fixture::{Host, now};

/// Midnight in Kathmandu, between Sunday, 5 January 2020, and Monday: 18:15 in Greenwich.
const MIDNIGHT: i64 = 1_578_248_100_000;
const HOUR: i64 = 3_600_000;

/// A user of Kathmandu whose archive holds these plays: when they ended, and of which of four tracks.
fn host_with(plays: &[(i64, i64)]) -> Host {
    let host = Host::new();
    host.run(&["users", "add", "alice", "--timezone", "Asia/Kathmandu"]).ok();
    host.sql(
        "INSERT INTO artists (id, key, uri, name) VALUES (1, 'a1', 'spotify:artist:1', 'Moth & Marrow'),
           (2, 'a2', 'spotify:artist:2', 'Tamsin Rook');
         INSERT INTO albums (id, key, uri, name) VALUES (1, 'b1', 'spotify:album:1', 'Tin Moon');
         INSERT INTO tracks (id, key, uri, name, album_id, isrc, duration_ms) VALUES
           (1, 't1', 'spotify:track:1', 'Windfall', 1, 'ISRC1', 180000), (2, 't2', 'spotify:track:2', 'Tin, \"Moon\"', 1, NULL, 240000),
           (3, 't3', 'spotify:track:3', 'Marzipan', NULL, NULL, NULL), (4, 't4', 'spotify:track:4', 'Windfall', 1, 'ISRC1', 180000);
         INSERT INTO track_artists (track_id, position, artist_id) VALUES (1, 0, 1), (2, 0, 2), (2, 1, 1), (3, 0, 2), (4, 0, 1);",
    );
    hear(&host, plays);
    host
}

fn hear(host: &Host, plays: &[(i64, i64)]) {
    for (at, track) in plays {
        host.sql(&format!(
            "INSERT INTO plays (user_id, played_at, track_id, source) SELECT id, {at}, {track}, 'api' FROM users"
        ));
    }
}

fn played(plays: &Value) -> Vec<&str> {
    plays.as_array().expect("plays").iter().map(|play| play["played_at"].as_str().expect("a time")).collect()
}

#[test]
fn dates_and_times_are_of_the_users_zone() {
    let host = host_with(&[(MIDNIGHT - 1, 1), (MIDNIGHT, 2), (MIDNIGHT + 5 * HOUR, 3)]);
    let plays = |args: &[&str]| {
        let given = ["plays", "alice", "--json"].iter().chain(args).copied().collect::<Vec<_>>();
        host.run(&given).json()
    };
    let (before, after) = ("2020-01-05T18:14:59.999Z", "2020-01-05T18:15:00.000Z");
    assert_eq!(played(&plays(&["--until", "2020-01-06"])), [before]);
    assert_eq!(played(&plays(&["--since", "2020-01-06", "--until", "2020-01-06T05:00"])), [after]);
    assert_eq!(played(&plays(&["--since", "2020-01-06 04:59"])).len(), 1);
    assert_eq!(played(&plays(&["--since", "2020-01-05T18:15:00Z"])).len(), 2);
    assert_eq!(played(&plays(&["--since", "24h"])).len(), 0);
    let error = host.run(&["plays", "alice", "--since", "yesterday"]).fails(2);
    assert!(error.contains("2026-11-21T20:30") && error.contains("24h"), "{error}");
    let error = host.run(&["top", "alice", "--range", "4m"]).fails(2);
    assert!(error.contains("6mo"), "{error}");
    // The same by the API.
    let _daemon = host.serve();
    let get = |query: &str| host.get(&format!("/v1/users/alice/plays?{query}"));
    assert_eq!(played(&get("since=2020-01-06&until=2020-01-06T05:00").ok()), [after]);
    for (query, says) in [
        ("since=yesterday", "use a date (2026-11-21)"),
        ("limit=0", "from 1 to 10000"),
        ("limit=10001", "from 1 to 10000"),
        ("before=x", "Link header"),
        ("offset=3", "unknown field"),
    ] {
        let answer = get(query);
        assert_eq!(answer.problem(400), "bad_request");
        assert!(answer.json()["detail"].as_str().expect("a detail").contains(says), "{answer:?}");
    }
    let top = |query: &str| host.get(&format!("/v1/users/alice/top?kind=tracks{query}"));
    assert_eq!(top("&since=2020-01-06").ok().as_array().map(Vec::len), Some(2));
    assert_eq!(top("&range=4w").ok(), json!([]));
    for query in ["&range=4m", "&range=1y&since=24h", "&limit=1001"] {
        assert_eq!(top(query).problem(400), "bad_request", "{query}");
    }
}

#[test]
fn pages_are_followed_by_their_links_while_plays_come_in() {
    let plays: Vec<(i64, i64)> =
        (0..40).flat_map(|n| [(MIDNIGHT + n * HOUR, 1), (MIDNIGHT + n * HOUR, 2)]).collect();
    let host = host_with(&plays);
    let whole = host.run(&["plays", "alice", "--json", "--limit", "500"]).json();
    assert_eq!(whole.as_array().map(Vec::len), Some(80));
    let _daemon = host.serve();
    let mut address = "/v1/users/alice/plays?limit=7&since=2020-01-06T02:00".to_owned();
    let mut read: Vec<Value> = Vec::new();
    for page in 0.. {
        let answer = host.get(&address);
        let link = answer.header("link").map(str::to_owned);
        let plays = answer.ok();
        let plays = plays.as_array().expect("plays");
        assert!(plays.len() == 7 || link.is_none(), "page {page}");
        read.extend(plays.iter().cloned());
        hear(&host, &[(MIDNIGHT + (100 + page) * HOUR, 3)]);
        let Some(link) = link else { break };
        address = link
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .expect("an address")
            .to_owned();
    }
    assert_eq!(read, whole.as_array().expect("plays")[..76]);
}

#[test]
fn plays_are_printed_in_every_format_however_many_they_are() {
    let host = host_with(&[(MIDNIGHT, 2), (MIDNIGHT + HOUR, 3)]);
    let csv = host.run(&["plays", "alice", "--format", "csv"]).ok();
    assert_eq!(
        csv,
        "played_at,track,artists,album,track_uri,isrc,duration_ms,context_uri,source\n\
         2020-01-05T19:15:00.000Z,Marzipan,Tamsin Rook,,spotify:track:3,,,,api\n\
         2020-01-05T18:15:00.000Z,\"Tin, \"\"Moon\"\"\",Tamsin Rook; Moth & Marrow,Tin Moon,spotify:track:2,,240000,,api\n"
    );
    let table = host.run(&["plays", "alice"]).ok();
    assert!(
        table.starts_with("PLAYED ") && table.contains("Tamsin Rook, Moth & Marrow  Tin Moon\n"),
        "{table}"
    );
    // More than one page of the API.
    host.sql(
        "INSERT INTO plays (user_id, played_at, track_id, source)
         WITH RECURSIVE numbers(n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < 20500)
         SELECT users.id, 1580000000000 + n / 2 * 60000, 1 + n % 2, 'api' FROM users, numbers",
    );
    let all = ["plays", "alice", "--limit", "100000", "--format"];
    let print = |format: &'static str| host.run(&[&all[..], &[format]].concat());
    let json = print("json").json();
    let json = json.as_array().expect("plays");
    assert_eq!(json.len(), 20_502);
    let lines: Vec<Value> =
        print("jsonl").ok().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(&lines, json);
    assert_eq!(print("csv").ok().lines().count(), 20_503);
    assert_eq!(
        host.run(&["plays", "alice", "--limit", "10001", "--format", "jsonl"]).ok().lines().count(),
        10_001
    );
    assert!(print("table").fails(2).contains("--format jsonl"));
    assert!(host.run(&["plays", "alice", "--limit", "0"]).fails(2).contains("--limit"));
}

#[test]
fn top_lists_have_plays_and_minutes_and_keep_up_with_the_archive() {
    let host = host_with(&[(MIDNIGHT, 1), (MIDNIGHT + 1, 4), (MIDNIGHT + 2, 2), (MIDNIGHT + 3, 3)]);
    let top = |args: &[&str]| {
        let given = ["top", "alice", "--range", "all"].iter().chain(args).copied().collect::<Vec<_>>();
        host.run(&given)
    };
    let artists =
        "#  PLAYS  MINUTES  ARTIST\n1      3       10  Moth & Marrow\n2      2        4  Tamsin Rook\n";
    assert_eq!(top(&[]).ok(), artists);
    assert_eq!(
        top(&["--kind", "tracks", "--limit", "1"]).ok(),
        "#  PLAYS  MINUTES  TRACK     ARTISTS\n1      2        6  Windfall  Moth & Marrow\n"
    );
    assert_eq!(
        top(&["--kind", "albums", "--json"]).json(),
        json!([{
            "name": "Tin Moon", "artists": ["Moth & Marrow", "Tamsin Rook"], "uri": "spotify:album:1", "plays": 3,
            "ms_played": 600_000
        }])
    );
    // What was counted years ago changes all the same.
    hear(&host, &[(MIDNIGHT + 4, 3), (MIDNIGHT + 5, 3)]);
    assert_eq!(top(&[]).ok().lines().nth(1), Some("1      4        4  Tamsin Rook"));
    host.sql("DELETE FROM plays WHERE track_id = 3");
    assert_eq!(top(&[]).ok().lines().nth(1), Some("1      3       10  Moth & Marrow"));
    assert_eq!(host.run(&["top", "alice"]).ok(), "");
    hear(&host, &[(now().as_millis() - HOUR, 3)]);
    assert!(host.run(&["top", "alice"]).ok().contains("Tamsin Rook"));
    host.run(&["users", "remove", "alice", "--purge"]).ok();
    host.run(&["users", "add", "alice"]).ok();
    assert_eq!(top(&["--json"]).json(), json!([]));
}

#[test]
fn stats_are_by_the_clocks_of_the_users_zone() {
    let host =
        host_with(&[(MIDNIGHT - 1, 1), (MIDNIGHT, 2), (MIDNIGHT + HOUR, 2), (MIDNIGHT + 14 * 24 * HOUR, 3)]);
    let stats = host.run(&["stats", "alice", "--json"]).json();
    assert_eq!(
        stats["days"],
        json!([
            { "day": "2020-01-05", "plays": 1, "ms_played": 180_000 },
            { "day": "2020-01-06", "plays": 2, "ms_played": 480_000 },
            { "day": "2020-01-20", "plays": 1, "ms_played": 0 }
        ])
    );
    let hours: Vec<i64> = stats["hours"]
        .as_array()
        .expect("hours")
        .iter()
        .map(|hour| hour["plays"].as_i64().expect("plays"))
        .collect();
    assert_eq!((hours.len(), hours[0], hours[1], hours[23], hours.iter().sum::<i64>()), (24, 2, 1, 1, 4));
    assert_eq!(stats["weekdays"][0], json!({ "weekday": "monday", "plays": 3, "ms_played": 480_000 }));
    assert_eq!(stats["weekdays"][6]["plays"], 1);
    assert_eq!(
        (&stats["plays"], &stats["ms_played"], &stats["timezone"]),
        (&4.into(), &660_000.into(), &"Asia/Kathmandu".into())
    );
    assert_eq!(
        (&stats["since"], &stats["coverage"], &stats["first_played_at"]),
        (&Value::Null, &json!([]), &"2020-01-05T18:14:59.999Z".into())
    );
    // In another zone it is another day.
    host.run(&["users", "set", "alice", "--timezone", "America/New_York"]).ok();
    let there = host.run(&["stats", "alice", "--json"]).json();
    assert_eq!((&there["days"][0]["day"], &there["days"][0]["plays"]), (&"2020-01-05".into(), &3.into()));
    assert_eq!(there["hours"][13]["plays"], 3);

    let text = host.run(&["stats", "alice"]).ok();
    assert!(text.starts_with("4 plays, 11 minutes (0 h), on 2 days; times of America/New_York\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80) && !text.contains('\x1b'), "{text}");
    assert!(text.contains("2020-01-05 Sun         3        11  ####"), "{text}");
    let short = host.run(&["stats", "alice", "--range", "4w"]);
    assert!(short.stderr.contains("no plays of alice in that time"), "{short:?}");
    assert_eq!(short.ok(), "");

    let _daemon = host.serve();
    assert_eq!(host.get("/v1/users/alice/stats?range=all").ok(), there);
    assert_eq!(host.get("/v1/users/alice/stats").ok(), there);
    assert_eq!(host.get("/v1/users/alice/stats?range=4w").ok()["days"], json!([]));
    assert_eq!(host.get("/v1/users/alice/stats?range=ever").problem(400), "bad_request");
    assert_eq!(host.get("/v1/users/nobody/stats").problem(404), "unknown_user");
}

#[test]
fn plays_are_followed_as_lines_of_csv_with_one_header() {
    let host = host_with(&[(now().as_millis() - 2 * HOUR, 1)]);
    let _daemon = host.serve();
    let mut follow = host.talk(&["plays", "alice", "--follow", "--format", "csv"]);
    assert!(follow.line().starts_with("played_at,"));
    assert!(follow.line().contains("Windfall"));
    // A late one, and one of the same moment.
    hear(&host, &[(now().as_millis() - 3 * HOUR, 3)]);
    assert!(follow.line().contains("Marzipan"));
    follow.child.kill().expect("it is ended");
    assert!(host.run(&["plays", "alice", "--follow", "--json"]).fails(2).contains("jsonl"));
}
