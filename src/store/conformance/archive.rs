//! Pages, plays, runs, and what is known of them.

use std::time::Duration;

use super::{Bench, START, release};
use crate::domain::{
    Album, Artist, Gap, GapCause, Play, RunId, RunResult, Source, StoredPlay, TopKind, Track, Trigger, UserId,
};
use crate::store::{Added, PageFacts, PageStored, PlayQuery, RunFailed};

pub fn artist(n: u32) -> Artist {
    Artist { uri: Some(format!("spotify:artist:{n}")), name: format!("Artist {n}") }
}

fn track(n: u32) -> Track {
    Track {
        uri: Some(format!("spotify:track:{n}")),
        name: format!("Track {n}"),
        artists: vec![artist(n), artist(n + 100)],
        album: Some(Album {
            uri: Some(format!("spotify:album:{}", n / 10)),
            name: format!("Album {}", n / 10),
        }),
        isrc: Some(format!("ISRC{n}")),
        duration_ms: Some(200_000),
    }
}

const ALL: PlayQuery = PlayQuery { since: None, until: None, before: None, limit: 1000 };

impl Bench {
    /// Track `n`, that many minutes after the start.
    pub fn play(&self, minutes: u64, n: u32) -> Play {
        Play {
            played_at: START + Duration::from_secs(60 * minutes),
            track: track(n),
            context_uri: Some("spotify:playlist:1".to_owned()),
        }
    }

    pub async fn page(&self, user: UserId, plays: &[Play]) -> PageStored {
        self.page_of(user, self.begin_run(user, Trigger::Schedule).await, plays)
    }

    pub fn page_of(&self, user: UserId, run: RunId, plays: &[Play]) -> PageStored {
        PageStored {
            user,
            run,
            result: RunResult::Ok,
            reason: None,
            plays: plays.to_vec(),
            newest: plays.iter().map(|play| play.played_at).max(),
            gaps: Vec::new(),
            at: self.now(),
            release: release(self.now()),
        }
    }

    /// One run that stores these; how many were new.
    pub async fn store_page(&self, user: UserId, plays: &[Play]) -> usize {
        self.store.store_page(&self.page(user, plays).await).await.unwrap().plays
    }

    async fn fail(&self, user: UserId, result: RunResult, blocked: Option<&str>) {
        let run = self.begin_run(user, Trigger::Manual).await;
        let blocked = blocked.map(str::to_owned);
        let failed = RunFailed {
            user,
            run,
            result,
            reason: "why".to_owned(),
            blocked,
            at: self.now(),
            release: release(self.now()),
        };
        self.store.fail_run(&failed).await.unwrap();
    }

    async fn plays(&self, user: UserId) -> Vec<StoredPlay> {
        self.store.plays(user, ALL).await.unwrap()
    }
}

pub async fn a_page_is_stored_once_however_often_it_comes(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let page: Vec<Play> = (0..50).map(|n| bench.play(u64::from(n), n)).collect();
    assert_eq!(bench.store_page(alice, &page).await, 50);
    assert_eq!(bench.store_page(alice, &page).await, 0);
    let mut later = page[10..].to_vec();
    later.push(bench.play(60, 3));
    assert_eq!(bench.store_page(alice, &later).await, 1);
    assert_eq!(bench.plays(alice).await.len(), 51);
    assert_eq!(bench.user("alice").await.plays, 51);
    assert_eq!(bench.store_page(alice, &[]).await, 0);
}

pub async fn plays_come_newest_first_within_their_bounds(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.store_page(alice, &[bench.play(1, 1), bench.play(3, 3), bench.play(2, 2), bench.play(4, 4)]).await;
    let minutes = async |since: Option<u64>, until: Option<u64>, limit| -> Vec<u64> {
        let at = |minutes: Option<u64>| minutes.map(|m| START + Duration::from_secs(60 * m));
        let query = PlayQuery { since: at(since), until: at(until), before: None, limit };
        let plays = bench.store.plays(alice, query).await.unwrap();
        plays.iter().map(|p| p.played_at.since(START).as_secs() / 60).collect()
    };
    assert_eq!(minutes(None, None, 9).await, [4, 3, 2, 1]);
    assert_eq!(minutes(Some(2), Some(4), 9).await, [3, 2]);
    assert_eq!(minutes(None, None, 2).await, [4, 3]);
    assert_eq!(minutes(None, None, 0).await, [0; 0]);
    let newest = &bench.store.plays(alice, PlayQuery { limit: 1, ..ALL }).await.unwrap()[0];
    let expected = StoredPlay {
        played_at: bench.play(4, 4).played_at,
        track: "Track 4".to_owned(),
        artists: vec!["Artist 4".to_owned(), "Artist 104".to_owned()],
        album: Some("Album 0".to_owned()),
        track_uri: Some("spotify:track:4".to_owned()),
        isrc: Some("ISRC4".to_owned()),
        duration_ms: Some(200_000),
        context_uri: Some("spotify:playlist:1".to_owned()),
        source: Source::Api,
    };
    assert_eq!(newest, &expected);
}

pub async fn two_users_may_hear_at_the_same_moment(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    assert_eq!(bench.store_page(alice, &[bench.play(1, 1)]).await, 1);
    assert_eq!(bench.store_page(bob, &[bench.play(1, 1)]).await, 1);
    assert_eq!((bench.plays(alice).await.len(), bench.plays(bob).await.len()), (1, 1));
}

pub async fn one_track_twice_in_a_row_is_two_plays(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    assert_eq!(bench.store_page(alice, &[bench.play(4, 1), bench.play(1, 1)]).await, 2);
}

pub async fn a_play_twice_in_a_page_is_one(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    assert_eq!(bench.store_page(alice, &[bench.play(1, 1), bench.play(1, 1), bench.play(1, 2)]).await, 2);
    assert_eq!(bench.user("alice").await.plays, 2);
}

pub async fn a_renamed_track_is_renamed_and_a_known_isrc_is_not_forgotten(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.store_page(alice, &[bench.play(1, 1)]).await;
    let mut again = bench.play(2, 1);
    again.track.name = "Track 1 - Remastered".to_owned();
    again.track.artists = vec![artist(7)];
    (again.track.isrc, again.track.album, again.track.duration_ms) = (None, None, None);
    bench.store_page(alice, &[again]).await;
    for play in bench.plays(alice).await {
        assert_eq!(play.track, "Track 1 - Remastered");
        assert_eq!(play.artists, ["Artist 7"]);
        assert_eq!((play.isrc.as_deref(), play.album.as_deref()), (Some("ISRC1"), Some("Album 0")));
        assert_eq!(play.duration_ms, Some(200_000));
    }
}

pub async fn whatever_changes_of_a_known_track_is_kept(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mut play = bench.play(0, 5);
    bench.store_page(alice, &[play.clone()]).await;
    let changes: [fn(&mut Track); 7] = [
        |track| track.artists[0].name = "Renamed".to_owned(),
        |track| track.artists.swap(0, 1),
        |track| drop(track.artists.pop()),
        |track| track.artists.push(artist(7)),
        |track| track.album.iter_mut().for_each(|album| album.name = "Renamed".to_owned()),
        |track| track.album = Some(Album { uri: None, name: "Another".to_owned() }),
        |track| track.duration_ms = Some(1),
    ];
    for (n, change) in (1..).zip(changes) {
        change(&mut play.track);
        play.played_at = play.played_at + Duration::from_secs(60);
        assert_eq!(bench.store_page(alice, &[play.clone()]).await, 1);
        let kept = bench.store.plays(alice, ALL).await.unwrap();
        let names: Vec<_> = play.track.artists.iter().map(|artist| artist.name.as_str()).collect();
        assert_eq!(kept[0].artists, names, "change {n}");
        assert_eq!(kept[0].album.as_ref(), play.track.album.as_ref().map(|album| &album.name), "change {n}");
        assert_eq!(kept[0].duration_ms, play.track.duration_ms, "change {n}");
    }
}

pub async fn a_track_without_a_uri_is_kept_by_its_names(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let unnamed = |minutes, n| {
        let mut play = bench.play(minutes, n);
        play.track.uri = None;
        play.track.artists[0].uri = None;
        (play.track.isrc, play.track.album, play.context_uri) = (None, None, None);
        play
    };
    bench.store_page(alice, &[unnamed(1, 1), unnamed(2, 1), unnamed(3, 2)]).await;
    assert_eq!(bench.store_page(alice, &[unnamed(1, 1)]).await, 0);
    let plays = bench.plays(alice).await;
    assert_eq!(plays.len(), 3);
    assert_eq!((&plays[0].track_uri, &plays[0].album, &plays[0].context_uri), (&None, &None, &None));
    assert_eq!(plays[0].artists, ["Artist 2", "Artist 102"]);
    let top = bench.store.top(alice, TopKind::Tracks, None, 9).await.unwrap();
    assert_eq!(top.iter().map(|t| t.plays).collect::<Vec<_>>(), [2, 1]);
}

pub fn gap(from: u64, to: u64) -> Gap {
    let at = |minutes| START + Duration::from_secs(60 * minutes);
    Gap { from: at(from), to: at(to), cause: GapCause::Unreachable, at_most: 12, closed_at: None }
}

pub async fn storing_a_page_counts_lifts_the_block_and_ends_the_run(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.fail(alice, RunResult::Blocked, Some("not allow-listed")).await;
    bench.clock.advance(Duration::from_secs(60));
    let begun = bench.now();
    let page = PageStored {
        result: RunResult::Partial,
        reason: Some("one item could not be read".to_owned()),
        gaps: vec![gap(1, 5)],
        ..bench.page(alice, &[bench.play(1, 1), bench.play(2, 2)]).await
    };
    bench.clock.advance(Duration::from_secs(1));
    let page = PageStored { at: bench.now(), ..page };
    let added = Added { plays: 2, gaps: vec![gap(1, 5)] };
    assert_eq!(bench.store.store_page(&page).await.unwrap(), added);
    let user = bench.user("alice").await;
    assert_eq!((user.plays, user.gaps, user.blocked), (2, 1, None));
    assert_eq!((user.last_run_at, user.last_archived_at), (Some(begun), Some(bench.now())));
    assert_eq!((user.last_run_result, user.last_run_reason), (Some(RunResult::Partial), page.reason.clone()));
    let run = bench.store.runs(alice, 1).await.unwrap().remove(0);
    assert_eq!((run.id, run.user, run.trigger, run.started_at), (page.run, alice, Trigger::Schedule, begun));
    assert_eq!((run.finished_at, run.result), (Some(bench.now()), Some(RunResult::Partial)));
    assert_eq!((run.reason, run.new_plays), (page.reason, 2));
    assert_eq!(bench.store.gaps(alice).await.unwrap(), [gap(1, 5)]);
}

pub async fn storing_a_page_again_after_a_lost_answer_changes_nothing(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let added = Added { plays: 2, gaps: vec![gap(1, 5)] };
    let page = PageStored {
        gaps: vec![gap(1, 5)],
        ..bench.page(alice, &[bench.play(1, 1), bench.play(2, 2)]).await
    };
    assert_eq!(bench.store.store_page(&page).await.unwrap(), added);
    assert_eq!(bench.user("alice").await.gaps, 1);
    let before = (bench.user("alice").await, bench.store.runs(alice, 9).await.unwrap());
    bench.clock.advance(Duration::from_secs(9));
    let found_later = PageStored { at: bench.now(), gaps: vec![gap(7, 8)], ..page };
    assert_eq!(
        bench.store.store_page(&found_later).await.unwrap(),
        added,
        "what that run found is told again"
    );
    assert_eq!((bench.user("alice").await, bench.store.runs(alice, 9).await.unwrap()), before);
    assert_eq!(bench.store.gaps(alice).await.unwrap().len(), 1);
}

pub async fn a_failed_run_says_why_and_may_block(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.fail(alice, RunResult::Blocked, Some("no Premium")).await;
    bench.fail(alice, RunResult::Unreachable, None).await;
    let user = bench.user("alice").await;
    assert_eq!(user.last_run_result, Some(RunResult::Unreachable));
    assert_eq!((user.last_run_reason.as_deref(), user.blocked.as_deref()), (Some("why"), Some("no Premium")));
    assert_eq!(user.last_archived_at, None);
    let runs = bench.store.runs(alice, 9).await.unwrap();
    assert_eq!(
        runs.iter().map(|r| r.result).collect::<Vec<_>>(),
        [Some(RunResult::Unreachable), Some(RunResult::Blocked)]
    );
    assert_eq!(bench.store.runs(alice, 1).await.unwrap(), runs[..1]);
}

pub async fn facts_tell_what_is_known_and_how_the_runs_since_ended(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    bench.fail(alice, RunResult::NeedsLogin, None).await;
    bench.store_page(alice, &[bench.play(1, 1), bench.play(2, 2)]).await;
    let archived = bench.now();
    bench.clock.advance(Duration::from_secs(60));
    bench.fail(alice, RunResult::RateLimited, None).await;
    bench.begin_run(alice, Trigger::Schedule).await;
    bench.fail(alice, RunResult::Unreachable, None).await;
    let run = bench.begin_run(alice, Trigger::Schedule).await;

    let page = [bench.play(2, 2), bench.play(2, 3), bench.play(3, 2), bench.play(1, 1)];
    let (first, second) = (bench.play(1, 1).played_at, bench.play(2, 2).played_at);
    let oldest = Some(first);
    let facts = bench.store.page_facts(alice, run, &page, oldest).await.unwrap();
    let expected = PageFacts {
        unknown: vec![1, 2],
        newest_stored: Some(second),
        before: None,
        stored: vec![second, first],
        gaps: Vec::new(),
        last_archived_at: Some(archived),
        results_since: vec![Some(RunResult::RateLimited), None, Some(RunResult::Unreachable)],
        habits: None,
    };
    assert_eq!(facts, expected);

    let bob = bench.add("bob").await.id;
    let run = bench.begin_run(bob, Trigger::Login).await;
    let nothing = PageFacts { unknown: vec![0, 1, 2, 3], ..PageFacts::default() };
    assert_eq!(bench.store.page_facts(bob, run, &page, oldest).await.unwrap(), nothing);

    (bench.by_hand)("UPDATE plays SET source = 'import' WHERE played_at > 1767225660000").await;
    let run = bench.begin_run(alice, Trigger::Login).await;
    let facts = bench.store.page_facts(alice, run, &page, oldest).await.unwrap();
    assert_eq!((facts.unknown, facts.newest_stored), (vec![1, 2], Some(bench.play(1, 1).played_at)));
}

pub async fn facts_tell_what_is_on_record_of_the_time_that_a_page_covers(bench: &Bench) {
    let (alice, bob) = (bench.add("alice").await.id, bench.add("bob").await.id);
    let plays = [bench.play(10, 1), bench.play(20, 2), bench.play(30, 3)];
    let page =
        PageStored { gaps: vec![gap(1, 9), gap(10, 20), gap(22, 22)], ..bench.page(alice, &plays).await };
    bench.store.store_page(&page).await.unwrap();
    let facts = async |user, oldest: Option<u64>| {
        let run = bench.begin_run(user, Trigger::Schedule).await;
        let oldest = oldest.map(|minutes| bench.play(minutes, 1).played_at);
        let facts = bench.store.page_facts(user, run, &[], oldest).await.unwrap();
        (facts.before, facts.stored, facts.gaps)
    };
    let [first, second, third] = plays.map(|play| play.played_at);
    let later = vec![gap(22, 22), gap(10, 20)];
    assert_eq!(facts(alice, Some(20)).await, (Some(first), vec![third, second], later.clone()));
    assert_eq!(facts(alice, Some(21)).await, (Some(second), vec![third], later.clone()));
    assert_eq!(
        facts(alice, Some(10)).await,
        (None, vec![third, second, first], [later, vec![gap(1, 9)]].concat())
    );
    assert_eq!(facts(alice, None).await, (Some(third), vec![], vec![]));
    assert_eq!(facts(bob, Some(1)).await, (None, vec![], vec![]));
    (bench.by_hand)("UPDATE plays SET source = 'import'").await;
    assert_eq!(facts(alice, Some(30)).await.0, None);
}

pub async fn names_survive_quotes_and_other_alphabets(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let mut play = bench.play(1, 1);
    play.track.name = "It's \"$1\" — \\ 'é' 日本語 🎵\n".to_owned();
    play.track.artists[0].name = "'); DROP TABLE plays; --".to_owned();
    bench.store_page(alice, std::slice::from_ref(&play)).await;
    let stored = bench.plays(alice).await.remove(0);
    assert_eq!((&stored.track, &stored.artists[0]), (&play.track.name, &play.track.artists[0].name));
}
