//! The status line, in words: what `systemctl status` shows.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::clock::Clock;
use crate::control::Service;
use crate::domain::{Event, Tally, Timestamp, UserState};

use super::door::Door;

/// What follows from an event is done within so long.
const SOON: Duration = Duration::from_millis(200);

/// "3 users: 2 ok, 1 must log in; last play 2 min ago", what people must do, and what is wrong with the daemon.
pub async fn line(door: &Door, now: Timestamp) -> String {
    match door.core() {
        Some(core) => of_service(&core.service, now).await,
        None => format!("degraded: {}", door.problems().join("; ")),
    }
}

/// Has it told again when something of note has happened; a burst counts as one.
pub async fn after_events<F: Future<Output = ()>>(
    mut events: Receiver<Event>,
    clock: &dyn Clock,
    tell: impl Fn() -> F,
) {
    // Whoever fell behind has missed some: that is something too.
    while !matches!(events.recv().await, Err(RecvError::Closed)) {
        clock.sleep(SOON).await;
        events = events.resubscribe();
        tell().await;
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
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::SimulatedClock;
    use crate::domain::EventKind;
    use crate::telemetry::{Events, Note};

    #[tokio::test]
    async fn what_happens_is_told_soon_and_a_burst_once() {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_millis(10_000_000)));
        let events = Events::new(clock.clone());
        let (told, mut tellings) = mpsc::unbounded_channel();
        let (heard, at) = (events.listen(), clock.clone());
        tokio::spawn(async move { after_events(heard, &*at, || async { told.send(()).unwrap() }).await });
        for burst in [100, 1, 5_000] {
            for _ in 0..burst {
                events.tell(EventKind::Archived, Note::default(), "1 new play");
            }
            while tellings.is_empty() {
                clock.advance(SOON);
                tokio::task::yield_now().await;
            }
            for _ in 0..10 {
                clock.advance(SOON);
                tokio::task::yield_now().await;
            }
            assert_eq!((tellings.recv().await, tellings.try_recv().ok()), (Some(()), None), "{burst}");
        }
        drop(events);
        assert_eq!(tellings.recv().await, None, "the end of the events is the end of that");
    }

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
