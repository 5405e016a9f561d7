use proptest::prelude::*;

use super::*;
use crate::domain::Track;
use Item::{Play as Read, Timed, Timeless};

const NOW: i64 = 1000;

/// An item of a page, with the minute it was played where that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Play(i64),
    Timed(i64),
    Timeless,
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * 60_000)
}

fn gap(from: i64, to: i64, at_most: i64) -> Gap {
    Gap { from: at(from), to: at(to), cause: GapCause::Unreadable, at_most, closed_at: None }
}

fn closed(gap: Gap, minute: i64) -> Gap {
    Gap { closed_at: Some(at(minute)), ..gap }
}

/// An archive with its plays and gaps.
#[derive(Debug, Default)]
struct Archive {
    plays: Vec<Timestamp>,
    gaps: Vec<Gap>,
}

impl Archive {
    fn with(plays: &[i64], gaps: &[Gap]) -> Self {
        Self { plays: plays.iter().map(|minute| at(*minute)).collect(), gaps: gaps.to_vec() }
    }

    /// Stores a page, newest first, as a run does at that minute; what it changed of the gaps.
    fn see(&mut self, page: &[Item], now: i64) -> Vec<Gap> {
        let (mut plays, mut unreadable) = (Vec::new(), Vec::new());
        for item in page {
            let played_at = match *item {
                Read(minute) => {
                    let track = Track {
                        uri: None,
                        name: "T".to_owned(),
                        artists: vec![],
                        album: None,
                        isrc: None,
                        duration_ms: None,
                    };
                    plays.push(Play { played_at: at(minute), track, context_uri: None });
                    continue;
                }
                Timed(minute) => Some(at(minute)),
                Timeless => None,
            };
            unreadable.push(Unreadable { follows: plays.len(), played_at, why: String::new() });
        }
        let page = crate::spotify::Page { plays, unreadable };
        let oldest = page.oldest().unwrap_or(Timestamp::MAX);
        let (stored, before): (Vec<_>, Vec<_>) = self.plays.iter().copied().partition(|at| *at >= oldest);
        let before = before.into_iter().max();
        let known: Vec<_> =
            self.gaps.iter().filter(|gap| before.is_none_or(|before| gap.to >= before)).cloned().collect();
        let (plays, unreadable) = (&page.plays, &page.unreadable);
        let facts = Facts { plays, unreadable, before, stored: &stored, known: &known, now: at(now) };
        let changed = gaps(&facts);
        for gap in &changed {
            let same = |known: &Gap| (known.from, known.to, known.cause) == (gap.from, gap.to, gap.cause);
            self.gaps.retain(|known| !same(known));
            self.gaps.push(gap.clone());
        }
        let new = plays.iter().map(|play| play.played_at);
        self.plays.extend(new.filter(|at| !stored.contains(at)).collect::<Vec<_>>());
        changed
    }

    fn open(&self) -> Vec<Gap> {
        self.gaps.iter().filter(|gap| gap.closed_at.is_none()).cloned().collect()
    }
}

#[test]
fn a_gap_lies_where_the_item_was_played_or_between_its_neighbours() {
    let just_now = Gap { from: at(NOW).offset_millis(-1), ..gap(NOW, NOW, 2) };
    type Row<'a> = (&'a str, &'a [i64], &'a [Item], &'a [Gap]);
    let table: [Row<'_>; 13] = [
        ("nothing unreadable", &[], &[Read(30), Read(20)], &[]),
        ("an empty page", &[5], &[], &[]),
        ("a time of its own", &[], &[Read(30), Timed(25), Read(20)], &[gap(25, 25, 1)]),
        ("two times of their own", &[], &[Timed(26), Timed(25)], &[gap(26, 26, 1), gap(25, 25, 1)]),
        ("the same time twice", &[], &[Timed(25), Timed(25)], &[gap(25, 25, 2)]),
        ("between two plays", &[], &[Read(30), Timeless, Read(20)], &[gap(20, 30, 1)]),
        (
            "several between the same moments",
            &[],
            &[Read(30), Timeless, Timeless, Timed(25), Timeless, Read(20)],
            &[gap(25, 30, 2), gap(25, 25, 1), gap(20, 25, 1)],
        ),
        (
            "in two places",
            &[],
            &[Read(30), Timeless, Read(20), Timeless, Read(10)],
            &[gap(20, 30, 1), gap(10, 20, 1)],
        ),
        ("the newest", &[], &[Timeless, Read(20)], &[gap(20, NOW, 1)]),
        ("the oldest, with an archive", &[5, 8], &[Read(20), Timeless], &[gap(8, 20, 1)]),
        ("the oldest, without one", &[], &[Read(20), Timeless], &[gap(20, 20, 1)]),
        ("nothing but unreadable", &[5, 8], &[Timeless, Timeless], &[gap(8, NOW, 2)]),
        ("nothing but unreadable, and no archive", &[], &[Timeless, Timeless], &[just_now]),
    ];
    for (what, stored, page, expected) in table {
        let mut archive = Archive::with(stored, &[]);
        assert_eq!(archive.see(page, NOW), expected, "{what}");
        for later in [NOW, NOW + 60, NOW + 120] {
            assert_eq!(archive.see(page, later), [], "{what}: the same page again");
        }
    }
    let mut archive = Archive::default();
    assert_eq!(archive.see(&[Timeless, Timed(15)], NOW), [gap(15, NOW, 1), gap(15, 15, 1)]);
    assert_eq!(archive.see(&[Read(2000), Timeless, Read(1900)], NOW), [gap(1900, 2000, 1)], "a slow clock");
    assert_eq!(archive.see(&[Timeless, Read(2000)], NOW), [gap(2000, 2000, 1)]);
    assert_eq!(archive.see(&[Timeless, Read(2000)], NOW + 60), []);
}

#[test]
fn an_item_is_counted_once_while_it_slides_down_the_page() {
    let mut archive = Archive::default();
    assert_eq!(archive.see(&[Timeless, Read(20), Read(10)], 21), [gap(20, 21, 1)]);
    assert_eq!(archive.see(&[Timeless, Read(20), Read(10)], 80), []);
    assert_eq!(archive.see(&[Read(90), Timeless, Read(20)], 95), []);
    assert_eq!(
        archive.see(&[Read(100), Read(90), Timeless], 105),
        [],
        "its older neighbour is shown no more"
    );
    assert_eq!(archive.see(&[Read(110), Read(100), Read(90)], 115), []);
    assert_eq!(archive.open(), [gap(20, 21, 1)]);
}

#[test]
fn an_item_that_gets_a_nearer_neighbour_or_another_bad_one_beside_it_is_counted_once() {
    let mut archive = Archive::default();
    archive.see(&[Read(30), Timeless, Read(10)], 31);
    assert_eq!(archive.see(&[Read(30), Timeless, Read(20), Read(10)], 32), [], "a play that came late");
    assert_eq!(archive.see(&[Read(30), Timed(25), Read(20), Read(10)], 33), [], "its time became readable");
    let page = [Read(30), Timeless, Timeless, Read(20), Read(10)];
    assert_eq!(archive.see(&page, 34), [gap(20, 30, 1)], "one more");
    assert_eq!(archive.see(&page, 35), []);
    let mut archive = Archive::default();
    archive.see(&[Read(30), Timeless, Read(10)], 31);
    assert_eq!(archive.see(&[Read(30), Timeless, Timeless, Read(10)], 34), [gap(10, 30, 2)], "one more");
    assert_eq!(archive.open(), [gap(10, 30, 2)]);
    let mut archive = Archive::default();
    archive.see(&[Timeless, Read(10)], 20);
    assert_eq!(
        archive.see(&[Timeless, Timeless, Read(10)], 30),
        [gap(10, 30, 1)],
        "one more, and it is newer"
    );
    assert_eq!(archive.see(&[Timeless, Read(25), Timeless, Timeless, Read(10)], 40), [gap(25, 40, 1)]);
}

#[test]
fn what_could_be_read_before_is_not_missing() {
    let mut archive = Archive::with(&[10, 20, 30], &[]);
    assert_eq!(archive.see(&[Timed(30), Timed(20), Timed(10)], NOW), []);
    assert_eq!(archive.see(&[Read(30), Timeless, Read(10)], NOW), []);
    assert_eq!(archive.see(&[Read(30), Timeless, Timeless, Read(10)], NOW), [gap(10, 30, 1)]);
}

#[test]
fn what_an_open_gap_says_already_is_not_said_again() {
    let before = Gap { cause: GapCause::DaemonDown, at_most: 99, ..gap(5, 20, 0) };
    let page = [Read(30), Read(20), Timed(12), Timeless];
    assert_eq!(Archive::with(&[5], std::slice::from_ref(&before)).see(&page, NOW), []);
    let both = [gap(12, 12, 1), gap(5, 12, 1)];
    let shorter = Gap { to: at(11), ..before.clone() };
    assert_eq!(Archive::with(&[5], &[shorter]).see(&page, NOW), both);
    assert_eq!(Archive::with(&[5], &[closed(before, 9)]).see(&page, NOW), both);
}

#[test]
fn a_gap_is_closed_when_its_items_turn_readable_or_the_page_shows_it_whole() {
    type Row<'a> = (&'a str, Gap, &'a [Item], bool);
    let table: [Row<'_>; 15] = [
        ("it turned readable", gap(25, 25, 1), &[Read(30), Read(25), Read(20)], true),
        ("and is the oldest", gap(25, 25, 1), &[Read(30), Read(25)], true),
        ("between neighbours", gap(20, 30, 1), &[Read(30), Read(25), Read(20)], true),
        ("one of two", gap(15, 30, 2), &[Read(30), Read(25)], false),
        ("both", gap(15, 30, 2), &[Read(30), Read(25), Read(22)], true),
        ("no newer play yet", gap(20, NOW, 1), &[Read(30), Read(20)], true),
        ("shown whole without it", gap(20, 30, 1), &[Read(30), Read(20)], true),
        ("shown whole without it, at a moment", gap(25, 25, 1), &[Read(30), Read(20)], true),
        ("it is still there", gap(20, 30, 1), &[Read(30), Timeless, Read(20)], false),
        ("it is still there, with its time", gap(20, 30, 1), &[Read(30), Timed(25), Read(20)], false),
        ("it slid off the page", gap(20, 30, 1), &[Read(40), Read(30)], false),
        ("it slid off, and the gap is a moment", gap(20, 20, 1), &[Read(40), Read(20)], false),
        ("the page ends before it", gap(20, 35, 1), &[Read(20), Read(10)], false),
        ("an empty page", gap(20, 30, 1), &[], false),
        ("another cause", Gap { cause: GapCause::Blocked, ..gap(20, 30, 1) }, &[Read(30), Read(20)], false),
    ];
    for (what, known, page, over) in table {
        // 10, 20 and what the gap lay before are known; 22, 25 and 30 in a gap to now are not.
        let mut archive = Archive::with(&[10, 20, 40], std::slice::from_ref(&known));
        let expected = if over { vec![closed(known.clone(), 50)] } else { vec![] };
        assert_eq!(archive.see(page, 50), expected, "{what}");
        assert_eq!(archive.see(page, 60), [], "{what}: once");
    }
}

#[test]
fn an_outage_in_which_no_track_is_sent_leaves_nothing_behind() {
    let mut archive = Archive::with(&[10, 20], &[]);
    assert_eq!(archive.see(&[Timed(40), Timed(30), Timed(20), Timed(10)], 45).len(), 2);
    let healed = [Read(50), Read(40), Read(30), Read(20), Read(10)];
    assert_eq!(archive.see(&healed, 55), [closed(gap(40, 40, 1), 55), closed(gap(30, 30, 1), 55)]);
    assert_eq!(archive.open(), []);
    let mut archive = Archive::default();
    archive.see(&[Timeless, Timeless], 45);
    archive.see(&healed, 55);
    assert_eq!(archive.open(), []);
}

proptest! {
    /// Plays come in order, some of them for ever unreadable, and a page shows the last eight of them. Of a row without
    /// times the oldest may slide off unseen, and then nobody can say how many did: so there are two in a row, and no
    /// more than six new items on a page.
    #[test]
    fn every_unreadable_item_lies_in_a_gap_and_is_counted_once(
        heard in prop::collection::vec(prop_oneof![
            3 => Just(0), 1 => Just(1), 1 => Just(2)
        ], 1..60),
        looks in prop::collection::vec(1usize..7, 1..60),
    ) {
        let minute = |nth: usize| 10 * (nth as i64 + 1);
        let row = |nth: usize| nth > 1 && heard[nth - 2..=nth].iter().all(|kind| *kind == 2);
        let all: Vec<Item> = heard.iter().enumerate().map(|(nth, kind)| match kind {
            1 => Timed(minute(nth)),
            2 if !row(nth) => Timeless,
            _ => Read(minute(nth)),
        }).collect();
        let (mut archive, mut shown) = (Archive::default(), 0);
        for step in looks {
            shown = (shown + step).min(all.len());
            let page: Vec<Item> = all[shown.saturating_sub(8)..shown].iter().rev().copied().collect();
            archive.see(&page, minute(shown - 1) + 1);
            prop_assert_eq!(archive.see(&page, minute(shown - 1) + 5), [], "again");
        }
        let missing: Vec<_> = (0..shown).filter(|nth| all[*nth].is_unreadable()).collect();
        let counted: i64 = archive.open().iter().map(|gap| gap.at_most).sum();
        prop_assert_eq!(counted, missing.len() as i64, "{:?}", archive.open());
        // Of what comes before the first play only the newest bound is known.
        let first = (0..shown).find(|nth| !all[*nth].is_unreadable()).unwrap_or(shown);
        for nth in missing.into_iter().filter(|nth| *nth > first) {
            let covers = |gap: &Gap| gap.from <= at(minute(nth)) && at(minute(nth)) <= gap.to;
            prop_assert!(archive.open().iter().any(covers), "{}: {:?}", minute(nth), archive.open());
        }
    }
}

impl Item {
    fn is_unreadable(self) -> bool {
        !matches!(self, Read(_))
    }
}
