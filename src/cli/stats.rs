//! `longplay stats`: when a user listened.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{Datelike as _, NaiveDate};
use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{note, print, print_json};
use crate::config::Place;
use crate::control::api::StatsQuery;
use crate::domain::{Coverage, Range, Stats, UserName};

/// How wide the longest bar is: a line fits into 80 columns.
const WIDEST: usize = 42;
/// How many days are shown one by one; of more there are months, and of many months years.
const DAYS: i64 = 31;
const MONTHS: i64 = 24;

/// Show when a user listened: plays and minutes by day, hour and weekday
///
/// Days and hours are of the user's zone, and a play is of the moment at which it ended. Of plays that Spotify's API has
/// told, the length of the track counts, even if it was cut short: such minutes are the most that can have been.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longplay stats alice
  longplay stats alice --range 4w
  longplay stats alice --range all --json")]
pub struct StatsOf {
    /// The user
    user: UserName,
    /// Over which time until now: 4w, 6mo, 1y or all, in calendar months and years of the user's zone
    #[arg(long, default_value = "all")]
    range: Range,
    /// Print JSON: {"timezone", "since", "first_played_at", "plays", "ms_played", "coverage", "days": [{"day", "plays",
    /// "ms_played"}], "hours": [{"hour", ...}], "weekdays": [{"weekday", ...}]}
    #[arg(long)]
    json: bool,
}

impl StatsOf {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let query = StatsQuery { range: Some(self.range) };
        let stats = connect(place, Needs::Store).await?.stats(&self.user, &query).await?;
        match self.json {
            true => print_json(&stats)?,
            false if stats.plays == 0 => {
                note(&format!("no plays of {} in that time: try a longer --range", self.user));
            }
            false => print(&rendered(&stats))?,
        }
        Ok(Exit::Done)
    }
}

/// Whole minutes.
pub fn minutes(ms: i64) -> String {
    (ms / 60_000).to_string()
}

/// "99.97 % of 2027, 2 gaps": never more than there is.
fn coverage(of: &Coverage) -> String {
    let hundredths = (of.covered * 10_000.0).floor() / 100.0;
    let gaps = match of.gaps {
        0 => "no gaps".to_owned(),
        1 => format!("1 gap, {} plays at most", of.at_most),
        gaps => format!("{gaps} gaps, {} plays at most", of.at_most),
    };
    format!("archived: {hundredths:.2} % of {}, {gaps}", of.year)
}

/// A line of a chart.
struct Line {
    name: String,
    plays: i64,
    ms: i64,
}

fn rendered(stats: &Stats) -> String {
    let mut text = String::new();
    let listened: i64 = stats.ms_played / 3_600_000;
    let days = stats.days.len();
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "{} plays, {} minutes ({listened} h), on {days} days; times of {}",
        stats.plays,
        minutes(stats.ms_played),
        stats.timezone
    );
    for year in &stats.coverage {
        let _ = writeln!(text, "{}", coverage(year));
    }
    let (title, lines) = by_date(stats);
    chart(&mut text, title, &lines);
    let hour = |hour: &crate::domain::HourStats| Line {
        name: format!("{:02}", hour.hour),
        plays: hour.plays,
        ms: hour.ms_played,
    };
    chart(&mut text, "HOUR", &stats.hours.iter().map(hour).collect::<Vec<_>>());
    let weekday = |day: &crate::domain::WeekdayStats| Line {
        name: day.weekday.chars().take(3).collect(),
        plays: day.plays,
        ms: day.ms_played,
    };
    chart(&mut text, "WEEKDAY", &stats.weekdays.iter().map(weekday).collect::<Vec<_>>());
    text
}

/// By day, or by month or year where that is too long; those without plays in between too.
fn by_date(stats: &Stats) -> (&'static str, Vec<Line>) {
    let (Some(first), Some(last)) = (stats.days.first(), stats.days.last()) else {
        return ("DAY", Vec::new());
    };
    let (first, last) = (first.day, last.day);
    let month = |day: NaiveDate| i64::from(day.year()) * 12 + i64::from(day.month0());
    let days = last.signed_duration_since(first).num_days();
    type Key = fn(NaiveDate) -> String;
    let (title, key): (_, Key) = if days < DAYS {
        ("DAY", |day| day.format("%Y-%m-%d %a").to_string())
    } else if month(last) - month(first) < MONTHS {
        ("MONTH", |day| day.format("%Y-%m").to_string())
    } else {
        ("YEAR", |day| day.format("%Y").to_string())
    };
    let mut lines: BTreeMap<String, (i64, i64)> =
        first.iter_days().take_while(|day| *day <= last).map(|day| (key(day), (0, 0))).collect();
    for day in &stats.days {
        let (plays, ms) = lines.entry(key(day.day)).or_default();
        (*plays, *ms) = (*plays + day.plays, *ms + day.ms_played);
    }
    (title, lines.into_iter().map(|(name, (plays, ms))| Line { name, plays, ms }).collect())
}

/// A table with a bar of the plays on each line.
fn chart(text: &mut String, title: &str, lines: &[Line]) {
    let most = lines.iter().map(|line| line.plays).max().unwrap_or(0).max(1);
    let width = lines.iter().map(|line| line.name.len()).chain([title.len()]).max().unwrap_or(0);
    let _ = writeln!(text, "\n{title:<width$}  {:>8} {:>9}", "PLAYS", "MINUTES");
    for line in lines {
        let wide = usize::try_from(line.plays).unwrap_or(0) * WIDEST / usize::try_from(most).unwrap_or(1);
        // Whoever listened at all is seen.
        let wide = wide.max(usize::from(line.plays > 0));
        let (name, plays, minutes, bar) = (&line.name, line.plays, minutes(line.ms), "#".repeat(wide));
        let row = format!("{name:<width$}  {plays:>8} {minutes:>9}  {bar}");
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::domain::{Counted, Listening};

    fn stats(days: &[(i64, i64)]) -> Stats {
        let day = |(at, plays): &(i64, i64)| Counted { at: *at, plays: *plays, ms: plays * 200_000 };
        let plays = days.iter().map(|(_, plays)| plays).sum();
        let hours = vec![Counted { at: 8, plays, ms: plays * 200_000 }];
        Stats::of(&Listening { days: days.iter().map(day).collect(), hours }, Tz::UTC, None, None)
    }

    #[test]
    fn a_line_fits_into_eighty_columns_however_much_was_heard() {
        for days in
            [vec![(20_000, 9_999_999)], vec![(20_000, 1), (20_030, 3)], vec![(15_000, 500_000), (20_000, 1)]]
        {
            let text = rendered(&stats(&days));
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_part_of_the_most_and_never_nothing_for_something() {
        let text = rendered(&stats(&[(20_000, 96), (20_002, 48), (20_003, 1)]));
        let bars: Vec<(usize, bool)> = text
            .lines()
            .filter(|line| line.starts_with("2024-10-"))
            .map(|line| (line.matches('#').count(), line.contains(" 0 ")))
            .collect();
        assert_eq!(bars, [(42, false), (0, true), (21, false), (1, false)], "{text}");
        assert!(text.starts_with("145 plays, 483 minutes (8 h), on 3 days; times of UTC\n"), "{text}");
    }

    #[test]
    fn many_days_are_shown_by_month_and_many_months_by_year() {
        let titles = |days: &[(i64, i64)]| by_date(&stats(days)).0;
        assert_eq!(titles(&[(20_000, 1), (20_030, 1)]), "DAY");
        assert_eq!(titles(&[(20_000, 1), (20_031, 1)]), "MONTH");
        assert_eq!(titles(&[(20_000, 1), (20_000 + 800, 1)]), "YEAR");
        let (_, lines) = by_date(&stats(&[(20_000, 1), (20_100, 2)]));
        let names: Vec<(&str, i64)> = lines.iter().map(|line| (&*line.name, line.plays)).collect();
        assert_eq!(names, [("2024-10", 1), ("2024-11", 0), ("2024-12", 0), ("2025-01", 2)]);
    }
}
