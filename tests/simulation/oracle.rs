//! What must be true at the end: nobody lost what could be had, nobody was late for nothing.

use std::time::Duration;

use longplay::domain::{Gap, Generation, Timestamp};
use longplay::store::{GrantStore as _, PlayQuery, ReadStore as _, Store as _};
use longplay::tokens::Label;

use super::calendar::{HOUR, MINUTE};
use super::world::{Person, State, Trouble, World};

/// How many plays Spotify shows.
const SHOWN: usize = 50;
/// An adaptive user is looked at so soon if need be.
const SOONEST: Duration = Duration::from_secs(20 * 60);
/// An archive may be later than the schedule by its window and a little.
const SLACK: Duration = Duration::from_secs(4 * 60);

/// Everything that was wrong for a user.
pub fn troubles_of(state: &State, who: usize) -> impl Iterator<Item = &Trouble> {
    hindrances_of(state, who).chain(&state.people[who].met)
}

/// The same without the faults that met single requests.
pub fn hindrances_of(state: &State, who: usize) -> impl Iterator<Item = &Trouble> {
    let person = &state.people[who];
    state.troubles.iter().chain(&state.app_troubles[person.app]).chain(&person.troubles)
}

/// The stretches, in order and none in another.
pub fn merged<'a>(troubles: impl Iterator<Item = &'a Trouble>) -> Vec<(Timestamp, Timestamp)> {
    in_order(troubles.map(|trouble| (trouble.from, trouble.to)).collect())
}

fn in_order(mut all: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    all.sort();
    let mut merged: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (from, to) in all {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    merged
}

impl Person {
    /// The outcome of a try of a dead login may have gone with the process, or with the store's last commits.
    pub fn tries_again(&mut self) {
        self.dead_requests = self.dead_requests.saturating_sub(1);
    }

    /// The longest that may lie between two archives where nothing is wrong.
    pub fn longest(&self) -> Duration {
        SLACK + if self.hourly { HOUR } else { HOUR * 3 }
    }
}

pub fn judge(world: &World) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (mut found, mut counts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for who in 0..world.setup.users {
        let stored = runtime.block_on(read(world, who));
        let state = world.state();
        let Some(stored) = stored else {
            found.push(format!("user{who} is not there"));
            continue;
        };
        login(world, &state, who, &stored, &mut found);
        failures(&state, who, &mut found);
        let excused = excused(&state, who);
        late(world, &state, who, &excused, &mut found);
        let lost = plays(&state, who, &stored, &excused, &mut found);
        let bad: Duration = excused.iter().map(|(from, to)| (*to).min(world.end()).since(*from)).sum();
        counts.push((state.people[who].plays.len(), lost, bad));
        ends.push((who, stored.plays.len(), stored.gaps.len(), stored.generation));
    }
    for what in found {
        world.found(&what);
    }
    for (who, plays, gaps, generation) in ends {
        world.note("ends with", format_args!("{who} {plays} {gaps} {generation}"));
    }
    let mut state = world.state();
    for (heard, (lost, between), bad) in counts {
        state.history.count_more("plays heard", heard as u64);
        state.history.count_more("plays lost that no run could have had", lost as u64);
        state
            .history
            .count_more("plays lost because an adaptive user skipped more than before", between as u64);
        state.history.count_more("hours in which something was wrong for a user", bad.as_secs() / 3_600);
    }
}

struct Stored {
    plays: Vec<Timestamp>,
    gaps: Vec<Gap>,
    refused: Option<String>,
    alive: bool,
    generation: Generation,
}

async fn read(world: &World, who: usize) -> Option<Stored> {
    let (user, account) = {
        let state = world.state();
        (state.people[who].id?, state.people[who].account.clone())
    };
    let query = PlayQuery { limit: i64::MAX, ..PlayQuery::default() };
    let plays = world.store.plays(user, query).await.ok()?;
    let grant = world.store.grant(user).await.ok()??;
    let label = Label::Refresh(user, grant.epoch, grant.generation);
    let token = world.vault.open(label, grant.refresh_token.as_ref()?).ok()?;
    Some(Stored {
        plays: plays.into_iter().map(|play| play.played_at).collect(),
        gaps: world.store.gaps(user).await.ok()?,
        refused: grant.refusal.map(|refusal| refusal.reason),
        generation: grant.generation,
        alive: world.spotify.alive(&account, &String::from_utf8_lossy(&token)),
    })
}

/// At the end everyone's login lives, or its death was told and could not be helped.
fn login(world: &World, state: &State, who: usize, stored: &Stored, found: &mut Vec<String>) {
    let person = &state.people[who];
    match (stored.alive, &stored.refused) {
        (true, None) => {}
        (true, Some(why)) => found.push(format!("user{who} must log in for nothing: {why}")),
        // A day may pass until it is told, and until they log in.
        (false, _) if world.setup.days < 3 && (person.revoked || person.dead.is_some()) => {}
        (false, told) => {
            found.push(format!("user{who} has a dead login at the end: told {told:?}, {:?}", person.newest))
        }
    }
}

/// A run fails for a reason that there really was.
fn failures(state: &State, who: usize, found: &mut Vec<String>) {
    let person = &state.people[who];
    for (at, why) in &person.failures {
        let before = *at - MINUTE * 2;
        // What went wrong with one call of the store excuses who tells of the store.
        let blips = state.blips.iter().filter(|_| why.contains("store"));
        let mut reasons = troubles_of(state, who).chain(blips);
        let dead = person.dead.is_some_and(|(since, _)| since <= *at + MINUTE);
        if !dead && !reasons.any(|trouble| trouble.from <= *at && trouble.to >= before) {
            found.push(format!("user{who}: a run failed for no reason at {at}: {why}"));
        }
    }
}

/// When no archive could be asked for, merged and in order: what was wrong, and after each failure the wait until the
/// next run.
fn excused(state: &State, who: usize) -> Vec<(Timestamp, Timestamp)> {
    let person = &state.people[who];
    let mut all: Vec<(Timestamp, Timestamp)> = troubles_of(state, who).map(|t| (t.from, t.to)).collect();
    for (at, why) in &person.failures {
        // A user whose app is refused is looked at again after six hours.
        let wait = if why.starts_with("blocked") { HOUR * 6 + person.longest() } else { person.longest() };
        all.push((*at - MINUTE * 2, *at + wait));
    }
    if let Some((since, _)) = person.dead {
        all.push((since, Timestamp::MAX));
    }
    in_order(all)
}

/// The longest stretch of `from..to` in which nothing was wrong.
pub fn longest_calm(from: Timestamp, to: Timestamp, excused: &[(Timestamp, Timestamp)]) -> Duration {
    let (mut at, mut longest) = (from, Duration::ZERO);
    let first = excused.partition_point(|(_, end)| *end < from);
    for (begin, end) in &excused[first..] {
        if *begin >= to {
            break;
        }
        longest = longest.max(begin.since(at));
        at = at.max(*end);
    }
    longest.max(to.since(at))
}

/// Nobody waits longer for an archive than the schedule says, unless something is wrong.
fn late(
    world: &World,
    state: &State,
    who: usize,
    excused: &[(Timestamp, Timestamp)],
    found: &mut Vec<String>,
) {
    let person = &state.people[who];
    let mut last = super::START;
    for at in person.pages.iter().copied().chain([world.end()]) {
        let calm = longest_calm(last, at, excused);
        if calm > person.longest() {
            let minutes = calm.as_secs() / 60;
            found.push(format!(
                "user{who}: no archive for {minutes} min without a reason, from {last} to {at}"
            ));
        }
        last = at;
    }
}

/// Whether the schedule alone left the looks before and after this so far apart as they are.
fn rests(pages: &[Timestamp], at: Timestamp, excused: &[(Timestamp, Timestamp)]) -> bool {
    let after = pages.partition_point(|page| *page < at);
    let (Some(before), Some(next)) = (after.checked_sub(1).map(|n| pages[n]), pages.get(after)) else {
        return false;
    };
    let apart = next.since(before);
    apart > SOONEST + SLACK && longest_calm(before, *next, excused) == apart
}

/// Every play that Spotify showed to a run, or to one that could have been made, is stored; of the others a gap tells.
/// How many these are, and how many of them an adaptive user lost between two looks while nothing was wrong: who begins
/// to skip may. Of that `pace.rs` has its own tests.
fn plays(
    state: &State,
    who: usize,
    stored: &Stored,
    excused: &[(Timestamp, Timestamp)],
    found: &mut Vec<String>,
) -> (usize, usize) {
    let person = &state.people[who];
    let mut kept = stored.plays.clone();
    kept.sort_unstable();
    let invented = kept.iter().filter(|at| person.plays.binary_search_by_key(at, |(play, _)| play).is_err());
    found.extend(invented.map(|at| format!("user{who}: a play at {at} that was never heard")));
    if kept.windows(2).any(|two| two[0] == two[1]) {
        found.push(format!("user{who}: a play is stored twice"));
    }
    let (mut lost, mut between) = (0, 0);
    for (n, (at, shown)) in person.plays.iter().enumerate() {
        if kept.binary_search(at).is_ok() {
            continue;
        }
        lost += 1;
        let mut later: Vec<Timestamp> =
            person.plays[n + 1..].iter().take(SHOWN * 3).map(|(_, v)| *v).collect();
        later.sort_unstable();
        let gone = later.get(SHOWN - 1).copied().unwrap_or(Timestamp::MAX);
        let page = person.pages.iter().find(|page| *page >= shown && **page < gone);
        if let Some(page) = page {
            found.push(format!("user{who}: the play of {at} was on the page of {page}, and is not stored"));
        } else if longest_calm(*shown, gone, excused) > person.longest() {
            found.push(format!(
                "user{who}: the play of {at} was shown from {shown} to {gone}, and no run asked"
            ));
        }
        if shown == at && !person.hourly && rests(&person.pages, *at, excused) {
            between += 1;
        }
        // Of a play that Spotify showed late, among others that were there, nobody can know.
        if shown == at && !stored.gaps.iter().any(|gap| gap.from <= *at && gap.to >= *at) {
            found.push(format!("user{who}: the play of {at} is missing, and no gap says so"));
        }
    }
    (lost, between)
}
