//! What becomes of plays, gaps and artists when imports and the API know the same, and when an import is taken back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::archive::gap;
use super::{Bench, START};
use crate::domain::merge::Precision;
use crate::domain::{
    Artist, Covered, Gap, ImportCounts, ImportId, ImportRow, ImportedTrack, Play, REMEMBERED_TRACKS, Source,
    StoredPlay, Taken, Timestamp, TopKind, Track, Undone, UserId,
};
use crate::store::{ImportBatch, ImportEnd, PageStored, PlayQuery, StoreError};

const ALL: PlayQuery = PlayQuery { since: None, until: None, before: None, limit: 1000 };

/// Each has numbers for tracks of its own.
static READERS: AtomicI64 = AtomicI64::new(0);

fn at(minutes: u64) -> Timestamp {
    START + Duration::from_secs(60 * minutes)
}

/// What the files have everything of, in minutes.
fn covered(from: u64, to: u64) -> Covered {
    Covered { from: at(from), to: at(to) }
}

/// The same play as a file has it.
fn row(play: &Play, precision: Precision) -> (ImportedTrack, ImportRow) {
    let exact = precision == Precision::Millisecond;
    let track = match precision {
        Precision::Millisecond => play.track.clone(),
        Precision::Second => Track { artists: named(&play.track), isrc: None, ..play.track.clone() },
        Precision::Minute => Track {
            uri: None,
            artists: named(&play.track),
            album: None,
            isrc: None,
            duration_ms: None,
            ..play.track.clone()
        },
    };
    let millis = play.played_at.as_millis();
    let row = ImportRow {
        at: millis - millis.rem_euclid(precision.millis()),
        precision,
        track: 0,
        ms_played: (!exact).then_some(180_000),
        part: 0,
        source: if exact { Source::Api } else { Source::Import },
        context_uri: None,
        play: exact,
    };
    (ImportedTrack { number: 0, track, exact }, row)
}

/// Exports name the first artist alone.
fn named(track: &Track) -> Vec<Artist> {
    track.artists.iter().take(1).map(|artist| Artist { uri: None, name: artist.name.clone() }).collect()
}

impl Bench {
    /// An import that was begun or is gone on with, and all its rows.
    async fn begun(&self, user: UserId, plays: &[Play], precision: Precision) -> (ImportId, ImportBatch) {
        let digest = format!("{plays:?} {precision:?}");
        let (import, _) = self.store.begin_import(user, &digest, self.now()).await.unwrap();
        let (threshold, tracks, rows) = (Duration::from_secs(30), Vec::new(), Vec::new());
        let reader = READERS.fetch_add(1, Ordering::Relaxed);
        let mut batch = ImportBatch { user, import: Some(import), reader, threshold, tracks, rows };
        for (n, play) in (0..).zip(plays) {
            let (track, row) = row(play, precision);
            batch.tracks.push(ImportedTrack { number: n, ..track });
            batch.rows.push(ImportRow { track: n, ..row });
        }
        (import, batch)
    }

    async fn import(
        &self,
        user: UserId,
        plays: &[Play],
        precision: Precision,
        covered: &[Covered],
    ) -> (ImportId, ImportCounts) {
        let (import, batch) = self.begun(user, plays, precision).await;
        let Taken { imported, already_there, below_threshold } =
            self.store.import_rows(&batch).await.unwrap().unwrap();
        let counts = ImportCounts { imported, already_there, below_threshold, ..ImportCounts::default() };
        let end = ImportEnd { user, import: Some(import), at: self.now(), counts, covered: covered.to_vec() };
        let asked = ImportEnd { import: None, ..end.clone() };
        let asked = self.store.end_import(&asked).await.unwrap().unwrap();
        let counts = self.store.end_import(&end).await.unwrap().unwrap();
        let gaps = |counts: &ImportCounts| (counts.gaps_closed, counts.gaps_narrowed);
        assert_eq!(gaps(&asked), gaps(&counts), "a dry run tells the same");
        assert_eq!(self.store.end_import(&end).await.unwrap(), Some(counts), "repeated, it answers the same");
        self.clock.advance(Duration::from_secs(60));
        (import, counts)
    }

    async fn undo(&self, import: ImportId) -> Undone {
        self.store.undo_import(import).await.unwrap().unwrap()
    }

    async fn archived(&self, user: UserId) -> Vec<StoredPlay> {
        let plays = self.store.plays(user, ALL).await.unwrap();
        assert_eq!(i64::try_from(plays.len()).unwrap(), self.user("alice").await.plays, "they are counted");
        plays
    }

    /// The ends of the plays in milliseconds after the start, oldest first, and whether the API has shown each.
    async fn ends(&self, user: UserId) -> Vec<(i64, bool)> {
        let plays = self.archived(user).await;
        let end =
            |play: &StoredPlay| (play.played_at.as_millis() - START.as_millis(), play.source == Source::Api);
        plays.iter().rev().map(end).collect()
    }

    /// The gaps in minutes after the start, oldest first: from, to, the most that can be missing, and whether it is open.
    async fn gaps(&self, user: UserId) -> Vec<(i64, i64, i64, bool)> {
        let gaps = self.store.gaps(user).await.unwrap();
        let open = gaps.iter().filter(|gap| gap.closed_at.is_none()).count();
        assert_eq!(self.user("alice").await.gaps, i64::try_from(open).unwrap(), "they are counted");
        let minutes = |at: Timestamp| (at.as_millis() - START.as_millis()) / 60_000;
        let show = |gap: &Gap| (minutes(gap.from), minutes(gap.to), gap.at_most, gap.closed_at.is_none());
        gaps.iter().rev().map(show).collect()
    }

    async fn find(&self, user: UserId, gaps: &[Gap]) -> Vec<Gap> {
        let page = PageStored { gaps: gaps.to_vec(), ..self.page(user, &[]).await };
        self.store.store_page(&page).await.unwrap().gaps
    }
}

/// A play of that minute, a little later than any export knows.
fn late(bench: &Bench, minutes: u64, n: u32) -> Play {
    let play = bench.play(minutes, n);
    Play { played_at: play.played_at.offset_millis(7_345), ..play }
}

pub async fn what_the_api_shows_stays_when_the_import_goes(bench: &Bench) {
    for precision in [Precision::Millisecond, Precision::Second, Precision::Minute] {
        let alice = bench.add("alice").await.id;
        let (one, two, three) = (late(bench, 10, 1), late(bench, 20, 2), late(bench, 30, 3));
        let (import, _) =
            bench.import(alice, &[one.clone(), two.clone(), three.clone()], precision, &[]).await;
        let page = [two.clone(), three.clone()];
        let run = bench.begin_run(alice, crate::domain::Trigger::Schedule).await;
        let facts = bench.store.page_facts(alice, run, &page, Some(two.played_at)).await.unwrap();
        assert_eq!(
            (facts.unknown, facts.newest_stored),
            (vec![0, 1], None),
            "{precision:?}: no page showed them"
        );
        let added = bench.store.store_page(&bench.page_of(alice, run, &page)).await.unwrap();
        assert_eq!(added.plays, 0, "{precision:?}: they are not new");
        let run = bench.begin_run(alice, crate::domain::Trigger::Schedule).await;
        let facts = bench.store.page_facts(alice, run, &page, Some(two.played_at)).await.unwrap();
        assert_eq!((facts.unknown, facts.newest_stored), (vec![], Some(three.played_at)), "{precision:?}");
        assert_eq!(bench.archived(alice).await.len(), 3, "{precision:?}");
        let undone = bench.undo(import).await;
        assert_eq!(undone.plays, 1, "{precision:?}");
        assert_eq!(bench.ends(alice).await, [(20 * 60_000 + 7_345, true), (30 * 60_000 + 7_345, true)]);
        bench.store.remove_user(alice, true).await.unwrap();
    }
}

pub async fn of_three_imports_the_middle_one_can_go_first(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let play = late(bench, 10, 1);
    let imports = async || {
        let mut imports = Vec::new();
        for precision in [Precision::Minute, Precision::Second, Precision::Millisecond] {
            imports.push(bench.import(alice, std::slice::from_ref(&play), precision, &[]).await.0);
        }
        imports
    };
    let end = |millis: i64, is_exact: bool| vec![(600_000 + millis, is_exact)];
    // Which are undone, and how the play is known after each.
    let orders = [
        ([1, 2, 0], [end(7_345, true), end(0, false), vec![]]),
        ([1, 0, 2], [end(7_345, true), end(7_345, true), vec![]]),
        ([0, 1, 2], [end(7_345, true), end(7_345, true), vec![]]),
        ([2, 1, 0], [end(7_000, false), end(0, false), vec![]]),
        ([2, 0, 1], [end(7_000, false), end(7_000, false), vec![]]),
    ];
    for (order, known) in orders {
        let imports = imports().await;
        for (n, known) in order.into_iter().zip(known) {
            bench.undo(imports[n]).await;
            assert_eq!(bench.ends(alice).await, known, "{order:?}: {n}");
        }
    }
}

pub async fn a_gap_is_narrowed_by_what_an_import_has_and_as_it_was_without_it(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let wide = |from, to, at_most| Gap { at_most, ..gap(from, to) };
    let known = [wide(10, 20, 20), wide(100, 400, 600), wide(500, 600, 200), wide(700, 710, 20)];
    bench.find(alice, &known).await;
    let before = bench.gaps(alice).await;
    let (import, counts) = bench
        .import(alice, &[], Precision::Second, &[covered(0, 50), covered(200, 300), covered(550, 650)])
        .await;
    assert_eq!((counts.gaps_closed, counts.gaps_narrowed), (1, 2));
    let narrowed = [
        (10, 20, 20, false),
        (100, 200, 200, true),
        (200, 300, 200, false),
        (300, 400, 200, true),
        (500, 550, 100, true),
        (550, 600, 100, false),
        (700, 710, 20, true),
    ];
    assert_eq!(bench.gaps(alice).await, narrowed);
    let (more, counts) = bench.import(alice, &[], Precision::Second, &[covered(290, 420)]).await;
    assert_eq!((counts.gaps_closed, counts.gaps_narrowed), (1, 0));
    assert_eq!(bench.gaps(alice).await[3], (300, 400, 200, false));
    // What a page closes meanwhile stays closed.
    let closed = Gap { closed_at: Some(at(9_000)), ..wide(700, 710, 20) };
    bench.find(alice, &[closed]).await;
    bench.undo(import).await;
    let left = [
        (10, 20, 20, true),
        (100, 290, 380, true),
        (290, 300, 20, false),
        (300, 400, 200, false),
        (500, 600, 200, true),
        (700, 710, 20, false),
    ];
    assert_eq!(bench.gaps(alice).await, left);
    assert_eq!(bench.undo(more).await.gaps, 1);
    assert_eq!(bench.gaps(alice).await[..3], before[..3]);
    assert_eq!(bench.gaps(alice).await[3], left[5]);
}

pub async fn a_gap_that_is_found_after_an_import_has_it_covered_is_none(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let (import, _) = bench.import(alice, &[bench.play(0, 1)], Precision::Second, &[covered(0, 300)]).await;
    assert_eq!(bench.find(alice, &[gap(100, 200)]).await, [], "it is told to nobody");
    let told = bench.find(alice, &[gap(290, 400)]).await;
    assert_eq!(told, [gap(300, 400)]);
    let narrowed = [(100, 200, 12, false), (290, 300, 12, false), (300, 400, 12, true)];
    assert_eq!(bench.gaps(alice).await, narrowed);
    assert_eq!(bench.undo(import).await.gaps, 2);
    assert_eq!(bench.gaps(alice).await, [(100, 200, 12, true), (290, 400, 12, true)]);
}

pub async fn an_undoing_names_the_later_imports_that_found_its_plays(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.find(alice, &[gap(100, 200), gap(400, 500)]).await;
    let plays = [bench.play(90, 1), bench.play(150, 2), bench.play(210, 3)];
    let far = [bench.play(390, 4), bench.play(510, 5)];
    let (first, _) = bench.import(alice, &plays, Precision::Second, &[covered(90, 210)]).await;
    let all: Vec<Play> = plays.iter().chain(&far).cloned().collect();
    let (second, counts) = bench.import(alice, &all, Precision::Second, &[covered(90, 510)]).await;
    assert_eq!((counts.imported, counts.already_there), (2, 3));
    let (third, _) = bench.import(alice, &[bench.play(900, 9)], Precision::Second, &[]).await;
    let closed = |first: bool| [(100, 200, 12, !first), (400, 500, 12, false)];
    assert_eq!(bench.gaps(alice).await, closed(true));
    let undone = bench.undo(first).await;
    assert_eq!((undone.plays, undone.also_in, undone.gaps), (3, vec![second], 1));
    assert_eq!(bench.gaps(alice).await, closed(false), "nothing of it is there any more");
    let (again, counts) = bench.import(alice, &all, Precision::Second, &[covered(90, 510)]).await;
    assert_eq!((counts.imported, counts.gaps_closed), (3, 1));
    assert_eq!(bench.undo(third).await.also_in, [], "they found nothing of that one");
    let undone = bench.undo(again).await;
    assert_eq!((undone.plays, undone.also_in), (3, vec![]), "nor did an earlier one");
    assert_eq!(bench.gaps(alice).await, closed(false));
}

pub async fn an_artist_known_by_name_is_the_one_that_the_api_shows(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let (one, two) = (bench.play(10, 1), bench.play(20, 1));
    bench.import(alice, std::slice::from_ref(&one), Precision::Minute, &[]).await;
    let top = async || {
        let top = bench.store.top(alice, TopKind::Artists, None, 9).await.unwrap();
        top.into_iter().map(|entry| (entry.name, entry.uri, entry.plays)).collect::<Vec<_>>()
    };
    let artist = |n: u32, plays| (format!("Artist {n}"), Some(format!("spotify:artist:{n}")), plays);
    assert_eq!(top().await, [("Artist 1".to_owned(), None, 1)]);
    bench.store_page(alice, std::slice::from_ref(&two)).await;
    assert_eq!(top().await, [artist(1, 2), artist(101, 1)], "once, with what was heard before");
    // Of two with one name nobody knows which it was.
    let other =
        Play { track: Track { name: "Other".to_owned(), ..bench.play(30, 2).track }, ..bench.play(30, 2) };
    bench.import(alice, std::slice::from_ref(&other), Precision::Minute, &[]).await;
    let mut twins = bench.play(50, 7);
    twins.track.artists = [20, 21]
        .map(|n| Artist { uri: Some(format!("spotify:artist:{n}")), name: "Artist 2".to_owned() })
        .to_vec();
    bench.store_page(alice, &[twins]).await;
    let named: Vec<_> = top().await.into_iter().filter(|(name, ..)| name == "Artist 2").collect();
    assert_eq!(
        named.iter().map(|(_, uri, plays)| (uri.is_some(), *plays)).filter(|(known, _)| !known).count(),
        1
    );
    assert_eq!(named.len(), 3);
}

pub async fn a_database_that_lost_rows_of_an_import_does_not_end_it(bench: &Bench) {
    let user = bench.add("alice").await.id;
    let plays = [bench.play(1, 1), bench.play(9, 2)];
    let (import, batch) = bench.begun(user, &plays, Precision::Second).await;
    let taken = bench.store.import_rows(&batch).await.unwrap().unwrap();
    (bench.by_hand)("DELETE FROM plays; UPDATE imports SET rows_read = 0; UPDATE users SET plays = 0").await;
    let counts = ImportCounts { imported: taken.imported, ..ImportCounts::default() };
    let end =
        ImportEnd { user, import: Some(import), at: bench.now(), counts, covered: vec![covered(0, 10)] };
    let lost = bench.store.end_import(&end).await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable { .. }), "{lost}");
    let (again, counts) = bench.import(user, &plays, Precision::Second, &[]).await;
    assert_eq!((again, counts.imported), (import, 2), "the same files go on with it");
    assert_eq!(bench.archived(user).await.len(), 2);
}

pub async fn an_import_ends_with_all_its_plays_or_not_though_another_is_taken_back(bench: &Bench) {
    let user = bench.add("alice").await.id;
    let plays = [bench.play(1, 1), bench.play(9, 2)];
    let (first, _) = bench.import(user, &plays, Precision::Second, &[]).await;
    // It finds the first one's plays, which go before it has ended.
    let (second, batch) = bench.begun(user, &plays, Precision::Minute).await;
    let taken = bench.store.import_rows(&batch).await.unwrap().unwrap();
    assert_eq!(taken.already_there, 2);
    bench.undo(first).await;
    let counts = ImportCounts { already_there: 2, ..ImportCounts::default() };
    let end =
        ImportEnd { user, import: Some(second), at: bench.now(), counts, covered: vec![covered(0, 10)] };
    let refused = bench.store.end_import(&end).await.unwrap_err();
    assert!(crate::domain::said(&refused).contains("run the same import command again"), "{refused}");
    let (again, counts) = bench.import(user, &plays, Precision::Minute, &[]).await;
    assert_eq!((again, counts.imported), (second, 2));
    // An undoing that was broken off is named.
    let (third, batch) = bench.begun(user, &[bench.play(20, 3)], Precision::Second).await;
    bench.store.import_rows(&batch).await.unwrap().unwrap();
    (bench.by_hand)("UPDATE imports SET state = 'undone' WHERE id = 2").await;
    assert_eq!(second, ImportId(2));
    let end = ImportEnd { import: Some(third), counts: ImportCounts::default(), ..end };
    let refused = bench.store.end_import(&end).await.unwrap_err();
    assert!(crate::domain::said(&refused).contains("--undo 2"), "{refused}");
    bench.undo(second).await;
}

pub async fn a_track_is_told_once_by_whoever_reads_the_files(bench: &Bench) {
    let user = bench.add("alice").await.id;
    let plays = [bench.play(1, 1), bench.play(9, 2)];
    let (_, batch) = bench.begun(user, &plays, Precision::Second).await;
    bench.store.import_rows(&batch).await.unwrap().unwrap();
    // An hour later, in the other order.
    let rows = [1, 0].map(|track| ImportRow {
        at: batch.rows[0].at + 3_600_000 * (2 - i64::from(track)),
        track,
        ..batch.rows[0].clone()
    });
    let later = ImportBatch { tracks: Vec::new(), rows: rows.to_vec(), ..batch.clone() };
    let refused = |batch: ImportBatch| async move {
        let refused = bench.store.import_rows(&batch).await.unwrap_err();
        assert!(crate::domain::said(&refused).contains("run the same import command again"), "{refused}");
    };
    // Another reader's numbers are others.
    refused(ImportBatch { reader: batch.reader + 1_000_000, ..later.clone() }).await;
    assert_eq!(bench.store.import_rows(&later).await.unwrap().unwrap().imported, 2);
    let archived = bench.archived(user).await;
    let names: Vec<_> = archived.iter().map(|play| play.track.as_str()).collect();
    let [a, b] = [0, 1].map(|n| plays[n].track.name.as_str());
    assert_eq!(names, [a, b, b, a], "newest first");
    // Whose numbers are too high to be remembered are told each time.
    let high = ImportedTrack { number: REMEMBERED_TRACKS, ..batch.tracks[0].clone() };
    let row = |hour: i64| ImportRow {
        at: batch.rows[0].at + 3_600_000 * hour,
        track: high.number,
        ..batch.rows[0].clone()
    };
    let told = ImportBatch { tracks: vec![high.clone()], rows: vec![row(5)], ..batch.clone() };
    assert_eq!(bench.store.import_rows(&told).await.unwrap().unwrap().imported, 1);
    refused(ImportBatch { tracks: Vec::new(), rows: vec![row(6)], ..told.clone() }).await;
    let told = ImportBatch { rows: vec![row(7)], ..told };
    assert_eq!(bench.store.import_rows(&told).await.unwrap().unwrap().imported, 1);
    // Somebody else has begun with it again.
    bench.begun(user, &plays, Precision::Second).await;
    refused(ImportBatch { rows: vec![ImportRow { track: 0, ..row(8) }], tracks: Vec::new(), ..told }).await;
}
