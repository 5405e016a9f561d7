//! What goes wrong, and how often: the one table. A rate is a share of the calls of its kind, or a number of times in
//! thirty days.

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ill {
    TokenNotSent,
    TokenLostBefore,
    TokenLostAfter,
    TokenHalf,
    TokenOutage,
    TokenLimited,
    TokenSlow,
    ApiUnreachable,
    ApiOutage,
    ApiLimited,
    ApiSlow,
    ApiNonsense,
    ApiFalse401,
    StoreRefuses,
    StoreAnswerLost,
    SpoolFails,
    LongRetryAfter,
    LatePlay,
    FalseGrants,
    SpotifyDown,
    StoreDown,
    Rollback,
    Crash,
    CrashInRefresh,
    CrashInRun,
    Stop,
    Suspend,
    ClockStep,
    Revoke,
    Pause,
    AppRefused,
}

/// Of what a rate is a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    TokenRequests,
    ApiCalls,
    StoreCalls,
    SpoolWrites,
    Plays,
    Limits,
    /// A mean number in thirty days.
    Month,
    /// The same for every hundred users.
    MonthOfHundred,
}

pub struct Row {
    pub ill: Ill,
    pub rate: f64,
    pub of: Of,
    pub what: &'static str,
}

const fn row(ill: Ill, rate: f64, of: Of, what: &'static str) -> Row {
    Row { ill, rate, of, what }
}

pub const TABLE: [Row; 31] = [
    row(Ill::TokenNotSent, 0.01, Of::TokenRequests, "no connection: nothing is sent"),
    row(Ill::TokenLostBefore, 0.002, Of::TokenRequests, "cut before the provider's commit"),
    row(Ill::TokenLostAfter, 0.000_4, Of::TokenRequests, "cut after the provider's commit"),
    row(Ill::TokenHalf, 0.000_1, Of::TokenRequests, "half a body after the provider's commit"),
    row(Ill::TokenOutage, 0.005, Of::TokenRequests, "502 or 503, nothing committed"),
    row(Ill::TokenLimited, 0.000_5, Of::TokenRequests, "429 with Retry-After"),
    row(Ill::TokenSlow, 0.003, Of::TokenRequests, "5 to 65 s until the answer; a minute is waited"),
    row(Ill::ApiUnreachable, 0.01, Of::ApiCalls, "no connection, or cut"),
    row(Ill::ApiOutage, 0.005, Of::ApiCalls, "502 or 503"),
    row(Ill::ApiLimited, 0.000_3, Of::ApiCalls, "429 with Retry-After"),
    row(Ill::ApiSlow, 0.003, Of::ApiCalls, "5 to 40 s until the answer; half a minute is waited"),
    row(Ill::ApiNonsense, 0.001, Of::ApiCalls, "200 that can't be read"),
    row(Ill::ApiFalse401, 0.000_3, Of::ApiCalls, "401 to a token that is good"),
    row(Ill::StoreRefuses, 0.000_1, Of::StoreCalls, "fails, nothing done"),
    row(Ill::StoreAnswerLost, 0.000_1, Of::StoreCalls, "done, and the answer is lost"),
    row(Ill::SpoolFails, 0.001, Of::SpoolWrites, "the disk refuses it"),
    row(Ill::LongRetryAfter, 0.15, Of::Limits, "a Retry-After of 1 to 12 h, not 10 s to 10 min"),
    row(Ill::LatePlay, 0.03, Of::Plays, "shown 10 min to 3 h late"),
    row(Ill::FalseGrants, 2.0, Of::Month, "20 min of a false invalid_grant to everyone"),
    row(Ill::SpotifyDown, 4.0, Of::Month, "1 to 60 min without Spotify"),
    row(Ill::StoreDown, 6.0, Of::Month, "5 s to 30 min without the store"),
    row(Ill::Rollback, 3.0, Of::Month, "the store away for 2 to 60 s, and back as it was 1 to 120 s before"),
    row(Ill::Crash, 8.0, Of::Month, "the process ends at any instant"),
    row(Ill::CrashInRefresh, 24.0, Of::Month, "the process ends before or after a drawn step of a refresh"),
    row(Ill::CrashInRun, 12.0, Of::Month, "the process ends before or after a drawn step of a run"),
    row(Ill::Stop, 4.0, Of::Month, "SIGTERM, and started again"),
    row(Ill::Suspend, 3.0, Of::Month, "suspended for 1 min to 8 h"),
    row(Ill::ClockStep, 4.0, Of::Month, "the wall clock steps by up to 2 h, and back within 6 h"),
    row(Ill::Revoke, 1.0, Of::MonthOfHundred, "a user removes the app at Spotify"),
    row(Ill::Pause, 2.0, Of::MonthOfHundred, "a user is paused for 1 to 12 h"),
    row(Ill::AppRefused, 1.0, Of::Month, "an app is refused (invalid_client) for 10 min to 5 h"),
];

pub fn rate(ill: Ill) -> f64 {
    TABLE.iter().find(|row| row.ill == ill).map_or(0.0, |row| row.rate)
}

/// The table, for people.
pub fn printed() -> String {
    let line = |row: &Row| {
        let of = match row.of {
            Of::TokenRequests => "of token requests",
            Of::ApiCalls => "of API calls",
            Of::StoreCalls => "of store calls",
            Of::SpoolWrites => "of spool writes",
            Of::Plays => "of plays",
            Of::Limits => "of 429s",
            Of::Month => "in 30 days",
            Of::MonthOfHundred => "in 30 days, per 100 users",
        };
        match row.of {
            Of::Month | Of::MonthOfHundred => format!("{:>8} {of:<26} {}", row.rate, row.what),
            _ => format!("{:>7}% {of:<26} {}", row.rate * 100.0, row.what),
        }
    };
    TABLE.iter().map(line).collect::<Vec<_>>().join("\n")
}
