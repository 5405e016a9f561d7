//! `longplay demo`: the real daemon in this process, on a simulated Spotify and a temporary folder. In one process a
//! Ctrl-C reaches everything at once and nothing can be left running; whatever ends it, the folder goes.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{colours, print, print_line};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Place};
use crate::control::client::{Client, ClientError};
use crate::daemon::{self, ServeError};
use crate::random::Random;
use crate::sim::{Options, SimulatedSpotify};
use crate::telemetry::{LogTo, start_log};
use folder::Folder;
use line::{Line, Printer};
use story::Story;

mod folder;
mod line;
mod story;
mod tally;

/// How long an access token is valid; Spotify's is an hour. The daemon renews it when half of that is left.
const ACCESS_LIFETIME: Duration = Duration::from_secs(120);
/// How long the daemon may take to start.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long the daemon may take to end by itself before it is hurried, and then once more.
const END_WITHIN: Duration = Duration::from_secs(3);
/// What tasks that block get to end in.
const LAST: Duration = Duration::from_millis(500);
/// Lines that wait to be printed.
const LINES: usize = 256;
/// The daemon's warnings, but not its events: the demo tells those itself.
const LOG: &str = "warn,longplay::telemetry::events=off";

/// Runs the demonstration until it is stopped.
pub fn run(place: &Place) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| failed("starting the demo", &e))?;
    let outcome = runtime.block_on(demonstrate(place));
    runtime.shutdown_timeout(LAST);
    outcome
}

async fn demonstrate(place: &Place) -> Result<Exit, CliError> {
    // From here on no signal ends the process, so that the folder can always be removed.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|e| failed("listening for signals", &e))?;
    let random = Random::host();
    let folder = Folder::create(place, &random)?;
    let outcome = in_folder(place, &folder, &random, &mut signals).await;
    let removed = folder.remove();
    let exit = outcome?;
    removed?;
    print_line("Everything is removed. None of it was real but longplay.")?;
    Ok(exit)
}

async fn in_folder(
    place: &Place,
    folder: &Folder,
    random: &Random,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let seed = u64::from_le_bytes(random.bytes());
    let options = Options { seed, access_lifetime: ACCESS_LIFETIME, ..Options::default() };
    let spotify =
        SimulatedSpotify::start(options).map_err(|e| failed("starting the simulated Spotify", &e))?;
    let page = free_address().await.map_err(|e| failed("finding a free port", &e))?;
    story::register_apps(&spotify, &page);
    let file = folder.write_config(&story::config(folder.path(), &spotify, &page))?;
    let here = Place { config: Some(file.clone()), env: Default::default(), root: false, system_file: file };
    let settings = config::load(&here)?;
    let colour = colours(place);
    let log = start_log(LogTo::StandardError { colour: false }, LOG)
        .map_err(|e| CliError::failed(format!("the log can't be started: {e}")))?;
    print(&introduction(folder.path(), &here.system_file, &spotify))?;

    let socket = settings.control.socket.clone();
    let daemon = tokio::spawn(daemon::serve(here.clone(), settings, log));
    let mut printer = Printer::start(colour);
    run_until_stopped(daemon, &socket, &spotify, &mut printer, signals).await?;
    let client = connect(&here, Needs::Store).await?;
    let tally = tally::take(&client, &spotify).await?;
    if !tally.is_empty() {
        print(&format!(
            "\nThe daemon has stopped. From its archive, and from the simulated Spotify's own record:\n{}",
            tally.text(colour)
        ))?;
    }
    Ok(tally.exit())
}

/// Tells the story until a signal comes, and ends the daemon.
async fn run_until_stopped(
    mut daemon: JoinHandle<Result<(), ServeError>>,
    socket: &Path,
    spotify: &SimulatedSpotify,
    printer: &mut Printer,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let (tell, mut lines) = mpsc::channel(LINES);
    let mut story = pin!(tell_story(socket, spotify, tell));
    let why = loop {
        tokio::select! {
            ended = &mut daemon => return ended_with(ended),
            Some(line) = lines.recv() => {
                if let Err(error) = printer.print(&line) {
                    break Err(error);
                }
            }
            Err(error) = &mut story => break Err(error),
            signal = signals.next() => break Ok(signal),
        }
    };
    // SIGINT and SIGTERM the daemon has heard too, unless it had only just been started.
    let heard = matches!(why, Ok(Some(SIGINT | SIGTERM)));
    let ended = end(daemon, heard).await;
    why.map(drop).and(ended)
}

/// Waits for the daemon's end; tells it to stop as the system would, unless it has heard so.
async fn end(mut daemon: JoinHandle<Result<(), ServeError>>, mut heard: bool) -> Result<(), CliError> {
    for _ in 0..2 {
        if !heard {
            kill_process(getpid(), Signal::TERM).map_err(|e| failed("stopping the daemon", &e))?;
        }
        if let Ok(ended) = tokio::time::timeout(END_WITHIN, &mut daemon).await {
            return ended_with(ended);
        }
        heard = false;
    }
    daemon.abort();
    Err(CliError::failed("the daemon did not stop in time: this is a fault of longplay"))
}

fn ended_with(ended: Result<Result<(), ServeError>, tokio::task::JoinError>) -> Result<(), CliError> {
    match ended {
        Ok(served) => served.map_err(CliError::from),
        Err(_) => Err(CliError::failed("the daemon broke off: this is a fault of longplay")),
    }
}

/// Ends with an error only.
async fn tell_story(
    socket: &Path,
    spotify: &SimulatedSpotify,
    tell: mpsc::Sender<Line>,
) -> Result<(), CliError> {
    let client = reach(socket).await?;
    let mut events = client.events().await?;
    let forward = tell.clone();
    tokio::spawn(async move {
        while let Ok(Some(event)) = events.next().await {
            if forward.send(Line::Event(event)).await.is_err() {
                return;
            }
        }
    });
    Story::new(client, spotify.clone(), tell).tell().await
}

async fn reach(socket: &Path) -> Result<Client, ClientError> {
    let began = SystemClock.boot();
    loop {
        match Client::open(socket) {
            Err(ClientError::NoDaemon(_)) if SystemClock.boot().since(began) < START_WITHIN => {
                SystemClock.sleep(Duration::from_millis(20)).await;
            }
            opened => return opened,
        }
    }
}

/// Where the page can listen. Another process may take it first; the daemon then says so and does without.
async fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

fn introduction(folder: &Path, config: &Path, spotify: &SimulatedSpotify) -> String {
    let program = std::env::args_os().next().map_or("longplay".into(), PathBuf::from);
    let (program, config) = (program.display(), config.display());
    format!(
        "longplay demo: ALL OF THIS IS SIMULATED. No account, no network beyond this host, no file outside\n\
         {folder}, which is removed at the end. Ctrl-C ends it.\n\
         \n\
         The daemon is the real one. Spotify is simulated, on {spotify}: its access tokens live\n\
         {lifetime} seconds, its refresh tokens work once. Four invented people listen to invented music.\n\
         \n\
         To try in another terminal:\n\
         \x20 {program} status --config {config}\n\
         \x20 {program} plays bob --follow --config {config}\n\
         \x20 {program} login carol --config {config}    (after 0:10, when carol must)\n\n",
        folder = folder.display(),
        spotify = spotify.base_url(),
        lifetime = ACCESS_LIFETIME.as_secs(),
    )
}

fn failed(doing: &str, error: &dyn std::error::Error) -> CliError {
    CliError::failed(format!("{doing}: {error}"))
}
