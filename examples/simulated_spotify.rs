//! The simulated Spotify by itself, on a Unix socket: for trying the service in a container, whose network is its own.
//! `simulated_spotify SOCKET` reads commands from standard input and answers each with one line:
//!
//!   grant NAME           a login; answers its refresh token
//!   listen NAME COUNT    NAME hears so many tracks, the last one now
//!   hold                 holds refreshes from now on, until `release`
//!   forget               holds no more; what is held already never goes on
//!   down, up             every request fails
//!   revoke NAME          NAME removes the app
//!   refreshes NAME       how many were accepted
//!   under-way NAME       how many are under way
//!   reused NAME          how often a spent refresh token came
//!   alive NAME           whether the login is

#![expect(clippy::print_stdout, reason = "the answers")]

use std::io::{self, BufRead as _};
use std::path::PathBuf;
use std::time::SystemTime;

use longplay::domain::Timestamp;
use longplay::sim::{
    App, Effect, Endpoint, Fault, Gate, Injection, Options, Reply, Rotation, SimulatedSpotify,
};
use tokio::net::{TcpStream, UnixListener};

const CLIENT: &str = "0123456789abcdef0123456789abcdef";
const SCOPES: [&str; 2] = ["user-read-recently-played", "user-top-read"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = std::env::args_os().nth(1).map(PathBuf::from).ok_or("which socket?")?;
    let spotify = SimulatedSpotify::start(Options::default())?;
    let app = App::pkce(CLIENT).redirect("http://127.0.0.1:8467/callback").rotation(Rotation::Rotate);
    spotify.register_app(app);
    let to = spotify.base_url().trim_start_matches("http://").to_owned();
    std::thread::spawn(move || relay(socket, to));
    let mut gate = Gate::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        println!("{}", answer(&spotify, &mut gate, &line.split_whitespace().collect::<Vec<_>>()));
    }
    Ok(())
}

fn answer(spotify: &SimulatedSpotify, gate: &mut Gate, words: &[&str]) -> String {
    let done = || "done".to_owned();
    match *words {
        ["grant", name] => spotify.grant(name, CLIENT, &SCOPES),
        ["listen", name, count] => {
            spotify.listen_until(name, count.parse().unwrap_or(1), now());
            done()
        }
        ["hold"] => {
            *gate = Gate::new();
            let hang = Fault::before(Effect::Hang(gate.clone()));
            spotify.inject(Injection::new(Endpoint::Token, hang).until_cleared());
            done()
        }
        ["release"] => {
            spotify.clear_faults();
            gate.open();
            done()
        }
        ["forget"] | ["up"] => {
            spotify.clear_faults();
            done()
        }
        ["down"] => {
            for endpoint in [Endpoint::Token, Endpoint::Recent, Endpoint::Me, Endpoint::Top] {
                spotify.inject(Injection::new(endpoint, Fault::answer(Reply::outage(503))).until_cleared());
            }
            done()
        }
        ["revoke", name] => {
            spotify.revoke(name);
            done()
        }
        ["refreshes", name] => spotify.refreshes(name).accepted.to_string(),
        ["under-way", name] => spotify.refreshes(name).under_way.to_string(),
        ["reused", name] => spotify.refreshes(name).reused.to_string(),
        ["alive", name] => spotify.login_alive(name).to_string(),
        _ => format!("what is {words:?}?"),
    }
}

#[expect(clippy::disallowed_methods, reason = "what is heard here is heard now")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Hands each connection to the Unix socket on to the simulated Spotify.
#[tokio::main(flavor = "current_thread")]
async fn relay(socket: PathBuf, to: String) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    loop {
        let (mut here, _) = listener.accept().await?;
        let to = to.clone();
        tokio::spawn(async move {
            let mut there = TcpStream::connect(to).await?;
            tokio::io::copy_bidirectional(&mut here, &mut there).await
        });
    }
}
