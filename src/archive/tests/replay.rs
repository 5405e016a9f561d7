//! Pages that are kept as they came, and what becomes of them when they are read again.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::archive::raw::{packed, unpacked};
use crate::archive::{Limits, ReplayError, Replayed};
use crate::clock::Clock as _;
use crate::domain::{Gap, GapCause, RunId, RunResult, Timestamp};
use crate::sim::{Fault, Reply};
use crate::store::RawPage;

/// Of plays, by the minute in which each was made: the first of them `START` is.
fn at(minute: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(60 * minute)
}

fn item(minute: u64, readable: bool) -> Value {
    let track = json!({"name": format!("Track {minute}"), "uri": format!("spotify:track:{minute}")});
    json!({"played_at": at(minute).to_string(), "track": readable.then_some(track)})
}

/// A page of these, the newest first.
fn page(minutes: impl DoubleEndedIterator<Item = u64>) -> Value {
    json!({ "items": minutes.rev().map(|minute| item(minute, true)).collect::<Vec<_>>() })
}

impl Scene {
    /// A user whose pages are kept.
    async fn keeping() -> Self {
        let scene = Self::without_top().await;
        scene.archiver.set_limits(Limits { raw_journal: true, ..LIMITS });
        scene
    }

    /// A run that gets this page.
    async fn run_on(&self, page: &Value) -> crate::archive::Outcome {
        self.fault(Fault::answer(Reply::new(200, "application/json", page.to_string())), 1);
        self.run().await
    }

    async fn kept(&self) -> Vec<RawPage> {
        self.store.raw_pages(self.who().id, None, None, 100).await.unwrap()
    }

    /// Has nothing in the journal but these pages, each with its run.
    async fn keep(&self, pages: &[(i64, Value)]) {
        self.store.prune_raw_pages(Timestamp::MAX).await.unwrap();
        for (run, page) in pages {
            let (fetched_at, body) = (at(1_000 + run.unsigned_abs()), packed(&page.to_string()).unwrap());
            let page = RawPage { fetched_at, run: RunId(*run), body };
            self.store.keep_raw_page(self.who().id, &page).await.unwrap();
        }
    }

    async fn replay(&self) -> Replayed {
        self.archiver.replay(self.who().id, None).await.unwrap()
    }

    async fn gaps(&self) -> Vec<Gap> {
        self.store.gaps(self.who().id).await.unwrap()
    }
}

fn brought(pages: u64, new_plays: u64, gaps_closed: u64) -> Replayed {
    Replayed { pages, new_plays, gaps_closed, ..Replayed::default() }
}

#[tokio::test]
async fn a_page_is_kept_as_it_came_before_it_is_read_and_only_where_that_is_wanted() {
    let scene = Scene::without_top().await;
    scene.run_on(&page(0..3)).await;
    assert_eq!(scene.kept().await, []);
    scene.archiver.set_limits(Limits { raw_journal: true, ..LIMITS });
    scene.journal.take();
    let sent = page(0..4);
    assert_eq!(scene.run_on(&sent).await.new_plays, 1);
    let asked = scene.journal.take();
    let place = |method: &str| asked.iter().position(|one| one == method);
    assert!(place("keep_raw_page").is_some() && place("keep_raw_page") < place("page_facts"), "{asked:?}");
    let [kept] = scene.kept().await.try_into().unwrap();
    assert_eq!((kept.run, unpacked(&kept.body).unwrap()), (RunId(2), sent.to_string()));
    assert!(kept.fetched_at >= scene.user().await.last_run_at.unwrap());
    // What is no page is kept too: it is what will be wanted.
    scene.fault(Fault::answer(Reply::not_json()), 10);
    assert_eq!(scene.run().await.result, RunResult::BadAnswer);
    let kept = scene.kept().await;
    assert!(kept.len() >= 2 && kept[1..].iter().all(|page| page.run == RunId(3)), "{kept:?}");
    assert_eq!(unpacked(&kept[1].body).unwrap().as_bytes(), Reply::not_json().body);
    scene.archiver.stop().await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_fails_no_run() {
    let scene = Scene::keeping().await;
    scene.faults.watcher.refuse("keep_raw_page");
    let outcome = scene.run_on(&page(0..3)).await;
    assert_eq!((outcome.result, outcome.new_plays, outcome.reason), (RunResult::Ok, 3, None));
    assert_eq!(scene.kept().await, []);
    scene.archiver.stop().await;
}

#[tokio::test]
async fn what_is_read_better_now_is_archived_once_and_its_gap_closed() {
    let scene = Scene::keeping().await;
    let mut sent = page([10, 25, 40].into_iter());
    sent["items"][1] = item(25, false);
    let outcome = scene.run_on(&sent).await;
    assert_eq!((outcome.result, outcome.new_plays, outcome.gaps.len()), (RunResult::Partial, 2, 1));
    let again = scene.replay().await;
    assert_eq!((again.unreadable, again.faults.len()), (1, 1));
    assert!(again.faults[0].1.contains("item 2"), "{again:?}");
    assert_eq!(Replayed { unreadable: 0, faults: vec![], ..again }, brought(1, 0, 0));

    scene.keep(&[(1, page([10, 25, 40].into_iter()))]).await;
    let (before, runs) = (scene.user().await, scene.runs_of(scene.who().id).await);
    scene.clock.pass(60);
    assert_eq!(scene.replay().await, brought(1, 1, 1));
    assert_eq!(scene.gaps().await, [Gap { closed_at: Some(scene.clock.now()), ..outcome.gaps[0].clone() }]);
    assert_eq!(scene.replay().await, brought(1, 0, 0), "twice is once");
    let after = scene.user().await;
    assert_eq!((after.plays, after.gaps), (3, 0));
    assert_eq!(crate::domain::User { plays: 2, gaps: 1, ..after }, before);
    assert_eq!(scene.runs_of(scene.who().id).await, runs);
    assert_eq!(scene.archiver.replay(scene.who().id, Some(at(1_002))).await.unwrap(), brought(0, 0, 0));
    scene.archiver.stop().await;
}

#[tokio::test]
async fn a_page_says_nothing_of_a_gap_that_was_found_after_it() {
    let scene = Scene::keeping().await;
    let (earlier, mut later) = (page([10, 40].into_iter()), page([10, 25, 40].into_iter()));
    later["items"][1] = item(25, false);
    scene.run_on(&earlier).await;
    assert_eq!(scene.run_on(&later).await.gaps.len(), 1, "it came late to Spotify");
    assert_eq!(scene.kept().await.len(), 2);
    let replayed = scene.replay().await;
    assert_eq!((replayed.new_plays, replayed.gaps_closed, replayed.unreadable), (0, 0, 1));
    assert_eq!(scene.user().await.gaps, 1);
    scene.archiver.stop().await;
}

/// A week in which nothing could be read, and the gap over it.
async fn blind() -> (Scene, Gap) {
    let scene = Scene::keeping().await;
    scene.run_on(&page(0..50)).await;
    scene.fault(Fault::answer(Reply::not_json()), 10);
    assert_eq!(scene.run().await.result, RunResult::BadAnswer);
    scene.spotify.clear_faults();
    let [gap] = scene.run_on(&page(130..180)).await.gaps.try_into().unwrap();
    assert_eq!((gap.from, gap.to, gap.cause), (at(49), at(130), GapCause::Unreachable));
    (scene, gap)
}

#[tokio::test]
async fn pages_that_show_a_gap_together_fill_it() {
    let (scene, gap) = blind().await;
    scene.keep(&[(2, page(45..95)), (3, page(130..180))]).await;
    assert_eq!(scene.replay().await, brought(2, 45, 0), "between the two something may be missing");
    scene.keep(&[(1, page(0..50)), (2, page(85..135)), (3, page(130..180))]).await;
    assert_eq!(scene.replay().await, brought(3, 35, 0));
    assert_eq!(scene.gaps().await, [gap]);
    scene.keep(&[(1, page(0..50)), (2, page(40..90)), (3, page(85..135)), (4, page(130..180))]).await;
    assert_eq!(scene.replay().await, brought(4, 0, 1));
    assert_eq!((scene.user().await.plays, scene.user().await.gaps), (180, 0));
    scene.archiver.stop().await;
}

#[tokio::test]
async fn an_item_that_nobody_knows_of_keeps_a_gap_open() {
    let (scene, gap) = blind().await;
    let mut partly = page(45..95);
    partly["items"][20] = item(74, false);
    scene.keep(&[(1, page(0..50)), (2, partly), (3, page(90..140)), (4, page(130..180))]).await;
    let replayed = scene.replay().await;
    assert_eq!((replayed.new_plays, replayed.gaps_closed, replayed.unreadable), (79, 0, 1));
    assert_eq!(scene.gaps().await, [gap]);
    scene.archiver.stop().await;
}

#[tokio::test]
async fn a_page_beyond_a_gap_that_is_not_on_record_waits_for_a_run() {
    let scene = Scene::keeping().await;
    scene.run_on(&page(0..50)).await;
    let pages = [(2, page(40..90)), (3, page(130..180)), (4, page(140..190))];
    scene.keep(&pages).await;
    assert_eq!(scene.replay().await, Replayed { held_back: 2, ..brought(3, 40, 0) });
    assert_eq!((scene.user().await.plays, scene.gaps().await), (90, vec![]));
    let found = scene.run_on(&page(150..200)).await.gaps;
    assert_eq!(found.iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>(), [(at(89), at(150))]);
    scene.keep(&pages).await;
    assert_eq!(scene.replay().await, brought(3, 20, 0));
    assert_eq!(scene.user().await.gaps, 1, "what was heard before them is still missing");
    scene.archiver.stop().await;
}

#[tokio::test]
async fn damaged_pages_are_told_of_and_the_others_read() {
    let scene = Scene::keeping().await;
    scene.keep(&[(90, page(0..3))]).await;
    for run in 1..=25 {
        let page = RawPage { fetched_at: at(run), run: RunId(1), body: b"nothing".to_vec() };
        scene.store.keep_raw_page(scene.who().id, &page).await.unwrap();
    }
    let replayed = scene.replay().await;
    assert_eq!((replayed.pages, replayed.new_plays, replayed.unreadable), (26, 3, 25));
    assert_eq!((replayed.faults.len(), replayed.faults[0].0), (20, at(1)));
    assert!(replayed.faults[0].1.contains("damaged"), "{:?}", replayed.faults[0]);
    scene.faults.watcher.refuse("raw_pages");
    let refused = scene.archiver.replay(scene.who().id, None).await;
    assert!(matches!(refused, Err(ReplayError::Store(_))), "{refused:?}");
    scene.archiver.stop().await;
    let stopped = scene.archiver.replay(scene.who().id, None).await;
    assert!(matches!(stopped, Err(ReplayError::Stopping)), "{stopped:?}");
}
