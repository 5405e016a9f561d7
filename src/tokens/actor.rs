//! The refresh actor: it owns every account and receives everything as messages. Its loop never waits for I/O: it
//! starts tasks, and their outcomes come back as messages. Over users refreshes run side by side under a limit.

mod members;
mod task;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::BootTime;
use crate::config::{AppSettings, TokenSettings};
use crate::domain::{AppName, Epoch, UserId};

use super::account::{Account, Effect, Input, Outcome, WaiterId, Weather};
use super::exchange::{Exchange, Report, Subject};
use super::handle::{Apps, Health, Message, Reply, TokenKeeper};
use super::set_back::Watch;
use super::validity::Moment;
use super::{Need, Token, TokenError};

/// How many messages may wait for the actor.
const QUEUE: usize = 4_096;
/// The longest that the actor sleeps: timers stand still while the host is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

enum Waiter {
    Token(Reply<Token>),
    Settle(Reply<()>),
    Left(Reply<Option<Duration>>),
}

struct Entry {
    account: Account,
    subject: Subject,
    wake: Option<BootTime>,
    /// Removed while a refresh is under way: nobody is answered any more, and it goes with the outcome.
    gone: bool,
}

struct Actor {
    exchange: Arc<Exchange>,
    apps: HashMap<AppName, Arc<AppSettings>>,
    settings: TokenSettings,
    permits: Arc<Semaphore>,
    sender: mpsc::Sender<Message>,
    /// Boxed: a table that has just grown is half empty.
    entries: HashMap<UserId, Box<Entry>>,
    wakes: BTreeSet<(BootTime, UserId)>,
    waiters: HashMap<WaiterId, Waiter>,
    next_waiter: u64,
    skew: BTreeMap<AppName, i64>,
    watch: Watch,
    /// Token URLs at which a dead login is being tried, with whose.
    probing: HashMap<String, UserId>,
    in_doubt: BTreeSet<UserId>,
    /// Shared with whoever asked last.
    backing_off: Arc<BTreeMap<UserId, String>>,
    refreshing: usize,
    reading: usize,
    /// Whose grants are read next.
    to_read: VecDeque<UserId>,
    stopping: Vec<oneshot::Sender<()>>,
}

/// Starts the actor, who knows nobody yet. The spool has been offered to the store before; see [`super::offer_spool`].
pub fn start(exchange: Arc<Exchange>, apps: Apps, settings: TokenSettings) -> (TokenKeeper, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let watch = Watch::new(&*exchange.clock, Arc::clone(&exchange.clock_note));
    let mut actor = Actor {
        exchange,
        apps: HashMap::new(),
        permits: Arc::new(Semaphore::new(settings.concurrency)),
        settings,
        sender: sender.clone(),
        entries: HashMap::new(),
        wakes: BTreeSet::new(),
        waiters: HashMap::new(),
        next_waiter: 0,
        skew: BTreeMap::new(),
        watch,
        probing: HashMap::new(),
        in_doubt: BTreeSet::new(),
        backing_off: Arc::default(),
        refreshing: 0,
        reading: 0,
        to_read: VecDeque::new(),
        stopping: Vec::new(),
    };
    actor.set_apps(apps);
    let task = tokio::spawn(actor.run(receiver));
    (TokenKeeper { sender }, task)
}

/// Whether it is to hang at a question for a token, in builds for tests.
fn hangs(message: &Message) -> bool {
    if let Message::Token { .. } = message {
        fail::fail_point!("token-asked", |_| true);
    }
    false
}

impl Actor {
    async fn run(mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut set = self.next_wake();
        let mut sleep = self.sleep_until(set);
        let mut told = 0;
        loop {
            let depth = receiver.len();
            if depth != told {
                self.exchange.metrics.set_queue_depth(depth);
                told = depth;
            }
            let message = tokio::select! {
                biased;
                () = &mut sleep => {
                    self.wake();
                    set = self.next_wake();
                    sleep = self.sleep_until(set);
                    continue;
                }
                message = receiver.recv() => message,
            };
            // The actor holds a sender itself, so that the channel never closes before it stops.
            let Some(message) = message else { return };
            if hangs(&message) {
                std::future::pending::<()>().await;
            }
            self.on(message);
            if !self.stopping.is_empty() && self.refreshing == 0 {
                for reply in self.stopping.drain(..) {
                    let _ = reply.send(());
                }
                return;
            }
            // A timer costs more than most messages do.
            if self.next_wake() != set {
                set = self.next_wake();
                sleep = self.sleep_until(set);
            }
        }
    }

    fn next_wake(&self) -> Option<BootTime> {
        self.wakes.first().map(|(at, _)| *at)
    }

    fn sleep_until(&self, wake: Option<BootTime>) -> crate::clock::Sleep {
        let now = self.exchange.clock.boot();
        let next = wake.map_or(LONGEST_SLEEP, |at| at.since(now));
        self.exchange.clock.sleep(next.min(LONGEST_SLEEP))
    }

    fn wake(&mut self) {
        self.watch.look(&*self.exchange.clock);
        let now = self.exchange.clock.boot();
        while let Some((at, user)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, user));
            if let Some(entry) = self.entries.get_mut(&user) {
                entry.wake = None;
            }
            self.input(user, Input::Wake);
        }
    }

    fn on(&mut self, message: Message) {
        match message {
            Message::Token { user, need, reply } => {
                if let Some(token) = self.at_hand(user, &need) {
                    let _ = reply.send(Ok(token));
                } else if let Some(id) = self.waiter(user, reply, Waiter::Token) {
                    self.input(user, Input::Ask(id, need));
                }
            }
            Message::Rejected { user, generation, reply } => {
                if let Some(id) = self.waiter(user, reply, Waiter::Settle) {
                    self.input(user, Input::Rejected(id, generation));
                }
            }
            Message::Left { user, reply } => {
                if let Some(id) = self.waiter(user, reply, Waiter::Left) {
                    self.input(user, Input::Look(id));
                }
            }
            Message::Login { user, login, reply } => self.log_in(user, *login, reply),
            Message::LoginDone { user, result, reply } => {
                let answer = match *result {
                    Ok(view) => {
                        let generation = view.generation;
                        self.input(user, Input::LoggedIn(view));
                        self.note_troubles(user);
                        Ok(generation)
                    }
                    Err(error) => {
                        // What the store has now is not certain.
                        self.input(user, Input::Stale);
                        Err(error)
                    }
                };
                let _ = reply.send(answer);
            }
            Message::Members { members, reply } => {
                self.set_members(members);
                let _ = reply.send(());
            }
            Message::Remove { user, reply } => {
                self.drop_entry(user);
                let _ = reply.send(());
            }
            Message::Configure { apps, settings, reply } => {
                self.configure(apps, *settings);
                let _ = reply.send(());
            }
            Message::Forget { user, reply } => {
                self.input(user, Input::Forget);
                let _ = reply.send(());
            }
            Message::RunsDue { runs } => {
                for (user, at) in runs {
                    self.input(user, Input::RunDue(at));
                }
            }
            Message::Reread { user } => self.input(user, Input::Stale),
            Message::Heard { user, news } => {
                if self.entries.get(&user).is_some_and(|entry| entry.account.lacks(news)) {
                    self.input(user, Input::Stale);
                }
            }
            Message::StoreIsBack => self.store_is_back(),
            Message::RereadAll => self.reread_all(),
            Message::Read { user, read } => {
                self.reading -= 1;
                self.input(user, Input::Read(*read));
                // A doubt may be as old as the last start.
                self.note_troubles(user);
                self.read_next();
            }
            Message::Stalled { user, why } => self.input(user, Input::Stalled(why)),
            Message::Done { user, epoch, report } => self.done(user, epoch, *report),
            Message::Health { reply } => {
                let health = Health {
                    refreshing: self.refreshing,
                    skew: self.skew.clone(),
                    backing_off: Arc::clone(&self.backing_off),
                };
                let _ = reply.send(health);
            }
            Message::StartNothingNew { reply } => {
                self.exchange.stopping.cancel();
                let _ = reply.send(());
            }
            Message::Stop { reply } => {
                self.exchange.stopping.cancel();
                self.stopping.push(reply);
            }
        }
    }

    fn waiter<T>(&mut self, user: UserId, reply: Reply<T>, kind: fn(Reply<T>) -> Waiter) -> Option<WaiterId> {
        let refusal = match self.entries.get(&user).is_some_and(|entry| !entry.gone) {
            _ if self.exchange.stopping.is_cancelled() => TokenError::Stopped,
            false => TokenError::UnknownUser,
            true => {
                let id = WaiterId(self.next_waiter);
                self.next_waiter += 1;
                self.waiters.insert(id, kind(reply));
                return Some(id);
            }
        };
        // A caller who gave up needs no answer; here and below.
        let _ = reply.send(Err(refusal));
        None
    }

    fn at_hand(&mut self, user: UserId, need: &Need) -> Option<Token> {
        let open = !self.exchange.stopping.is_cancelled() && self.exchange.gate.shut_because().is_none();
        let entry = self.entries.get_mut(&user).filter(|entry| !entry.gone && open)?;
        let skew = self.skew.get(&entry.subject.app.name).copied().unwrap_or(0);
        entry.account.at_hand(need, self.exchange.glance(skew))
    }

    fn input(&mut self, user: UserId, input: Input) {
        let Some(entry) = self.entries.get(&user) else { return };
        let app = entry.subject.app.clone();
        let (now, weather) = (self.moment(&app.name), self.weather(&app));
        let Some(entry) = self.entries.get_mut(&user) else { return };
        let effects = entry.account.on(input, now, &weather);
        for effect in effects {
            self.effect(user, effect);
        }
        self.set_wake(user);
    }

    fn set_wake(&mut self, user: UserId) {
        let Some(entry) = self.entries.get(&user) else { return };
        let (now, weather) = (self.moment(&entry.subject.app.name), self.weather(&entry.subject.app));
        let next = entry.account.wake_at(now, &weather).filter(|_| !self.exchange.stopping.is_cancelled());
        let Some(entry) = self.entries.get_mut(&user) else { return };
        if let Some(old) = std::mem::replace(&mut entry.wake, next) {
            self.wakes.remove(&(old, user));
        }
        if let Some(next) = next {
            self.wakes.insert((next, user));
        }
    }

    fn moment(&self, app: &AppName) -> Moment {
        self.exchange.moment(self.skew.get(app).copied().unwrap_or(0))
    }

    fn weather(&self, app: &AppSettings) -> Weather {
        let gate = &self.exchange.gate;
        Weather {
            held_until: gate.held_until(&app.name),
            fault: gate.fault(&app.name),
            rotation: gate.rotation(&app.name),
            probe_taken: self.probing.contains_key(&app.token_url),
            shut: gate.shut_because(),
        }
    }

    fn effect(&mut self, user: UserId, effect: Effect) {
        match effect {
            Effect::Read => {
                self.to_read.push_back(user);
                self.read_next();
            }
            Effect::Refresh(start) => self.refresh(user, start),
            Effect::Give(id, token) => self.answer(id, Ok(Answer::Token(token))),
            Effect::Settled(id) => self.answer(id, Ok(Answer::Settled)),
            Effect::Left(id, left) => self.answer(id, Ok(Answer::Left(left))),
            Effect::Refuse(id, error) => self.answer(id, Err(error)),
        }
    }

    fn answer(&mut self, id: WaiterId, answer: Result<Answer, TokenError>) {
        let _ = match (self.waiters.remove(&id), answer) {
            (Some(Waiter::Token(reply)), Ok(Answer::Token(token))) => reply.send(Ok(token)).is_ok(),
            (Some(Waiter::Token(reply)), Err(error)) => reply.send(Err(error)).is_ok(),
            (Some(Waiter::Settle(reply)), Ok(Answer::Settled)) => reply.send(Ok(())).is_ok(),
            (Some(Waiter::Settle(reply)), Err(error)) => reply.send(Err(error)).is_ok(),
            (Some(Waiter::Left(reply)), Ok(Answer::Left(left))) => reply.send(Ok(left)).is_ok(),
            (Some(Waiter::Left(reply)), Err(error)) => reply.send(Err(error)).is_ok(),
            // The account answers each waiter once, in kind: see its tests.
            _ => false,
        };
    }

    fn done(&mut self, user: UserId, epoch: Epoch, report: Report) {
        self.refreshing -= 1;
        let tried = self.probing.iter().find(|(_, prober)| **prober == user).map(|(url, _)| url.clone());
        if let Some(url) = &tried {
            self.probing.remove(url);
        }
        let Some(entry) = self.entries.get(&user) else { return };
        if let Some(skew) = report.skew {
            self.skew.insert(entry.subject.app.name.clone(), skew);
        }
        let came_back = matches!(report.outcome, Outcome::Committed(_));
        self.input(user, Input::Done(epoch, report.outcome));
        if let Some(url) = tried.filter(|_| came_back) {
            for other in self.users_of(|subject| subject.app.token_url == url) {
                self.input(other, Input::Release);
            }
        }
        self.note_troubles(user);
        if self.entries.get(&user).is_some_and(|entry| entry.gone) {
            self.drop_entry(user);
        }
    }

    fn note_troubles(&mut self, user: UserId) {
        let Some(entry) = self.entries.get(&user) else { return };
        match entry.account.in_doubt() {
            true => self.in_doubt.insert(user),
            false => self.in_doubt.remove(&user),
        };
        self.exchange.metrics.set_in_doubt(self.in_doubt.len());
        match entry.account.backing_off() {
            Some(why) => drop(Arc::make_mut(&mut self.backing_off).insert(user, why)),
            None => self.forget_backing_off(user),
        }
    }

    fn forget_backing_off(&mut self, user: UserId) {
        if self.backing_off.contains_key(&user) {
            Arc::make_mut(&mut self.backing_off).remove(&user);
        }
    }
}

enum Answer {
    Token(Token),
    Settled,
    Left(Option<Duration>),
}
