//! Whatever happens in whatever order, the promises hold.

use proptest::prelude::*;

use super::*;

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    Pass(u16),
    WallJump(i32),
    Ask {
        valid_for: u16,
        fresh: bool,
        insist: bool,
    },
    Reject {
        back: u8,
    },
    Read {
        fails: bool,
        /// It brings what was there when it was asked for.
        early: bool,
    },
    Finish(Ending),
    LogIn,
    Pause(bool),
    Hold(u16),
    OtherDaemon,
    /// Another daemon has announced a refresh.
    OthersIntent,
    Wake,
    Release,
    Stalled,
    /// Another dead login is being tried, or not any more.
    Probe(bool),
    /// The refresh under way ends in the store; the account is told later.
    Land(Ending),
    /// The process ends, and another begins.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Tokens { lifetime: u16 },
    Tokenless,
    NotSent,
    Refused,
    Doubt,
    ClientRefused,
    Superseded,
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        4 => (1_u16..7_200).prop_map(|lifetime| Ending::Tokens { lifetime }),
        1 => Just(Ending::Tokenless),
        1 => Just(Ending::NotSent),
        1 => Just(Ending::Refused),
        1 => Just(Ending::Doubt),
        1 => Just(Ending::ClientRefused),
        1 => Just(Ending::Superseded),
    ];
    prop_oneof![
        3 => (0_u16..4_000).prop_map(Step::Pass),
        1 => (-7_200_i32..7_200).prop_map(Step::WallJump),
        6 => (0_u16..2_000, any::<bool>(), any::<bool>())
            .prop_map(|(valid_for, fresh, insist)| Step::Ask { valid_for, fresh, insist }),
        3 => (0_u8..3).prop_map(|back| Step::Reject { back }),
        6 => (prop::bool::weighted(0.1), any::<bool>()).prop_map(|(fails, early)| Step::Read { fails, early }),
        6 => ending.clone().prop_map(Step::Finish),
        1 => Just(Step::LogIn),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (1_u16..500).prop_map(Step::Hold),
        1 => Just(Step::OtherDaemon),
        1 => Just(Step::OthersIntent),
        3 => Just(Step::Wake),
        1 => Just(Step::Release),
        1 => Just(Step::Stalled),
        1 => any::<bool>().prop_map(Step::Probe),
        2 => ending.prop_map(Step::Land),
        1 => Just(Step::Restart),
    ]
}

/// The world around one account: a store that holds one grant, and what is under way.
struct World {
    account: Account,
    now: Moment,
    weather: Weather,
    stored: View,
    /// The times of the stored access token.
    times: AccessTimes,
    /// When each generation's access token truly ends, and how often the wall clock had been set back when it was sent.
    ends: BTreeMap<i64, (BootTime, usize)>,
    /// How often it had been when this process first heard of a generation.
    heard: BTreeMap<i64, usize>,
    set_back: usize,
    /// What was there when the read under way was asked for.
    reading: Option<View>,
    refreshing: Option<Start>,
    /// How the refresh under way ended, where nobody was told yet.
    landed: Option<Outcome>,
    paused: bool,
    /// Waiters with the least validity they asked for, and the generation a fresh one must exceed.
    waiting: BTreeMap<u64, (Duration, Option<Generation>)>,
    next: u64,
    newest_given: Generation,
    /// The generation whose rejection a refresh follows.
    rejected: Option<Generation>,
    /// How many effects there were.
    done: usize,
    /// Requests sent for a login after it was refused, and not by its tries.
    unbidden: usize,
}

impl World {
    fn new() -> Self {
        let now = moment(0);
        Self {
            account: account(),
            now,
            weather: Weather::default(),
            stored: view(1, 1, now, LIFETIME),
            times: times(now, LIFETIME),
            ends: [(1, (BootTime(now.boot.0 + LIFETIME), 0))].into(),
            heard: BTreeMap::new(),
            set_back: 0,
            reading: None,
            refreshing: None,
            landed: None,
            paused: false,
            waiting: BTreeMap::new(),
            next: 0,
            newest_given: Generation(0),
            rejected: None,
            done: 0,
            unbidden: 0,
        }
    }

    fn waiter(&mut self, need: Need) -> WaiterId {
        self.next += 1;
        let known = match &self.account.known {
            Known::Login(view) => view.generation,
            _ => Generation(0),
        };
        self.waiting.insert(self.next, (need.valid_for, need.fresh.then_some(known)));
        WaiterId(self.next)
    }

    fn input(&mut self, input: Input) {
        let probing_due = match &self.account.known {
            Known::Login(view) => {
                view.refusal.as_ref().is_none_or(|r| r.next_try_at.is_some_and(|t| t <= self.now.wall))
            }
            _ => true,
        };
        let knew = self.known();
        let effects = self.account.on(input, self.now, &self.weather);
        self.done += effects.len();
        if let Some((epoch, generation)) = self.known() {
            assert!(knew.is_none_or(|knew| knew <= (epoch, generation)), "it knew more: {knew:?}");
            self.heard.entry(generation.0).or_insert(self.set_back);
        }
        for effect in effects {
            match effect {
                Effect::Read => {
                    assert!(self.reading.is_none(), "two reads at once");
                    self.reading = Some(self.read());
                }
                Effect::Refresh(start) => {
                    assert!(self.refreshing.is_none(), "two refreshes at once");
                    assert!(!self.paused, "sent while paused");
                    assert!(
                        self.weather.held_until.is_none_or(|until| until <= self.now.wall),
                        "sent while held"
                    );
                    self.unbidden += usize::from(start.probe && !probing_due);
                    self.refreshing = Some(start);
                }
                Effect::Give(WaiterId(id), token) => {
                    let (valid_for, above) = self.waiting.remove(&id).expect("answered twice");
                    assert!(!self.paused, "given while paused");
                    assert!(token.generation >= self.newest_given, "back a generation");
                    assert!(self.rejected != Some(token.generation), "a rejected one");
                    assert!(above.is_none_or(|above| token.generation > above), "not fresh");
                    self.newest_given = token.generation;
                    let Known::Login(view) = &self.account.known else { panic!("a token without a login") };
                    let (_, held) = view.access.as_ref().expect("a token without a token");
                    let least = BUFFER.min(held.lifetime() / 4).max(valid_for);
                    assert!(held.left(self.now) >= least, "under the buffer");
                    let (end, sent) = self.ends[&token.generation.0];
                    // Who hears of a token after the wall clock was set back has nothing else to go by.
                    if self.heard[&token.generation.0] == sent {
                        assert!(end.since(self.now.boot) >= least, "truly under the buffer");
                    }
                    assert!(view.refusal.is_none(), "from a dead login");
                }
                Effect::Settled(WaiterId(id))
                | Effect::Left(WaiterId(id), _)
                | Effect::Refuse(WaiterId(id), _) => {
                    self.waiting.remove(&id).expect("answered twice");
                }
            }
        }
        // Whatever holds the app: who waits hears soon.
        let soon = BootTime(self.now.boot.0 + LOOK_AGAIN);
        assert!(
            self.waiting.is_empty()
                || self.reading.is_some()
                || self.refreshing.is_some()
                || self.account.wake_at(self.now, &self.weather).is_some_and(|at| at <= soon),
            "waiters nobody thinks of: {:?}",
            self.account
        );
    }

    fn wake(&self) -> Option<BootTime> {
        self.account.wake_at(self.now, &self.weather)
    }

    /// Which login and generation the account knows of.
    fn known(&self) -> Option<(Epoch, Generation)> {
        match &self.account.known {
            Known::Login(view) => Some((view.epoch, view.generation)),
            _ => None,
        }
    }

    /// A new generation is on record, sent now.
    fn put(&mut self, epoch: i64, generation: i64, lifetime: Duration) {
        self.stored = view(epoch, generation, self.now, lifetime);
        self.times = times(self.now, lifetime);
        let end = BootTime(self.now.boot.0 + lifetime);
        self.ends.insert(generation, (end, self.set_back));
    }

    fn finish(&mut self, ending: Ending) {
        self.land(ending);
        let (Some(start), Some(outcome)) = (self.refreshing.take(), self.landed.take()) else { return };
        self.input(Input::Done(start.view.epoch, outcome));
    }

    fn land(&mut self, ending: Ending) {
        let Some(start) = self.refreshing.as_ref().filter(|_| self.landed.is_none()).cloned() else { return };
        let strangers = |record: OnRecord| !record.ours && record.lapses > self.now.boot;
        let current = start.view.epoch == self.stored.epoch
            && start.view.generation == self.stored.generation
            && !self.stored.on_record.is_some_and(strangers);
        if current {
            self.stored.on_record = None;
        }
        let outcome = match ending {
            _ if !current => Outcome::Superseded,
            Ending::Tokens { lifetime } => {
                self.put(start.view.epoch.0, start.view.generation.0 + 1, S * lifetime.into());
                self.stored.born.1 = Some(start.cause);
                Outcome::Committed(Box::new(self.stored.clone()))
            }
            Ending::Tokenless => {
                let (epoch, generation) = (start.view.epoch.0, start.view.generation.0 + 1);
                self.stored = View { access: None, ..view(epoch, generation, self.now, LIFETIME) };
                Outcome::Tokenless(Box::new(self.stored.clone()))
            }
            Ending::NotSent => Outcome::NotSent(waiting("no network".to_owned(), S, Trouble::Unreachable)),
            Ending::Refused => {
                self.stored.refusal = Some(refusal(self.now));
                Outcome::Refused(refusal(self.now))
            }
            Ending::Doubt => {
                self.stored.doubt = Some((true, "cut".to_owned(), self.now.wall));
                Outcome::Doubt("cut".to_owned(), self.now.wall)
            }
            Ending::ClientRefused => Outcome::ClientRefused("bad".to_owned()),
            Ending::Superseded => Outcome::Superseded,
        };
        self.landed = Some(outcome);
    }

    fn record(&self, ours: bool) -> OnRecord {
        let lapses = BootTime(self.now.boot.0 + S * 90);
        OnRecord { attempt: AttemptId(uuid::Uuid::nil()), ours, sent: self.now.boot, lapses }
    }

    /// The grant as it is read: of its access token only wall times are known.
    fn read(&self) -> View {
        let mut read = self.stored.clone();
        if let Some((_, held)) = &mut read.access {
            *held = Held::read(self.times, self.now);
        }
        read
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => {
                let passed = S * u32::from(seconds);
                self.now.boot.0 += passed;
                self.now.wall = self.now.wall + passed;
            }
            Step::WallJump(seconds) => {
                self.now.wall = self.now.wall.offset_millis(i64::from(seconds) * 1_000);
                self.set_back += usize::from(seconds < 0);
            }
            Step::Ask { valid_for, fresh, insist } => {
                let need = Need { valid_for: S * u32::from(valid_for), fresh, insist, program: true };
                let before = (self.account.asked_by_program, self.wake(), self.waiting.is_empty(), self.done);
                let at_hand = self.account.at_hand(&need, self.now);
                self.account.asked_by_program = before.0;
                let id = self.waiter(need);
                self.input(Input::Ask(id, need));
                if let Some(token) = at_hand {
                    assert!(!self.waiting.contains_key(&id.0), "at hand, and not given");
                    assert_eq!(self.newest_given, token.generation, "another was given");
                    if before.2 {
                        assert_eq!(
                            (self.wake(), self.done),
                            (before.1, before.3 + 1),
                            "more follows from it"
                        );
                    }
                }
            }
            Step::Reject { back } => {
                let id = self.waiter(Need::default());
                let generation = Generation(self.stored.generation.0 - i64::from(back));
                self.input(Input::Rejected(id, generation));
                let under_way =
                    self.refreshing.as_ref().is_some_and(|start| start.view.generation == generation);
                if under_way && self.waiting.contains_key(&id.0) {
                    self.rejected = Some(generation);
                }
            }
            Step::Read { fails, early } => {
                if let Some(was) = self.reading.take() {
                    let read = if early { was } else { self.read() };
                    self.input(Input::Read(if fails { Err("down".to_owned()) } else { Ok(Some(read)) }));
                }
            }
            Step::Finish(ending) => self.finish(ending),
            Step::LogIn => {
                self.put(self.stored.epoch.0 + 1, self.stored.generation.0 + 1, LIFETIME);
                self.input(Input::LoggedIn(self.stored.clone()));
            }
            Step::Pause(paused) => {
                self.paused = paused;
                self.input(Input::Pause(paused));
            }
            Step::Hold(seconds) => self.weather.held_until = Some(self.now.wall + S * u32::from(seconds)),
            Step::OtherDaemon => {
                self.put(self.stored.epoch.0, self.stored.generation.0 + 1, LIFETIME);
                self.input(Input::Stale);
            }
            Step::OthersIntent => {
                self.stored.on_record = Some(self.record(false));
                self.input(Input::Stale);
            }
            Step::Restart => {
                let under_way = self.refreshing.take().is_some();
                if under_way && self.landed.take().is_none() && self.stored.on_record.is_none() {
                    self.stored.on_record = Some(self.record(true));
                }
                let rules = Rules { buffer: BUFFER, ahead: true, rotation_grace: Duration::ZERO };
                self.account = Account::new("alice".to_owned(), rules, self.paused);
                (self.reading, self.rejected) = (None, None);
                self.heard.clear();
                self.waiting.clear();
            }
            Step::Land(ending) => self.land(ending),
            Step::Wake => {
                if let Some(at) = self.account.wake_at(self.now, &self.weather) {
                    let passed = at.since(self.now.boot);
                    self.now.boot.0 += passed;
                    self.now.wall = self.now.wall + passed;
                    let before = self.done;
                    self.input(Input::Wake);
                    let next = self.account.wake_at(self.now, &self.weather);
                    let spins = self.done == before && next.is_some_and(|at| at <= self.now.boot);
                    assert!(!spins, "woken for nothing, and again at once: {:?}", self.account);
                }
            }
            Step::Release => self.input(Input::Release),
            Step::Stalled if self.refreshing.is_some() => self.input(Input::Stalled("down".to_owned())),
            Step::Stalled => {}
            Step::Probe(taken) => self.weather.probe_taken = taken,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn no_interleaving_breaks_a_promise(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        prop_assert_eq!(world.unbidden, 0, "a dead login was sent for outside its tries");
        // Whatever happened, once things work again every waiter gets an answer.
        world.input(Input::Pause(false));
        world.take(Step::Probe(false));
        // Another daemon's lease has lapsed by then.
        world.take(Step::Pass(120));
        for _ in 0..140 {
            world.take(Step::Read { fails: false, early: false });
            world.take(Step::Finish(Ending::Tokens { lifetime: 3_600 }));
            if world.waiting.is_empty() {
                break;
            }
            world.take(Step::Wake);
        }
        prop_assert!(world.waiting.is_empty(), "still waiting: {:?} {:?}", world.waiting, world.account);
    }
}
