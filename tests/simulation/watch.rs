//! What is watched while it happens: one refresh at a time for a user, no token that is about to run out, none that is
//! not committed, no login that dies for nothing.

use std::time::Duration;

use longplay::domain::Timestamp;
use longplay::sim::{Reply, Rotation};
use longplay::store::GrantStore as _;
use longplay::tokens::Label;

use super::BUFFER;
use super::calendar::{HOUR, MINUTE};
use super::oracle::{hindrances_of, longest_calm, merged, troubles_of};
use super::world::{Newest, State, World};

/// What a token may lose between its handing over and its use.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// In a calm of this length a refresh in doubt is tried again, however long it backed off before: for the first ten
/// minutes.
const A_TRY_WITHIN: Duration = Duration::from_secs(320);
/// After so long the spool has given back what the store had lost.
const GIVEN_BACK: Duration = Duration::from_secs(5 * 60);

/// Counts a refresh as under way until whoever asked has an answer or is no more.
pub struct UnderWay<'a>(&'a World, Option<usize>);

impl<'a> UnderWay<'a> {
    pub fn new(world: &'a World, who: Option<usize>) -> Self {
        if let Some(who) = who {
            let under_way = {
                let person = &mut world.state().people[who];
                person.under_way += 1;
                person.under_way
            };
            if under_way > 1 {
                world.found(&format!("user{who}: {under_way} refreshes under way"));
            }
        }
        Self(world, who)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(who) = self.1 {
            let person = &mut self.0.state().people[who];
            person.under_way = person.under_way.saturating_sub(1);
        }
    }
}

impl World {
    /// Takes note of what Spotify has done to a user's login.
    pub fn committed(&self, who: usize, sent: &str, reply: &Reply, orphan: bool) {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let now = self.now();
        self.note("refresh", format_args!("{who} {} {orphan}", reply.status));
        if reply.status == 200 {
            let rotated = body["refresh_token"].as_str().is_some_and(|new| !new.is_empty() && new != sent);
            if rotated {
                self.state().people[who].newest = Newest::Unheard(now);
            }
            return;
        }
        if body["error"] != "invalid_grant" {
            return;
        }
        let (first, excuse) = {
            let mut state = self.state();
            let excuse = self.excuse(&state, who, orphan, now);
            let person = &mut state.people[who];
            let first = person.dead.is_none();
            person.dead.get_or_insert((now, excuse.unwrap_or("nothing")));
            (first, excuse)
        };
        if first {
            self.note("login dead", format_args!("{who} {excuse:?}"));
        }
        if first && excuse.is_none() {
            let lost = {
                let state = self.state();
                let person = &state.people[who];
                format!("a login was lost that need not be: {:?} {:?}", person.newest, person.rotation)
            };
            self.found(&format!("user{who}: {lost}"));
        }
    }

    /// Takes note of an answer that came whole. One that is lost tells nothing, and is asked for again.
    pub fn heard(&self, who: usize, reply: &Reply) {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if reply.status == 200 || body["error"] != "invalid_grant" {
            return;
        }
        let requests = {
            let person = &mut self.state().people[who];
            person.dead_requests += 1;
            person.dead_requests
        };
        if requests > 5 {
            self.found(&format!("user{who}: {requests} requests for a dead login"));
        }
    }

    /// Why nobody could help it that this login is dead.
    fn excuse(&self, state: &State, who: usize, orphan: bool, now: Timestamp) -> Option<&'static str> {
        let person = &state.people[who];
        if person.revoked {
            return Some("revoked by the user");
        }
        match (person.newest, person.rotation) {
            (_, Rotation::Never | Rotation::Null | Rotation::Empty | Rotation::Same) => None,
            _ if orphan => Some("a request came late, after whoever sent it had given up"),
            (Newest::Unspooled, _) => Some("the spool failed, and then the store"),
            (Newest::StoredOnly(at), _) if state.rolled_back >= at => {
                Some("the spool failed, and the store was set back")
            }
            (Newest::Unheard(_) | Newest::DiedWithIt(_), Rotation::Rotate) => Some("the answer was lost"),
            (Newest::Unheard(at) | Newest::DiedWithIt(at), Rotation::RotateWithGrace(grace)) => {
                let hindered =
                    longest_calm(at, at + grace, &merged(hindrances_of(state, who))) < A_TRY_WITHIN;
                (now.since(at) > grace && hindered).then_some("the answer was lost, and grace was over")
            }
            _ => None,
        }
    }

    /// A program was given a token.
    pub fn given(&self, who: usize, token: &str, asked: Duration) {
        self.note("token given", format_args!("{who}"));
        let Some((account, expires_at)) = self.spotify.access(token) else {
            return self.found(&format!("user{who}: a program was given a token that Spotify never issued"));
        };
        let (is_theirs, is_dead) = {
            let state = self.state();
            let person = &state.people[who];
            (person.account == account, person.revoked || person.dead.is_some())
        };
        let (left, least) = (expires_at.since(self.now()), asked.max(BUFFER));
        if !is_theirs {
            self.found(&format!("user{who}: a program was given another user's token"));
        }
        if left + ON_ITS_WAY < least && !self.stood_still() {
            let (left, least) = (left.as_secs(), least.as_secs());
            self.found(&format!("user{who}: a program asked for {least} s and was given {left} s"));
        }
        if !is_dead && !self.stood_still() && !self.spotify.access_valid(token) {
            self.found(&format!("user{who}: a program was given a dead token"));
        }
    }

    /// A program was given none.
    pub fn refused(&self, who: usize, asked_at: Timestamp, why: &str) {
        self.note("token refused", format_args!("{who} {why}"));
        let has_reason = {
            let (now, state) = (self.now(), self.state());
            let mut reasons = troubles_of(&state, who).chain(&state.blips);
            state.people[who].dead.is_some()
                || state.people[who].revoked
                || reasons.any(|trouble| trouble.from <= now && trouble.to + MINUTE >= asked_at)
        };
        if !has_reason {
            self.found(&format!("user{who}: a program was refused a token for no reason: {why}"));
        }
    }

    /// The host stood still between the handing over of a token and its use.
    pub fn stood_still(&self) -> bool {
        let (now, state) = (self.now(), self.state());
        now.since(state.suspended) < MINUTE
    }

    /// That the token is valid for the buffer, and on record.
    pub async fn used(&self, who: Option<usize>, token: &str, expires_at: Timestamp) {
        let left = expires_at.since(self.now());
        if left + ON_ITS_WAY < BUFFER && !self.stood_still() {
            self.found(&format!("{who:?}: a token with {} s left was handed out", left.as_secs()));
        }
        if who.is_some_and(|who| {
            self.state().people[who].refused.as_ref().is_some_and(|(refused, _)| refused == token)
        }) {
            self.found(&format!("{who:?}: a token was used again that Spotify had refused"));
        }
        let user = who.and_then(|who| self.state().people[who].id);
        let Some(user) = user else { return };
        let Ok(Some(grant)) = self.store.grant(user).await else { return };
        let Some(sealed) = &grant.access_token else { return };
        let label = Label::Access(user, grant.epoch, grant.generation);
        let Ok(kept) = self.vault.open(label, sealed) else {
            return self.found(&format!("{who:?}: the stored access token can't be opened"));
        };
        let kept = String::from_utf8_lossy(&kept).into_owned();
        if kept == token {
            return;
        }
        let on_record = self.spotify.access(&kept).map(|(_, expires_at)| expires_at);
        let rolled_back = {
            let (now, state) = (self.now(), self.state());
            let only_there = who.is_some_and(|who| matches!(state.people[who].newest, Newest::StoredOnly(_)));
            let since = now.since(state.rolled_back.max(state.store_down));
            now.since(state.rolled_back) < HOUR * 2 && (only_there || since < GIVEN_BACK)
        };
        if on_record < Some(expires_at) && !rolled_back {
            self.found(&format!("{who:?}: a token was handed out that is not committed"));
        }
    }
}
