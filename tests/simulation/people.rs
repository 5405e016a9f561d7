//! What people do: they arrive with a token, pause and resume, and log in again when they are told that they must.

use std::sync::Arc;
use std::time::Duration;

use longplay::control::Service;
use longplay::control::api::{LoginQuestion, Progress, PutUser, TokenQuestion};
use longplay::daemon::Bare;
use longplay::domain::UserId;
use longplay::sim::{Call, Consent, Outcome};
use longplay::store::GrantStore as _;
use longplay::tokens::Label;

use super::calendar::{HOUR, Happening, MINUTE};
use super::oracle::{hindrances_of, longest_calm, merged};
use super::world::{Newest, SCOPES, World};

/// Everyone comes with a refresh token from elsewhere.
pub async fn arrive(world: &Arc<World>, bare: &Bare) {
    let Some(service) = bare.service() else { return world.found("no service at the first start") };
    for who in 0..world.setup.users {
        let (name, account, app, hourly) = {
            let state = world.state();
            let person = &state.people[who];
            (person.name.clone(), person.account.clone(), person.app, person.hourly)
        };
        let token = world.spotify.grant(&account, &format!("client{app}"), &SCOPES);
        let minute = world.chance.below(60);
        let put = PutUser {
            add: true,
            app: Some(format!("app{app}").parse().expect("a good name")),
            schedule: hourly.then(|| format!("{minute} * * * *")),
            timezone: None,
            refresh_token: Some(token),
            login_at: Some(world.now()),
        };
        if let Err(problem) = service.put_user(&name, put).await {
            world.found(&format!("user{who} can't be added: {}", problem.detail));
        }
        let id = UserId(i64::try_from(who).unwrap_or(0) + 1);
        let mut state = world.state();
        state.people[who].id = Some(id);
        state.ids.insert(id, who);
    }
}

/// What a person wanted to do is done again later where it did not come to its end, also because the process ended.
struct Again(Arc<World>, Option<(Duration, Happening)>);

impl Again {
    /// It came to its end; what comes next, if anything.
    fn then(&mut self, next: Option<(Duration, Happening)>) {
        self.1 = next;
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        if let Some((later, happening)) = self.1.take() {
            let at = self.0.now() + later;
            self.0.state().calendar.put(at, happening);
        }
    }
}

/// Pauses or resumes; a resume that does not work is tried again.
pub fn pause(world: &Arc<World>, bare: &Bare, who: usize, paused: bool) {
    let (world, service) = (Arc::clone(world), bare.service());
    let name = world.state().people[who].name.clone();
    let resume = (!paused).then_some((MINUTE, Happening::Resume(who)));
    let mut again = Again(world, resume);
    tokio::spawn(async move {
        let Some(service) = service else { return };
        if service.set_paused(Some(&name), paused).await.is_ok() {
            again.then(None);
        }
    });
}

/// A program asks for a token, and asks again some time later.
pub fn ask(world: &Arc<World>, bare: &Bare, who: usize) {
    let (world, service) = (Arc::clone(world), bare.service());
    let dice = &world.programs;
    let again = world.now() + dice.between(MINUTE * 2, MINUTE * 90);
    let asks_more = dice.hits(0.3).then(|| dice.between(MINUTE, MINUTE * 25));
    let fresh = dice.hits(0.03);
    let name = {
        let mut state = world.state();
        state.calendar.put(again, Happening::Ask(who));
        state.people[who].name.clone()
    };
    let Some(service) = service else { return };
    tokio::spawn(async move {
        let asked_at = world.now();
        let question =
            TokenQuestion { valid_for: asks_more.map(|least| least.as_secs()), fresh: fresh.then_some(true) };
        match service.token(&name, question).await {
            Ok(answer) => world.given(who, &answer.access_token, asks_more.unwrap_or_default()),
            Err(problem) => world.refused(who, asked_at, &problem.detail),
        }
    });
}

/// A user who was told to log in looks whether that is so.
pub fn look(world: &Arc<World>, bare: &Bare, who: usize) {
    let (world, service) = (Arc::clone(world), bare.service());
    let mut again = Again(Arc::clone(&world), Some((MINUTE * 5, Happening::LogIn(who))));
    tokio::spawn(async move {
        let Some(service) = service else { return };
        again.then(must(&world, &service, who).await.map(|later| (later, Happening::LogIn(who))));
    });
}

/// How long until the next look; `None`: all is well.
async fn must(world: &Arc<World>, service: &Service, who: usize) -> Option<Duration> {
    let (user, account) = {
        let state = world.state();
        (state.people[who].id?, state.people[who].account.clone())
    };
    let grant = world.store.grant(user).await.ok()??;
    let sealed = grant.refresh_token.clone()?;
    let token = world.vault.open(Label::Refresh(user, grant.epoch, grant.generation), &sealed).ok()?;
    let token = String::from_utf8_lossy(&token).into_owned();
    if world.spotify.alive(&account, &token) {
        // Told wrongly: it must come back by itself.
        let refusal = grant.refusal?;
        let calm = {
            let state = world.state();
            longest_calm(refusal.since, world.now(), &merged(hindrances_of(&state, who)))
        };
        if calm > HOUR + MINUTE * 15 {
            world.found(&format!("user{who} is told to log in, and need not: {}", refusal.reason));
        }
        return Some(HOUR * 2);
    }
    match log_in(world, service, who, &account).await {
        Ok(()) => None,
        Err(why) => {
            world.note("login failed", format_args!("{who} {why}"));
            Some(MINUTE * 10)
        }
    }
}

async fn log_in(world: &Arc<World>, service: &Service, who: usize, account: &str) -> Result<(), String> {
    let name = world.state().people[who].name.clone();
    let begun = service.begin_login(&name, LoginQuestion::default()).await.map_err(|p| p.detail)?;
    let url = url::Url::parse(&begun.authorize_url).map_err(|e| e.to_string())?;
    let call = Call {
        method: "GET".to_owned(),
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        ..Call::default()
    };
    world.spotify.next_consent(Consent::By(account.to_owned()));
    let Outcome::Whole(reply) = world.spotify.answer(call).await else { return Err("no page".to_owned()) };
    let location = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
    let Some((_, location)) = location else { return Err(format!("status {}", reply.status)) };
    let state = service.finish_login(location).await.map_err(|p| p.detail)?;
    if state.progress != Progress::Done {
        return Err(state.message);
    }
    let now = world.now();
    let mut all = world.state();
    let person = &mut all.people[who];
    let dead = person.dead.take();
    (person.dead_requests, person.revoked, person.newest) = (0, false, Newest::Durable);
    if let Some((from, _)) = dead {
        let to = now + MINUTE * 10;
        person.troubles.push(super::world::Trouble { from, to, why: "the login was dead" });
    }
    let why = dead.map_or("nothing", |(_, why)| why);
    drop(all);
    world.note("logged in again", format_args!("{who} {why}"));
    world.state().history.count(&format!("logged in again: {why}"));
    Ok(())
}
