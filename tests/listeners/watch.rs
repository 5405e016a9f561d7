//! Looking at one listener for some days: what it costs and what it keeps.

use std::time::Duration;

use longplay::domain::Timestamp;

use super::dice::Dice;
use super::people::{BEGIN, Heard, Listener};

/// What Spotify shows at most.
const PAGE: usize = 50;

/// What was seen when one looked.
pub struct Seen<'a> {
    pub now: Timestamp,
    /// The page, the newest first: when each ended, and how long its track is.
    pub page: &'a [(Timestamp, Option<i64>)],
    /// How many of it were new.
    pub new: usize,
    /// Everything that is in the archive by now, in the order in which it came: when each play ended.
    pub archive: &'a [Timestamp],
}

/// What became of one listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    pub days: f64,
    pub calls: usize,
    pub plays: usize,
    /// On no page that was seen.
    pub lost: usize,
}

/// Looks for so many days, each time after the wait that `pace` says. Counted are the plays from the first look to the
/// end; whether the last of them are lost is seen by the looks of the hours that follow.
pub fn watch(
    dice: &mut Dice,
    who: &Listener,
    days: u32,
    mut pace: impl FnMut(&Seen<'_>) -> Duration,
) -> Kept {
    let end = BEGIN + Duration::from_secs(u64::from(days) * 86_400);
    let first = BEGIN + Duration::from_secs_f64(dice.between(0.0, 86_400.0));
    let mut seen = vec![false; who.plays.len()];
    let (mut archive, mut page, mut now) = (Vec::new(), Vec::new(), first);
    let mut kept = Kept { days: end.since(first).as_secs_f64() / 86_400.0, ..Kept::default() };
    let mut upto = 0;
    while now < end + Duration::from_secs(6 * 3600) {
        kept.calls += usize::from(now < end);
        while who.plays.get(upto).is_some_and(|play| play.ended <= now) {
            upto += 1;
        }
        page.clear();
        let (mut new, mut n) = (0, upto);
        while n > 0 && page.len() < PAGE {
            n -= 1;
            let play = who.plays[n];
            if play.visible > now {
                continue;
            }
            page.push((play.ended, Some(play.track_ms)));
            if !seen[n] {
                seen[n] = true;
                archive.push(play.ended);
                new += 1;
            }
        }
        now = now + pace(&Seen { now, page: &page, new, archive: &archive });
    }
    let counted = |play: &Heard| play.ended > first && play.ended <= end;
    for (_, seen) in who.plays.iter().zip(seen).filter(|(play, _)| counted(play)) {
        kept.plays += 1;
        kept.lost += usize::from(!seen);
    }
    kept
}
