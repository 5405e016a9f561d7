//! What happens in the demo, second by second: people who listen, a login that is withdrawn, a burst of 429, a lost
//! answer, and a crowd that asks for one token. It goes through the local API as any program does.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::line::Line;
use super::{CliError, folder, tally};
use crate::cli::output::count;
use crate::clock::{Clock as _, SystemClock};
use crate::control::api::{PutUser, TokenQuestion};
use crate::control::client::{Client, ClientError};
use crate::domain::{Timestamp, UserName};
use crate::sim::{
    App, Consent, Effect, Endpoint, Fault, Injection, LimitBody, Listen, Reply, Rotation, SimulatedSpotify,
    music,
};

/// Who withdraws her login in the story.
pub const WITHDRAWS: &str = "carol";

/// Everyone in the demo, with the app of each.
pub const PEOPLE: [(&str, &str); 4] =
    [("alice", "default"), ("bob", "default"), ("carol", "default"), ("dave", "other")];
/// What the simulated 429 asks for.
pub const RETRY_AFTER: Duration = Duration::from_secs(6);

const SCOPES: [&str; 2] = ["user-read-recently-played", "user-top-read"];
const CROWD: usize = 25;
/// How long a spent refresh token of dave's app may be asked for again.
const GRACE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Makes the two apps known to Spotify.
pub fn register_apps(spotify: &SimulatedSpotify, page: &str) {
    let callback = callback(page);
    for (name, rotation) in [("default", Rotation::Rotate), ("other", Rotation::RotateWithGrace(GRACE))] {
        spotify.register_app(App::pkce(&client_id(name)).rotation(rotation).redirect(&callback));
    }
}

fn client_id(app: &str) -> String {
    format!("simulated-{app}")
}

fn callback(page: &str) -> String {
    format!("http://{page}/callback")
}

/// The daemon's configuration.
pub fn config(folder: &Path, spotify: &SimulatedSpotify, page: &str) -> Value {
    let app = |name: &str, grace: Duration| {
        json!({
            "client_id": client_id(name),
            "redirect_uri": callback(page),
            "authorize_url": spotify.authorize_url(),
            "token_url": spotify.token_url(),
            "api_url": spotify.api_url(),
            "rotation_grace": format!("{}s", grace.as_secs()),
            "calls_per_day": 100_000,
        })
    };
    json!({
        "store": {"state_dir": folder.join("state")},
        "control": {"socket": folder::socket(folder)},
        "web": {"listen": page},
        "apps": {"default": app("default", Duration::ZERO), "other": app("other", GRACE)},
    })
}

/// Tells it.
pub struct Story {
    client: Client,
    spotify: SimulatedSpotify,
    lines: mpsc::Sender<Line>,
    /// How many tracks were heard one by one.
    heard: usize,
}

impl Story {
    /// Through this client, to these lines.
    pub fn new(client: Client, spotify: SimulatedSpotify, lines: mpsc::Sender<Line>) -> Self {
        Self { client, spotify, lines, heard: 0 }
    }

    /// Goes on for ever.
    ///
    /// # Errors
    /// What the daemon should not have answered.
    pub async fn tell(mut self) -> Result<(), CliError> {
        let began = SystemClock.boot();
        for second in 0.. {
            let due = began.0 + Duration::from_secs(second);
            SystemClock.sleep(due.saturating_sub(SystemClock.boot().0)).await;
            self.step(second).await?;
            self.listen(second);
        }
        Ok(())
    }

    async fn step(&self, second: u64) -> Result<(), CliError> {
        let now = SystemClock.now();
        match second {
            0 => self.join("alice", "*/10 * * * * *", 30, now).await,
            1 => self.join("bob", "*/5 * * * * *", 50, now - 8 * HOUR).await,
            2 => self.join("carol", "*/5 * * * * *", 20, now).await,
            3 => self.join("dave", "*/5 * * * * *", 25, now).await,
            6 => self.phone_comes_back(now).await,
            10 => self.withdraw().await,
            18 => self.limit().await,
            20 => self.ask_while_held().await,
            // The first time it meets the second 429.
            25 | 32 => self.archive_dave().await,
            22 => self.late_play(now).await,
            36 => self.crowd().await,
            42 => self.lose_answer().await,
            95 => self.sum_up().await,
            _ => Ok(()),
        }
    }

    /// Everyone hears music, faster than time allows.
    fn listen(&mut self, second: u64) {
        let now = SystemClock.now();
        for (name, from, every) in [("alice", 5, 9), ("bob", 14, 3), ("carol", 14, 8), ("dave", 8, 7)] {
            if second >= from && second.is_multiple_of(every) {
                self.heard += 1;
                self.spotify.listen(name, [Listen::new(&format!("Track No. {}", self.heard), now)]);
            }
        }
    }

    async fn join(&self, name: &str, schedule: &str, plays: usize, until: Timestamp) -> Result<(), CliError> {
        let app = PEOPLE.iter().find(|(person, _)| *person == name).map_or("default", |(_, app)| app);
        self.spotify.listen_until(name, plays, until);
        let token = self.spotify.grant(name, &client_id(app), &SCOPES);
        let put = PutUser {
            add: true,
            app: Some(app.parse().map_err(refused)?),
            schedule: Some(schedule.to_owned()),
            refresh_token: Some(token),
            login_at: Some(SystemClock.now()),
            ..PutUser::default()
        };
        Ok(self.client.put_user(&user(name)?, &put).await?)
    }

    async fn phone_comes_back(&self, now: Timestamp) -> Result<(), CliError> {
        self.scene("bob's phone was offline for 8 hours and hands in 70 plays at once; Spotify shows 50")
            .await;
        self.spotify.listen(
            "bob",
            music::session(70, now).into_iter().map(|play| Listen::from(play).visible_at(now)),
        );
        Ok(())
    }

    async fn withdraw(&self) -> Result<(), CliError> {
        self.scene("carol removes the app from her account: every token of hers is dead").await;
        self.spotify.revoke(WITHDRAWS);
        self.spotify.kill_access_tokens(WITHDRAWS);
        // So that `longplay login carol` in another terminal is hers.
        self.spotify.next_consent(Consent::By(WITHDRAWS.to_owned()));
        Ok(())
    }

    async fn limit(&self) -> Result<(), CliError> {
        let seconds = RETRY_AFTER.as_secs();
        self.scene(&format!(
            "429 to dave's app, twice, with Retry-After: {seconds}; somebody runs `longplay archive dave`"
        ))
        .await;
        let reply = Reply::rate_limited(Some(&seconds.to_string()), LimitBody::Json);
        self.spotify.inject(Injection::new(Endpoint::Recent, Fault::answer(reply)).of("dave").times(2));
        self.archive_dave().await
    }

    async fn ask_while_held(&self) -> Result<(), CliError> {
        let requests =
            || self.spotify.seen().iter().filter(|seen| seen.account.as_deref() == Some("dave")).count();
        let before = requests();
        for _ in 0..3 {
            self.archive_dave().await?;
        }
        let came = count(requests() - before, "request", "requests");
        self.scene(&format!("`longplay archive dave` three times meanwhile: {came} came to Spotify")).await;
        Ok(())
    }

    async fn archive_dave(&self) -> Result<(), CliError> {
        refusable(self.client.archive(&user("dave")?).await.map(drop))
    }

    async fn late_play(&self, now: Timestamp) -> Result<(), CliError> {
        self.scene("a play of alice's from an hour ago turns up late, among older ones").await;
        self.spotify.listen("alice", [Listen::new("Late Arrival", now - HOUR).visible_at(now)]);
        Ok(())
    }

    async fn crowd(&self) -> Result<(), CliError> {
        self.scene(&format!("{CROWD} programs ask for a fresh token of alice's in the same instant")).await;
        let alice = user("alice")?;
        let accepted = || self.spotify.refreshes("alice").accepted;
        let before = accepted();
        let fresh = TokenQuestion { fresh: Some(true), ..TokenQuestion::default() };
        let answers = join_all((0..CROWD).map(|_| self.client.token(&alice, &fresh))).await;
        let valid = answers.iter().flatten().filter(|answer| self.spotify.access_valid(&answer.access_token));
        let (valid, refreshes) = (valid.count(), accepted() - before);
        self.scene(&format!("{valid} of them have a valid one; refreshes that took: {refreshes}")).await;
        Ok(())
    }

    async fn lose_answer(&self) -> Result<(), CliError> {
        self.scene(
            "dave's next refresh: Spotify replaces the refresh token, and its answer is lost on the way",
        )
        .await;
        self.spotify.inject(Injection::new(Endpoint::Token, Fault::after(Effect::Drop)).of("dave"));
        let fresh = TokenQuestion { fresh: Some(true), ..TokenQuestion::default() };
        refusable(self.client.token(&user("dave")?, &fresh).await.map(drop))
    }

    async fn sum_up(&self) -> Result<(), CliError> {
        let tally = tally::take(&self.client, &self.spotify).await?;
        // Colours are for single lines; a table that is read later does without.
        let text = format!(
            "\nSo far, by the archive and by the simulated Spotify's own record:\n{}It goes on until Ctrl-C.\n\n",
            tally.text(false)
        );
        self.tell_line(Line::Text(text)).await;
        Ok(())
    }

    async fn scene(&self, text: &str) {
        self.tell_line(Line::Scene(text.to_owned())).await;
    }

    async fn tell_line(&self, line: Line) {
        // Nobody listens only at the very end.
        let _ = self.lines.send(line).await;
    }
}

/// What the daemon refuses is part of the story: its events say why.
fn refusable(answer: Result<(), ClientError>) -> Result<(), CliError> {
    match answer {
        Err(ClientError::Problem(_)) => Ok(()),
        answer => Ok(answer?),
    }
}

/// A name of the story.
pub fn user(name: &str) -> Result<UserName, CliError> {
    name.parse().map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> CliError {
    CliError::failed(error.to_string())
}
