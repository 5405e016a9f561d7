//! What is counted is what is told of each, and how long a tally holds.

use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::standing::{Facts, standing};
use super::*;
use crate::clock::{Clock, SimulatedClock};
use crate::domain::{
    AppFault, AttemptId, Cause, Doubt, Epoch, Generation, Owner, Refusal, RunResult, Sealed, Timestamp,
    Trigger, UserState,
};
use crate::store::{Claimed, Close, Intent, NewLogin, NewUser, Release, RunClaim, RunFailed, Store, open};
use crate::telemetry::{Events, Note};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const LEASE: Duration = Duration::from_secs(90);
const SECOND: Duration = Duration::from_secs(1);

/// What can happen to a user.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Login { other_client: bool },
    Attempt,
    Doubt,
    Refusal,
    Run(RunResult, bool),
    Pause(bool),
    Remove,
    Back,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<bool>().prop_map(|other_client| Happening::Login { other_client }),
        Just(Happening::Attempt),
        Just(Happening::Doubt),
        Just(Happening::Refusal),
        (0..RunResult::ALL.len(), any::<bool>())
            .prop_map(|(n, block)| Happening::Run(RunResult::ALL[n], block)),
        any::<bool>().prop_map(Happening::Pause),
        Just(Happening::Remove),
        Just(Happening::Back),
    ]
}

struct Archive {
    store: Arc<dyn Store>,
    clock: Arc<SimulatedClock>,
    _folder: tempfile::TempDir,
}

impl Archive {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::new(START));
        let url = format!("sqlite://{}", folder.path().join("longplay.db").display());
        Self { store: open(&url, clock.clone()).unwrap(), clock, _folder: folder }
    }

    async fn put(&self, n: usize, app: usize) -> UserId {
        let (name, app) = (format!("u{n}").parse().unwrap(), format!("app{app}").parse().unwrap());
        let user = NewUser { name, app, schedule: None, timezone: None };
        self.store.put_user(&user).await.unwrap().id
    }

    async fn happens(&self, user: UserId, n: usize, app: usize, event: Happening) {
        let (store, now) = (&self.store, self.clock.now());
        let grant = store.grant(user).await.unwrap();
        match event {
            Happening::Login { other_client } => {
                let (epoch, generation) =
                    grant.as_ref().map_or((Epoch(0), Generation(0)), |grant| (grant.epoch, grant.generation));
                let login = NewLogin {
                    user,
                    replaces: grant.map(|grant| (grant.epoch, grant.generation)),
                    client_id: if other_client { "other".to_owned() } else { format!("client{app}") },
                    epoch: Epoch(epoch.0 + 1),
                    generation: generation.next(),
                    account_id: None,
                    login_at: Some(now),
                    scope: None,
                    refresh_token: Sealed(vec![1]),
                    access: None,
                };
                assert!(store.commit_login(&login).await.unwrap());
            }
            Happening::Attempt | Happening::Doubt | Happening::Refusal => {
                let Some(grant) = grant else { return };
                let (attempt, owner) = (AttemptId(Uuid::from_u128(n as u128 + 1)), Owner(Uuid::nil()));
                let intent = Intent {
                    keys: Vec::new(),
                    user,
                    epoch: grant.epoch,
                    generation: grant.generation,
                    attempt,
                    replaces: grant.attempt.map(|attempt| attempt.id),
                    owner,
                    lease: LEASE,
                    cause: Cause::Expiry,
                    refused: grant.refusal.as_ref().map(|refusal| refusal.tries),
                    in_doubt: grant.doubt.is_some(),
                };
                store.begin_attempt(&intent).await.unwrap();
                let close = match event {
                    Happening::Doubt => Close::Doubt(Doubt { since: now, owner, reason: "cut".to_owned() }),
                    Happening::Refusal => {
                        let reason = "refused".to_owned();
                        Close::Refused(Refusal { since: now, reason, tries: 0, next_try_at: None })
                    }
                    _ => return,
                };
                store.close_attempt(user, grant.epoch, attempt, &close).await.unwrap();
            }
            Happening::Run(result, block) => {
                let (claim, trigger, owner) =
                    (Uuid::from_u128(n as u128 + 9), Trigger::Manual, Owner(Uuid::nil()));
                let claim = RunClaim { user, owner, claim, lease: LEASE, due: None, trigger, at: now };
                let Claimed::Begun(run) = store.begin_run(&claim).await.unwrap() else { return };
                let blocked = block.then(|| "no Premium".to_owned());
                let (reason, release) = ("why".to_owned(), Release { owner, next: None });
                let failed = RunFailed { user, run, result, reason, blocked, at: now, release };
                store.fail_run(&failed).await.unwrap();
            }
            Happening::Pause(paused) => store.set_paused(Some(user), paused).await.unwrap(),
            Happening::Remove => store.remove_user(user, false).await.unwrap(),
            Happening::Back => drop(self.put(n, app).await),
        }
    }

    /// The numbers by counting what the store counted, and by counting what is told of each.
    async fn both(&self, apps: &[AppSeen<'_>]) -> (Tally, Tally) {
        let app = |name: &AppName| -> &AppSeen<'_> {
            let n: usize = name.as_str().trim_start_matches("app").parse().unwrap();
            &apps[n]
        };
        let (mut counted, mut told) = (Tally::default(), Tally::default());
        for alike in self.store.tally().await.unwrap() {
            let state = state(&alike.footing, app(&alike.footing.app), false);
            counted.add(state, alike.users, alike.oldest_archived, alike.newest_played);
        }
        for UserSeen { user, login, newest_played, read_at: now } in
            self.store.users_seen(None, 999).await.unwrap().users
        {
            let (login, app) = (login.as_ref(), app(&user.app));
            let (state, reason) = standing(&Facts { user: &user, login, app, backing_off: None, now });
            assert!(reason.is_some() || state == UserState::Ok, "{user:?} {login:?}");
            let archived = user.last_archived_at.or(login.and_then(|login| login.login_at));
            told.add(state, 1, archived, newest_played);
        }
        (counted, told)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn everyone_is_counted_in_the_state_that_is_told_of_them(
        lives in prop::collection::vec((0..4_usize, prop::collection::vec(happening(), 0..5)), 1..16),
        later in 0..200_u32,
    ) {
        let client_ids: Vec<String> = (0..3).map(|app| format!("client{app}")).collect();
        let fault = AppFault { reason: "bad secret".to_owned(), since: START, retry_at: START };
        let known = |n: usize| AppSeen { client_id: Some(&client_ids[n]), ..AppSeen::default() };
        let apps = [
            known(0),
            AppSeen { fault: Some(fault), ..known(1) },
            AppSeen { held_until: Some(START), ..known(2) },
            AppSeen::default(),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (counted, told) = runtime.block_on(async {
            let archive = Archive::new();
            for (n, (app, life)) in lives.iter().enumerate() {
                let user = archive.put(n, *app).await;
                for event in life {
                    archive.happens(user, n, *app, *event).await;
                }
            }
            archive.clock.advance(SECOND * later);
            let both = archive.both(&apps).await;
            archive.store.close().await;
            both
        });
        prop_assert_eq!(counted, told);
    }
}

#[test]
fn a_tally_that_takes_long_holds_long_and_less_after_news() {
    let clock = Arc::new(SimulatedClock::new(START));
    let events = Events::new(clock);
    let mut last = LastTally::new(events.listen());
    let at = |took: Duration| BootTime(took);
    assert!(last.holding(at(SECOND)).is_none());

    last.last = Some((Tally::default(), at(SECOND), NOTHING));
    assert!(last.holding(at(SECOND)).is_none(), "few users are counted whenever somebody asks");

    last.last = Some((Tally::default(), at(SECOND), SECOND / 4));
    events.tell(EventKind::Archived, Note::default(), "of every run");
    last.hear();
    assert!(last.holding(at(SECOND * 100)).is_some());
    assert!(last.holding(at(SECOND * 101)).is_none());
    events.tell(EventKind::LoginLost, Note::default(), "of one");
    last.hear();
    assert!(last.holding(at(SECOND * 5)).is_some());
    assert!(last.holding(at(SECOND * 6)).is_none());
    // A database that stood still once must not freeze it.
    (last.news, last.last) = (false, Some((Tally::default(), at(SECOND), SECOND * 3_600)));
    assert!(last.holding(at(SECOND * 120)).is_some() && last.holding(at(SECOND * 121)).is_none());
    last.news = true;
    assert!(last.holding(at(SECOND * 15)).is_some() && last.holding(at(SECOND * 16)).is_none());
}
