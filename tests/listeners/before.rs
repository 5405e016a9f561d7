//! The pace as it was before habits counted, to compare with: back before 20 plays could have come while music plays,
//! before 40 where it rests, at the fastest ten plays of the page.

use std::time::Duration;

use longplay::domain::Timestamp;

const SHORTEST: Duration = Duration::from_secs(30);
const ORDINARY: Duration = Duration::from_secs(150);
const SETTLED: Duration = Duration::from_secs(3 * 3600);

/// How long it would have waited.
pub fn next_look(
    now: Timestamp,
    recent: &[(Timestamp, Option<i64>)],
    min: Duration,
    max: Duration,
) -> Duration {
    let silence = recent.first().map_or(SETTLED, |(ended, _)| now.since(*ended).min(SETTLED));
    let mut taken: Vec<Duration> = (0..recent.len())
        .map(|i| {
            let (ended, track_ms) = recent[i];
            let track = track_ms.map_or(ORDINARY, |ms| Duration::from_millis(ms.unsigned_abs()));
            let since_the_last = recent.get(i + 1).map_or(track, |(earlier, _)| ended.since(*earlier));
            track.min(since_the_last).max(SHORTEST)
        })
        .collect();
    taken.resize(taken.len().max(10), ORDINARY);
    let fastest = taken.windows(10).map(|stretch| stretch.iter().sum::<Duration>()).min();
    let pace = fastest.unwrap_or(ORDINARY * 10) / 10;
    let growth = (pace * 20).mul_f64(silence.as_secs_f64() / SETTLED.as_secs_f64());
    (pace * 20 + growth).min(max).max(min)
}
