//! Offering the spool in bites against offering each answer: the same grants, the same order, the same faults.

use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::domain::{Attempt, Cause, Generation};

/// Numbers given to attempts: of the newer answer, of the older one, of neither.
const TRIES: [u128; 3] = [1, 2, 3];
const NOW: Generation = Generation(5);

fn attempt_of(n: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(n))
}

fn on_record_as(n: u128, grant: &Grant) -> Attempt {
    let owner = Owner(Uuid::from_u128(7));
    Attempt { id: attempt_of(n), owner, lease_until: grant.read_at, cause: Cause::Expiry }
}

fn kept(user: UserId, n: u128, epoch: i64, sent: i64, answer: RawAnswer) -> Kept {
    let at = Timestamp::from_millis(1_700_000_000_000);
    Kept {
        user,
        epoch: Epoch(epoch),
        sent: Generation(sent),
        refresh_token: RefreshToken::from("r0".to_owned()),
        attempt: attempt_of(n),
        cause: Cause::Expiry,
        sent_at: at,
        received_at: at,
        answer,
    }
}

/// Every kind of answer in a slot, or none.
fn slots(user: UserId, n: u128) -> Vec<Option<Kept>> {
    let granted = format!(r#"{{"access_token":"a{n}","refresh_token":"r{n}","expires_in":3600}}"#);
    let answers = [
        answer(200, &granted),
        answer(200, "<html>"),
        answer(400, r#"{"error":"invalid_grant"}"#),
        answer(503, "upstream"),
    ];
    let mut all = vec![None];
    for epoch in [1, 2] {
        for sent in NOW.0 - 1..=NOW.0 + 1 {
            all.extend(answers.iter().map(|answer| Some(kept(user, n, epoch, sent, answer.clone()))));
        }
    }
    all
}

/// A user for every pair of answers and every attempt that can be on record; some have no grant.
fn everyone(grant: &Grant) -> (HashMap<UserId, Grant>, Vec<Kept>) {
    let (mut grants, mut spooled) = (HashMap::new(), Vec::new());
    let pairs = slots(ALICE, TRIES[0]).len();
    let on_record = [None].into_iter().chain(TRIES.map(Some));
    let mut user = ALICE;
    for attempt in on_record {
        for (newer, older) in (0..pairs).flat_map(|newer| (0..pairs).map(move |older| (newer, older))) {
            spooled.extend(slots(user, TRIES[0])[newer].take());
            spooled.extend(slots(user, TRIES[1])[older].take());
            let attempt = attempt.map(|n| on_record_as(n, grant));
            if user.0 % 101 != 0 {
                let (epoch, generation) = (Epoch(1), NOW);
                grants.insert(user, Grant { user, epoch, generation, attempt, ..grant.clone() });
            }
            user = UserId(user.0 + 1);
        }
    }
    (grants, spooled)
}

impl Scene {
    /// Of whom there is nothing to know: some users are no more, or have no app.
    fn who(&self, users: Vec<UserId>) -> Vec<Subject> {
        let subject = |user: UserId| Subject {
            user,
            name: format!("u{}", user.0).parse().unwrap(),
            app: Arc::new(self.app.clone()),
        };
        users.into_iter().filter(|user| user.0 % 97 != 0).map(subject).collect()
    }

    async fn with(grants: &HashMap<UserId, Grant>, spooled: &[Kept]) -> Self {
        let scene = Self::new().await;
        scene.store.inner.put_grants(grants.clone());
        spooled.clone_into(&mut scene.spool.kept.lock().unwrap());
        scene.journal.take();
        scene
    }

    async fn offer_in_bites(&self) -> Result<Vec<SpoolFault>, StoreError> {
        offer_spool(&self.exchange, async |users| Ok(self.who(users))).await
    }

    /// The scene's exchange, on files.
    pub(super) fn on_files(&self, folder: &Path) -> Exchange {
        let (of, random) = (&self.exchange, Arc::new(Random::seeded(2)));
        Exchange {
            store: of.store.clone(),
            transport: of.transport.clone(),
            spool: Arc::new(FileSpool::new(folder.to_owned(), of.vault.clone(), random.clone())),
            vault: of.vault.clone(),
            clock: of.clock.clone(),
            clock_note: of.clock_note.clone(),
            random,
            gate: of.gate.clone(),
            metrics: of.metrics.clone(),
            events: of.events.clone(),
            owner: of.owner,
            stopping: CancellationToken::new(),
        }
    }

    /// As it was before there were bites.
    async fn offer_each(&self) {
        for user in self.spool.users().await.unwrap() {
            let Some(subject) = self.who(vec![user]).pop() else { continue };
            for answer in self.spool.kept_of(user).await.unwrap().0 {
                self.exchange.offer(&subject, answer).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn offering_in_bites_does_what_offering_each_does_in_the_same_order() {
    let grant = Scene::new().await.store.grant(ALICE).await.unwrap().unwrap();
    let (grants, spooled) = everyone(&grant);
    assert!(grants.len() > 2_000);
    let (bites, each) = (Scene::with(&grants, &spooled).await, Scene::with(&grants, &spooled).await);
    assert_eq!(bites.offer_in_bites().await.unwrap(), []);
    each.offer_each().await;
    let (mut in_bites, one_by_one) = (bites.journal.take(), each.journal.take());
    in_bites.retain(|what| what != "heads read");
    assert!(one_by_one.len() > 500);
    assert_eq!(in_bites, one_by_one);
    // Nonces are drawn in turn from one seed: even they agree.
    assert!(bites.store.inner.grants() == each.store.inner.grants());
}

#[tokio::test]
async fn an_answer_counts_for_its_own_try_or_where_its_tokens_are_the_newest_of_the_login() {
    let scene = Scene::new().await;
    let grant = scene.store.grant(ALICE).await.unwrap().unwrap();
    let subject = scene.who(vec![ALICE]).pop().unwrap();
    let mut counted = 0;
    for kept in slots(ALICE, TRIES[0]).into_iter().flatten() {
        for on_record in [None, Some(TRIES[0]), Some(TRIES[2])] {
            let attempt = on_record.map(|n| on_record_as(n, &grant));
            let stood = Grant { epoch: Epoch(1), generation: NOW, attempt, ..grant.clone() };
            scene.store.inner.put_grants([(ALICE, stood.clone())].into());
            let granted = kept.answer.body.starts_with(b"{\"access");
            let ours = on_record == Some(TRIES[0]);
            // Its own try's tokens count too, but a generation never goes back.
            let counts = kept.epoch == Epoch(1) && if granted { kept.sent >= NOW } else { ours };
            let offered = scene.exchange.offer(&subject, kept.clone()).await.unwrap();
            let now = scene.store.inner.grants().remove(&ALICE).unwrap();
            assert_eq!(now != stood, counts, "{kept:?} {on_record:?}");
            assert!(counts || !offered, "{kept:?} {on_record:?}");
            counted += u32::from(counts);
        }
    }
    assert_eq!(counted, 15);
}

/// So many users whose answer of the generation before was applied.
fn settled(grant: &Grant, users: i64) -> (HashMap<UserId, Grant>, Vec<Kept>) {
    let numbers = || (1..=users).map(UserId);
    let of = |user| Grant { user, epoch: Epoch(1), generation: NOW, ..grant.clone() };
    let grants = numbers().map(|user| (user, of(user))).collect();
    let answer = answer(200, r#"{"access_token":"a","expires_in":3600}"#);
    (grants, numbers().map(|user| kept(user, 1, 1, NOW.0 - 1, answer.clone())).collect())
}

#[tokio::test]
async fn what_is_settled_costs_one_statement_for_many_and_is_not_opened() {
    let grant = Scene::new().await.store.grant(ALICE).await.unwrap().unwrap();
    let (grants, spooled) = settled(&grant, 1_100);
    let scene = Scene::with(&grants, &spooled).await;
    let before = scene.store.reads.lock().unwrap().all;
    scene.offer_in_bites().await.unwrap();
    assert_eq!(scene.journal.take(), ["heads read"; 3]);
    assert_eq!(scene.store.reads.lock().unwrap().all, before);
}

#[tokio::test]
async fn a_store_that_goes_away_in_the_middle_is_told_and_the_next_offer_does_the_rest() {
    let grant = Scene::new().await.store.grant(ALICE).await.unwrap().unwrap();
    let (mut grants, spooled) = settled(&grant, 600);
    for grant in grants.values_mut() {
        grant.generation = Generation(NOW.0 - 1);
    }
    let scene = Scene::with(&grants, &spooled).await;
    scene.store.fail("read", false, 1);
    scene.offer_in_bites().await.unwrap_err();
    scene.store.fail("heads", false, 1);
    scene.offer_in_bites().await.unwrap_err();
    assert_eq!(scene.journal.count("tokens committed"), 0);
    scene.offer_in_bites().await.unwrap();
    // Nobody tells of those whose number 97 divides.
    assert_eq!(scene.journal.count("tokens committed"), 600 - 6);
}

#[tokio::test]
async fn a_fault_in_one_file_of_a_bite_is_told_and_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new().await;
    let grant = scene.store.grant(ALICE).await.unwrap().unwrap();
    let exchange = scene.on_files(folder.path());
    let mut grants = settled(&grant, 6).0;
    for user in (1..=6).map(UserId) {
        // The older answer counts for nobody, unless the newer one can't be read and the store fell behind.
        for (n, sent) in [(1, NOW.0 - 1), (2, NOW.0)] {
            let body = format!(r#"{{"access_token":"a{n}","expires_in":3600}}"#);
            exchange.spool.keep(&kept(user, n, 1, sent, answer(200, &body))).await.unwrap();
        }
    }
    grants.get_mut(&UserId(3)).unwrap().generation = Generation(NOW.0 - 1);
    scene.store.inner.put_grants(grants);
    let damage = |user: i64, offset: usize| {
        let path = folder.path().join(user.to_string());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8 * 1024 + offset] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    damage(2, 0);
    damage(3, 200);
    damage(4, 20);
    std::fs::remove_file(folder.path().join("5")).unwrap();
    std::fs::create_dir(folder.path().join("5")).unwrap();
    let faults = offer_spool(&exchange, async |users| Ok(scene.who(users))).await.unwrap();
    let told: Vec<&str> = faults.iter().filter_map(|fault| fault.what.rsplit_once('/')?.1.get(..2)).collect();
    assert_eq!(told, ["2:", "3:", "4:", "5:", "5:"], "{faults:?}");
    let grants = scene.store.inner.grants();
    let generations: Vec<i64> = (1..=6).map(|user| grants[&UserId(user)].generation.0).collect();
    let (before, after) = (NOW.0, NOW.0 + 1);
    assert_eq!(generations, [after, before, before, before, before, after]);
}

#[tokio::test]
async fn a_head_that_cannot_be_proven_is_no_reason_to_pass_an_answer_over() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new().await;
    let grant = scene.store.grant(ALICE).await.unwrap().unwrap();
    let exchange = scene.on_files(folder.path());
    scene.store.inner.put_grants(settled(&grant, 1).0);
    let body = r#"{"access_token":"a","expires_in":3600}"#;
    exchange.spool.keep(&kept(ALICE, 1, 1, NOW.0, answer(200, body))).await.unwrap();
    let path = folder.path().join("1");
    let mut bytes = std::fs::read(&path).unwrap();
    // In the head's own seal: the answer is still whole.
    bytes[70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    offer_spool(&exchange, async |users| Ok(scene.who(users))).await.unwrap();
    assert_eq!(scene.store.inner.grants()[&ALICE].generation, NOW.next());
}
