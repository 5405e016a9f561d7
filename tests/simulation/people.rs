//! What people do: they arrive with a token, pause and resume, and log in again when they are told that they must.

use std::sync::Arc;
use std::time::Duration;

use longplay::control::Service;
use longplay::control::api::{LoginQuestion, Progress, PutUser};
use longplay::daemon::Bare;
use longplay::domain::UserId;
use longplay::sim::{Call, Consent, Outcome};
use longplay::store::GrantStore as _;
use longplay::tokens::Label;

use super::calendar::{HOUR, Happening, MINUTE};
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

/// Pauses or resumes; what does not work is tried again.
pub fn pause(world: &Arc<World>, bare: &Bare, who: usize, paused: bool) {
    let (world, service) = (Arc::clone(world), bare.service());
    let name = world.state().people[who].name.clone();
    tokio::spawn(async move {
        let done = match &service {
            Some(service) => service.set_paused(Some(&name), paused).await.is_ok(),
            None => false,
        };
        if !done && !paused {
            let again = world.now() + MINUTE;
            world.state().calendar.put(again, Happening::Resume(who));
        }
    });
}

/// A user who was told to log in looks whether that is so.
pub fn look(world: &Arc<World>, bare: &Bare, who: usize) {
    let (world, service) = (Arc::clone(world), bare.service());
    tokio::spawn(async move {
        let again = match service {
            Some(service) => must(&world, &service, who).await,
            None => Some(MINUTE * 5),
        };
        if let Some(again) = again {
            let at = world.now() + again;
            world.state().calendar.put(at, Happening::LogIn(who));
        }
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
        return grant.refusal.is_some().then_some(HOUR * 2);
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
