//! One life of the process: the real daemon but for its sockets, on a runtime of its own with paused time. It ends with
//! the runtime, wherever its tasks are.

use std::sync::Arc;
use std::time::Duration;

use longplay::clock::{BootTime, Clock, PausedClock, Reading};
use longplay::daemon::{Bare, CoreError, Current, Ground, Outside, StatePaths};
use longplay::domain::{Event, EventKind, Owner};
use longplay::oauth::Transport;
use longplay::random::Random;
use longplay::spotify::Client;
use longplay::telemetry::{Events, Metrics};
use longplay::tokens::{ClockNote, MemorySpool, Spool, Vault};

use super::calendar::{HOUR, Happening, MINUTE};
use super::disk::{Disk, Store};
use super::network::Network;
use super::people;
use super::world::{Newest, Person, Trouble, World};

/// How often the schedule ticks where nothing is due. The daemon's own looks are due every 5 s: in between nothing
/// changes, unless something is wrong.
const PULSE: Duration = Duration::from_secs(60);
const QUICK_PULSE: Duration = Duration::from_secs(5);
/// How long the process may take to be ready, and then to make up for what it missed.
const READY: Duration = Duration::from_secs(120);
/// How long SIGTERM waits for refreshes.
const DRAIN: Duration = Duration::from_secs(60);

/// How a life ended.
pub struct End {
    pub down: Duration,
    pub reboot: bool,
    pub over: bool,
}

struct Host(Arc<World>);

impl Outside for Host {
    fn owner(&self) -> Owner {
        self.0.owner
    }

    fn paths(&self) -> Option<StatePaths> {
        None
    }

    fn spool(&self, vault: &Arc<Vault>, random: &Arc<Random>) -> Arc<dyn Spool> {
        let inner = MemorySpool::new(Arc::clone(&self.0.files), Arc::clone(vault), Arc::clone(random));
        Arc::new(Disk { world: Arc::clone(&self.0), inner })
    }

    fn clock_note(&self) -> Arc<dyn ClockNote> {
        Arc::new(NoteOfBoot(Arc::clone(&self.0)))
    }

    fn client(&self) -> Result<Client, CoreError> {
        Ok(Client::over(Network(Arc::clone(&self.0))))
    }

    fn transport(&self, _: &Arc<dyn Clock>) -> Result<Arc<dyn Transport>, CoreError> {
        Ok(Arc::new(Network(Arc::clone(&self.0))))
    }
}

/// What is known of the clock, until the next boot.
struct NoteOfBoot(Arc<World>);

impl ClockNote for NoteOfBoot {
    fn read(&self) -> Option<String> {
        self.0.state().clock_note.clone()
    }

    fn leave(&self, note: &str) {
        self.0.state().clock_note = Some(note.to_owned());
    }
}

/// From start to end. `boot`: what the boot clock shows.
pub async fn live(world: &Arc<World>, boot: BootTime) -> (End, BootTime) {
    world.clock.go();
    let began = world.now();
    let host = {
        let mut state = world.state();
        state.lives += 1;
        state.people.iter_mut().for_each(|person| (person.under_way, person.refused) = (0, None));
        Arc::new(PausedClock::new(Reading { wall: began.offset_millis(state.ahead), boot }))
    };
    world.trouble(began, began + READY, "the process starts");
    world.go_on();
    let end = tokio::select! {
        biased;
        () = world.crash.notified() => crashed(world),
        end = work(world, &host) => end,
    };
    let died = world.now();
    for person in &mut world.state().people {
        if let Newest::Delivered(at) = person.newest
            && died.since(at) <= Duration::from_millis(10)
        {
            person.newest = Newest::DiedWithIt(at);
        }
        person.tries_again();
    }
    world.holds_outlive_the_process().await;
    world.note("life ends", format_args!("{:?}", end.down));
    world.trouble(died, died + end.down + READY, "the process was down");
    let boot = host.boot();
    world.clock.stand();
    (end, boot)
}

fn crashed(world: &World) -> End {
    End { down: world.chance.about(Duration::from_secs(1), MINUTE * 5), reboot: false, over: false }
}

async fn work(world: &Arc<World>, host: &Arc<PausedClock>) -> End {
    let clock: Arc<dyn Clock> = host.clone();
    let events = Events::new(clock.clone());
    let mut heard = events.listen();
    let listening = Arc::clone(world);
    tokio::spawn(async move {
        while let Ok(event) = heard.recv().await {
            hear(&listening, &event);
        }
    });
    let life = world.state().lives;
    let seed = world.setup.seed.wrapping_mul(1_000_003).wrapping_add(life);
    let ground = Ground {
        settings: Current::new(Arc::clone(&world.settings)),
        outside: Arc::new(Host(Arc::clone(world))),
        store: Arc::new(world.store.reached(clock.clone(), Arc::new(Store(Arc::clone(world))))),
        clock,
        random: Arc::new(Random::seeded(seed)),
        metrics: Arc::new(Metrics::new()),
        events,
    };
    let bare = match Bare::start(ground).await {
        Ok(bare) => bare,
        Err(error) => {
            world.found(&format!("the daemon does not start: {error}"));
            return End { down: Duration::ZERO, reboot: false, over: true };
        }
    };
    world.note("started", format_args!("{life}"));
    if life == 1 {
        people::arrive(world, &bare).await;
    }
    loop {
        while let Some(happening) = { world.state().calendar.due(world.now()) } {
            if let Some(end) = happens(world, host, &bare, happening).await {
                return end;
            }
        }
        if world.now() >= world.end() {
            // What is under way comes to its end first.
            world.trouble(world.now(), world.now() + READY, "the process stops");
            bare.finish(DRAIN).await;
            return End { down: Duration::ZERO, reboot: false, over: true };
        }
        bare.tick();
        if bare.is_broken() {
            world.found("the refresh actor ended");
            return End { down: Duration::ZERO, reboot: false, over: true };
        }
        let now = world.now();
        let pulse = if world.is_troubled() { QUICK_PULSE } else { PULSE };
        let due = bare.next().map_or(pulse, |at| at.since(host.now()));
        let next = world.state().calendar.next().map_or(pulse, |at| at.since(now));
        host.sleep(pulse.min(due).min(next).max(Duration::from_millis(1))).await;
    }
}

async fn happens(world: &Arc<World>, host: &PausedClock, bare: &Bare, what: Happening) -> Option<End> {
    let now = world.now();
    world.note("happens", format_args!("{what:?}"));
    let backing_off = MINUTE * 17;
    match what {
        Happening::FalseGrants(long) => {
            world.state().false_grants = now + long;
            world.trouble(now, now + long + HOUR + MINUTE * 10, "false invalid_grant");
        }
        Happening::SpotifyDown(long) => {
            world.state().spotify_down = now + long;
            world.trouble(now, now + long + backing_off, "Spotify is down");
        }
        Happening::StoreDown(long) => {
            let mut state = world.state();
            state.store_down = state.store_down.max(now + long);
            drop(state);
            world.trouble(now, now + long + MINUTE * 3, "the store is away");
        }
        Happening::Snapshot => world.state().snapshot = Some(world.store.snapshot()),
        Happening::Restore(long) => {
            let snapshot = world.state().snapshot.take();
            if let Some(snapshot) = snapshot {
                world.store.restore(snapshot);
                let mut state = world.state();
                state.store_down = state.store_down.max(now + long);
                state.rolled_back = now;
                state.people.iter_mut().for_each(Person::tries_again);
                drop(state);
                world.trouble(now, now + long + MINUTE * 3, "the store lost its last commits");
            }
        }
        Happening::Crash { down, reboot } => return Some(End { down, reboot, over: false }),
        Happening::Arm(of, steps) => world.state().armed = Some((of, steps)),
        Happening::Stop(down) => {
            let began = world.now();
            world.trouble(began, began + READY, "the process stops");
            let whole = bare.finish(DRAIN).await;
            let took = world.now().since(began);
            world.note("stopped", format_args!("{whole} {took:?}"));
            if took > DRAIN + Duration::from_secs(5) {
                world.found(&format!("SIGTERM took {took:?}"));
            }
            return Some(End { down, reboot: false, over: false });
        }
        Happening::Suspend(long) => {
            world.state().suspended = now + long;
            world.clock.pass(long);
            host.suspend(long);
            world.trouble(now, now + long + READY, "the host was suspended");
        }
        Happening::Step(by) => world.step_clock(host, by),
        Happening::Revoke(who) => {
            let account = world.state().people[who].account.clone();
            world.spotify.revoke(&account);
            world.state().people[who].revoked = true;
        }
        Happening::Pause(who, long) => {
            let trouble = Trouble { from: now, to: now + long + MINUTE * 10, why: "paused" };
            world.state().people[who].troubles.push(trouble);
            people::pause(world, bare, who, true);
        }
        Happening::Resume(who) => people::pause(world, bare, who, false),
        Happening::Refuse(app, long) => {
            world.spotify.set_app_enabled(&format!("client{app}"), false);
            // A refused app is tried again every six hours.
            let to = now + long + HOUR * 6 + MINUTE * 20;
            world.state().app_troubles[app].push(Trouble { from: now, to, why: "the app is refused" });
        }
        Happening::Accept(app) => world.spotify.set_app_enabled(&format!("client{app}"), true),
        Happening::LogIn(who) => people::look(world, bare, who),
        Happening::Ask(who) => people::ask(world, bare, who),
    }
    None
}

/// What the daemon tells.
fn hear(world: &World, event: &Event) {
    let now = world.now();
    let name = event.user.as_ref().map_or("", |name| name.as_str());
    world.note(event.kind.as_str(), format_args!("{name} {}", event.message));
    let Some(who) = world.state().names.get(name).copied() else { return };
    let mut state = world.state();
    match event.kind {
        EventKind::Archived => {
            let person = &mut state.people[who];
            person.pages.extend(person.page_at);
        }
        EventKind::RunFailed => state.people[who].failures.push((now, event.message.clone())),
        EventKind::LoginLost => {
            let notices = now + world.chance.between(HOUR, HOUR * 12);
            state.calendar.put(notices, Happening::LogIn(who));
        }
        _ => {}
    }
}
