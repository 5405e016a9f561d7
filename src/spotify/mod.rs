//! Spotify's Web API: the client, tolerant wire types, and the gate that keeps an app's calls within what it may.

mod client;
mod error;
mod gate;
mod ledger;
mod lenient;
mod transport;
mod wire;

pub use client::{Client, RecentAnswer};
pub use error::{ApiError, NoCall};
pub use gate::Gate;
pub use ledger::Ledger;
pub use transport::{Answer, ClientError, NoAnswer, Transport};
pub use wire::{Account, Page, Unreadable};
