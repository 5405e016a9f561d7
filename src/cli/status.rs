//! `longplay status`: how everyone is.

use clap::Args;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{colours, count, plain, print, print_json};
use super::table::{self, Cell, Paint, numbers, text};
use super::time::{Show, or_dash, to_the_minute};
use crate::config::Place;
use crate::control::api::{DaemonStatus, Status, UserStatus};
use crate::domain::{Quota, UserName, UserState};

/// Show how everyone is, or one user in detail
///
/// The states:
///   ok
///   waiting      an outage or a rate limit; it goes on by itself
///   in_doubt     a refresh whose outcome is unknown
///   needs_login  the login is dead, over, or was never given
///   blocked      the app is set up wrongly, Spotify refuses it or the user, or the store was
///                restored or moved and waits for longplay adopt
///   paused       by longplay pause
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  longplay status
  longplay status alice
  longplay status --check || echo 'somebody needs help'
  longplay status --json | jq '.users[] | select(.state == \"needs_login\") | .name'"
)]
pub struct StatusOf {
    /// This user only
    user: Option<UserName>,
    /// Exit with 1 unless all are ok or paused
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatusOf {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        let client = connect(place, Needs::Store).await?;
        let status = client.status(self.user.as_ref()).await?;
        if let (Some(user), []) = (&self.user, status.users.as_slice()) {
            return Err(CliError::failed(format!("there is no user {user}: `longplay users` lists them")));
        }
        let look = Look { show: to_the_minute, colours: colours(place), stands_in: client.is_in_process() };
        match (self.json, &self.user, status.users.first()) {
            (true, ..) => print_json(&status)?,
            (false, Some(_), Some(user)) => {
                print(&format!("{}\n{}", look.one(user), look.daemon(&status.daemon)))?;
            }
            _ => print(&look.all(&status))?,
        }
        Ok(if self.check && !all_well(&status) { Exit::Failed } else { Exit::Done })
    }
}

fn all_well(status: &Status) -> bool {
    status.users.iter().all(|user| matches!(user.state, UserState::Ok | UserState::Paused))
}

/// How it is shown.
struct Look {
    show: Show,
    colours: bool,
    /// Whether this command stands in for a daemon.
    stands_in: bool,
}

impl Look {
    fn one(&self, user: &UserStatus) -> String {
        let time = |t| Cell::from(or_dash(t, self.show));
        let result = user.last_run_result.map_or("-", |result| result.as_str());
        let pairs = [
            ("user", user.name.as_str().into()),
            ("state", state(user.state)),
            ("reason", user.reason.as_deref().unwrap_or("-").into()),
            ("app", user.app.as_str().into()),
            ("schedule", (&user.schedule).into()),
            ("time zone", (&user.timezone).into()),
            ("plays", user.plays.to_string().into()),
            ("gaps", user.gaps.to_string().into()),
            ("last run", time(user.last_run_at)),
            ("its result", result.into()),
            ("last archived", time(user.last_archived_at)),
            ("next run", time(user.next_run_at)),
            ("token valid until", time(user.access_expires_at)),
            ("logged in", time(user.login_at)),
            ("login ends", time(user.login_expires_at)),
        ];
        table::pairs(&pairs, self.colours)
    }

    fn all(&self, status: &Status) -> String {
        let mut text = String::new();
        if !status.users.is_empty() {
            text.push_str(&self.users(&status.users));
            text.push('\n');
        }
        for user in &status.users {
            if let Some(reason) = &user.reason {
                text.push_str(&format!("{}: {}\n", user.name, plain(reason)));
            }
        }
        text.push_str(&summary(&status.users));
        text.push_str(&self.daemon(&status.daemon));
        text
    }

    fn users(&self, users: &[UserStatus]) -> String {
        let columns = [
            text("USER"),
            text("STATE"),
            numbers("PLAYS"),
            numbers("GAPS"),
            text("LAST ARCHIVED"),
            text("NEXT RUN"),
            text("LOGIN ENDS"),
        ];
        let row = |user: &UserStatus| {
            vec![
                user.name.as_str().into(),
                state(user.state),
                user.plays.to_string().into(),
                user.gaps.to_string().into(),
                or_dash(user.last_archived_at, self.show).into(),
                or_dash(user.next_run_at, self.show).into(),
                or_dash(user.login_expires_at, self.show).into(),
            ]
        };
        table::render(&columns, &users.iter().map(row).collect::<Vec<_>>(), self.colours)
    }

    fn daemon(&self, daemon: &DaemonStatus) -> String {
        let (version, store) = (plain(&daemon.version), plain(&daemon.store));
        let mut text = match self.stands_in {
            true => format!("no daemon is running; longplay {version} looked into {store} itself\n"),
            false => format!("longplay {version} since {}, archive in {store}\n", (self.show)(daemon.since)),
        };
        for quota in &daemon.quotas {
            text.push_str(&format!("{}\n", calls(quota, self.show)));
        }
        for problem in &daemon.problems {
            text.push_str(&format!("problem: {}\n", plain(problem)));
        }
        text
    }
}

/// What is left of a day's calls, and until when they last.
fn calls(quota: &Quota, show: Show) -> String {
    let Quota { group, calls_per_day, left, lasts_until } = quota;
    let lasts = match lasts_until {
        None => String::new(),
        Some(_) if *left == 0 => ": whoever is due waits".to_owned(),
        Some(until) => format!(", at the last hour's rate until {}", show(*until)),
    };
    format!("quota {}: {left} of {calls_per_day} calls left{lasts}", plain(group))
}

fn state(state: UserState) -> Cell {
    let paint = match state {
        UserState::Ok => Paint::Good,
        UserState::Waiting | UserState::InDoubt => Paint::Warning,
        UserState::NeedsLogin | UserState::Blocked => Paint::Bad,
        UserState::Paused => Paint::Dim,
    };
    Cell::painted(state.as_str(), paint)
}

/// How many there are, and in which states.
fn summary(users: &[UserStatus]) -> String {
    if users.is_empty() {
        return "no users yet: add one with `longplay users add NAME`\n".to_owned();
    }
    let in_state = |state: UserState| users.iter().filter(|user| user.state == state).count();
    let states: Vec<String> = UserState::ALL
        .into_iter()
        .filter(|state| in_state(*state) > 0)
        .map(|state| format!("{} {}", in_state(state), state.as_str()))
        .collect();
    format!("{}: {}\n", count(users.len(), "user", "users"), states.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    const LOOK: Look = Look { show: |t| t.as_millis().to_string(), colours: false, stands_in: false };

    fn user(name: &str, state: UserState, reason: Option<&str>) -> UserStatus {
        UserStatus {
            name: name.parse().unwrap(),
            app: "default".parse().unwrap(),
            state,
            reason: reason.map(str::to_owned),
            schedule: "adaptive".to_owned(),
            timezone: "UTC".to_owned(),
            plays: 12,
            gaps: 0,
            last_run_at: None,
            last_run_result: None,
            last_archived_at: Some(Timestamp::from_millis(5)),
            next_run_at: None,
            access_expires_at: None,
            login_at: None,
            login_expires_at: None,
        }
    }

    fn quota(left: u32, lasts_until: Option<i64>) -> Quota {
        let lasts_until = lasts_until.map(Timestamp::from_millis);
        Quota { group: "default".to_owned(), calls_per_day: 1_000, left, lasts_until }
    }

    #[test]
    fn the_days_calls_are_told_of_with_their_end() {
        let told = |quota| calls(&quota, LOOK.show);
        assert_eq!(told(quota(900, None)), "quota default: 900 of 1000 calls left");
        let lasts = "quota default: 90 of 1000 calls left, at the last hour's rate until 7";
        assert_eq!(told(quota(90, Some(7))), lasts);
        assert_eq!(told(quota(0, Some(7))), "quota default: 0 of 1000 calls left: whoever is due waits");
    }

    fn status(users: Vec<UserStatus>) -> Status {
        let daemon = DaemonStatus {
            version: "1.0.0".to_owned(),
            instance: "i".to_owned(),
            since: Timestamp::from_millis(1),
            store: "sqlite:///a.db".to_owned(),
            healthy: false,
            problems: vec!["the clock is wrong".to_owned()],
            quotas: vec![quota(900, None)],
        };
        Status { users, daemon }
    }

    #[test]
    fn everyone_is_shown_with_reasons_a_summary_and_problems() {
        let status = status(vec![
            user("alice", UserState::Ok, None),
            user("bo", UserState::NeedsLogin, Some("log in")),
        ]);
        assert_eq!(
            LOOK.all(&status),
            "USER   STATE        PLAYS  GAPS  LAST ARCHIVED  NEXT RUN  LOGIN ENDS\n\
             alice  ok              12     0  5              -         -\n\
             bo     needs_login     12     0  5              -         -\n\
             \n\
             bo: log in\n\
             2 users: 1 ok, 1 needs_login\n\
             longplay 1.0.0 since 1, archive in sqlite:///a.db\n\
             quota default: 900 of 1000 calls left\n\
             problem: the clock is wrong\n"
        );
    }

    #[test]
    fn one_user_is_shown_in_detail() {
        let shown = LOOK.one(&user("alice", UserState::Waiting, Some("Spotify is down")));
        assert!(shown.contains("reason             Spotify is down\n"), "{shown}");
        assert!(shown.contains("last archived      5\n"), "{shown}");
    }

    #[test]
    fn without_a_daemon_that_is_said() {
        let shown = Look { stands_in: true, ..LOOK }.all(&status(Vec::new()));
        assert!(shown.starts_with("no users yet"), "{shown}");
        assert!(shown.contains("no daemon is running"), "{shown}");
    }

    #[test]
    fn all_is_well_where_all_are_ok_or_paused() {
        let well = |state| all_well(&status(vec![user("a", UserState::Ok, None), user("b", state, None)]));
        let states: Vec<_> = UserState::ALL.into_iter().filter(|state| well(*state)).collect();
        assert_eq!(states, [UserState::Ok, UserState::Paused]);
    }

    #[test]
    fn json_has_the_fields_that_scripts_rely_on() {
        let json = serde_json::to_value(status(vec![user("alice", UserState::Ok, None)])).unwrap();
        let fields = |value: &serde_json::Value| {
            let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(
            fields(&json["users"][0]),
            "access_expires_at app gaps last_archived_at last_run_at last_run_result login_at login_expires_at \
             name next_run_at plays reason schedule state timezone"
        );
        assert_eq!(fields(&json["daemon"]), "healthy instance problems quotas since store version");
        assert!(json["users"][0]["login_at"].is_null());
        assert_eq!(json["users"][0]["last_archived_at"], "1970-01-01T00:00:00.005Z");
    }
}
