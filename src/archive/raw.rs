//! The raw journal: Spotify's pages as they come, compressed, so that a fault in reading them can be mended afterwards.
//! To keep one never makes a run fail.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::run::Run;
use crate::domain::{RunId, Timestamp, said};
use crate::spotify::RecentAnswer;
use crate::store::RawPage;

/// The most that is unpacked of a page. An answer has 8 MiB at most, and where its bytes are no UTF-8 each of them
/// becomes three.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Pages that were fetched before are forgotten, where they are kept for so many days; with none, all are.
pub fn kept_since(now: Timestamp, days: u32) -> Timestamp {
    if days == 0 { Timestamp::from_millis(i64::MAX) } else { now - DAY * days }
}

impl Run<'_> {
    /// Keeps an answer as it came, where pages are kept. What can't be is told once a run.
    pub(super) async fn keep_raw(&mut self, run: RunId, answer: &RecentAnswer) {
        if !self.shared.limits().raw_journal {
            return;
        }
        let why = match packed(&answer.body) {
            Ok(body) => {
                let page = RawPage { fetched_at: answer.present, run, body };
                let kept = self.shared.with.store.keep_raw_page(self.who.id, &page).await;
                kept.err().map(|error| said(&error))
            }
            Err(error) => Some(said(&error)),
        };
        if let Some(why) = why.filter(|_| !std::mem::replace(&mut self.unkept, true)) {
            tracing::warn!(user = %self.who.name, "a page is not kept in the raw journal: {why}");
        }
    }
}

pub(super) fn packed(body: &str) -> io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(body.as_bytes())?;
    gzip.finish()
}

/// The body of a kept page.
pub(super) fn unpacked(body: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    GzDecoder::new(body).take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("more than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_back_as_it_was_kept_and_takes_less_room() {
        let body = format!("{{\"items\":[{}]}}", "\"Ä\u{fffd}\u{1f3b5}\",".repeat(20_000));
        let kept = packed(&body).unwrap();
        assert!(kept.len() < body.len() / 20, "{} of {}", kept.len(), body.len());
        assert_eq!(unpacked(&kept).unwrap(), body);
        assert_eq!(unpacked(&packed("").unwrap()).unwrap(), "");
    }

    #[test]
    fn what_was_damaged_or_swells_is_an_error() {
        let kept = packed("{\"items\":[]}").unwrap();
        for damaged in [&b""[..], b"no gzip at all", &kept[..kept.len() - 1], &kept[1..]] {
            assert!(unpacked(damaged).is_err(), "{damaged:?}");
        }
        let bomb = packed(&" ".repeat(MOST_BYTES as usize + 1)).unwrap();
        assert!(bomb.len() < 100_000);
        assert_eq!(unpacked(&bomb).unwrap_err().to_string(), "more than 32 MiB");
    }

    #[test]
    fn pages_are_kept_for_so_many_days_and_none_where_that_is_off() {
        let now = Timestamp::from_millis(30 * 86_400_000);
        assert_eq!(kept_since(now, 7), Timestamp::from_millis(23 * 86_400_000));
        assert!(kept_since(now, 0) > Timestamp::MAX, "also one with a time of the future");
        assert!(kept_since(now, 36_500) < Timestamp::from_millis(0));
    }
}
