//! One request from its arrival to its answer: faults before the commit, the commit, faults after it.

use std::sync::Arc;

use chrono::TimeDelta;

use super::fault::{Effect, Endpoint, Fault};
use super::message::{Call, Outcome, Reply};
use super::record::{Answered, Seen};
use super::world::World;
use super::{Shared, api, authorize, token};
use crate::domain::Timestamp;

/// Counts a refresh as under way for as long as its client waits.
struct UnderWay {
    shared: Arc<Shared>,
    account: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut world = self.shared.world();
        world.under_way -= 1;
        if let Some(counts) = world.refreshes.get_mut(&self.account) {
            counts.under_way -= 1;
        }
    }
}

/// Answers a request. What was begun is finished even if the client goes away: so do real servers.
pub(super) async fn answer(shared: Arc<Shared>, call: Call) -> Outcome {
    let Some(endpoint) = Endpoint::of(&call.method, &call.path) else {
        return dated(&shared, Outcome::Whole(Reply::api_error(404, "Service not found")));
    };
    let (fault, seen, under_way) = arrive(&shared, endpoint, &call);
    let server = shared.clone();
    let worker = tokio::spawn(async move {
        let outcome = carry_out(&server, endpoint, &call, fault).await;
        if let Some(seen) = server.world().seen.get_mut(seen) {
            seen.answered = Some(Answered::from(&outcome));
        }
        outcome
    });
    // It fails only when the runtime ends or by a fault of the simulation: no answer either way.
    let outcome = worker.await.unwrap_or(Outcome::Cut);
    drop(under_way);
    dated(&shared, outcome)
}

/// Takes note of a request, and picks its fault.
fn arrive(shared: &Arc<Shared>, endpoint: Endpoint, call: &Call) -> (Fault, usize, Option<UnderWay>) {
    let at = shared.clock.now();
    let mut world = shared.world();
    let account = match endpoint {
        Endpoint::Authorize => authorize::account(&world),
        Endpoint::Token => token::account(&world, call),
        Endpoint::Me | Endpoint::Recent | Endpoint::Top => api::account(&world, call),
    };
    let fault = world.faults.take(endpoint, account.as_deref());
    let refreshes = endpoint == Endpoint::Token && call.form().get("refresh_token").is_some();
    let under_way = account.clone().filter(|_| refreshes).map(|account| {
        let counts = world.refreshes.entry(account.clone()).or_default();
        counts.asked += 1;
        counts.under_way += 1;
        counts.most_at_once = counts.most_at_once.max(counts.under_way);
        world.under_way += 1;
        world.most_at_once = world.most_at_once.max(world.under_way);
        UnderWay { shared: shared.clone(), account }
    });
    world.seen.push(Seen { at, endpoint, account, answered: None });
    (fault, world.seen.len() - 1, under_way)
}

async fn carry_out(shared: &Shared, endpoint: Endpoint, call: &Call, fault: Fault) -> Outcome {
    // Before the commit there is no answer to halve: half of an outage's text will do.
    if let Some(effect) = fault.before
        && let Err(outcome) = suffer(shared, effect, Reply::outage(200)).await
    {
        return outcome;
    }
    let reply = commit(&mut shared.world(), endpoint, call, shared.clock.now());
    match fault.after {
        Some(effect) => suffer(shared, effect, reply).await.map_or_else(|end| end, Outcome::Whole),
        None => Outcome::Whole(reply),
    }
}

/// The moment at which the record changes.
fn commit(world: &mut World, endpoint: Endpoint, call: &Call, now: Timestamp) -> Reply {
    match endpoint {
        Endpoint::Authorize => authorize::answer(world, call, now),
        Endpoint::Token => token::answer(world, call, now),
        Endpoint::Me | Endpoint::Recent | Endpoint::Top => api::answer(world, endpoint, call, now),
    }
}

/// Lets an effect happen. A delay gives the answer back; anything else ends the request.
async fn suffer(shared: &Shared, effect: Effect, reply: Reply) -> Result<Reply, Outcome> {
    match effect {
        Effect::Drop => return Err(Outcome::Cut),
        Effect::HalfABody => return Err(Outcome::Half(reply)),
        Effect::Answer(other) => return Err(Outcome::Whole(other)),
        Effect::Late(duration, other) => {
            shared.clock.sleep(duration).await;
            return Err(Outcome::Whole(other));
        }
        Effect::Endless(other, pause) => return Err(Outcome::Endless(other, pause)),
        Effect::Slow(duration) => shared.clock.sleep(duration).await,
        Effect::Hang(gate) => gate.pass().await,
    }
    Ok(reply)
}

/// Adds the `Date` (RFC 9110, section 6.6.1), unless the answer has one.
fn dated(shared: &Shared, outcome: Outcome) -> Outcome {
    let skew: TimeDelta = shared.world().clock_skew;
    let date = shared.clock.now().offset_millis(skew.num_milliseconds()).utc();
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let add = |reply: Reply| {
        let has = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date"));
        if has { reply } else { reply.header("date", date) }
    };
    match outcome {
        Outcome::Whole(reply) => Outcome::Whole(add(reply)),
        Outcome::Half(reply) => Outcome::Half(add(reply)),
        Outcome::Endless(reply, pause) => Outcome::Endless(add(reply), pause),
        Outcome::Cut => Outcome::Cut,
    }
}
