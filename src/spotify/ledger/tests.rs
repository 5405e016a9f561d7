use std::collections::BTreeMap;

use async_trait::async_trait;

use super::*;
use crate::clock::SimulatedClock;
use crate::store::watched::{Watched, Watcher};
use crate::store::{MemoryStore, QuotaStore as _, Result as Stored};

/// Counts how often calls are taken from the store, which can be out of reach.
#[derive(Default)]
struct Asked {
    times: Mutex<usize>,
    away: Mutex<bool>,
}

#[async_trait]
impl Watcher for Asked {
    async fn before(&self, method: &'static str) -> Stored<()> {
        if *self.away.lock().unwrap() {
            let doing = "taking calls".to_owned();
            return Err(StoreError::Unavailable { doing, source: "away".into() });
        }
        *self.times.lock().unwrap() += usize::from(method == "take_calls");
        Ok(())
    }
}

struct Scene {
    clock: Arc<SimulatedClock>,
    store: Arc<Watched<MemoryStore, Asked>>,
    ledger: Ledger,
    apps: BTreeMap<&'static str, AppName>,
}

impl Scene {
    fn new(per_day: u32) -> Self {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let store = MemoryStore::new(clock.clone());
        let store = Arc::new(Watched { store: Arc::new(store), watcher: Asked::default() });
        let apps = ["a", "b", "other"].map(|name| (name, name.parse().unwrap()));
        let ledger = Ledger::new(clock.clone(), store.clone());
        let scene = Self { clock, store, ledger, apps: apps.into_iter().collect() };
        scene.configure(&scene.ledger, per_day);
        scene
    }

    /// "a" and "b" share a quota.
    fn configure(&self, ledger: &Ledger, per_day: u32) {
        let group = |app: &str| if app == "other" { "theirs" } else { "ours" };
        ledger.configure(self.apps.iter().map(|(name, app)| (app, group(name), per_day)));
    }

    fn another(&self, per_day: u32) -> Ledger {
        let ledger = Ledger::new(self.clock.clone(), self.store.clone());
        self.configure(&ledger, per_day);
        ledger
    }

    /// How many of so many calls are let through.
    async fn take(&self, ledger: &Ledger, app: &str, calls: u32) -> u32 {
        let mut taken = 0;
        for _ in 0..calls {
            taken += u32::from(ledger.take(&self.apps[app], Urgency::Asked).await.is_ok());
        }
        taken
    }

    fn left(&self, app: &str) -> Option<u32> {
        self.ledger.left(&self.apps[app])
    }
}

#[tokio::test]
async fn apps_of_a_group_share_a_day_over_daemons_and_restarts() {
    let scene = Scene::new(10);
    assert_eq!(scene.take(&scene.ledger, "a", 4).await, 4);
    let another = scene.another(10);
    assert_eq!(scene.take(&another, "b", 4).await, 4);
    assert_eq!(scene.take(&scene.ledger, "b", 4).await, 2);
    let restarted = scene.another(10);
    assert_eq!(scene.take(&restarted, "a", 1).await, 0);
    assert_eq!(scene.take(&restarted, "other", 1).await, 1);
    let reason = match restarted.take(&scene.apps["b"], Urgency::Asked).await {
        Err(NoCall::Spent { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason.contains("the 10 calls of quota group ours are spent"), "{reason}");
    scene.clock.advance(Duration::from_secs(24 * 3_600 + 601));
    assert_eq!(scene.take(&restarted, "a", 11).await, 10);
}

#[tokio::test]
async fn calls_are_taken_in_portions_and_what_is_not_needed_is_given_back() {
    let scene = Scene::new(2_000);
    assert_eq!(scene.take(&scene.ledger, "a", 25).await, 25);
    assert_eq!(*scene.store.watcher.times.lock().unwrap(), 3);
    assert_eq!(scene.left("a"), Some(1_975));
    assert_eq!(scene.store.calls_taken("ours").await.unwrap()[0].1, 30);
    scene.clock.advance(Duration::from_secs(700));
    assert_eq!(scene.take(&scene.ledger, "b", 1).await, 1);
    scene.ledger.close().await.unwrap();
    let counting: u32 = scene.store.calls_taken("ours").await.unwrap().iter().map(|(_, calls)| calls).sum();
    assert_eq!((counting, scene.left("a")), (26, Some(1_974)));
}

#[tokio::test]
async fn of_many_at_once_one_asks_the_store() {
    let scene = Scene::new(20_000);
    let takes = (0..100).map(|_| scene.ledger.take(&scene.apps["a"], Urgency::Asked));
    assert!(futures_util::future::join_all(takes).await.iter().all(Result::is_ok));
    assert_eq!(*scene.store.watcher.times.lock().unwrap(), 1);
}

#[tokio::test]
async fn no_call_is_made_that_cannot_be_put_on_record_but_a_logins() {
    let scene = Scene::new(10);
    *scene.store.watcher.away.lock().unwrap() = true;
    let run = scene.ledger.take(&scene.apps["a"], Urgency::Asked).await;
    assert!(matches!(run, Err(NoCall::Store(_))), "{run:?}");
    *scene.store.watcher.away.lock().unwrap() = false;
    assert_eq!(scene.take(&scene.ledger, "a", 20).await, 10);
    assert!(scene.ledger.take(&scene.apps["a"], Urgency::Login).await.is_ok());
}

#[tokio::test]
async fn a_reload_keeps_the_count_and_the_least_of_a_group_is_its_limit() {
    let scene = Scene::new(10);
    assert_eq!(scene.take(&scene.ledger, "a", 6).await, 6);
    let apps = [("a", 50), ("b", 8)].map(|(name, per_day)| (&scene.apps[name], "ours", per_day));
    scene.ledger.configure(apps);
    let quota = scene.ledger.quotas();
    let least =
        Quota { group: "ours".to_owned(), calls_per_day: 8, left: 2, lasts_until: quota[0].lasts_until };
    assert_eq!(quota, [least]);
    assert_eq!(scene.take(&scene.ledger, "a", 6).await, 2);
    assert_eq!(scene.left("other"), None);
    assert_eq!(scene.take(&scene.ledger, "other", 3).await, 3, "an app in no group is not counted");
    assert_eq!(scene.ledger.sharing_with(&scene.apps["b"]).len(), 2);
}

#[tokio::test]
async fn what_others_took_is_heard_of() {
    let scene = Scene::new(10);
    let another = scene.another(10);
    assert_eq!(scene.take(&another, "a", 7).await, 7);
    assert_eq!(scene.left("a"), None);
    scene.ledger.look().await.unwrap();
    assert_eq!(scene.left("a"), Some(3));
}
