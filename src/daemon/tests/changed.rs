//! Users whose schedule or standing changes: what was changed holds, whoever asked, and whatever failed on the way.

use super::*;

/// Another program's hand on the archive.
async fn by_hand(host: &Host) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let url = format!("sqlite://{}", host.folder.path().join("longplay.db").display());
    sqlx::SqliteConnection::connect(&url).await.unwrap()
}

async fn run_sql(connection: &mut sqlx::SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

const YEARLY: Option<&str> = Some("0 0 31 12 *");
const HOURLY: Option<&str> = Some("5 * * * *");

/// The next five past the hour, and the minute in which a user's own moment is.
fn within_the_hour(host: &Host, at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| at.since(host.clock.now()) < Duration::from_secs(3_660))
}

#[tokio::test]
async fn a_changed_schedule_holds_though_its_planning_failed_at_first() {
    let host = Host::new();
    let user = host.add("alice", YEARLY).await;
    let daemon = host.daemon("a").await;
    assert!(!within_the_hour(&host, host.next("alice").await));
    host.add("alice", HOURLY).await;
    let mut other = by_hand(&host).await;
    run_sql(
        &mut other,
        "CREATE TRIGGER no BEFORE UPDATE OF next_run_at ON users BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    daemon.service.refresh_users().await.unwrap_err();
    run_sql(&mut other, "DROP TRIGGER no").await;
    daemon.service.refresh_users().await.unwrap();
    assert!(within_the_hour(&host, host.next("alice").await), "{:?}", host.next("alice").await);
    assert_eq!(daemon.scheduler.next_for(user), host.next("alice").await);
}

#[tokio::test]
async fn a_changed_schedule_holds_though_who_asked_left_before_it_was_planned() {
    let host = Host::new();
    host.add("alice", YEARLY).await;
    let daemon = host.daemon("a").await;
    host.add("alice", HOURLY).await;
    let mut other = by_hand(&host).await;
    run_sql(&mut other, "BEGIN IMMEDIATE").await;
    let taken_in = async {
        let name: UserName = "alice".parse().unwrap();
        while daemon.service.user(&name).await.unwrap().schedule != HOURLY.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = daemon.service.refresh_users() => panic!("it was planned: {done:?}"),
        () = taken_in => {}
    }
    run_sql(&mut other, "ROLLBACK").await;
    daemon.service.refresh_users().await.unwrap();
    assert!(within_the_hour(&host, host.next("alice").await), "{:?}", host.next("alice").await);
}

#[tokio::test]
async fn a_schedule_that_was_changed_during_a_pause_holds_after_it() {
    let host = Host::new();
    let user = host.add("alice", YEARLY).await;
    let daemon = host.daemon("a").await;
    let pause = async |paused| {
        host.store.set_paused(Some(user), paused).await.unwrap();
        daemon.service.refresh_users().await.unwrap();
    };
    pause(true).await;
    host.add("alice", HOURLY).await;
    daemon.service.refresh_users().await.unwrap();
    pause(false).await;
    assert!(within_the_hour(&host, host.next("alice").await), "{:?}", host.next("alice").await);
}

/// Ends a run of the user as the other daemon would: refused by Spotify, or with a page.
async fn ends(host: &Host, daemon: &Daemon, user: UserId, blocked: bool) {
    let run = daemon.claim(user).await;
    let (owner, at) = (daemon.ground.outside.owner(), host.clock.now());
    let next = Some(at + Duration::from_secs(6 * 3_600));
    let release = Release { owner, next };
    if blocked {
        let (result, blocked) = (RunResult::Blocked, Some("no Premium".to_owned()));
        let failed = RunFailed { user, run, result, reason: "no Premium".to_owned(), blocked, at, release };
        host.store.fail_run(&failed).await.unwrap();
    } else {
        let (plays, gaps) = (Vec::new(), Vec::new());
        let (result, reason, newest) = (RunResult::Ok, None, None);
        let page = PageStored { user, run, result, reason, plays, newest, gaps, at, release };
        host.store.store_page(&page).await.unwrap();
    }
}

/// Why a token is refused.
async fn refused(daemon: &Daemon, name: &str) -> Option<Word> {
    let asked = daemon.service.token(&name.parse().unwrap(), TokenQuestion::default()).await;
    let Err(problem) = asked else { panic!("a token without a login") };
    problem.word()
}

#[tokio::test]
async fn who_is_blocked_no_more_is_so_at_every_daemon_at_once() {
    let host = Host::new();
    let user = host.add("alice", HOURLY).await;
    let second = host.daemon("b").await;
    ends(&host, &second, user, true).await;
    let first = host.daemon("a").await;
    assert_eq!(refused(&first, "alice").await, Some(Word::Blocked));
    ends(&host, &second, user, false).await;
    assert_eq!(refused(&first, "alice").await, Some(Word::NeedsLogin));
    ends(&host, &second, user, true).await;
    first.service.take_in_everyone(false).await.unwrap();
    ends(&host, &second, user, false).await;
    let rejected = first.service.rejected(&"alice".parse().unwrap(), Generation(1)).await;
    assert_ne!(rejected.unwrap_err().word(), Some(Word::Blocked));
}

#[tokio::test]
async fn whom_another_daemon_found_blocked_gets_no_token_here_after_the_time_of_that_run() {
    let host = Host::new();
    let user = host.add("alice", HOURLY).await;
    let (first, second) = (host.daemon("a").await, host.daemon("b").await);
    host.pass(360);
    ends(&host, &second, user, true).await;
    assert_eq!(refused(&first, "alice").await, Some(Word::NeedsLogin), "as far as it knows");
    assert_eq!(first.tick().await, 1);
    assert_eq!(refused(&first, "alice").await, Some(Word::Blocked));
    // And back, though nobody asks.
    host.pass(6 * 3_600);
    ends(&host, &second, user, false).await;
    assert_eq!(first.tick().await, 1);
    let mut other = by_hand(&host).await;
    run_sql(&mut other, "UPDATE users SET blocked = 'x'").await;
    assert_eq!(refused(&first, "alice").await, Some(Word::NeedsLogin));
}

#[tokio::test]
async fn what_follows_a_run_does_not_depend_on_who_asked_for_it() {
    let host = Host::new();
    let user = host.add("alice", None).await;
    let daemon = host.daemon("a").await;
    assert_eq!(daemon.scheduler.next_for(user), Some(host.clock.now()));
    let router = routes(daemon.service.clone(), CancellationToken::new());
    let request = Request::post("/v1/users/alice/archive").body(axum::body::Body::empty()).unwrap();
    let mut asked = Box::pin(router.oneshot(request));
    assert!(futures_util::poll!(&mut asked).is_pending());
    drop(asked);
    let planned = async {
        while host.next("alice").await.is_none_or(|next| next <= host.clock.now())
            || daemon.scheduler.next_for(user) != host.next("alice").await
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), planned).await.expect("the next run is in the schedule");
}

#[tokio::test]
async fn who_was_paused_or_removed_elsewhere_is_told_so_and_not_that_longplay_stops() {
    let host = Host::new();
    let (alice, bob) = (host.add("alice", HOURLY).await, host.add("bob", HOURLY).await);
    let daemon = host.daemon("a").await;
    host.store.set_paused(Some(alice), true).await.unwrap();
    host.store.remove_user(bob, false).await.unwrap();
    let archive = async |name: &str| {
        let problem = daemon.service.archive(&name.parse().unwrap()).await.unwrap_err();
        (problem.word(), problem.status)
    };
    assert_eq!(archive("alice").await, (Some(Word::Paused), 409));
    assert_eq!(archive("bob").await, (Some(Word::UnknownUser), 404));
}

#[tokio::test]
async fn whatever_is_in_the_path_of_the_archive_the_store_opens_that_file() {
    for name in ["100%", "100%25", "a#b", "a b", "\u{e4}"] {
        let host = tempfile::tempdir().unwrap();
        let (folder, file) = (host.path().join(name), host.path().join("longplay.toml"));
        std::fs::create_dir(&folder).unwrap();
        let own = format!("sqlite://{}/own.db", folder.display());
        let stores =
            [(format!("state_dir = {folder:?}"), "longplay.db"), (format!("url = {own:?}"), "own.db")];
        for (said, archive) in stores {
            std::fs::write(&file, format!("[store]\n{said}\n")).unwrap();
            let place = Place {
                config: Some(file.clone()),
                env: BTreeMap::new(),
                root: true,
                system_file: file.clone(),
            };
            let url = load(&place).unwrap().store.url;
            let store = crate::store::open(url.expose_secret(), Arc::new(SystemClock)).unwrap();
            store.open().await.unwrap();
            store.close().await;
            assert!(folder.join(archive).is_file(), "{name}: {said}");
        }
    }
}
