//! Metrics in Prometheus text. The recorder is a value, not a global: whoever counts is handed it.

use std::fmt::Write as _;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::domain::{AppName, RunResult, Tally, Timestamp, UserName, UserState};

const META: Metadata<'static> = Metadata::new("longplay", Level::INFO, None);
const EXPIRY_BUCKETS: [f64; 6] = [60.0, 180.0, 300.0, 600.0, 1_800.0, 3_600.0];
const REFRESH_BUCKETS: [f64; 7] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];
/// The `days` of `longplay_logins_ending`.
const ENDING: [u32; 4] = [30, 7, 1, 0];
const LATENESS_BUCKETS: [f64; 7] = [1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// Why a refresh failed: the `error_type` of `token_refresh_failure_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshError {
    /// `invalid_grant`.
    InvalidRefreshToken,
    /// No answer, or half of one.
    NetworkError,
    /// 429.
    RateLimited,
    /// 5xx, 3xx, or an answer that can't be read.
    ProviderError,
    /// The provider refuses the app or the request.
    ClientError,
    /// The store did not take the intent or the outcome.
    StoreError,
}

impl RefreshError {
    const ALL: [Self; 6] = [
        Self::InvalidRefreshToken,
        Self::NetworkError,
        Self::RateLimited,
        Self::ProviderError,
        Self::ClientError,
        Self::StoreError,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::NetworkError => "network_error",
            Self::RateLimited => "rate_limited",
            Self::ProviderError => "provider_error",
            Self::ClientError => "client_error",
            Self::StoreError => "store_error",
        }
    }
}

/// Why a login was lost: the `reason` of `longplay_logins_lost_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginLoss {
    /// It came to its age.
    Expired,
    /// The provider refuses it.
    Revoked,
    /// The answer to a refresh was lost, and the provider rotated.
    AnswerLost,
    /// The store was restored or moved, and the provider had rotated since.
    StoreRestored,
}

impl LoginLoss {
    const ALL: [Self; 4] = [Self::Expired, Self::Revoked, Self::AnswerLost, Self::StoreRestored];

    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::AnswerLost => "answer_lost",
            Self::StoreRestored => "store_restored",
        }
    }
}

/// With more users than this, none has a series.
pub const USERS_SHOWN: u64 = 1_000;

/// What is read off the users when metrics are asked for.
#[derive(Debug, Default)]
pub struct UsersSeen {
    /// Everyone, counted.
    pub tally: Tally,
    /// When each user was last archived; with more than [`USERS_SHOWN`] it is not shown, nor is the next.
    pub archived: Vec<(UserName, Timestamp)>,
    /// When each user's login comes to its age.
    pub logins_end: Vec<(UserName, Timestamp)>,
    /// How many problems the daemon has.
    pub problems: usize,
}

/// Everything that is counted.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    refresh_success: Counter,
    refresh_duration: Histogram,
    until_expiry: Histogram,
    plays: Counter,
    gaps: Counter,
    unauthorized: Counter,
    in_doubt: Gauge,
    queue_depth: Gauge,
    lateness: Histogram,
    store_refused: Gauge,
}

impl Metrics {
    /// All series at zero.
    pub fn new() -> Self {
        let recorder = recorder();
        let handle = recorder.handle();
        let count = |name, help| counter(&recorder, name, help, Vec::new());
        let refresh_success = count("token_refresh_success_total", "Refreshes that brought a new generation");
        // Known label values are shown from the start, at zero.
        RefreshError::ALL.iter().for_each(|error| refresh_failure(&recorder, *error).absolute(0));
        RunResult::ALL.iter().for_each(|result| runs(&recorder, *result).absolute(0));
        LoginLoss::ALL.iter().for_each(|reason| logins_lost(&recorder, *reason).absolute(0));
        let histogram = |name, help: &'static str| {
            recorder.describe_histogram(KeyName::from_const_str(name), Some(Unit::Seconds), help.into());
            recorder.register_histogram(&Key::from_name(name), &META)
        };
        let plain = |name, help| gauge(&recorder, name, help, Vec::new());
        ENDING.iter().for_each(|days| logins_ending(&recorder, *days).set(0.0));
        let until_expiry = histogram(
            "token_time_until_expiry_seconds",
            "Validity left when a run starts, before any refresh",
        );
        let refresh_duration =
            histogram("longplay_refresh_duration_seconds", "From the intent to the outcome of a refresh");
        let lateness =
            histogram("longplay_run_lateness_seconds", "How long after its time a scheduled run began");
        let in_doubt =
            plain("longplay_refreshes_in_doubt", "Grants whose last refresh has an unknown outcome");
        let queue_depth = plain("longplay_token_queue_depth", "Messages waiting for the refresh actor");
        let store_refused =
            plain("longplay_store_not_accepted", "1 while the store was restored or moved and not accepted");
        let plays = count("longplay_plays_archived_total", "Plays stored that were new");
        let gaps = count("longplay_gaps_total", "Stretches found in which plays may be missing");
        let unauthorized = count("longplay_unauthorized_total", "401 answers of the Web API");
        let version = vec![Label::new("version", env!("CARGO_PKG_VERSION"))];
        gauge(&recorder, "longplay_build_info", "Which longplay this is", version).set(1.0);
        Self {
            recorder,
            handle,
            refresh_success,
            refresh_duration,
            until_expiry,
            plays,
            gaps,
            unauthorized,
            in_doubt,
            queue_depth,
            lateness,
            store_refused,
        }
    }

    /// A refresh brought a new generation.
    pub fn refresh_succeeded(&self, took: Duration) {
        self.refresh_success.increment(1);
        self.refresh_duration.record(took.as_secs_f64());
    }

    /// A refresh failed.
    pub fn refresh_failed(&self, error: RefreshError, took: Duration) {
        refresh_failure(&self.recorder, error).increment(1);
        self.refresh_duration.record(took.as_secs_f64());
    }

    /// A login was lost.
    pub fn login_lost(&self, reason: LoginLoss) {
        logins_lost(&self.recorder, reason).increment(1);
    }

    /// The run of a user with a login starts, with so much validity left, before any refresh.
    pub fn run_started(&self, left: Duration) {
        self.until_expiry.record(left.as_secs_f64());
    }

    /// A scheduled run began so long after its time.
    pub fn run_late(&self, by: Duration) {
        self.lateness.record(by.as_secs_f64());
    }

    /// A run ended.
    pub fn run_finished(&self, result: RunResult, new_plays: usize) {
        runs(&self.recorder, result).increment(1);
        self.plays.increment(u64::try_from(new_plays).unwrap_or(u64::MAX));
    }

    /// A gap was found.
    pub fn gap_found(&self) {
        self.gaps.increment(1);
    }

    /// A call of the Web API is made.
    pub fn api_called(&self, app: &AppName) {
        let labels = vec![Label::new("app", app.as_str().to_owned())];
        counter(&self.recorder, "longplay_api_calls_total", "Calls of the Web API", labels).increment(1);
    }

    /// What an app has left of the day's calls, which it shares with the others of its quota group.
    pub fn set_quota_left(&self, app: &AppName, calls: u32) {
        let labels = vec![Label::new("app", app.as_str().to_owned())];
        let help = "Calls of the Web API that can still be made now (calls_per_day)";
        gauge(&self.recorder, "longplay_quota_left", help, labels).set(f64::from(calls));
    }

    /// The Web API answered 401.
    pub fn unauthorized(&self) {
        self.unauthorized.increment(1);
    }

    /// The process started then. A value that keeps changing is a restart loop.
    pub fn started(&self, at: Timestamp) {
        let help = "When the process started";
        gauge(&self.recorder, "longplay_start_time_seconds", help, Vec::new()).set(seconds(at));
    }

    /// So many logins end within so many days; 0: they have come to their age.
    pub fn set_logins_ending(&self, days: u32, logins: u64) {
        logins_ending(&self.recorder, days).set(logins as f64);
    }

    /// So many grants are in doubt.
    pub fn set_in_doubt(&self, grants: usize) {
        self.in_doubt.set(grants as f64);
    }

    /// Whether nothing is refreshed or archived, since the store was restored or moved.
    pub fn set_store_refused(&self, refused: bool) {
        self.store_refused.set(f64::from(u8::from(refused)));
    }

    /// So many messages wait for the refresh actor.
    pub fn set_queue_depth(&self, messages: usize) {
        self.queue_depth.set(messages as f64);
    }

    /// Prometheus text, with what is read off the users now.
    pub fn render(&self, seen: &UsersSeen) -> String {
        for state in UserState::ALL {
            let users = seen.tally.of(state);
            let labels = vec![Label::new("state", state.as_str())];
            gauge(&self.recorder, "longplay_users", "Users by state", labels).set(users as f64);
        }
        let problems =
            gauge(&self.recorder, "longplay_problems", "What is wrong with the daemon", Vec::new());
        problems.set(seen.problems as f64);
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        of_users(&mut text, seen);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in [
        ("token_time_until_expiry_seconds", &EXPIRY_BUCKETS[..]),
        ("longplay_refresh_duration_seconds", &REFRESH_BUCKETS[..]),
        ("longplay_run_lateness_seconds", &LATENESS_BUCKETS[..]),
    ] {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
            .expect("refused for an empty list only, and these are not empty");
    }
    builder.build_recorder()
}

fn counter(
    recorder: &PrometheusRecorder,
    name: &'static str,
    help: &'static str,
    labels: Vec<Label>,
) -> Counter {
    recorder.describe_counter(KeyName::from_const_str(name), None, help.into());
    recorder.register_counter(&Key::from_parts(name, labels), &META)
}

fn gauge(recorder: &PrometheusRecorder, name: &'static str, help: &'static str, labels: Vec<Label>) -> Gauge {
    recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
    recorder.register_gauge(&Key::from_parts(name, labels), &META)
}

fn refresh_failure(recorder: &PrometheusRecorder, error: RefreshError) -> Counter {
    let labels = vec![Label::new("error_type", error.as_str())];
    counter(recorder, "token_refresh_failure_total", "Refreshes that failed", labels)
}

fn runs(recorder: &PrometheusRecorder, result: RunResult) -> Counter {
    let labels = vec![Label::new("result", result.as_str())];
    counter(recorder, "longplay_runs_total", "Runs by how they ended", labels)
}

fn logins_lost(recorder: &PrometheusRecorder, reason: LoginLoss) -> Counter {
    let labels = vec![Label::new("reason", reason.as_str())];
    counter(recorder, "longplay_logins_lost_total", "Logins lost, by reason", labels)
}

fn logins_ending(recorder: &PrometheusRecorder, days: u32) -> Gauge {
    let labels = vec![Label::new("days", days.to_string())];
    let help = "Logins that end within so many days; 0: that have come to their age and are not yet refused";
    gauge(recorder, "longplay_logins_ending", help, labels)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1_000.0
}

/// Series of users come and go, so they are written here and not registered.
fn of_users(text: &mut String, seen: &UsersSeen) {
    let oldest: Vec<_> = seen.tally.oldest_archived.map(|at| (String::new(), at)).into_iter().collect();
    let help = "When the longest unarchived user was archived, or logged in if never, paused ones aside";
    times(text, "longplay_oldest_success_timestamp_seconds", help, &oldest);
    if seen.tally.users() > USERS_SHOWN {
        return;
    }
    // Names need no escaping.
    let of = |users: &[(UserName, Timestamp)]| -> Vec<_> {
        users.iter().map(|(name, at)| (format!("{{user=\"{name}\"}}"), *at)).collect()
    };
    let help = "When the user was last archived";
    times(text, "longplay_user_last_success_timestamp_seconds", help, &of(&seen.archived));
    let help = "When the user's login comes to its age";
    times(text, "longplay_user_login_ends_timestamp_seconds", help, &of(&seen.logins_end));
}

/// One gauge; nothing where there are no series.
fn times(text: &mut String, name: &str, help: &str, series: &[(String, Timestamp)]) {
    if series.is_empty() {
        return;
    }
    // Writing to a String can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, at) in series {
        let _ = writeln!(text, "{name}{labels} {}", seconds(*at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_metrics_have_their_names_labels_and_buckets() {
        let metrics = Metrics::new();
        metrics.refresh_succeeded(Duration::from_secs(1));
        metrics.refresh_failed(RefreshError::InvalidRefreshToken, Duration::from_secs(1));
        metrics.run_started(Duration::from_secs(200));
        let text = metrics.render(&UsersSeen::default());
        for line in [
            "token_refresh_success_total 1",
            "token_refresh_failure_total{error_type=\"invalid_refresh_token\"} 1",
            "token_refresh_failure_total{error_type=\"store_error\"} 0",
            "token_time_until_expiry_seconds_bucket{le=\"180\"} 0",
            "token_time_until_expiry_seconds_bucket{le=\"300\"} 1",
            "token_time_until_expiry_seconds_bucket{le=\"3600\"} 1",
            "longplay_runs_total{result=\"ok\"} 0",
            "longplay_users{state=\"ok\"} 0",
            "longplay_logins_ending{days=\"30\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_user_has_a_series_only_while_there_are_at_most_a_thousand() {
        let at = Timestamp::from_millis(5_000);
        let users = |n: u64| {
            let mut tally = Tally::default();
            tally.add(UserState::Ok, n, Some(at), None);
            let archived = vec![("u7".parse().unwrap(), at)];
            UsersSeen { tally, logins_end: archived.clone(), archived, problems: 2 }
        };
        let metrics = Metrics::new();
        let few = metrics.render(&users(1_000));
        assert!(few.contains("longplay_user_last_success_timestamp_seconds{user=\"u7\"} 5"), "{few}");
        assert!(few.contains("longplay_user_login_ends_timestamp_seconds{user=\"u7\"} 5"), "{few}");
        assert!(few.contains("longplay_problems 2"));
        let many = metrics.render(&users(1_001));
        assert!(!many.contains("longplay_user_"));
        assert!(many.contains("longplay_users{state=\"ok\"} 1001"));
        assert!(many.contains("longplay_oldest_success_timestamp_seconds 5"));
    }
}
