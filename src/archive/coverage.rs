//! How much of each year is archived without a gap. Pure.

use chrono::{Datelike as _, TimeZone as _};
use chrono_tz::Tz;

use crate::domain::{Coverage, Gap, Timestamp};

/// For each year of the user's zone from the oldest play that Spotify showed to when the user was last archived, the
/// newest first: the part of that time in which no open gap lies. Gaps that overlap count once; one over New Year counts in both.
pub fn by_year(oldest: Timestamp, archived: Timestamp, gaps: &[Gap], zone: Tz) -> Vec<Coverage> {
    if archived <= oldest {
        return Vec::new();
    }
    let mut open: Vec<&Gap> = gaps.iter().filter(|gap| gap.closed_at.is_none()).collect();
    open.sort_unstable_by_key(|gap| gap.from);
    let year_of = |at: Timestamp| at.utc().with_timezone(&zone).year();
    let years = (year_of(oldest)..=year_of(archived)).rev();
    years.filter_map(|year| of_year(year, oldest, archived, &open, zone)).collect()
}

fn of_year(year: i32, oldest: Timestamp, archived: Timestamp, open: &[&Gap], zone: Tz) -> Option<Coverage> {
    let (from, to) = (new_year(year, zone)?.max(oldest), new_year(year + 1, zone)?.min(archived));
    let whole = length(from, to);
    let (mut missing, mut gaps, mut at_most, mut reached) = (0, 0, 0_i64, from);
    for gap in open.iter().filter(|gap| gap.from < to && gap.to >= from) {
        missing += length(gap.from.max(reached), gap.to.min(to));
        reached = reached.max(gap.to.min(to));
        (gaps, at_most) = (gaps + 1, at_most.saturating_add(gap.at_most));
    }
    let covered = (whole > 0).then(|| (whole - missing) as f64 / whole as f64)?;
    Some(Coverage { year, covered, gaps, at_most })
}

/// The first moment of a year; where clocks skip it, the first that there is.
fn new_year(year: i32, zone: Tz) -> Option<Timestamp> {
    let midnight = (0..24).find_map(|hour| zone.with_ymd_and_hms(year, 1, 1, hour, 0, 0).earliest())?;
    Some(Timestamp::from_millis(midnight.timestamp_millis()))
}

fn length(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millis().saturating_sub(from.as_millis()).max(0)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Berlin;
    use chrono_tz::UTC;

    use super::*;
    use crate::domain::GapCause;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(&format!("{text}:00Z")).unwrap()
    }

    fn gap(from: &str, to: &str) -> Gap {
        Gap { from: at(from), to: at(to), cause: GapCause::DaemonDown, at_most: 10, closed_at: None }
    }

    /// Of 100 days, from 2027-12-02 to 2028-03-11.
    fn hundred_days(gaps: &[Gap]) -> Vec<(i32, f64, u64, i64)> {
        let years = by_year(at("2027-12-02T00:00"), at("2028-03-11T00:00"), gaps, UTC);
        years.iter().map(|year| (year.year, year.covered, year.gaps, year.at_most)).collect()
    }

    #[test]
    fn a_year_without_gaps_is_whole() {
        assert_eq!(hundred_days(&[]), [(2028, 1.0, 0, 0), (2027, 1.0, 0, 0)]);
        let closed =
            Gap { closed_at: Some(at("2028-03-01T00:00")), ..gap("2028-01-02T00:00", "2028-01-03T00:00") };
        assert_eq!(hundred_days(&[closed])[0], (2028, 1.0, 0, 0));
    }

    #[test]
    fn a_gap_counts_in_each_year_that_it_touches() {
        let over_new_year = gap("2027-12-30T00:00", "2028-01-08T00:00");
        assert_eq!(hundred_days(&[over_new_year]), [(2028, 0.9, 1, 10), (2027, 28.0 / 30.0, 1, 10)]);
    }

    #[test]
    fn gaps_that_overlap_count_once_as_time() {
        let gaps = [
            gap("2028-02-05T00:00", "2028-02-08T00:00"),
            gap("2028-02-01T00:00", "2028-02-06T00:00"),
            gap("2028-02-02T00:00", "2028-02-03T00:00"),
            gap("2028-02-09T00:00", "2028-02-09T00:00"),
        ];
        assert_eq!(hundred_days(&gaps)[0], (2028, 0.9, 4, 40));
    }

    #[test]
    fn a_gap_before_the_first_play_or_after_the_last_page_is_no_loss() {
        let gaps = [gap("2027-11-01T00:00", "2027-12-01T00:00"), gap("2028-03-12T00:00", "2028-03-13T00:00")];
        assert_eq!(hundred_days(&gaps), [(2028, 1.0, 0, 0), (2027, 1.0, 0, 0)]);
    }

    #[test]
    fn years_are_the_users_own() {
        let (from, to) = (at("2027-12-31T22:30"), at("2027-12-31T23:30"));
        let years = |zone| by_year(from, to, &[], zone).iter().map(|year| year.year).collect::<Vec<_>>();
        assert_eq!((years(Berlin), years(UTC)), (vec![2028, 2027], vec![2027]));
        assert_eq!(by_year(from, from, &[], UTC), []);
    }
}
