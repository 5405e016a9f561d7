//! The consent clock of two daemons on one store: every warning comes once.

use super::*;
use crate::domain::{Epoch, Event, EventKind, Generation, Sealed};
use crate::store::NewLogin;

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Host {
    /// A user who gave the login now; an earlier one is replaced.
    pub(super) async fn log_in(&self, name: &str) {
        let user = self.add(name, Some("5 * * * *")).await;
        let replaces = self.store.grant(user).await.unwrap().map(|grant| (grant.epoch, grant.generation));
        let (epoch, generation) = replaces.unwrap_or_default();
        let login = NewLogin {
            user,
            replaces,
            client_id: "client".to_owned(),
            epoch: Epoch(epoch.0 + 1),
            generation: generation.next(),
            account_id: None,
            login_at: Some(self.clock.now()),
            scope: None,
            refresh_token: Sealed(vec![1]),
            access: None,
        };
        assert!(self.store.commit_login(&login).await.unwrap());
    }
}

/// Lets so many days pass while both look every six hours; what they told, and how many days before `ends` it was.
async fn told(host: &Host, daemons: &[&Daemon], days: u32, ends: Timestamp) -> Vec<(Event, i64)> {
    let mut events: Vec<_> = daemons.iter().map(|daemon| daemon.ground.events.listen()).collect();
    let mut told = Vec::new();
    for _ in 0..days * 4 {
        host.clock.advance(DAY / 4);
        let looks = daemons.iter().map(|daemon| daemon.service.look_at_ending_logins());
        for looked in futures_util::future::join_all(looks).await {
            looked.unwrap();
        }
        for heard in &mut events {
            while let Ok(event) = heard.try_recv() {
                let left = ends.as_millis() - event.at.as_millis();
                told.push((event, left.div_euclid(86_400_000)));
            }
        }
    }
    told
}

fn kinds(told: &[(Event, i64)]) -> Vec<(EventKind, i64)> {
    told.iter().map(|(event, days)| (event.kind, *days)).collect()
}

/// The whole life of a login: six months by the calendar.
const WHOLE: [(EventKind, i64); 4] = [
    (EventKind::LoginEnding, 30),
    (EventKind::LoginEnding, 7),
    (EventKind::LoginEnding, 1),
    (EventKind::LoginEnded, 0),
];

#[tokio::test]
async fn an_ending_login_is_told_of_four_times_by_whichever_daemon() {
    let host = Host::new();
    let (first, second) = (host.daemon("a").await, host.daemon("b").await);
    host.log_in("alice").await;
    let ends = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
    let events = told(&host, &[&first, &second], 200, ends).await;
    assert_eq!(kinds(&events), WHOLE);
    for (event, _) in &events {
        assert!(event.user.as_ref().is_some_and(|name| name.as_str() == "alice"));
        assert!(event.message.ends_with("run `longplay login alice`"), "{}", event.message);
    }
    assert_eq!(events[0].0.at, ends - DAY * 30, "to the day by the calendar");
    let over = "the login of alice has come to its age: run `longplay login alice`";
    assert_eq!(first.service.attention(), [over], "nobody has used it since");
}

#[tokio::test]
async fn a_daemon_that_starts_again_tells_nothing_twice_and_a_renewal_starts_the_clock_again() {
    let host = Host::new();
    let daemon = host.daemon("a").await;
    host.log_in("alice").await;
    // The thirty days' warning fell into a standstill.
    host.clock.advance(DAY * 160);
    let ends = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
    assert_eq!(kinds(&told(&host, &[&daemon], 1, ends).await), [(EventKind::LoginEnding, 20)]);
    drop(daemon);
    let again = host.daemon("again").await;
    assert_eq!(kinds(&told(&host, &[&again], 1, ends).await), []);
    assert!(again.service.attention().is_empty(), "twenty days are not soon");
    assert_eq!(kinds(&told(&host, &[&again], 15, ends).await), [(EventKind::LoginEnding, 7)]);
    assert_eq!(
        again.service.attention(),
        ["the login of alice ends within 7 days: run `longplay login alice`"]
    );
    let metrics = again.service.metrics().await;
    for line in ["{days=\"30\"} 1", "{days=\"7\"} 1", "{days=\"1\"} 0", "{days=\"0\"} 0"] {
        assert!(metrics.contains(&format!("longplay_logins_ending{line}\n")), "{line} in {metrics}");
    }
    assert!(metrics.contains(&format!(
        "longplay_user_login_ends_timestamp_seconds{{user=\"alice\"}} {}\n",
        ends.as_millis() / 1_000
    )));
    host.log_in("alice").await;
    let renewed = Timestamp::from(host.clock.now().utc().checked_add_months(chrono::Months::new(6)).unwrap());
    assert_eq!(kinds(&told(&host, &[&again], 200, renewed).await), WHOLE);
}

#[tokio::test]
async fn nobody_is_told_of_a_login_that_spotify_refuses_already_or_that_does_not_end() {
    let host = Host::new();
    let daemon = host.daemon("a").await;
    host.log_in("alice").await;
    host.log_in("bob").await;
    host.store.set_paused(Some(host.add("bob", None).await), true).await.unwrap();
    let user = host.add("alice", None).await;
    let grant = host.store.grant(user).await.unwrap().unwrap();
    refuse(&host, &grant).await;
    let ends = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
    let events = told(&host, &[&daemon], 200, ends).await;
    assert_eq!(kinds(&events), WHOLE);
    assert!(events.iter().all(|(event, _)| event.user.as_ref().is_some_and(|name| name.as_str() == "bob")));
    // A configuration whose logins don't end.
    let file = host.folder.path().join("longplay.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("[tokens]", "login_lifetime = \"\"\n[tokens]")).unwrap();
    let forever = host.daemon("forever").await;
    host.log_in("carol").await;
    assert_eq!(kinds(&told(&host, &[&forever], 200, ends).await), []);
}

async fn refuse(host: &Host, grant: &crate::domain::Grant) {
    use crate::domain::{AttemptId, Cause, Refusal};
    use crate::store::{Close, Intent};
    let attempt = AttemptId(uuid::Uuid::from_u128(7));
    let probe = host.store.key_probe().await.unwrap();
    let intent = Intent {
        keys: probe.iter().filter_map(Sealed::key_id).collect(),
        user: grant.user,
        epoch: grant.epoch,
        generation: Generation(grant.generation.0),
        attempt,
        replaces: None,
        owner: crate::domain::Owner(uuid::Uuid::nil()),
        lease: Duration::from_secs(90),
        cause: Cause::Expiry,
        refused: None,
        in_doubt: false,
    };
    assert!(host.store.begin_attempt(&intent).await.unwrap());
    let refusal = Refusal { since: host.clock.now(), reason: "no".to_owned(), tries: 0, next_try_at: None };
    let close = Close::Refused(refusal);
    assert!(host.store.close_attempt(grant.user, grant.epoch, attempt, &close).await.unwrap());
}
