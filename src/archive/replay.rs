//! The raw journal read again: what its pages hold and the archive lacks is archived, each page in one transaction. No
//! call is made, no gap is opened, and nothing of runs or claims changes; to do it twice adds nothing.

use std::time::Duration;

use super::{Archiver, overlap, raw, unreadable};
use crate::domain::{Gap, GapCause, Play, RunId, Timestamp, UserId, said};
use crate::spotify::Page;
use crate::store::{PageFacts, PageReplayed, RawPage, StoreError};

/// How many kept pages are taken from the store at a time.
const AT_ONCE: i64 = 8;
/// How many of the pages that can't be read are told of.
const TOLD: usize = 20;

/// What reading the raw journal again brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many pages there were.
    pub pages: u64,
    /// How many plays the archive lacked.
    pub new_plays: u64,
    /// How many gaps hold nothing more.
    pub gaps_closed: u64,
    /// How many pages can't be read even now, wholly or in part.
    pub unreadable: u64,
    /// The first of them: when each was fetched, and why.
    pub faults: Vec<(Timestamp, String)>,
    /// How many pages were left alone, since a gap before them is not on record yet.
    pub held_back: u64,
}

/// Why it was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store failed; what was archived until then stays.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon stops.
    #[error("longplay was stopping")]
    Stopping,
}

impl Replayed {
    fn fault(&mut self, at: Timestamp, why: String) {
        self.unreadable += 1;
        if self.faults.len() < TOLD {
            self.faults.push((at, why));
        }
    }
}

impl Archiver {
    /// Reads a user's pages again that were fetched then or later.
    pub async fn replay(&self, user: UserId, since: Option<Timestamp>) -> Result<Replayed, ReplayError> {
        let _under_way = self.0.tasks.token();
        let (mut replayed, mut shown, mut after) = (Replayed::default(), None, None);
        loop {
            if self.0.stop.is_cancelled() {
                return Err(ReplayError::Stopping);
            }
            let pages = self.0.with.store.raw_pages(user, since, after, AT_ONCE).await?;
            let Some(last) = pages.last() else { return Ok(replayed) };
            after = Some((last.fetched_at, last.run));
            for kept in &pages {
                shown = self.replay_page(user, kept, shown, &mut replayed).await?;
            }
        }
    }

    /// Archives what one page holds; answers the stretch that the pages show up to here.
    async fn replay_page(
        &self,
        user: UserId,
        kept: &RawPage,
        shown: Option<Shown>,
        replayed: &mut Replayed,
    ) -> Result<Option<Shown>, StoreError> {
        let store = &self.0.with.store;
        replayed.pages += 1;
        let page = match read(kept) {
            Ok(page) => page,
            Err(why) => {
                replayed.fault(kept.fetched_at, why);
                return Ok(shown);
            }
        };
        if let Some(why) = page.trouble() {
            replayed.fault(kept.fetched_at, why);
        }
        let facts = store.page_facts(user, kept.run, &page.plays, page.oldest()).await?;
        let stored = page.plays.len().saturating_sub(facts.unknown.len());
        if leaves_a_gap(&page, stored, facts.newest_stored, facts.last_archived_at) {
            replayed.held_back += 1;
            return Ok(shown);
        }
        let shown = Shown::with(shown, &page);
        let from = [shown.map(|shown| shown.oldest), facts.before, page.oldest()].into_iter().flatten().min();
        let Some(from) = from else { return Ok(shown) };
        let known = store.gaps_between(user, from, kept.fetched_at.max(from)).await?;
        let told = told(&page, &facts, &known, shown, kept);
        let plays: Vec<Play> = facts.unknown.iter().filter_map(|n| page.plays.get(*n)).cloned().collect();
        if !plays.is_empty() || !told.closed.is_empty() {
            let (run, at) = (kept.run, self.0.with.clock.now());
            let page = PageReplayed { user, run, plays, closed: told.closed, at };
            let added = store.store_replayed(&page).await?;
            replayed.new_plays += added.plays;
            replayed.gaps_closed += added.gaps;
        }
        Ok(shown.filter(|_| told.whole))
    }
}

/// The page, by what is known of Spotify's answers today.
fn read(kept: &RawPage) -> Result<Page, String> {
    let body =
        raw::unpacked(&kept.body).map_err(|error| format!("what was kept is damaged: {}", said(&error)))?;
    Page::read(&body, kept.fetched_at).map_err(|error| error.to_string())
}

/// Whether plays may be missing between a page and what was known before it. Of a page that the archive doesn't reach
/// yet only a run puts that on record, which it couldn't do any more once the page is archived.
fn leaves_a_gap(page: &Page, stored: usize, newest: Option<Timestamp>, archived: Option<Timestamp>) -> bool {
    let gap = overlap::gap_before(&overlap::Facts {
        items: page.items(),
        oldest: page.plays.iter().map(|play| play.played_at).min(),
        already_stored: stored,
        newest_stored: newest,
        runs_since: &[],
        quota_spent_at: None,
        last_archived_at: archived,
        longest_pause: Duration::MAX,
        // Only the cause depends on it.
        now: Timestamp::default(),
    });
    gap.is_some()
}

/// A stretch that pages show without a break, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    oldest: Timestamp,
    newest: Timestamp,
}

impl Shown {
    /// With one page more; a new one where that does not join on. A page without a play shows nothing.
    fn with(before: Option<Self>, page: &Page) -> Option<Self> {
        let times = || page.plays.iter().map(|play| play.played_at);
        let (Some(oldest), Some(newest)) = (times().min(), times().max()) else { return before };
        match before.filter(|before| !leaves_a_gap(page, 0, Some(before.newest), None)) {
            Some(before) => {
                Some(Self { oldest: before.oldest.min(oldest), newest: before.newest.max(newest) })
            }
            None => Some(Self { oldest, newest }),
        }
    }
}

/// What a page tells of gaps.
struct Told {
    /// Those on record that hold nothing more.
    closed: Vec<Gap>,
    /// Whether everything that is missing on it is on record.
    whole: bool,
}

/// What a run would say of the gaps on record, but that nothing is opened. Of a gap that was found after a page was
/// fetched the page says nothing: what came late to Spotify is missing on it as on the archive.
fn told(
    page: &Page,
    facts: &PageFacts,
    known: &[(Gap, Option<RunId>)],
    shown: Option<Shown>,
    kept: &RawPage,
) -> Told {
    let gaps: Vec<Gap> = known.iter().map(|(gap, _)| gap.clone()).collect();
    // Another gap stands for an item within it, but no more once the pages have filled it.
    let (of_items, others): (Vec<Gap>, Vec<Gap>) =
        gaps.into_iter().partition(|gap| gap.cause == GapCause::Unreadable);
    // The facts tell of the newest plays, which may all be newer than the page.
    let places = (0..).zip(&page.plays).filter(|(n, _)| !facts.unknown.contains(n));
    let stored: Vec<Timestamp> =
        places.map(|(_, play)| play.played_at).chain(facts.stored.iter().copied()).collect();
    let within = unreadable::gaps(&unreadable::Facts {
        plays: &page.plays,
        unreadable: &page.unreadable,
        before: facts.before,
        stored: &stored,
        known: &of_items,
        now: kept.fetched_at,
    });
    let whole = within.iter().all(|gap| gap.closed_at.is_some());
    let shown = shown.filter(|_| whole).map(|shown| [shown.oldest, shown.newest]);
    let filled = shown.map(|times| overlap::filled(&times, &others, kept.fetched_at)).unwrap_or_default();
    let known_then = |gap: &Gap| {
        let same = |(known, _): &&(Gap, Option<RunId>)| {
            (known.from, known.to, known.cause) == (gap.from, gap.to, gap.cause)
        };
        known.iter().find(same).is_some_and(|(_, by)| by.is_none_or(|by| by <= kept.run))
    };
    let over = within.into_iter().filter(|gap| gap.closed_at.is_some()).chain(filled);
    Told { closed: over.filter(known_then).collect(), whole }
}
