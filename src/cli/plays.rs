//! `longplay plays`: reads the archive, and with `--follow` goes on as plays come in.

use std::collections::HashSet;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{note, print};
use super::table::{self, text};
use super::time::{Show, to_the_second};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Place;
use crate::control::api::PlaysQuery;
use crate::domain::{Moment, StoredPlay, Timestamp, UserName};

/// How often `--follow` looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How late a play may turn up and still be followed: Spotify reports some by hours.
const LATE: Duration = Duration::from_secs(24 * 3600);

/// The most plays that are asked for at once, and the most lines of a table, whose widths are known only at its end.
const MOST: i64 = 10_000;

/// Read the archive, newest first
///
/// A time is a date (its first moment) or a time of day in the user's zone (2026-11-21, 2026-11-21T20:30), RFC 3339 with a
/// zone of its own (2026-11-21T20:30:00Z), or an age (30m, 24h, 7d).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longplay plays alice
  longplay plays alice --since 2026-01-01 --until 2026-02-01 --limit 100000 --format csv > january.csv
  longplay plays alice --follow")]
pub struct Plays {
    /// The user
    user: UserName,
    /// Not older than this
    #[arg(long, value_name = "T")]
    since: Option<Moment>,
    /// Older than this
    #[arg(long, value_name = "T")]
    until: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
    /// How to write them; table where it is absent
    #[arg(long)]
    format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Oldest first, and go on as plays come in
    #[arg(long, conflicts_with = "until")]
    follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
}

impl Plays {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let format = match self.json {
            true => Format::Json,
            false => self.format.unwrap_or(Format::Table),
        };
        if self.follow {
            return self.followed(place, format).await;
        }
        if format == Format::Table && self.limit > MOST {
            let cure = "use --format jsonl, json or csv";
            return Err(CliError::usage(format!("a table has {MOST} plays at most: {cure}")));
        }
        let client = connect(place, Needs::Store).await?;
        let (mut query, mut left, mut first) = (self.query(), self.limit, true);
        loop {
            query.limit = Some(left.min(MOST));
            let (plays, next) = client.page_of_plays(&self.user, &query).await?;
            left -= i64::try_from(plays.len()).unwrap_or(left);
            let next = next.filter(|_| left > 0);
            match format {
                Format::Table if plays.is_empty() => note(&format!("no plays of {}", self.user)),
                Format::Table => print(&rendered(&plays, to_the_second))?,
                Format::Json => print(&json_items(&plays, first, next.is_none())?)?,
                Format::Jsonl => print(&json_lines(&plays)?)?,
                Format::Csv => print(&csv(&plays, first)?)?,
            }
            if next.is_none() {
                return Ok(Exit::Done);
            }
            (query.before, first) = (next, false);
        }
    }

    fn query(&self) -> PlaysQuery {
        let limit = Some(self.limit.min(MOST));
        PlaysQuery { since: self.since, until: self.until, limit, ..PlaysQuery::default() }
    }

    /// Never ends by itself.
    async fn followed(self, place: &Place, format: Format) -> Result<Exit, CliError> {
        if format == Format::Json {
            return Err(CliError::usage("--follow has no end, as a JSON list must: use --format jsonl"));
        }
        let client = connect(place, Needs::Daemon).await?;
        let mut seen = Seen::default();
        // What is late of what is in the archive already is not news.
        let recent = all_since(SystemClock.now() - LATE);
        seen.new_ones(client.plays(&self.user, &recent).await?);
        let mut plays = client.plays(&self.user, &self.query()).await?;
        plays.reverse();
        seen.new_ones(plays.clone());
        let mut first = true;
        loop {
            if first || !plays.is_empty() {
                print(&match format {
                    Format::Csv => csv(&plays, first)?,
                    Format::Jsonl => json_lines(&plays)?,
                    Format::Table | Format::Json => lines(&plays, to_the_second),
                })?;
            }
            first = false;
            SystemClock.sleep(LOOK_EVERY).await;
            plays = seen.new_ones(client.plays(&self.user, &all_since(seen.since())).await?);
        }
    }
}

/// Everything since then.
fn all_since(since: Timestamp) -> PlaysQuery {
    PlaysQuery { since: Some(Moment::At(since)), limit: Some(MOST), ..PlaysQuery::default() }
}

/// Which plays were printed, as far back as late ones are looked for.
#[derive(Default)]
struct Seen {
    newest: Timestamp,
    plays: HashSet<(Timestamp, String)>,
}

impl Seen {
    /// Those that were not seen before, oldest first. They are seen from now on.
    fn new_ones(&mut self, plays: Vec<StoredPlay>) -> Vec<StoredPlay> {
        let key = |play: &StoredPlay| {
            (play.played_at, play.track_uri.clone().unwrap_or_else(|| play.track.clone()))
        };
        let mut new: Vec<_> = plays.into_iter().filter(|play| self.plays.insert(key(play))).collect();
        new.sort_by_key(|play| play.played_at);
        if let Some(last) = new.last() {
            self.newest = self.newest.max(last.played_at);
        }
        let since = self.since();
        self.plays.retain(|(at, _)| *at >= since);
        new
    }

    fn since(&self) -> Timestamp {
        self.newest - LATE
    }
}

fn rendered(plays: &[StoredPlay], show: Show) -> String {
    let row = |play: &StoredPlay| {
        vec![
            show(play.played_at).into(),
            (&play.track).into(),
            play.artists.join(", ").into(),
            play.album.as_deref().unwrap_or("-").into(),
        ]
    };
    let columns = [text("PLAYED"), text("TRACK"), text("ARTISTS"), text("ALBUM")];
    table::render(&columns, &plays.iter().map(row).collect::<Vec<_>>(), false)
}

/// Without columns, whose widths can't be known while plays still come in.
fn lines(plays: &[StoredPlay], show: Show) -> String {
    let line = |play: &StoredPlay| {
        let text = format!("{}  {} - {}", show(play.played_at), play.artists.join(", "), play.track);
        super::output::plain(&text) + "\n"
    };
    plays.iter().map(line).collect()
}

/// A part of a JSON list, as people read it: with its beginning, its end, or both.
fn json_items(plays: &[StoredPlay], first: bool, last: bool) -> Result<String, CliError> {
    let mut text = String::new();
    for (n, play) in plays.iter().enumerate() {
        text.push_str(if first && n == 0 { "[\n" } else { ",\n" });
        let item = serde_json::to_string_pretty(play).map_err(std::io::Error::from)?;
        text.push_str("  ");
        text.push_str(&item.replace('\n', "\n  "));
    }
    if last {
        text.push_str(if first && plays.is_empty() { "[]\n" } else { "\n]\n" });
    }
    Ok(text)
}

fn json_lines(plays: &[StoredPlay]) -> Result<String, CliError> {
    let mut text = String::new();
    for play in plays {
        text.push_str(&serde_json::to_string(play).map_err(std::io::Error::from)?);
        text.push('\n');
    }
    Ok(text)
}

/// Comma-separated (RFC 4180, but for bare line feeds); several artists are joined with "; ".
fn csv(plays: &[StoredPlay], header: bool) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| CliError::failed(format!("writing CSV: {e}"));
    if header {
        writer.write_record(StoredPlay::COLUMNS).map_err(failed)?;
    }
    for play in plays {
        writer.write_record(play.cells(play.artists.join("; "))).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| CliError::failed(format!("writing CSV: {e}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Source;

    fn play(at: i64, track: &str) -> StoredPlay {
        StoredPlay {
            played_at: Timestamp::from_millis(at),
            track: track.to_owned(),
            artists: vec!["Ann".to_owned(), "Bob, Jr.".to_owned()],
            album: None,
            track_uri: Some(format!("spotify:track:{track}")),
            isrc: None,
            duration_ms: Some(1000),
            context_uri: None,
            source: Source::Api,
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_play() {
        let table = rendered(&[play(1, "One\x1b[2J")], |t| t.as_millis().to_string());
        assert_eq!(table, "PLAYED  TRACK    ARTISTS        ALBUM\n1       One [2J  Ann, Bob, Jr.  -\n");
    }

    #[test]
    fn csv_quotes_what_needs_it_and_has_one_header() {
        let text = csv(&[play(1, "One \"1\"")], true).unwrap();
        assert_eq!(
            text,
            "played_at,track,artists,album,track_uri,isrc,duration_ms,context_uri,source\n\
             1970-01-01T00:00:00.001Z,\"One \"\"1\"\"\",\"Ann; Bob, Jr.\",,\"spotify:track:One \"\"1\"\"\",,1000,,api\n"
        );
        assert_eq!(csv(&[play(1, "One")], false).unwrap().lines().count(), 1);
        assert_eq!(csv(&[], true).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_json_list_in_parts_is_the_list_as_it_is_printed_whole() {
        let plays: Vec<StoredPlay> = (0..3).map(|at| play(at, "One")).collect();
        let whole = serde_json::to_string_pretty(&plays).unwrap() + "\n";
        assert_eq!(json_items(&plays, true, true).unwrap(), whole);
        let parts = [
            json_items(&plays[..2], true, false).unwrap(),
            json_items(&plays[2..], false, false).unwrap(),
            json_items(&[], false, true).unwrap(),
        ];
        assert_eq!(parts.concat(), whole);
        assert_eq!(json_items(&[], true, true).unwrap(), "[]\n");
    }

    #[test]
    fn json_lines_have_the_fields_that_scripts_rely_on() {
        assert_eq!(
            json_lines(&[play(1, "One")]).unwrap(),
            "{\"played_at\":\"1970-01-01T00:00:00.001Z\",\"track\":\"One\",\"artists\":[\"Ann\",\"Bob, Jr.\"],\
             \"album\":null,\"track_uri\":\"spotify:track:One\",\"isrc\":null,\"duration_ms\":1000,\
             \"context_uri\":null,\"source\":\"api\"}\n"
        );
    }

    #[test]
    fn a_follower_sees_each_play_once_late_ones_too() {
        let day = 86_400_000;
        let mut seen = Seen::default();
        let mut new = |plays| -> Vec<i64> {
            seen.new_ones(plays).iter().map(|play| play.played_at.as_millis()).collect()
        };
        assert_eq!(new(vec![play(9 * day, "b"), play(8 * day + 5, "a")]), [8 * day + 5, 9 * day]);
        assert_eq!(
            new(vec![play(9 * day, "b"), play(9 * day - 1, "late"), play(9 * day, "c")]),
            [9 * day - 1, 9 * day,]
        );
        assert_eq!(new(vec![play(9 * day, "c"), play(8 * day + 5, "a")]), Vec::<i64>::new());
        assert_eq!(new(vec![play(11 * day, "d")]), [11 * day]);
        assert_eq!(seen.plays.len(), 1);
        assert_eq!(seen.since().as_millis(), 10 * day);
    }
}
