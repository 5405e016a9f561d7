//! Whether plays may be missing between a page and what was stored before it, and why. Spotify shows the last 50 plays:
//! a full page that nothing in the archive overlaps leaves a stretch of which nobody knows. Pure.

use std::time::Duration;

use crate::domain::piece::SHORTEST_MS;
use crate::domain::{Gap, GapCause, RunResult, Timestamp};

/// How many plays Spotify shows at most.
const FULL_PAGE: usize = 50;
/// By how much Spotify's clock and this one may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(120);
/// How late a run may be without anything being wrong.
const SLACK: Duration = Duration::from_secs(15 * 60);

/// What is known when a page was fetched and looked up in the archive.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// How many items the page had, the unreadable ones included.
    pub items: usize,
    /// The oldest play on it; `None` where no item could be read.
    pub oldest: Option<Timestamp>,
    /// How many of its plays the archive had before.
    pub already_stored: usize,
    /// The newest play from the API that the archive had before; `None`: no page showed one.
    pub newest_stored: Option<Timestamp>,
    /// How the runs since the last one that archived ended; `None`: the daemon died in it.
    pub runs_since: &'a [Option<RunResult>],
    /// When a call of the app was last refused for the day's quota.
    pub quota_spent_at: Option<Timestamp>,
    /// When the user was last archived.
    pub last_archived_at: Option<Timestamp>,
    /// The longest time that the user's schedule leaves between two runs; adaptive: `max_interval`.
    pub longest_pause: Duration,
    /// When the page was fetched.
    pub now: Timestamp,
}

/// The stretch before the page in which plays may be missing, if there is one.
///
/// A page that is not full is all that Spotify has, and one that holds a play of the archive joins on to it. Of a page
/// without a single readable play nothing is said: the next one is compared with the same archive. What was heard before
/// the first page of all is nobody's loss; a page that showed nothing is a page too.
pub fn gap_before(facts: &Facts<'_>) -> Option<Gap> {
    if facts.items < FULL_PAGE || facts.already_stored > 0 {
        return None;
    }
    let (from, to) = (facts.newest_stored.or(facts.last_archived_at)?, facts.oldest?);
    if from >= to {
        return None;
    }
    let stretch_ms = to.as_millis().saturating_sub(from.as_millis());
    Some(Gap { from, to, cause: cause(facts), at_most: (stretch_ms / SHORTEST_MS).max(1), closed_at: None })
}

/// The most telling of what went wrong since the last run that archived. A run that was cut off says only that the
/// daemon was not there.
fn cause(facts: &Facts<'_>) -> GapCause {
    let by_weight = [
        (RunResult::NeedsLogin, GapCause::LoginDead),
        (RunResult::RateLimited, GapCause::RateLimited),
        (RunResult::Blocked, GapCause::Blocked),
        (RunResult::StoreError, GapCause::StoreError),
        (RunResult::Unreachable, GapCause::Unreachable),
        (RunResult::BadAnswer, GapCause::Unreachable),
    ];
    let seen = |result| facts.runs_since.contains(&Some(result));
    if let Some((_, cause)) = by_weight.into_iter().find(|(result, _)| seen(*result)) {
        let spent = facts.quota_spent_at >= facts.last_archived_at && facts.quota_spent_at.is_some();
        return if spent && cause == GapCause::RateLimited { GapCause::Quota } else { cause };
    }
    let cut_off = |run: &Option<RunResult>| matches!(run, None | Some(RunResult::Cancelled));
    let overdue = |last: Timestamp| facts.now.since(last) > facts.longest_pause.saturating_add(SLACK);
    if facts.runs_since.iter().all(cut_off) && facts.last_archived_at.is_none_or(overdue) {
        return GapCause::DaemonDown;
    }
    // What was made before the last look was not shown then.
    let late = |last: Timestamp| facts.oldest.is_some_and(|oldest| oldest + CLOCKS_DIFFER < last);
    if facts.last_archived_at.is_some_and(late) { GapCause::SpotifyLate } else { GapCause::ListenedTooFast }
}

/// Those of the gaps on record that a page shows to be whole: it reaches from what was known before one to what was known
/// after it, so that whatever Spotify has of it is archived now. What could not be read is told of elsewhere.
pub fn filled(played: &[Timestamp], known: &[Gap], now: Timestamp) -> Vec<Gap> {
    let (Some(oldest), Some(newest)) = (played.iter().min(), played.iter().max()) else { return Vec::new() };
    let shown = |gap: &&Gap| gap.cause != GapCause::Unreadable && *oldest <= gap.from && gap.to <= *newest;
    let open = known.iter().filter(|gap| gap.closed_at.is_none());
    open.filter(shown).map(|gap| Gap { closed_at: Some(now), ..gap.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// A full page of new plays an hour after the newest stored one, two hours after the last run.
    fn disjoint() -> Facts<'static> {
        Facts {
            items: 50,
            oldest: Some(at(11 * HOUR)),
            already_stored: 0,
            newest_stored: Some(at(10 * HOUR)),
            runs_since: &[],
            quota_spent_at: None,
            last_archived_at: Some(at(10 * HOUR)),
            longest_pause: Duration::from_secs(3 * 3600),
            now: at(12 * HOUR),
        }
    }

    #[test]
    fn before_the_first_page_nothing_is_missing_but_after_an_empty_one() {
        let first = Facts { newest_stored: None, last_archived_at: None, ..disjoint() };
        assert_eq!(gap_before(&first), None);
        let after_nothing = Facts { newest_stored: None, ..disjoint() };
        let gap = gap_before(&after_nothing).map(|gap| (gap.from, gap.to));
        assert_eq!(gap, Some((at(10 * HOUR), at(11 * HOUR))));
    }

    #[test]
    fn a_full_page_that_nothing_overlaps_leaves_a_gap() {
        let expected = Gap {
            from: at(10 * HOUR),
            to: at(11 * HOUR),
            cause: GapCause::ListenedTooFast,
            at_most: 120,
            closed_at: None,
        };
        assert_eq!(gap_before(&disjoint()), Some(expected));
    }

    #[test]
    fn there_is_no_gap_where_nothing_can_be_missing() {
        let whole = disjoint();
        let oldest = |millis| Some(at(millis));
        let table = [
            ("a page that is not full", Facts { items: 49, ..whole }),
            ("an empty page", Facts { items: 0, oldest: None, ..whole }),
            ("a page with one play of the archive", Facts { already_stored: 1, ..whole }),
            ("a page of the archive", Facts { already_stored: 50, ..whole }),
            ("the first page", Facts { newest_stored: None, last_archived_at: None, ..whole }),
            ("a page that reaches back to the archive", Facts { oldest: oldest(10 * HOUR), ..whole }),
            ("a page that reaches beyond it", Facts { oldest: oldest(10 * HOUR - 1), ..whole }),
            ("a full page that cannot be read", Facts { oldest: None, ..whole }),
        ];
        for (what, facts) in table {
            assert_eq!(gap_before(&facts), None, "{what}");
        }
    }

    #[test]
    fn a_gap_counts_the_plays_that_fit_in_at_thirty_seconds() {
        for (millis, at_most) in
            [(1, 1), (29_999, 1), (59_999, 1), (60_000, 2), (HOUR, 120), (24 * HOUR, 2880)]
        {
            let gap = gap_before(&Facts { oldest: Some(at(10 * HOUR + millis)), ..disjoint() }).unwrap();
            assert_eq!(gap.at_most, at_most, "{millis} ms");
        }
    }

    #[test]
    fn the_cause_is_the_most_telling_of_the_failed_runs() {
        use RunResult::*;
        let table: [(&[Option<RunResult>], GapCause); 12] = [
            (&[Some(NeedsLogin)], GapCause::LoginDead),
            (&[Some(RateLimited)], GapCause::RateLimited),
            (&[Some(Blocked)], GapCause::Blocked),
            (&[Some(StoreError)], GapCause::StoreError),
            (&[Some(Unreachable)], GapCause::Unreachable),
            (&[Some(BadAnswer)], GapCause::Unreachable),
            (
                &[Some(BadAnswer), Some(StoreError), Some(Blocked), Some(RateLimited), Some(NeedsLogin)],
                GapCause::LoginDead,
            ),
            (&[Some(BadAnswer), Some(StoreError), Some(Blocked), Some(RateLimited)], GapCause::RateLimited),
            (&[Some(Unreachable), Some(StoreError), Some(Blocked)], GapCause::Blocked),
            (&[Some(Unreachable), Some(StoreError)], GapCause::StoreError),
            (&[None, Some(Unreachable), Some(Cancelled)], GapCause::Unreachable),
            (&[None, Some(Cancelled)], GapCause::ListenedTooFast),
        ];
        for (runs_since, cause) in table {
            assert_eq!(
                gap_before(&Facts { runs_since, ..disjoint() }).unwrap().cause,
                cause,
                "{runs_since:?}"
            );
        }
    }

    #[test]
    fn without_a_run_for_longer_than_the_schedule_leaves_the_daemon_was_down() {
        let (down, fast) = (GapCause::DaemonDown, GapCause::ListenedTooFast);
        let after = at(10 * HOUR);
        let late = after + Duration::from_secs(3 * 3600) + SLACK;
        let later = late.offset_millis(1);
        let day = Duration::from_secs(86_400);
        let whole = disjoint();
        let table = [
            (Facts { now: late, ..whole }, fast),
            (Facts { now: later, ..whole }, down),
            (Facts { now: later, longest_pause: day, ..whole }, fast),
            (Facts { now: later, longest_pause: Duration::MAX, ..whole }, fast),
            (Facts { now: later, runs_since: &[None, Some(RunResult::Cancelled)], ..whole }, down),
            (
                Facts { now: later, runs_since: &[None, Some(RunResult::StoreError)], ..whole },
                GapCause::StoreError,
            ),
            (Facts { now: later, runs_since: &[Some(RunResult::Ok)], ..whole }, fast),
            (Facts { last_archived_at: None, ..whole }, down),
            (Facts { now: at(0), ..whole }, fast),
        ];
        for (facts, cause) in table {
            assert_eq!(gap_before(&facts).unwrap().cause, cause, "{facts:?}");
        }
    }

    #[test]
    fn a_limit_is_the_quotas_where_that_was_spent_since_the_last_page() {
        let limited = Facts { runs_since: &[Some(RunResult::RateLimited)], ..disjoint() };
        let last = disjoint().last_archived_at.unwrap();
        for (spent, cause) in [
            (None, GapCause::RateLimited),
            (Some(last.offset_millis(-1)), GapCause::RateLimited),
            (Some(last), GapCause::Quota),
            (Some(last + SLACK), GapCause::Quota),
        ] {
            let gap = gap_before(&Facts { quota_spent_at: spent, ..limited }).unwrap();
            assert_eq!(gap.cause, cause, "{spent:?}");
        }
        let other =
            Facts { quota_spent_at: Some(last), runs_since: &[Some(RunResult::Blocked)], ..disjoint() };
        assert_eq!(gap_before(&other).unwrap().cause, GapCause::Blocked);
    }

    #[test]
    fn plays_that_were_made_before_the_last_look_came_late() {
        let oldest = disjoint().oldest.unwrap();
        for (last, cause) in [
            (oldest, GapCause::ListenedTooFast),
            (oldest + CLOCKS_DIFFER, GapCause::ListenedTooFast),
            (oldest + CLOCKS_DIFFER + Duration::from_millis(1), GapCause::SpotifyLate),
        ] {
            let gap = gap_before(&Facts { last_archived_at: Some(last), ..disjoint() }).unwrap();
            assert_eq!(gap.cause, cause, "{last}");
        }
    }

    #[test]
    fn a_gap_is_filled_by_a_page_that_shows_all_of_it() {
        let gap = |from: i64, to: i64, cause| Gap {
            from: at(from * HOUR),
            to: at(to * HOUR),
            cause,
            at_most: 9,
            closed_at: None,
        };
        let known = [
            gap(2, 4, GapCause::ListenedTooFast),
            gap(3, 6, GapCause::Quota),
            gap(1, 3, GapCause::DaemonDown),
            gap(5, 7, GapCause::DaemonDown),
            gap(3, 4, GapCause::Unreadable),
            Gap { closed_at: Some(at(0)), ..gap(3, 4, GapCause::LoginDead) },
        ];
        let page = [6, 5, 3, 2].map(|hours| at(hours * HOUR));
        let now = at(8 * HOUR);
        let closed = |gap: Gap| Gap { closed_at: Some(now), ..gap };
        assert_eq!(filled(&page, &known, now), [closed(known[0].clone()), closed(known[1].clone())]);
        assert_eq!(filled(&[], &known, now), []);
    }

    proptest! {
        #[test]
        fn a_gap_lies_between_the_archive_and_the_page(
            items in 0usize..60,
            oldest in any::<Option<i64>>(),
            already_stored in 0usize..3,
            newest_stored in any::<Option<i64>>(),
            last in any::<Option<i64>>(),
            now in any::<i64>(),
        ) {
            let (oldest, newest_stored, last_archived_at) = (oldest.map(at), newest_stored.map(at), last.map(at));
            let facts = Facts { items, oldest, already_stored, newest_stored, last_archived_at, now: at(now), ..disjoint() };
            if let Some(gap) = gap_before(&facts) {
                prop_assert!(items >= 50 && already_stored == 0);
                prop_assert_eq!((Some(gap.from), Some(gap.to)), (newest_stored.or(last_archived_at), oldest));
                prop_assert!(gap.from < gap.to && gap.at_most >= 1);
            }
        }
    }
}
