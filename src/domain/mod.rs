//! The words everyone uses: users, apps, grants, plays, runs, gaps, events. No I/O, no clock, no randomness.

mod app;
mod event;
mod grant;
mod import;
pub mod merge;
mod name;
mod play;
mod run;
mod said;
mod schedule;
mod secret;
mod text;
mod time;
mod user;

pub use app::{AppFault, AppState, Rotation};
pub use event::{Event, EventKind};
pub use grant::{
    AccessTimes, Attempt, AttemptId, Cause, Doubt, Epoch, Generation, Grant, KeyId, Login, Owner, Refusal,
    Sealed,
};
pub use import::{Covered, ImportCounts, ImportId, ImportRow, ImportedTrack, OLDEST_PLAY, Taken, Undone};
pub use name::{AppName, NameError, UserName};
pub use play::{Album, Artist, Play, Source, StoredPlay, TopArtist, TopEntry, TopKind, Track};
pub use run::{Gap, GapCause, Run, RunId, RunResult, Trigger};
pub use said::said;
pub use schedule::{Schedule, ScheduleError, parse_zone};
pub use secret::{AccessToken, RefreshToken, Secret, without_secrets};
pub use text::ForeignText;
pub use time::Timestamp;
pub use user::{Footing, Origin, Tally, User, UserId, UserState};
