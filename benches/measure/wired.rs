//! What archives, wired in this process as the daemon wires it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longplay::clock::{Clock, SystemClock};
use longplay::config::{Place, load};
use longplay::daemon::{Core, Current, Ground, StateDir};
use longplay::random::Random;
use longplay::schedule::Scheduler;
use longplay::telemetry::{Events, Metrics};

use super::database::Database;
use crate::fixture::TOKEN_KEY;

/// The daemon's core on this database, with its own state directory in `folder` and this address as Spotify's Web API.
pub async fn core(folder: &Path, database: &Database, api_url: &str) -> Core {
    let key_file = folder.join("token-key");
    std::fs::write(&key_file, TOKEN_KEY).expect("the key is written");
    let state_dir = tempfile::tempdir_in(folder).expect("a folder").keep();
    let env = [
        ("LONGPLAY_STORE__URL", database.url.clone()),
        ("LONGPLAY_STORE__STATE_DIR", state_dir.display().to_string()),
        ("LONGPLAY_TOKENS__KEY_FILE", key_file.display().to_string()),
        ("LONGPLAY_APPS__DEFAULT__CLIENT_ID", "client".to_owned()),
        ("LONGPLAY_APPS__DEFAULT__API_URL", api_url.to_owned()),
        ("LONGPLAY_APPS__DEFAULT__CALLS_PER_DAY", "10000000".to_owned()),
    ];
    let place = Place {
        config: None,
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        root: false,
        system_file: folder.join("none.toml"),
    };
    let settings = Arc::new(load(&place).expect("the settings are right"));
    let (clock, random) = (Arc::new(SystemClock) as Arc<dyn Clock>, Arc::new(Random::host()));
    let state =
        StateDir::lock(&state_dir, Duration::ZERO, &*clock, &random).await.expect("a state directory");
    let ground = Ground {
        events: Events::new(Arc::clone(&clock)),
        metrics: Arc::new(Metrics::new()),
        outside: Arc::new(state),
        settings: Current::new(settings),
        store: longplay::store::open(&database.url, Arc::clone(&clock)).expect("a store's URL"),
        clock: Arc::clone(&clock),
        random,
    };
    // Nobody is due while something is measured.
    let scheduler = Scheduler::start(clock, |_, _| {}, || 0).await.expect("the schedule starts");
    let core = Core::build(&ground, Some(scheduler)).await.expect("the core stands");
    core.service.refresh_users().await.unwrap_or_else(|problem| panic!("{}", problem.detail));
    core
}
