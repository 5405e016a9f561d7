use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn stretch(from: i64, to: i64) -> Covered {
    Covered { from: at(from), to: at(to) }
}

fn piece(from: i64, to: i64, at_most: i64) -> Piece {
    let gap = Gap { from: at(from), to: at(to), cause: GapCause::DaemonDown, at_most, closed_at: None };
    Piece { gap, run: Some(RunId(7)), closed_by: None, whole: None }
}

/// What became of a gap from 1,000 to 10,000: from, to, the most that can be missing, and who closed it.
fn cut(stretches: &[(i64, i64, i64)]) -> (Vec<(i64, i64, i64, i64)>, Narrowed) {
    let covered: Vec<_> = stretches.iter().map(|(n, from, to)| (ImportId(*n), stretch(*from, *to))).collect();
    let (after, narrowed) = cover(vec![piece(1_000, 10_000, 300)], &covered, at(20_000));
    let show = |piece: &Piece| {
        let Gap { from, to, at_most, .. } = piece.gap;
        let by = piece.closed_by.map_or(0, |import| import.0);
        (from.as_millis() / 1_000, to.as_millis() / 1_000, at_most, by)
    };
    (after.iter().map(show).collect(), narrowed)
}

const CLOSED: Narrowed = Narrowed { closed: 1, narrowed: 0 };
const NARROWED: Narrowed = Narrowed { closed: 0, narrowed: 1 };

#[test]
fn a_gap_is_cut_where_an_import_begins_and_ends() {
    assert_eq!(cut(&[]), (vec![(1_000, 10_000, 300, 0)], Narrowed::default()));
    assert_eq!(cut(&[(1, 0, 1_000), (1, 10_000, 11_000)]).1, Narrowed::default(), "what only touches it");
    assert_eq!(cut(&[(1, 500, 12_000)]), (vec![(1_000, 10_000, 300, 1)], CLOSED));
    assert_eq!(cut(&[(1, 0, 4_000)]), (vec![(1_000, 4_000, 100, 1), (4_000, 10_000, 200, 0)], NARROWED));
    assert_eq!(cut(&[(1, 7_000, 11_000)]), (vec![(1_000, 7_000, 200, 0), (7_000, 10_000, 100, 1)], NARROWED));
    let middle = vec![(1_000, 4_000, 100, 0), (4_000, 7_000, 100, 1), (7_000, 10_000, 100, 0)];
    assert_eq!(cut(&[(1, 4_000, 7_000)]), (middle, NARROWED));
    let two = vec![(1_000, 5_000, 133, 1), (5_000, 10_000, 166, 2)];
    assert_eq!(cut(&[(2, 4_000, 11_000), (1, 0, 5_000)]), (two, CLOSED));
}

#[test]
fn where_no_play_fits_nothing_is_missing() {
    assert_eq!(cut(&[(1, 1_029, 9_971)]), (vec![(1_000, 10_000, 300, 1)], CLOSED));
    assert_eq!(cut(&[(1, 1_030, 10_000)]).1, NARROWED);
    assert_eq!(cut(&[(1, 1_000, 1_029)]).1, Narrowed::default(), "nor is anything gained");
}

#[test]
fn a_part_has_no_more_plays_than_the_whole() {
    let (after, _) = cover(vec![piece(0, 9_000, 3)], &[(ImportId(1), stretch(0, 900))], at(1));
    assert_eq!(after.iter().map(|piece| piece.gap.at_most).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(join(after.into_iter().map(Piece::open).collect()), [piece(0, 9_000, 3)]);
}

#[test]
fn what_could_not_be_read_is_covered_whole_or_not_at_all() {
    let unreadable = |from, to| {
        let piece = piece(from, to, 2);
        Piece { gap: Gap { cause: GapCause::Unreadable, ..piece.gap }, ..piece }
    };
    let covered = [(ImportId(1), stretch(0, 5_000))];
    let known = vec![unreadable(4_000, 6_000), unreadable(3_000, 3_000)];
    let (after, narrowed) = cover(known.clone(), &covered, at(9));
    assert_eq!((&after[0], after[1].closed_by, narrowed), (&known[0], Some(ImportId(1)), CLOSED));
}

#[test]
fn what_a_page_closed_stays_closed_when_an_import_goes() {
    let (mut parts, _) = cover(vec![piece(0, 9_000, 300)], &[(ImportId(1), stretch(3_000, 6_000))], at(1));
    parts[2].gap.closed_at = Some(at(5));
    let open = |piece: Piece| if piece.closed_by.is_some() { piece.open() } else { piece };
    let after = join(parts.into_iter().map(open).collect());
    let shown: Vec<_> =
        after.iter().map(|piece| (piece.gap.to, piece.gap.at_most, piece.is_open())).collect();
    assert_eq!(shown, [(at(6_000), 200, true), (at(9_000), 100, false)]);
}

#[test]
fn stretches_are_joined_and_taken_apart() {
    let all = joined(vec![stretch(5, 9), stretch(1, 3), stretch(3, 4), stretch(6, 7)]);
    assert_eq!(all, [stretch(1, 4), stretch(5, 9)]);
    assert_eq!(without(&all, stretch(10, 11)), all);
    assert_eq!(without(&all, stretch(0, 4)), [stretch(5, 9)]);
    assert_eq!(without(&all, stretch(6, 8)), [stretch(1, 4), stretch(5, 6), stretch(8, 9)]);
}

proptest! {
    /// Whatever imports come, and whichever of them go again.
    #[test]
    fn cut_and_joined_again_a_gap_is_as_it_was(
        stretches in prop::collection::vec((0..20_000_i64, 0..9_000_i64), 1..8),
        keep in 0..8_usize,
    ) {
        let covered: Vec<_> = (1..)
            .zip(&stretches)
            .map(|(n, (from, length))| (ImportId(n), stretch(*from, from + length)))
            .collect();
        let whole = vec![piece(2_000, 16_000, 400)];
        let mut pieces = whole.clone();
        for covered in &covered {
            pieces = cover(pieces, std::slice::from_ref(covered), at(1)).0;
        }
        for pair in pieces.windows(2) {
            prop_assert_eq!(pair[0].gap.to, pair[1].gap.from, "nothing of it is lost");
        }
        let again = cover(pieces.clone(), &covered, at(1)).0;
        prop_assert_eq!(&again, &pieces, "the same again changes nothing");
        let all = join(pieces.iter().cloned().map(Piece::open).collect());
        prop_assert_eq!(&all, &whole);
        let kept = &covered[..keep.min(covered.len())];
        let open = |piece: Piece| match piece.closed_by {
            Some(by) if !kept.iter().any(|(import, _)| *import == by) => piece.open(),
            _ => piece,
        };
        let left = cover(join(pieces.into_iter().map(open).collect()), kept, at(1)).0;
        let missing = |pieces: &[Piece]| -> i64 {
            pieces.iter().filter(|p| p.is_open()).map(|p| millis(p.gap.from, p.gap.to)).sum()
        };
        let mut only = whole;
        for covered in kept {
            only = cover(only, std::slice::from_ref(covered), at(1)).0;
        }
        let slivers = 2 * SHORTEST_MS * i64::try_from(covered.len()).unwrap_or(0);
        prop_assert!((missing(&left) - missing(&only)).abs() <= slivers, "as if they had never come");
    }
}
