//! One user's run: fetch the page, store the plays, find gaps, decide when to look again.

pub mod overlap;
pub mod pace;
