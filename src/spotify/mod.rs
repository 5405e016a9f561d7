//! Spotify's Web API: the client, tolerant wire types, and the gate that keeps an app's calls within what it may.

mod gate;

pub use gate::Gate;
