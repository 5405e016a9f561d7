//! A simulated Spotify on loopback, for `longplay demo`, examples and tests. It refuses what Spotify refuses, fails as
//! it is told to, and keeps its own record, which decides whether a login is still alive.

mod api;
mod authorize;
mod exchange;
mod fault;
mod message;
pub mod music;
mod page;
mod record;
mod server;
mod setup;
#[cfg(test)]
mod tests;
mod token;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use fault::{Effect, Endpoint, Fault, Gate, Injection, LimitBody};
pub use message::{Call, Outcome, Reply};
pub use music::Listen;
pub use record::{Answered, RefreshCounts, Seen};
pub use setup::{App, Consent, Rotation, Shape};

use crate::clock::{Clock, SystemClock};
use server::Server;
use world::World;

/// How a simulated Spotify begins.
#[derive(Clone)]
pub struct Options {
    /// Where its time comes from.
    pub clock: Arc<dyn Clock>,
    /// What its tokens are drawn from: the same seed and the same requests give the same tokens.
    pub seed: u64,
    /// How long an access token is valid; Spotify's is an hour.
    pub access_lifetime: Duration,
    /// How long a login lasts, whatever is refreshed meanwhile; `None`: for ever. Spotify's is six months.
    pub login_lifetime: Option<Duration>,
    /// How long an authorization code can be redeemed.
    pub code_lifetime: Duration,
    /// Whether tracks list the markets they are sold in, which makes a page as large as the largest real ones.
    pub markets: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seed: 0,
            access_lifetime: Duration::from_secs(3600),
            login_lifetime: Some(Duration::from_secs(182 * 86_400)),
            code_lifetime: Duration::from_secs(60),
            markets: false,
        }
    }
}

/// What the server and every handle share.
struct Shared {
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    world: Mutex<World>,
}

impl Shared {
    /// The record. Never held over an await.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to a simulated Spotify; clones are the same Spotify. The server stops with the last of them.
#[derive(Clone)]
pub struct SimulatedSpotify {
    shared: Arc<Shared>,
    server: Arc<Mutex<Option<Server>>>,
}

impl SimulatedSpotify {
    /// Starts one on a free port of 127.0.0.1, on a thread of its own, so that it answers while the caller blocks.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let spotify = Self::at(options, listener.local_addr()?);
        let server = Server::start(listener, spotify.shared.clone())?;
        *spotify.server() = Some(server);
        Ok(spotify)
    }

    /// One without a server, asked through [`Self::answer`] alone: for simulated time.
    pub fn in_process(options: Options) -> Self {
        Self::at(options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    fn at(options: Options, address: SocketAddr) -> Self {
        let mut world = World::new(&options);
        world.base = format!("http://{address}");
        let shared = Shared { clock: options.clock, address, world: Mutex::new(world) };
        Self { shared: Arc::new(shared), server: Arc::default() }
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// Where it listens, and nothing more: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The setting `authorize_url`.
    pub fn authorize_url(&self) -> String {
        format!("{}/authorize", self.base_url())
    }

    /// The setting `token_url`.
    pub fn token_url(&self) -> String {
        format!("{}/api/token", self.base_url())
    }

    /// The setting `api_url`.
    pub fn api_url(&self) -> String {
        format!("{}/v1", self.base_url())
    }

    /// Stops: every connection ends, held requests too, and new ones are refused. The record stays.
    pub fn stop(&self) {
        // Dropped after the lock is released: it waits for the thread.
        let server = self.server().take();
        drop(server);
    }

    /// Listens again at the same address after [`Self::stop`], with the same record.
    pub fn resume(&self) -> io::Result<()> {
        let mut server = self.server();
        if server.is_none() {
            *server = Some(Server::start(TcpListener::bind(self.shared.address)?, self.shared.clone())?);
        }
        Ok(())
    }

    /// Answers one request as the server would, without a socket. Needs a tokio runtime; a caller who stops waiting
    /// doesn't stop what Spotify has begun.
    pub async fn answer(&self, call: Call) -> Outcome {
        exchange::answer(self.shared.clone(), call).await
    }
}

impl std::fmt::Debug for SimulatedSpotify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimulatedSpotify({})", self.shared.address)
    }
}
