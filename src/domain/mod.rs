//! The words everyone uses: users, apps, grants, plays, runs, gaps, events. No I/O, no clock, no randomness.

mod app;
mod event;
mod exported;
mod grant;
mod habits;
mod import;
pub mod merge;
mod moment;
mod name;
pub mod piece;
mod play;
mod quota;
mod run;
mod said;
mod schedule;
mod secret;
mod stats;
mod text;
mod time;
mod user;

pub use app::{AppFault, AppState, Rotation};
pub use event::{Event, EventKind};
pub use exported::ExportedPlay;
pub use grant::{
    AccessTimes, Attempt, AttemptId, Cause, Doubt, Epoch, Generation, Grant, KeyId, Login, Owner, Refusal,
    Sealed,
};
pub use habits::Habits;
pub use import::{
    Covered, ImportCounts, ImportId, ImportRow, ImportedTrack, LONGEST_ISRC, LONGEST_NAMES, OLDEST_PLAY,
    REMEMBERED_TRACKS, Taken, Undone, findable, leave_out_nul,
};
pub use moment::{Moment, Range};
pub use name::{AppName, NameError, UserName};
pub use play::{Album, Artist, Play, PlayCursor, Source, StoredPlay, TopArtist, TopEntry, TopKind, Track};
pub use quota::{Quota, Urgency};
pub use run::{Coverage, Gap, GapCause, Run, RunId, RunResult, Trigger};
pub use said::said;
pub use schedule::{Schedule, ScheduleError, parse_zone};
pub use secret::{AccessToken, RefreshToken, Secret, without_secrets};
pub use stats::{Counted, DayStats, HourStats, Listening, Shift, Stats, WeekdayStats, shifts, slot};
pub use text::ForeignText;
pub use time::Timestamp;
pub use user::{Footing, Origin, Tally, User, UserId, UserState};
