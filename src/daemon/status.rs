//! The status line, in words: what `systemctl status` shows.

use std::time::Duration;

use crate::control::Service;
use crate::domain::{Tally, Timestamp, UserState};

use super::door::Door;

/// "3 users: 2 ok, 1 must log in; last play 2 min ago", what people must do, and what is wrong with the daemon.
pub async fn line(door: &Door, now: Timestamp) -> String {
    match door.core() {
        Some(core) => of_service(&core.service, now).await,
        None => format!("degraded: {}", door.problems().join("; ")),
    }
}

async fn of_service(service: &Service, now: Timestamp) -> String {
    let mut line = match service.tally().await {
        Ok(tally) if tally.users() == 0 && service.settings().apps.is_empty() => {
            "no app is configured: add [apps.default] with your Spotify client_id, then reload".to_owned()
        }
        Ok(tally) if tally.users() == 0 => "no users yet: run `longplay login NAME`".to_owned(),
        Ok(tally) => counted(&tally, now),
        Err(problem) => return format!("degraded: {}", problem.detail),
    };
    for sentence in service.attention() {
        line.push_str(&format!("; {sentence}"));
    }
    let problems = service.problems();
    if !problems.is_empty() {
        line.push_str(&format!("; degraded: {}", problems.join("; ")));
    }
    line
}

fn counted(tally: &Tally, now: Timestamp) -> String {
    let parts: Vec<String> = [
        (UserState::Ok, "ok"),
        (UserState::NeedsLogin, "must log in"),
        (UserState::Waiting, "waiting"),
        (UserState::InDoubt, "in doubt"),
        (UserState::Blocked, "blocked"),
        (UserState::Paused, "paused"),
    ]
    .into_iter()
    .filter(|(state, _)| tally.of(*state) > 0)
    .map(|(state, words)| format!("{} {words}", tally.of(state)))
    .collect();
    let users = if tally.users() == 1 { "user" } else { "users" };
    let play = tally
        .newest_played
        .map_or("no plays yet".to_owned(), |at| format!("last play {} ago", age(now.since(at))));
    format!("{} {users}: {}; {play}", tally.users(), parts.join(", "))
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        0..60 => "less than a minute".to_owned(),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_in_words() {
        let now = Timestamp::from_millis(10_000_000);
        let mut several = Tally::default();
        several.add(UserState::Ok, 2, None, Some(now - Duration::from_secs(125)));
        several.add(UserState::NeedsLogin, 1, None, None);
        assert_eq!(counted(&several, now), "3 users: 2 ok, 1 must log in; last play 2 min ago");
        let mut one = Tally::default();
        one.add(UserState::Paused, 1, None, None);
        assert_eq!(counted(&one, now), "1 user: 1 paused; no plays yet");
        assert_eq!(age(Duration::from_secs(59)), "less than a minute");
        assert_eq!(age(Duration::from_secs(47 * 3_600)), "47 h");
        assert_eq!(age(Duration::from_secs(50 * 3_600)), "2 days");
    }
}
