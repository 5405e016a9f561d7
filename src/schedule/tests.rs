use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{mpsc, watch};

use super::*;
use crate::clock::{SimulatedClock, SystemClock};

type Fired = mpsc::UnboundedReceiver<(UserId, Timestamp)>;

const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn all() -> usize {
    usize::MAX
}

fn by_hand() -> (Arc<SimulatedClock>, Scheduler, Fired) {
    let clock = Arc::new(SimulatedClock::new(NOON));
    let (tx, rx) = mpsc::unbounded_channel();
    let scheduler =
        Scheduler::by_hand(Arc::clone(&clock) as _, move |user, due| tx.send((user, due)).unwrap(), all);
    (clock, scheduler, rx)
}

async fn started(clock: Arc<dyn Clock>) -> (Scheduler, Fired) {
    let (tx, rx) = mpsc::unbounded_channel();
    let fire = move |user, due| tx.send((user, due)).unwrap();
    let scheduler = Scheduler::start(clock, fire, || usize::MAX).await.unwrap();
    (scheduler, rx)
}

#[tokio::test]
async fn simulated_time_alone_decides_who_is_due() {
    let (clock, scheduler, mut fired) = by_hand();
    scheduler.set(UserId(1), NOON + seconds(10));
    scheduler.set(UserId(2), NOON + seconds(5));
    scheduler.tick();
    assert!(fired.try_recv().is_err());
    assert_eq!(scheduler.next(), Some(NOON + seconds(5)));
    clock.advance(seconds(10));
    scheduler.tick();
    assert_eq!(fired.try_recv().unwrap(), (UserId(2), NOON + seconds(5)));
    assert_eq!(fired.try_recv().unwrap(), (UserId(1), NOON + seconds(10)));
    assert_eq!((scheduler.next(), scheduler.next_for(UserId(1))), (None, None));
}

#[tokio::test]
async fn firing_may_set_the_next_time_at_once() {
    let clock = Arc::new(SimulatedClock::new(NOON));
    let handle: Arc<Mutex<Option<Scheduler>>> = Arc::default();
    let inside = Arc::clone(&handle);
    let fire = move |user, due| inside.lock().unwrap().as_ref().unwrap().set(user, due + seconds(60));
    let scheduler = Scheduler::by_hand(Arc::clone(&clock) as _, fire, all);
    *handle.lock().unwrap() = Some(scheduler.clone());
    scheduler.set(UserId(1), NOON);
    scheduler.tick();
    assert_eq!(scheduler.next_for(UserId(1)), Some(NOON + seconds(60)));
}

#[tokio::test]
async fn periodic_work_goes_by_boot_time_and_waits_for_itself() {
    let (clock, scheduler, _fired) = by_hand();
    let (begun, release) = (watch::Sender::new(0u32), watch::Sender::new(0u32));
    let (begins, gate) = (begun.clone(), release.clone());
    scheduler.every("test", seconds(10), move || {
        let (begins, mut gate) = (begins.clone(), gate.subscribe());
        async move {
            begins.send_modify(|count| *count += 1);
            let this = *begins.borrow();
            gate.wait_for(|released| *released >= this).await.unwrap();
        }
    });
    let mut seen = begun.subscribe();
    clock.step_wall(3_600_000);
    scheduler.tick();
    tokio::task::yield_now().await;
    assert_eq!(*begun.borrow(), 0, "a stepped wall clock brings no work");
    clock.advance(seconds(10));
    scheduler.tick();
    seen.wait_for(|count| *count == 1).await.unwrap();
    clock.advance(seconds(100));
    scheduler.tick();
    tokio::task::yield_now().await;
    assert_eq!(*begun.borrow(), 1, "it still runs");
    release.send_replace(9);
    for _ in 0..5 {
        clock.advance(seconds(10));
        scheduler.tick();
        tokio::task::yield_now().await;
    }
    assert!(*begun.borrow() > 1, "it has ended, and is due again");
}

#[tokio::test]
async fn work_that_panics_is_done_again() {
    let (clock, scheduler, _fired) = by_hand();
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    scheduler.every("test", seconds(10), move || {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        async move { assert!(!first, "this panic belongs to the test") }
    });
    for _ in 0..5 {
        clock.advance(seconds(10));
        scheduler.tick();
        tokio::task::yield_now().await;
    }
    assert!(count.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn the_library_fires_every_user_exactly_once() {
    let (scheduler, mut fired) = started(Arc::new(SystemClock)).await;
    let now = SystemClock.now();
    let mut expected = BTreeMap::new();
    // More than one tick may hand out, some of them due only after the first ticks.
    for user in 0..1500 {
        let at = now + Duration::from_millis(user % 700);
        scheduler.set(UserId(user.cast_signed()), at);
        expected.insert(UserId(user.cast_signed()), at);
    }
    scheduler.remove(UserId(7));
    expected.remove(&UserId(7));
    while !expected.is_empty() {
        let (user, due) = fired.recv().await.unwrap();
        assert_eq!(expected.remove(&user), Some(due), "{user:?} was not to be fired, or not again");
        assert!(due <= SystemClock.now());
    }
    assert!(fired.try_recv().is_err());
    scheduler.stop().await;
}

#[tokio::test]
async fn the_library_asks_the_injected_clock_what_is_due() {
    let clock = Arc::new(SimulatedClock::new(Timestamp::from_millis(5_000)));
    let (scheduler, mut fired) = started(Arc::clone(&clock) as _).await;
    let (worked, mut seen) = watch::channel(0);
    scheduler.every("test", seconds(3600), move || {
        let worked = worked.clone();
        async move { worked.send_modify(|count| *count += 1) }
    });
    scheduler.set(UserId(1), Timestamp::from_millis(5_000));
    scheduler.set(UserId(2), Timestamp::from_millis(3_605_000));
    assert_eq!(fired.recv().await.unwrap().0, UserId(1));
    assert!(fired.try_recv().is_err() && *seen.borrow() == 0);
    assert_eq!(scheduler.last_tick(), BootTime(Duration::ZERO));
    clock.advance(seconds(3600));
    assert_eq!(fired.recv().await.unwrap().0, UserId(2));
    seen.wait_for(|count| *count == 1).await.unwrap();
    assert_eq!(scheduler.last_tick(), BootTime(seconds(3600)));
}

#[tokio::test]
async fn whoever_there_is_no_room_for_stays_in_the_plan() {
    let clock = Arc::new(SimulatedClock::new(NOON));
    let room = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (tx, mut fired) = mpsc::unbounded_channel();
    let left = Arc::clone(&room);
    let scheduler = Scheduler::start(
        clock.clone(),
        move |user, due| tx.send((user, due)).unwrap(),
        move || left.load(Ordering::SeqCst),
    )
    .await
    .unwrap();
    for user in 1..=3 {
        scheduler.set(UserId(user), NOON);
    }
    // A beat has come through, and nobody with it.
    clock.advance(seconds(5));
    while scheduler.last_tick() != clock.boot() {
        tokio::task::yield_now().await;
    }
    assert!(fired.try_recv().is_err());
    assert_eq!(scheduler.next_for(UserId(1)), Some(NOON));
    room.store(9, Ordering::SeqCst);
    for user in 1..=3 {
        assert_eq!(fired.recv().await.unwrap().0, UserId(user));
    }
}

#[tokio::test]
async fn a_beat_comes_through_the_library_when_nobody_is_due() {
    let clock = Arc::new(SimulatedClock::new(NOON));
    let (scheduler, _fired) = started(Arc::clone(&clock) as _).await;
    clock.advance(seconds(5));
    while scheduler.last_tick() != clock.boot() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_fired_after_a_stop() {
    let (clock, scheduler, mut fired) = by_hand();
    scheduler.set(UserId(1), NOON);
    scheduler.stop().await;
    clock.advance(seconds(9));
    scheduler.tick();
    assert!(fired.try_recv().is_err());
}

/// A year of hourly, daily and quarterly users in zones with every kind of change of clocks: each is fired at each of
/// their times, once, in order.
#[tokio::test]
async fn in_a_year_nobody_is_dropped_and_nobody_doubled() {
    let zones = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "America/Sao_Paulo",
    ];
    let schedules = ["5 * * * *", "30 2 * * *", "45 */6 * * *"];
    let users: Vec<(crate::domain::Schedule, chrono_tz::Tz)> = zones
        .iter()
        .flat_map(|zone| schedules.map(|schedule| (schedule.parse().unwrap(), zone.parse().unwrap())))
        .collect();
    let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let end = start + seconds(365 * 86_400);
    let clock = Arc::new(SimulatedClock::new(start));
    let (tx, mut fired) = mpsc::unbounded_channel();
    let scheduler =
        Scheduler::by_hand(Arc::clone(&clock) as _, move |user, due| tx.send((user, due)).unwrap(), all);
    let next = |user: usize, after| users[user].0.next_after(after, users[user].1).unwrap();
    for user in 0..users.len() {
        scheduler.set(UserId(i64::try_from(user).unwrap()), next(user, start));
    }
    let mut made: Vec<Vec<Timestamp>> = vec![Vec::new(); users.len()];
    while let Some(at) = scheduler.next().filter(|at| *at < end) {
        clock.advance(at.since(clock.now()));
        scheduler.tick();
        while let Ok((user, due)) = fired.try_recv() {
            assert_eq!(due, clock.now(), "simulated time is never late");
            let index = usize::try_from(user.0).unwrap();
            made[index].push(due);
            scheduler.set(user, next(index, due));
        }
    }
    for (user, made) in made.into_iter().enumerate() {
        let times = std::iter::successors(Some(next(user, start)), |last| Some(next(user, *last)));
        let expected: Vec<_> = times.take_while(|at| *at < end).collect();
        assert_eq!(made, expected, "{} in {}", users[user].0, users[user].1);
        // 365 days, and of an hourly user as many hours, but for the two that a change of clocks by half an hour shifts.
        let days = made.len() as f64 / [24.0, 1.0, 4.0][user % 3];
        assert!((364.5..=365.5).contains(&days), "{} in {}: {days}", users[user].0, users[user].1);
    }
}
