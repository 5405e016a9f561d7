//! How long reads of an archive of a million plays take: through the service, its routes and the client, as a command
//! gets them, against the same with each play counted one by one. And what a play that is written costs for it.

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::process::ExitCode;
use std::time::Duration;

use longplay::clock::{Clock as _, SystemClock};
use longplay::control::api::{PlaysQuery, StatsQuery, TopQuery};
use longplay::control::client::Client;
use longplay::domain::{TopKind, UserName};
use measure::crowd::{self, Crowd};
use measure::database::{Connections, Kind};
use measure::{Args, Rounds, Table, Wanted, begin, count_of, median, quantile, since, wired};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Nobody waits longer for an answer without noticing.
const WITHIN: f64 = 100.0;
/// How many rows go in with one statement.
const AT_ONCE: usize = 20_000;
const DAY: usize = 86_400_000;

fn main() -> ExitCode {
    let args = Args::read();
    let mut table = Table::new(&args, "Reads of a user with many plays, in ms");
    for kind in args.stores() {
        if args.wants("reads") {
            measure::runtime().block_on(reads(&args, kind, &mut table));
        }
        if args.wants("writes") {
            let rounds = measure::runtime().block_on(writes(&args, kind));
            let (without, with) = rounds.medians();
            let what = format!("{}: plays/s with the triggers", kind.name());
            let rate = |rows: f64| format!("{rows:.0}");
            table.row(&what, &rate(without), &rate(with), rounds.ratio(), Wanted::AtLeast(0.8));
        }
    }
    table.end()
}

/// What a user's archive is made of.
struct Archive {
    plays: usize,
    tracks: usize,
    artists: usize,
    years: usize,
}

impl Archive {
    /// The track of a play: taste drifts over the years, and a few tracks are heard again and again.
    fn track(&self, n: usize) -> usize {
        // Parts of a million, so that everything is whole numbers.
        const ALL: usize = 1_000_000;
        let chance = |salt: usize| n.wrapping_mul(2_654_435_761).wrapping_add(salt) % 999_983;
        let power = |chance: usize, by: usize| (1..by).fold(chance, |power, _| power * chance / ALL);
        let taste = n * 700_000 / self.plays;
        let place = match chance(7) < 600_000 {
            true => taste + 3 * power(chance(40_503), 4) / 10,
            false => power(chance(77_711), 3),
        };
        place * self.tracks / ALL % self.tracks
    }

    /// When a play ends, in milliseconds before now: in fourteen hours of each day.
    fn ago(&self, n: usize) -> usize {
        let days = self.years * 365;
        let (day, place) = (n * days / self.plays, n * days % self.plays);
        (days - day) * DAY - place / 10 * (DAY / self.plays) * 14 / 24 * 10 - n % 997
    }

    /// Puts it in for the first user, and a little of the same for the others.
    async fn settle(&self, connections: &Connections, users: &[i64]) {
        for (sql, rows) in [(ARTISTS, self.artists), (ALBUMS, self.tracks.div_ceil(8))] {
            connections.put(sql, (0..rows).map(|n| json!({ "id": n + 1 })).collect()).await;
        }
        for chunk in (0..self.tracks).collect::<Vec<_>>().chunks(AT_ONCE) {
            let tracks = chunk.iter().map(|n| {
                let ms = 120_000 + n * 7_919 % 180_000;
                json!({ "id": n + 1, "album": n / 8 + 1, "ms": ms, "isrc": format!("ISRC{:08}", n) })
            });
            connections
                .put(
                    "INSERT INTO tracks (id, key, uri, name, album_id, isrc, duration_ms)
                     SELECT CAST(value ->> 'id' AS BIGINT), 'spotify:track:0123456789012345' || (value ->> 'id'),
                       'spotify:track:0123456789012345' || (value ->> 'id'), 'Track ' || (value ->> 'id'),
                       CAST(value ->> 'album' AS BIGINT), value ->> 'isrc', CAST(value ->> 'ms' AS BIGINT) FROM rows",
                    tracks.collect(),
                )
                .await;
            let credits = chunk.iter().flat_map(|n| {
                let artist = move |place: usize| (n * 7_919 + place * 31) % self.artists + 1;
                let one = move |place| json!({ "track": n + 1, "place": place, "artist": artist(place) });
                (0..1 + usize::from(n % 4 == 0)).map(one)
            });
            connections
                .put(
                    "INSERT INTO track_artists (track_id, position, artist_id)
                     SELECT CAST(value ->> 'track' AS BIGINT), CAST(value ->> 'place' AS BIGINT),
                       CAST(value ->> 'artist' AS BIGINT) FROM rows",
                    credits.collect(),
                )
                .await;
        }
        self.play(connections, users[0], 1).await;
        for user in &users[1..] {
            self.play(connections, *user, 100).await;
        }
    }

    /// Each of so many plays.
    async fn play(&self, connections: &Connections, user: i64, each: usize) {
        let now = SystemClock.now().as_millis();
        for chunk in (0..self.plays).step_by(each).collect::<Vec<_>>().chunks(AT_ONCE) {
            let rows = chunk.iter().map(
                |n| json!({ "user": user, "at": now - count_of(self.ago(*n)), "track": self.track(*n) + 1 }),
            );
            connections.put(INSERT, rows.collect()).await;
        }
    }
}

/// What has nothing but a number and a name.
macro_rules! named {
    ($table:literal, $kind:literal, $name:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (id, key, uri, name)
             SELECT CAST(value ->> 'id' AS BIGINT), 'spotify:",
            $kind,
            ":' || (value ->> 'id'), 'spotify:",
            $kind,
            ":' || (value ->> 'id'), '",
            $name,
            " ' || (value ->> 'id') FROM rows"
        )
    };
}

const ARTISTS: &str = named!("artists", "artist", "Artist");
const ALBUMS: &str = named!("albums", "album", "Album");
const INSERT: &str = "INSERT INTO plays (user_id, played_at, track_id, context_uri, source)
     SELECT CAST(value ->> 'user' AS BIGINT), CAST(value ->> 'at' AS BIGINT), CAST(value ->> 'track' AS BIGINT),
       'spotify:playlist:37i9dQZF1DXcBWIGoYBM5M', 'api' FROM rows
     WHERE TRUE ON CONFLICT DO NOTHING";

async fn reads(args: &Args, kind: Kind, table: &mut Table) {
    let archive = Archive {
        plays: args.size(1_000_000, 5_000),
        tracks: args.size(60_000, 500),
        artists: args.size(8_000, 100),
        years: 12,
    };
    let users = args.size(100, 3);
    let folder = tempfile::tempdir().expect("a folder");
    let database = kind.make(folder.path(), "reading");
    Crowd::at_rest(users).settle(&database).await;
    let connections = database.connect().await;
    let ids: Vec<i64> = connections
        .pairs("SELECT id, name FROM users ORDER BY name")
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    archive.settle(&connections, &ids).await;
    connections.analyze().await;
    let core = wired::core(folder.path(), &database, "http://127.0.0.1:9").await;
    let router = longplay::control::routes(core.service.clone(), CancellationToken::new());
    let client = Client::in_process(router, ());
    let store =
        longplay::store::open(&database.url, std::sync::Arc::new(SystemClock)).expect("a store's URL");
    let (user, rounds) = (longplay::domain::UserId(ids[0]), args.size(15, 2));
    let name: UserName = crowd::name(0).parse().expect("a name");

    let kinds = [("artists", TopKind::Artists), ("tracks", TopKind::Tracks), ("albums", TopKind::Albums)];
    let ranges = ["4w", "6mo", "1y", "all"];
    // Nothing is counted yet.
    let now = SystemClock.now();
    let mut one_by_one = std::collections::HashMap::new();
    for (word, kind) in kinds {
        for range in ranges {
            let began = begin();
            let since = range.parse::<longplay::domain::Range>().expect("a range").start(now, &chrono::Utc);
            store.top(user, kind, since, 10).await.expect("a top list");
            one_by_one.insert(format!("top {word} {range}"), self::since(began));
        }
    }
    let began = begin();
    store
        .listening(
            user,
            &[longplay::domain::Shift {
                begins: longplay::domain::Timestamp::from_millis(0),
                ends: now,
                millis: 0,
            }],
        )
        .await
        .expect("times");
    one_by_one.insert("stats all".to_owned(), since(began));
    let began = begin();
    client.top(&name, &top(TopKind::Artists, "all")).await.expect("a top list");
    table.note(&format!("{}: the first read, which counts", kind.name()), &measure::shown(since(began)));

    let mut figure = |what: &str, times: &[f64]| {
        let label = format!("{}: {what}", kind.name());
        let baseline = one_by_one.get(what).map(|time| format!("{:.1}", time * 1e3)).unwrap_or_default();
        let worst = quantile(times, 0.95) * 1e3;
        table.row(&label, &baseline, &format!("{:.1}", median(times) * 1e3), worst, Wanted::AtMost(WITHIN));
    };
    let half = Duration::from_secs(6 * 365 * 86_400);
    for (what, query) in [
        ("plays, the newest 50", PlaysQuery { limit: Some(50), ..PlaysQuery::default() }),
        (
            "plays, 50 of six years ago",
            PlaysQuery {
                until: Some(longplay::domain::Moment::Ago(half)),
                limit: Some(50),
                ..PlaysQuery::default()
            },
        ),
        ("plays, 1,000 at once", PlaysQuery { limit: Some(1_000), ..PlaysQuery::default() }),
    ] {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let began = begin();
            assert!(!client.plays(&name, &query).await.expect("plays").is_empty());
            times.push(since(began));
        }
        figure(what, &times);
    }
    for (word, kind) in kinds {
        for range in ranges {
            let mut times = Vec::new();
            for _ in 0..rounds {
                let began = begin();
                assert!(!client.top(&name, &top(kind, range)).await.expect("a top list").is_empty());
                times.push(since(began));
            }
            figure(&format!("top {word} {range}"), &times);
        }
    }
    for range in ranges {
        let query = StatsQuery { range: Some(range.parse().expect("a range")) };
        let mut times = Vec::new();
        for _ in 0..rounds {
            let began = begin();
            assert!(client.stats(&name, &query).await.expect("stats").plays > 0);
            times.push(since(began));
        }
        figure(&format!("stats {range}"), &times);
    }
    core.service.finish(measure::PATIENCE).await;
    store.close().await;
    connections.close().await;
}

fn top(kind: TopKind, range: &str) -> TopQuery {
    TopQuery { kind, range: Some(range.parse().expect("a range")), since: None, limit: Some(10) }
}

/// Plays that are written in sets, without the triggers and with them.
async fn writes(args: &Args, kind: Kind) -> Rounds {
    let archive = Archive {
        plays: args.size(200_000, 2_000),
        tracks: args.size(10_000, 100),
        artists: args.size(1_000, 20),
        years: 12,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let database = kind.make(folder.path(), "writing");
    Crowd::at_rest(2).settle(&database).await;
    let connections = database.connect().await;
    let ids: Vec<i64> = connections
        .pairs("SELECT id, name FROM users ORDER BY name")
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    archive.settle(&connections, &ids[..1]).await;
    // What comes is newer than what is counted.
    connections
        .run(&format!("INSERT INTO counted (user_id, until, slot) VALUES ({}, 1, 3600000)", ids[0]))
        .await;
    let mut rounds = Rounds::default();
    for _ in 0..args.size(5, 1) {
        let mut rates = Vec::new();
        for with in [false, true] {
            connections.run("DELETE FROM plays").await;
            let restore = if with { Vec::new() } else { without_triggers(&connections, kind).await };
            let began = begin();
            archive.play(&connections, ids[0], 1).await;
            rates.push(archive.plays as f64 / since(began));
            for sql in restore {
                connections.run(&sql).await;
            }
        }
        rounds.add(rates[0], rates[1]);
    }
    connections.close().await;
    rounds
}

/// Takes the triggers of plays away; answers what brings them back.
async fn without_triggers(connections: &Connections, kind: Kind) -> Vec<String> {
    if kind == Kind::Postgres {
        connections.run("ALTER TABLE plays DISABLE TRIGGER USER").await;
        return vec!["ALTER TABLE plays ENABLE TRIGGER USER".to_owned()];
    }
    let of_plays = "FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'plays' ORDER BY name";
    let texts = connections.pairs(&format!("SELECT 0, sql {of_plays}")).await;
    for (_, name) in connections.pairs(&format!("SELECT 0, name {of_plays}")).await {
        connections.run(&format!("DROP TRIGGER {name}")).await;
    }
    texts.into_iter().map(|(_, text)| text).collect()
}
