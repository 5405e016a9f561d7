//! What every database must do, behaviour by behaviour. A database joins with a function that makes a fresh [`Bench`]
//! and the line `every_behaviour!(that_function);`, and one more where it lives somewhere.

pub mod archive;
pub mod claims;
pub mod export;
pub mod file_users;
pub mod footing;
pub mod gaps;
pub mod grants;
pub mod guard;
pub mod habits;
pub mod imports;
pub mod logins;
pub mod plans;
pub mod quota;
pub mod raw;
pub mod reading;
pub mod refreshes;
pub mod rest;
pub mod top;
pub mod users;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use uuid::Uuid;

use super::{Claimed, Intent, NewLogin, NewTokens, NewUser, Release, RunClaim, Store};
use crate::clock::{Clock, SimulatedClock};
use crate::domain::{
    AccessTimes, AttemptId, Cause, Epoch, Generation, Grant, Owner, RunId, Sealed, Timestamp, Trigger, User,
    UserId, UserName,
};
use crate::random::Random;

/// Runs a statement as another program would.
pub type ByHand = Box<dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A fresh and empty store, and what a test needs around it.
pub struct Bench {
    pub store: Arc<dyn Store>,
    /// The store's clock.
    pub clock: Arc<SimulatedClock>,
    pub by_hand: ByHand,
    /// Kept until the test ends.
    pub _keep: Box<dyn Any + Send + Sync>,
}

/// These migrations up to a version, as an older longplay has them.
pub fn upto(known: &Migrator, version: i64) -> &'static Migrator {
    let all = known.iter().filter(|migration| migration.version <= version).cloned().collect();
    Box::leak(Box::new(Migrator::with_migrations(all)))
}

/// Two tracks of one recording and one of another, each heard a day apart, of which two were counted together.
pub const HEARD_BEFORE_SUMS: &str = "
    INSERT INTO tracks (key, uri, name, isrc, duration_ms) VALUES
      ('t1', 't1', 'One', 'SAME', 1000), ('t2', 't2', 'One, too', 'SAME', 2000), ('t3', 't3', 'Other', NULL, 4000);
    INSERT INTO plays (user_id, played_at, track_id, source)
      SELECT 1, 1700000000000 + 86400000 * id, id, 'api' FROM tracks;
    UPDATE users SET plays = 3;
    INSERT INTO heard (user_id, weeks, track_id, plays, ms) VALUES (1, 0, 1, 1, 1000);
    INSERT INTO heard_slots (user_id, at, plays, ms) VALUES (1, 1699999200000, 1, 1000);
    INSERT INTO counted (user_id, until, slot) VALUES (1, 1700000000001, 3600000);
    INSERT INTO gaps (user_id, from_at, to_at, cause, at_most) VALUES (1, 1, 2, 'daemon_down', 1);";

/// These migrations, and one that comes after them.
pub fn followed_by(known: &Migrator, sql: &'static str) -> &'static Migrator {
    let mut all: Vec<_> = known.iter().cloned().collect();
    let version = all.iter().map(|migration| migration.version).max().unwrap_or(0) + 1;
    let sql = sqlx::SqlSafeStr::into_sql_str(sql);
    all.push(Migration::new(version, "the next".into(), MigrationType::Simple, sql, false));
    Box::leak(Box::new(Migrator::with_migrations(all)))
}

macro_rules! every_behaviour {
    ($bench:path) => {
        $crate::store::conformance::every_behaviour! { $bench =>
            users: another_programs_insert_gets_defaults_and_is_noticed,
                a_row_without_a_valid_name_or_app_is_refused_and_nobody_else_suffers,
                a_change_is_noticed_once_and_runs_are_no_change,
                a_removed_user_comes_back_with_their_archive_and_not_paused,
                a_changed_user_keeps_their_number_and_pause,
                removing_a_user_takes_the_tokens_and_keeps_the_counters,
                purging_a_user_leaves_nothing_and_the_number_is_not_given_out_again,
                a_pause_for_everyone_spares_who_was_removed,
                changes_come_in_batches,
                a_purge_is_noticed_and_forgotten_in_time,
                users_are_found_by_their_numbers;
            claims: of_two_daemons_one_runs_a_user,
                a_repeated_claim_gets_the_same_run,
                a_lapsed_claim_is_taken_over_and_its_late_end_moves_nothing,
                a_claim_that_is_renewed_holds,
                a_run_that_another_daemon_has_moved_is_not_due,
                nobody_runs_who_is_gone_or_paused,
                a_run_that_ends_gives_the_user_back_once,
                a_late_failure_says_nothing_of_a_newer_run,
                an_owner_takes_its_own_claims_back_at_once,
                a_plan_overwrites_neither_a_claim_nor_another_plan,
                whoever_is_overdue_is_found_page_by_page;
            file_users: users_of_files_come_and_go_with_the_files,
                an_unchanged_declaration_touches_nothing,
                a_user_of_the_store_becomes_one_of_a_file_and_keeps_the_archive,
                one_daemon_leaves_the_users_of_another_alone,
                a_user_of_a_file_is_not_changed_by_put,
                a_pause_outlives_a_file_that_was_away;
            footing: users_who_stand_alike_are_counted_together,
                what_decides_a_state_is_counted_as_it_is_read_one_by_one,
                rows_that_are_no_users_are_neither_counted_nor_seen,
                users_are_seen_in_batches_by_number,
                the_newest_play_and_the_oldest_page_are_known,
                who_was_never_archived_waits_since_their_login_was_taken,
                logins_are_found_by_when_they_were_given,
                the_end_of_a_login_is_told_of_once_at_each_of_its_days;
            grants: a_login_is_read_back_as_it_was_committed,
                a_login_prepared_against_another_grant_is_refused,
                a_repeated_login_stands_and_changes_nothing,
                a_new_login_ends_attempt_doubt_refusal_and_block,
                a_revived_user_logs_in_over_the_row_without_tokens,
                an_account_is_noted_once,
                where_grants_stand_is_read_of_many_at_once,
                grants_in_trouble_are_found_and_those_of_removed_users_are_not;
            refreshes: of_two_daemons_one_announces_a_refresh,
                a_repeated_intent_is_the_same_intent_with_its_first_lease,
                a_lapsed_attempt_is_replaced_by_name_only,
                an_owner_replaces_its_own_attempt_at_once,
                an_intent_for_an_older_generation_or_login_is_refused,
                an_intent_that_does_not_know_of_a_refusal_or_a_doubt_is_refused,
                a_commit_brings_the_next_generation_and_ends_all_trouble,
                a_commit_may_bring_a_refresh_token_alone,
                a_repeated_commit_is_recognised_by_its_attempt,
                an_attempt_that_is_not_on_record_commits_nothing,
                the_late_answer_of_an_old_login_changes_nothing,
                a_late_answer_for_a_removed_user_changes_nothing,
                a_store_that_was_rolled_back_gets_the_newest_answer_back,
                a_spooled_answer_never_lowers_a_generation,
                five_generations_are_kept,
                an_absent_scope_leaves_the_one_on_record,
                closing_with_nothing_leaves_doubt_and_refusal,
                a_second_doubt_keeps_the_first_ones_age,
                a_refusal_ends_doubt,
                an_attempt_is_closed_once,
                a_repeated_end_is_recognised;
            quota: calls_are_taken_up_to_the_days_limit_by_all_groups_alone,
                calls_that_were_not_needed_are_given_back,
                a_call_counts_for_a_day_and_a_clock_that_was_set_back_forgets_none,
                daemons_that_take_at_once_never_take_too_many;
            raw: kept_pages_come_oldest_first_in_batches,
                kept_pages_are_forgotten_by_their_age,
                kept_pages_go_with_a_purge_and_stay_when_a_user_is_removed,
                what_a_kept_page_adds_is_counted_once_and_leaves_the_runs_alone,
                a_gap_is_closed_as_it_was_seen_and_no_other,
                gaps_are_found_by_their_stretch_with_the_run_that_found_them;
            logins: a_login_is_taken_once,
                an_expired_login_is_not_taken,
                whoever_waits_for_a_login_hears_how_it_ended;
            archive: a_page_is_stored_once_however_often_it_comes,
                plays_come_newest_first_within_their_bounds,
                two_users_may_hear_at_the_same_moment,
                one_track_twice_in_a_row_is_two_plays,
                a_play_twice_in_a_page_is_one,
                a_renamed_track_is_renamed_and_a_known_isrc_is_not_forgotten,
                whatever_changes_of_a_known_track_is_kept,
                a_track_without_a_uri_is_kept_by_its_names,
                storing_a_page_counts_lifts_the_block_and_ends_the_run,
                storing_a_page_again_after_a_lost_answer_changes_nothing,
                a_failed_run_says_why_and_may_block,
                facts_tell_what_is_known_and_how_the_runs_since_ended,
                facts_tell_what_is_on_record_of_the_time_that_a_page_covers,
                names_survive_quotes_and_other_alphabets;
            habits: plays_are_counted_by_the_hour,
                habits_are_kept_and_go_with_the_user;
            export: pages_end_nowhere_and_each_begins_where_the_last_one_ended,
                an_export_has_what_is_known_of_a_play_and_nulls_for_the_rest,
                what_is_stored_meanwhile_neither_doubles_nor_drops_a_play;
            gaps: a_gap_is_on_record_once_counts_the_most_and_is_open_until_it_is_closed,
                gaps_come_newest_first;
            top: every_artist_of_a_track_counts,
                the_track_ids_of_one_recording_count_together,
                albums_are_counted_with_their_artists,
                spotifys_top_artists_are_replaced_whole;
            reading: pages_follow_each_other_where_plays_share_a_moment,
                the_first_play_is_known,
                what_is_counted_beforehand_is_what_a_look_at_each_play_says,
                the_first_of_many_that_are_as_often_heard_are_so_by_name;
            rest: opening_again_answers_the_same_deployment,
                the_first_key_probe_stays,
                an_app_is_remembered,
                several_apps_are_read_at_once,
                what_another_daemon_changed_is_found,
                events_come_newest_first_and_by_user,
                pruning_forgets_runs_events_and_logins_but_never_plays_and_gaps;
        }
    };
    ($bench:path => $($module:ident: $($name:ident),* ;)*) => {
        $($(
            #[tokio::test]
            async fn $name() {
                $crate::store::conformance::$module::$name(&$bench().await).await;
            }
        )*)*
    };
}
pub(super) use every_behaviour;

/// The same of what lives somewhere.
macro_rules! every_behaviour_of_a_place {
    ($bench:path) => {
        $crate::store::conformance::every_behaviour! { $bench =>
            guard: a_new_store_has_no_home_until_one_is_noted,
                no_refresh_begins_on_a_store_that_lived_elsewhere,
                no_refresh_begins_behind_the_fence,
                no_refresh_begins_of_whoever_lacks_the_stores_key,
                a_note_of_its_home_that_cannot_be_read_waits_to_be_accepted,
                a_daemon_that_sees_less_of_a_server_makes_nobody_forget,
                whose_doubt_ended_behind_the_fence_is_not_doubted_again,
                a_store_that_was_also_moved_leaves_nobody_without_doubt,
                seals_are_replaced_where_the_old_one_still_is,
                the_probe_is_replaced_by_whoever_has_the_new_key,
                daemons_at_work_are_known_with_their_keys;
            reading: a_play_that_is_removed_or_moved_by_hand_is_counted_no_more,
                what_is_learnt_of_a_track_changes_what_is_counted_of_it,
                tracks_that_become_one_recording_count_together_and_those_that_part_do_not;
            imports: what_the_api_shows_stays_when_the_import_goes,
                of_three_imports_the_middle_one_can_go_first,
                a_gap_is_narrowed_by_what_an_import_has_and_as_it_was_without_it,
                a_gap_that_is_found_after_an_import_has_it_covered_is_none,
                an_undoing_names_the_later_imports_that_found_its_plays,
                an_artist_known_by_name_is_the_one_that_the_api_shows,
                a_database_that_lost_rows_of_an_import_does_not_end_it,
                an_import_ends_with_all_its_plays_or_not_though_another_is_taken_back,
                a_track_is_told_once_by_whoever_reads_the_files;
        }
    };
}
pub(super) use every_behaviour_of_a_place;

/// When the tests begin: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub const HERE: Owner = Owner(Uuid::from_u128(0xa));
pub const THERE: Owner = Owner(Uuid::from_u128(0xb));
pub const LEASE: Duration = Duration::from_secs(90);

pub fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

pub fn new_user(user: &str) -> NewUser {
    NewUser { name: name(user), app: "default".parse().unwrap(), schedule: None, timezone: None }
}

pub fn attempt(n: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(n))
}

pub fn sealed(text: &str) -> Sealed {
    Sealed(text.as_bytes().to_vec())
}

fn times(sent_at: Timestamp) -> AccessTimes {
    let lifetime = Duration::from_secs(3600);
    AccessTimes { sent_at, lifetime, expires_at: sent_at + lifetime }
}

/// A user's first login.
pub fn first_login(user: UserId) -> NewLogin {
    NewLogin {
        user,
        replaces: None,
        client_id: "client".to_owned(),
        epoch: Epoch(1),
        generation: Generation(1),
        account_id: Some("account".to_owned()),
        login_at: Some(START),
        scope: Some("user-read-recently-played".to_owned()),
        refresh_token: sealed("refresh 1"),
        access: Some((sealed("access 1"), times(START))),
    }
}

/// The intent to refresh this grant.
pub fn intent(grant: &Grant, n: u128) -> Intent {
    Intent {
        user: grant.user,
        epoch: grant.epoch,
        generation: grant.generation,
        attempt: attempt(n),
        replaces: None,
        owner: HERE,
        lease: LEASE,
        cause: Cause::Expiry,
        refused: grant.refusal.as_ref().map(|refusal| refusal.tries),
        in_doubt: grant.doubt.is_some(),
        keys: Vec::new(),
    }
}

/// What that refresh brought.
pub fn tokens(intent: &Intent) -> NewTokens {
    let generation = intent.generation.next();
    NewTokens {
        user: intent.user,
        epoch: intent.epoch,
        generation,
        refresh_token: sealed(&format!("refresh {generation}")),
        access: Some((sealed(&format!("access {generation}")), times(START))),
        scope: None,
        attempt: intent.attempt,
        cause: intent.cause,
    }
}

/// A claim on a user, as by a person who asks.
pub fn claim(user: UserId, n: u128) -> RunClaim {
    RunClaim {
        user,
        owner: HERE,
        claim: Uuid::from_u128(n),
        lease: LEASE,
        due: None,
        trigger: Trigger::Manual,
        at: START,
    }
}

/// The end of a run of this daemon, an hour before the next.
pub fn release(now: Timestamp) -> Release {
    Release { owner: HERE, next: Some(now + Duration::from_secs(3600)) }
}

impl Bench {
    /// Opens a run, which must succeed.
    pub async fn begin_run(&self, user: UserId, trigger: Trigger) -> RunId {
        let at = self.now();
        let claim = RunClaim { trigger, at, claim: Random::host().uuid(), ..claim(user, 0) };
        match self.store.begin_run(&claim).await.unwrap() {
            Claimed::Begun(run) => run,
            other => panic!("{other:?}"),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn add(&self, user: &str) -> User {
        self.store.put_user(&new_user(user)).await.unwrap()
    }

    pub async fn user(&self, user: &str) -> User {
        self.store.user(&name(user)).await.unwrap().unwrap()
    }

    pub async fn grant(&self, user: UserId) -> Grant {
        self.store.grant(user).await.unwrap().unwrap()
    }

    /// A user with a login.
    pub async fn logged_in(&self, user: &str) -> Grant {
        let user = self.add(user).await.id;
        assert!(self.store.commit_login(&first_login(user)).await.unwrap());
        self.grant(user).await
    }

    /// Announces a refresh, which must succeed.
    pub async fn begin(&self, grant: &Grant, n: u128) -> Intent {
        let known = self.grant(grant.user).await;
        let knows = intent(&known, n);
        let intent = Intent { refused: knows.refused, in_doubt: knows.in_doubt, ..intent(grant, n) };
        assert!(self.store.begin_attempt(&intent).await.unwrap());
        intent
    }
}
