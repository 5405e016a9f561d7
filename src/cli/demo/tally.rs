//! What became of everything, asked anew from the archive and compared with the simulated Spotify's own record. Each
//! login that should live is proven by one more refresh.

use std::collections::BTreeSet;

use super::CliError;
use super::story::{PEOPLE, RETRY_AFTER, WITHDRAWS, user};
use crate::cli::exit::Exit;
use crate::cli::output::count;
use crate::cli::table::{self, Cell, Paint, numbers, text};
use crate::control::api::{PlaysQuery, TokenQuestion, Word};
use crate::control::client::{Client, ClientError};
use crate::domain::{Timestamp, UserState};
use crate::sim::{Answered, Endpoint, Seen, SimulatedSpotify};

/// More than a demo brings.
const ALL: i64 = 10_000;

/// The demo's outcome.
pub struct Tally {
    rows: Vec<Row>,
    limits: Limits,
}

struct Row {
    name: &'static str,
    heard: usize,
    archived: usize,
    /// Archived, but never heard, or more than once.
    wrong: usize,
    /// Missing, and a gap says so.
    in_a_gap: usize,
    /// Heard since the last run that archived.
    not_fetched: usize,
    refreshes: u64,
    refused: usize,
    most_at_once: u64,
    login: Login,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// Another refresh has just proven it.
    Proven,
    /// By Spotify's record; no refresh could be made now.
    Alive,
    /// Its owner withdrew it.
    Withdrawn,
    /// By longplay's fault.
    Lost,
}

/// The 429s that were met, and those after which nothing came too soon.
#[derive(Debug, PartialEq, Eq)]
struct Limits {
    met: usize,
    honoured: usize,
}

/// Asks.
///
/// # Errors
/// Where there is no answer.
pub async fn take(client: &Client, spotify: &SimulatedSpotify) -> Result<Tally, CliError> {
    let mut rows = Vec::new();
    for entry in client.status(None).await?.users {
        // Whoever else is there came through another terminal.
        let Some((name, _)) = PEOPLE.iter().find(|(name, _)| *name == entry.name.as_str()) else { continue };
        rows.push(row(client, spotify, name, entry.state).await?);
    }
    Ok(Tally { rows, limits: limits(&spotify.seen()) })
}

async fn row(
    client: &Client,
    spotify: &SimulatedSpotify,
    name: &'static str,
    state: UserState,
) -> Result<Row, CliError> {
    let user = user(name)?;
    let plays = client.plays(&user, &PlaysQuery { limit: Some(ALL), ..PlaysQuery::default() }).await?;
    let gaps = client.gaps(&user).await?;
    let heard: BTreeSet<Timestamp> = spotify.heard(name).iter().map(|play| play.played_at).collect();
    let archived: BTreeSet<Timestamp> = plays.iter().map(|play| play.played_at).collect();
    let in_gaps = |at: &&Timestamp| gaps.iter().any(|gap| gap.from <= **at && **at <= gap.to);
    let in_a_gap = heard.difference(&archived).filter(in_gaps).count();
    let login = login(client, spotify, name, state).await?;
    let refreshes = spotify.refreshes(name);
    let refused = |seen: &&Seen| {
        seen.account.as_deref() == Some(name)
            && seen.endpoint == Endpoint::Token
            && seen.answered == Some(Answered::Status(400))
    };
    Ok(Row {
        name,
        heard: heard.len(),
        archived: archived.len(),
        wrong: plays.len() - archived.intersection(&heard).count(),
        in_a_gap,
        not_fetched: heard.difference(&archived).count() - in_a_gap,
        refreshes: refreshes.accepted,
        refused: spotify.seen().iter().filter(refused).count(),
        most_at_once: refreshes.most_at_once,
        login,
    })
}

async fn login(
    client: &Client,
    spotify: &SimulatedSpotify,
    name: &str,
    state: UserState,
) -> Result<Login, CliError> {
    if spotify.refreshes(name).reused > 0 {
        return Ok(Login::Lost);
    }
    // Somebody else of this demo may have logged in with her account since.
    let withdrew = name == WITHDRAWS && state == UserState::NeedsLogin;
    if withdrew || !spotify.login_alive(name) {
        return Ok(Login::Withdrawn);
    }
    if matches!(state, UserState::Paused | UserState::Waiting | UserState::Blocked) {
        return Ok(Login::Alive);
    }
    let fresh = TokenQuestion { fresh: Some(true), ..TokenQuestion::default() };
    match client.token(&user(name)?, &fresh).await {
        Ok(answer) if spotify.access_valid(&answer.access_token) => Ok(Login::Proven),
        Ok(_) => Ok(Login::Lost),
        Err(ClientError::Problem(problem)) if problem.word() == Some(Word::NeedsLogin) => Ok(Login::Lost),
        Err(ClientError::Problem(_)) => Ok(Login::Alive),
        Err(error) => Err(error.into()),
    }
}

/// Whether anything of dave's app came before a Retry-After was over.
fn limits(seen: &[Seen]) -> Limits {
    let others = |name: &str| PEOPLE.iter().any(|(person, app)| *person == name && *app == "other");
    let of_app: Vec<&Seen> = seen.iter().filter(|seen| seen.account.as_deref().is_some_and(others)).collect();
    let limited = |seen: &&&Seen| seen.answered == Some(Answered::Status(429));
    let met: Vec<Timestamp> = of_app.iter().filter(limited).map(|seen| seen.at).collect();
    let too_soon = |at: Timestamp| of_app.iter().any(|seen| seen.at > at && seen.at < at + RETRY_AFTER);
    Limits { met: met.len(), honoured: met.iter().filter(|at| !too_soon(**at)).count() }
}

impl Tally {
    /// For people.
    pub fn text(&self, colours: bool) -> String {
        let columns = [
            text("USER"),
            numbers("HEARD"),
            numbers("ARCHIVED"),
            numbers("IN A GAP"),
            numbers("NOT FETCHED"),
            numbers("REFRESHES"),
            numbers("REFUSED"),
            text("LOGIN"),
        ];
        let number = |n: usize| Cell::from(n.to_string());
        let rows: Vec<Vec<Cell>> = self
            .rows
            .iter()
            .map(|row| {
                vec![
                    row.name.into(),
                    number(row.heard),
                    number(row.archived),
                    number(row.in_a_gap),
                    number(row.not_fetched),
                    row.refreshes.to_string().into(),
                    number(row.refused),
                    row.login.cell(),
                ]
            })
            .collect();
        let wrong: usize = self.rows.iter().map(|row| row.wrong).sum();
        let most = self.rows.iter().map(|row| row.most_at_once).max().unwrap_or(0);
        format!(
            "{}plays stored twice or never heard: {wrong}\n\
             refreshes of one user at once, at most: {most}\n\
             429s met: {}, waited out: {}\n\
             logins lost by longplay: {}\n",
            table::render(&columns, &rows, colours),
            self.limits.met,
            self.limits.honoured,
            match self.lost() {
                0 => "0".to_owned(),
                lost => count(lost, "login: THIS IS A FAULT", "logins: THIS IS A FAULT"),
            },
        )
    }

    /// Whether the demo ended before anybody came.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Failed where longplay has not kept its promises.
    pub fn exit(&self) -> Exit {
        let kept = self.lost() == 0
            && self.limits.met == self.limits.honoured
            && self.rows.iter().all(|row| row.wrong == 0 && row.most_at_once <= 1);
        if kept { Exit::Done } else { Exit::Failed }
    }

    fn lost(&self) -> usize {
        self.rows.iter().filter(|row| row.login == Login::Lost).count()
    }
}

impl Login {
    fn cell(self) -> Cell {
        let (words, paint) = match self {
            Self::Proven => ("alive, proven by one more refresh", Paint::Good),
            Self::Alive => ("alive, on hold now", Paint::Warning),
            Self::Withdrawn => ("withdrawn by its owner", Paint::Dim),
            Self::Lost => ("LOST", Paint::Bad),
        };
        Cell::painted(words, paint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: u64, account: &str, status: u16) -> Seen {
        Seen {
            at: Timestamp::from_millis(0) + std::time::Duration::from_secs(second),
            endpoint: Endpoint::Recent,
            account: Some(account.to_owned()),
            answered: Some(Answered::Status(status)),
        }
    }

    #[test]
    fn a_call_before_retry_after_is_over_counts_against_it() {
        let over = RETRY_AFTER.as_secs();
        let waited = [seen(0, "dave", 429), seen(1, "alice", 200), seen(over, "dave", 200)];
        assert_eq!(limits(&waited), Limits { met: 1, honoured: 1 });
        let hasty = [seen(0, "dave", 429), seen(over - 1, "dave", 429), seen(2 * over, "dave", 200)];
        assert_eq!(limits(&hasty), Limits { met: 2, honoured: 1 });
    }

    #[test]
    fn a_broken_promise_is_a_failure_that_is_said() {
        let row = |login| Row {
            name: "alice",
            heard: 3,
            archived: 3,
            wrong: 0,
            in_a_gap: 0,
            not_fetched: 0,
            refreshes: 2,
            refused: 0,
            most_at_once: 1,
            login,
        };
        let tally = |row| Tally { rows: vec![row], limits: Limits { met: 1, honoured: 1 } };
        for login in [Login::Proven, Login::Alive, Login::Withdrawn] {
            assert_eq!(tally(row(login)).exit(), Exit::Done);
        }
        assert_eq!(tally(row(Login::Lost)).exit(), Exit::Failed);
        assert!(tally(row(Login::Lost)).text(false).contains("longplay: 1 login: THIS IS A FAULT"));
        assert_eq!(tally(Row { wrong: 1, ..row(Login::Proven) }).exit(), Exit::Failed);
        assert_eq!(tally(Row { most_at_once: 2, ..row(Login::Proven) }).exit(), Exit::Failed);
        let hasty = Tally { limits: Limits { met: 2, honoured: 1 }, ..tally(row(Login::Proven)) };
        assert_eq!(hasty.exit(), Exit::Failed);
    }

    #[tokio::test]
    async fn a_spent_refresh_token_that_is_used_again_is_a_lost_login() {
        use crate::sim::{App, Call, Options, Rotation};
        let spotify = SimulatedSpotify::in_process(Options::default());
        spotify.register_app(App::pkce("id").rotation(Rotation::Rotate));
        let nobody = Client::in_process(axum::Router::new(), ());
        let told = |state| login(&nobody, &spotify, "alice", state);
        spotify.grant("alice", "id", &[]);
        assert_eq!(told(UserState::Paused).await, Ok(Login::Alive));
        spotify.revoke("alice");
        assert_eq!(told(UserState::NeedsLogin).await, Ok(Login::Withdrawn));
        let token = spotify.grant("alice", "id", &[]);
        let refresh = Call {
            method: "POST".to_owned(),
            path: "/api/token".to_owned(),
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            body: format!("grant_type=refresh_token&client_id=id&refresh_token={token}").into_bytes(),
            ..Call::default()
        };
        for _ in 0..2 {
            spotify.answer(refresh.clone()).await;
        }
        assert_eq!(told(UserState::NeedsLogin).await, Ok(Login::Lost));
    }
}
