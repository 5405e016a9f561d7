//! How many rows a second `longplay import` takes, from the zip to the receipt, against the bare database: a binary COPY on
//! PostgreSQL, one prepared insert run for each row in one transaction on SQLite, of the same rows into a table of the
//! same columns. And how much memory the command takes.

#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod measure;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use fixture::export::{self, History};
use measure::database::{Connections, Database, Kind};
use measure::{Args, Rounds, Table, Wanted, begin, count_of, since, stand_still};

fn main() -> ExitCode {
    let args = Args::read();
    let mut table = Table::new(&args, "Import");
    let rows = args.size(500_000, 5_000);
    let history = History::new(1, rows);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my_spotify_data.zip");
    let extended = history.extended(false);
    let files: Vec<(String, String)> = extended
        .chunks(16_000)
        .enumerate()
        .map(|(n, rows)| {
            (
                format!("Spotify Extended Streaming History/Streaming_History_Audio_{n}.json"),
                export::file(rows),
            )
        })
        .collect();
    drop(extended);
    let zip = export::zip(files.iter().map(|(name, text)| (name.as_str(), text.clone())));
    std::fs::write(&path, zip).expect("the zip is written");
    let one_file = folder.path().join("Streaming_History_Audio_all.json");
    std::fs::write(&one_file, export::file(&history.extended(false))).expect("a file");
    drop(files);
    for kind in args.stores() {
        let what = format!("{}, rows a second", kind.name());
        if !args.wants(&what) {
            continue;
        }
        let mut rounds = Rounds::default();
        let (mut seconds, mut resident) = (Vec::new(), 0);
        for round in 0..args.size(3, 1) {
            let folder = tempfile::tempdir().expect("a folder");
            let bare = kind.make(folder.path(), &format!("bare{round}"));
            let ours = kind.make(folder.path(), &format!("ours{round}"));
            let baseline = measure::runtime().block_on(baseline(&bare, &history));
            let (took, most) = imported(folder.path(), &ours, &path);
            resident = resident.max(most);
            rounds.add(rows as f64 / baseline, rows as f64 / took);
            seconds.push(took);
        }
        let (baseline, ours) = rounds.medians();
        let wanted = if kind == Kind::Sqlite { 0.4 } else { 0.3 };
        let rate = |rows: f64| format!("{rows:.0} rows/s");
        table.row(&what, &rate(baseline), &rate(ours), rounds.ratio(), Wanted::AtLeast(wanted));
        let took = measure::median(&seconds);
        let what = format!("{}, {rows} rows of a zip, seconds", kind.name());
        table.row(&what, "", &measure::shown(took), took, Wanted::AtMost(60.0));
        let (_, most) = {
            let folder = tempfile::tempdir().expect("a folder");
            imported(folder.path(), &kind.make(folder.path(), "one"), &one_file)
        };
        let most = resident.max(most) as f64 / 1024.0;
        let what = format!("{}, resident at most, also with one file, MB", kind.name());
        table.row(&what, "", &format!("{most:.0} MB"), most, Wanted::AtMost(100.0));
    }
    table.end()
}

/// How long the command takes as a user runs it, without a daemon, and how many kilobytes it has at most.
fn imported(folder: &Path, database: &Database, export: &Path) -> (f64, u64) {
    let (state, config) = (folder.join("state"), folder.join("longplay.toml"));
    let text = format!(
        "[store]\nurl = {:?}\nstate_dir = {state:?}\n[control]\nsocket = {:?}\n[web]\nlisten = \"\"\n[apps.default]\nclient_id = \"client\"\n",
        database.url,
        folder.join("none.sock"),
    );
    std::fs::write(&config, text).expect("a configuration");
    let longplay = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longplay"));
        command.args(args).arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(longplay(&["users", "add", "alice"]).status().expect("it runs").success());
    let export = export.to_str().expect("a name");
    let began = begin();
    let mut child = longplay(&["import", "alice", export]).spawn().expect("it runs");
    let mut most = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(kilobytes.unwrap_or(0));
        match child.try_wait().expect("it can be waited for") {
            Some(status) => {
                assert!(status.success(), "{status}");
                return (since(began), most);
            }
            None => stand_still(std::time::Duration::from_millis(5)),
        }
    }
}

/// How long the bare database takes for the same rows.
async fn baseline(database: &Database, history: &History) -> f64 {
    if let Some(path) = database.url.strip_prefix("sqlite://") {
        std::fs::File::create(path).expect("a file");
    }
    let connections = database.connect().await;
    match &connections {
        Connections::Sqlite { writer, .. } => {
            sqlx::query(
                "CREATE TABLE bare (user_id INTEGER NOT NULL, played_at INTEGER NOT NULL, track_id INTEGER NOT NULL,
                   context_uri TEXT, source TEXT NOT NULL, run INTEGER, import_id INTEGER, ms_played INTEGER,
                   precision_ms INTEGER, PRIMARY KEY (user_id, played_at, track_id)) STRICT, WITHOUT ROWID",
            )
            .execute(writer)
            .await
            .expect("a table");
            let began = begin();
            let mut transaction = writer.begin().await.expect("a transaction");
            for play in &history.plays {
                sqlx::query("INSERT INTO bare VALUES (?, ?, ?, NULL, 'import', NULL, 1, ?, 1000)")
                    .bind(1_i64)
                    .bind(play.at)
                    .bind(count_of(play.track))
                    .bind(play.ms_played)
                    .execute(&mut *transaction)
                    .await
                    .expect("a row");
            }
            transaction.commit().await.expect("a commit");
            since(began)
        }
        Connections::Postgres(pool) => {
            sqlx::query(
                "CREATE TABLE bare (user_id BIGINT NOT NULL, played_at BIGINT NOT NULL, track_id BIGINT NOT NULL,
                   context_uri TEXT, source TEXT NOT NULL, run BIGINT, import_id BIGINT, ms_played BIGINT,
                   precision_ms BIGINT, PRIMARY KEY (user_id, played_at, track_id))",
            )
            .execute(pool)
            .await
            .expect("a table");
            let rows = copied(history);
            let began = begin();
            let mut connection = pool.acquire().await.expect("a connection");
            let mut copy =
                connection.copy_in_raw("COPY bare FROM STDIN (FORMAT binary)").await.expect("a COPY");
            for chunk in rows.chunks(64 * 1024) {
                copy.send(chunk).await.expect("rows");
            }
            copy.finish().await.expect("all rows");
            since(began)
        }
    }
}

/// The rows as COPY takes them (PostgreSQL, COPY, "Binary Format").
fn copied(history: &History) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for play in &history.plays {
        bytes.extend(9_i16.to_be_bytes());
        let mut number = |value: Option<i64>| match value {
            Some(value) => {
                bytes.extend(8_i32.to_be_bytes());
                bytes.extend(value.to_be_bytes());
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        };
        number(Some(1));
        number(Some(play.at));
        number(Some(count_of(play.track)));
        number(None);
        bytes.extend(6_i32.to_be_bytes());
        bytes.extend(b"import");
        let mut number = |value: Option<i64>| match value {
            Some(value) => {
                bytes.extend(8_i32.to_be_bytes());
                bytes.extend(value.to_be_bytes());
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        };
        number(None);
        number(Some(1));
        number(Some(play.ms_played));
        number(Some(1_000));
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}
