//! The gaps that unreadable items leave: each is a play that is missing from the archive. The same items come again on
//! the next pages, between neighbours that come and go, and are counted once; a gap is closed when its items have turned
//! readable, or when a later page shows the whole stretch without them. Pure.

use crate::domain::{Gap, GapCause, Play, Timestamp};
use crate::spotify::Unreadable;

/// What is known when a page was fetched and looked up in the archive.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The page's plays, the newest first.
    pub plays: &'a [Play],
    /// What could not be read of it.
    pub unreadable: &'a [Unreadable],
    /// The newest stored play that is older than everything on the page.
    pub before: Option<Timestamp>,
    /// When the plays were made that were stored before and are not older than the page.
    pub stored: &'a [Timestamp],
    /// The gaps that end no earlier than `before`: those on record, and those found before the page.
    pub known: &'a [Gap],
    /// When the page was fetched.
    pub now: Timestamp,
}

/// What is to be put on record: gaps that are new, and known ones that are larger now or hold nothing more.
///
/// An item whose time can be read is missing at that time. Others are missing between the moments next to them, several
/// in one gap. At the end of the page the archive's next older moment is the neighbour, or, where there is none, the
/// nearest that is known; at its beginning the present is, since what a page shows was played before.
pub fn gaps(facts: &Facts<'_>) -> Vec<Gap> {
    let mut known: Vec<Known<'_>> = facts.known.iter().map(Known::of).collect();
    let mut stretches = stretches(facts);
    for stretch in &mut stretches {
        let read_before = facts.stored.iter().filter(|at| stretch.holds(**at) && !facts.shows(**at)).count();
        stretch.items = stretch.items.saturating_sub(read_before);
        stretch.leave_to(&mut known, |gap, stretch| gap.is_at(stretch));
    }
    for stretch in &mut stretches {
        stretch.leave_to(&mut known, |gap, stretch| gap.may_be_of(stretch));
    }
    let new =
        stretches.iter().filter(|stretch| stretch.items > 0 && !known.iter().any(|gap| gap.covers(stretch)));
    let new = new.map(|stretch| {
        let same = known.iter().find(|gap| gap.is_at(stretch)).map_or(0, |known| known.gap.at_most);
        let at_most = i64::try_from(stretch.items).unwrap_or(i64::MAX).saturating_add(same);
        Gap { from: stretch.from, to: stretch.to, cause: GapCause::Unreadable, at_most, closed_at: None }
    });
    let over = known.iter().filter(|gap| gap.is_over(facts)).map(|known| known.gap.clone());
    new.chain(over.map(|gap| Gap { closed_at: Some(facts.now), ..gap })).collect()
}

impl Facts<'_> {
    fn shows(&self, at: Timestamp) -> bool {
        self.plays.iter().any(|play| play.played_at == at)
    }

    /// When the page's items were played, the newest first, and whether each could be read.
    fn items(&self) -> impl Iterator<Item = (Option<Timestamp>, bool)> {
        (0..=self.plays.len()).flat_map(|nth| {
            let unreadable = self.unreadable.iter().filter(move |item| item.follows == nth);
            let play = self.plays.get(nth).map(|play| (Some(play.played_at), true));
            unreadable.map(|item| (item.played_at, false)).chain(play)
        })
    }

    /// The newest known moment before the page: of a stored play, or of an unreadable one.
    fn last_before(&self) -> Option<Timestamp> {
        let oldest = self.items().filter_map(|(at, _)| at).min();
        let missing = self.known.iter().filter(|gap| gap.cause == GapCause::Unreadable && gap.from == gap.to);
        let missing = missing.map(|gap| gap.from).filter(|at| oldest.is_none_or(|oldest| *at < oldest));
        missing.chain(self.before).max()
    }
}

/// Where items of a page are missing that nothing stands for yet.
struct Stretch {
    /// Where its gap begins: the older neighbour, or the item's own time.
    from: Timestamp,
    /// Where it ends: the newer one, or that same time.
    to: Timestamp,
    /// Whether nothing is known before it.
    first: bool,
    items: usize,
}

impl Stretch {
    /// Whether an item of it can have been played then.
    fn holds(&self, at: Timestamp) -> bool {
        within(self.from, self.to, at) || (self.first && at < self.to)
    }

    /// Lets gaps that fit stand for as many of its items as they can.
    fn leave_to(&mut self, known: &mut [Known<'_>], fits: fn(&Known<'_>, &Self) -> bool) {
        for gap in known {
            if fits(gap, self) {
                let taken = gap.left.min(self.items);
                (gap.left, gap.shown) = (gap.left - taken, true);
                self.items -= taken;
            }
        }
    }
}

/// Between the two, or at the one moment that they are.
fn within(from: Timestamp, to: Timestamp, at: Timestamp) -> bool {
    (from < at && at < to) || (from == at && at == to)
}

fn stretches(facts: &Facts<'_>) -> Vec<Stretch> {
    // Not before what is on the page, should this machine's clock be slow.
    let present = facts.items().filter_map(|(at, _)| at).chain([facts.now]).max().unwrap_or(facts.now);
    let mut found: Vec<Stretch> = Vec::new();
    let mut add = |older: Option<Timestamp>, newer: Timestamp, items: usize| {
        // A gap at the very moment of no play would be taken for that of an item with its own time.
        let nearest = if facts.shows(newer) { newer } else { newer.offset_millis(-1) };
        let known = older.unwrap_or(nearest);
        // The other way round where plays came out of order.
        let (from, to) = (known.min(newer), known.max(newer));
        match found.iter_mut().find(|stretch| (stretch.from, stretch.to) == (from, to)) {
            Some(same) => same.items += items,
            None => found.push(Stretch { from, to, first: older.is_none(), items }),
        }
    };
    let (mut newer, mut timeless) = (present, 0);
    for (at, readable) in facts.items() {
        let Some(at) = at else {
            timeless += 1;
            continue;
        };
        if timeless > 0 {
            add(Some(at), newer, timeless);
        }
        if !readable {
            add(Some(at), at, 1);
        }
        (newer, timeless) = (at, 0);
    }
    if timeless > 0 {
        add(facts.last_before(), newer, timeless);
    }
    found
}

/// A gap on record, or one that was found before the page.
struct Known<'a> {
    gap: &'a Gap,
    /// For how many items it can still stand.
    left: usize,
    /// Whether the page shows items where it lies.
    shown: bool,
}

impl<'a> Known<'a> {
    fn of(gap: &'a Gap) -> Self {
        Self { gap, left: usize::try_from(gap.at_most).unwrap_or(0), shown: false }
    }

    /// Whether it lies exactly there.
    fn is_at(&self, stretch: &Stretch) -> bool {
        self.is_unreadable() && (self.gap.from, self.gap.to) == (stretch.from, stretch.to)
    }

    /// Whether it may be about the items there. The neighbours of an item change: new ones are nearer, and those that
    /// Spotify shows no more are replaced by some further away.
    fn may_be_of(&self, stretch: &Stretch) -> bool {
        let (from, to) = (self.gap.from, self.gap.to);
        let has_length = from < to && (stretch.from < stretch.to || stretch.first);
        let wider = (stretch.first || stretch.from <= from) && to <= stretch.to;
        let narrower = from <= stretch.from && stretch.to <= to;
        let moment = stretch.holds(from) && from == to;
        let of_a_moment = stretch.from == stretch.to && within(from, to, stretch.from);
        self.is_unreadable() && ((has_length && (wider || narrower)) || moment || of_a_moment)
    }

    /// Whether it says already that anything may be missing there.
    fn covers(&self, stretch: &Stretch) -> bool {
        let whole = self.gap.from <= stretch.from && stretch.to <= self.gap.to;
        whole && !self.is_unreadable() && self.gap.closed_at.is_none()
    }

    /// Whether the page shows that nothing is missing there any more.
    fn is_over(&self, facts: &Facts<'_>) -> bool {
        let (from, to) = (self.gap.from, self.gap.to);
        let times = || facts.plays.iter().map(|play| play.played_at);
        let come = times().filter(|at| within(from, to, *at) && !facts.stored.contains(at)).count();
        // A gap without length may stand for what is older than its moment.
        let reached = times().any(|at| at < from || (at == from && from < to));
        let shown_whole = reached && times().any(|at| at >= to);
        let open = self.is_unreadable() && self.gap.closed_at.is_none();
        open && !self.shown && (come >= self.left.max(1) || shown_whole)
    }

    fn is_unreadable(&self) -> bool {
        self.gap.cause == GapCause::Unreadable
    }
}

#[cfg(test)]
mod tests;
