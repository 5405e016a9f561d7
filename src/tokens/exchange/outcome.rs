//! What an answer, or its absence, means for a grant: read, committed or closed, and told.

use std::time::Duration;

use crate::clock::BootTime;
use crate::domain::{AttemptId, Doubt, Epoch, EventKind, RefreshToken, Refusal, Timestamp, UserId, said};
use crate::oauth::{NO_TOKEN, PostError, Reading, Tokens, read};
use crate::store::{Close, CommitIf, NewTokens, RESTORED, Result as Stored};
use crate::telemetry::{LoginLoss, Note, RefreshError};

use super::super::account::{Outcome, View};
use super::super::seal::Label;
use super::super::spool::Kept;
use super::super::validity::{Held, skew};
use super::super::{TokenError, Trouble};
use super::{Exchange, FIRST_RETRY, LONGEST_RETRY, Stalled, Subject, not_sent, times};

/// When a dead login is tried again, after its first refusal.
const TRIES: [Duration; 4] = [
    Duration::from_secs(15 * 60),
    Duration::from_secs(3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// An answer, and what it answers.
pub(super) struct Case<'a> {
    pub subject: &'a Subject,
    pub kept: Kept,
    pub login_ends: Option<Timestamp>,
    /// Set when an answer to this refresh token was lost before; what was seen then.
    pub lost: Option<String>,
    pub refusal: Option<Refusal>,
    pub commit_if: CommitIf,
    /// When the request was sent; `None`: an old answer, from the spool.
    pub sent_boot: Option<BootTime>,
}

impl Case<'_> {
    /// An old answer says nothing of the app as it is set up now.
    fn is_new(&self) -> bool {
        self.sent_boot.is_some()
    }
}

impl Exchange {
    pub(super) async fn unanswered(
        &self,
        subject: &Subject,
        view: &View,
        attempt: AttemptId,
        error: PostError,
        sent_at: Timestamp,
        stalled: Stalled<'_>,
    ) -> Outcome {
        let (close, outcome) = match error {
            PostError::NotSent(why) => {
                let reason = format!("Spotify's token endpoint can't be reached: {why}");
                (Close::Nothing, not_sent(reason, Trouble::Unreachable))
            }
            PostError::Lost(why) => {
                let reason = format!("the answer to a refresh was lost ({why})");
                self.doubt(subject, attempt, reason, sent_at)
            }
        };
        if let Outcome::NotSent(error) = &outcome {
            self.events.tell(EventKind::RefreshFailed, note(subject, attempt), error.to_string());
        }
        self.close((subject.user, view.epoch, attempt), &close, outcome, stalled).await
    }

    fn doubt(
        &self,
        subject: &Subject,
        attempt: AttemptId,
        reason: String,
        since: Timestamp,
    ) -> (Close, Outcome) {
        let message =
            format!("{reason}: whether Spotify replaced the refresh token is unknown; it is tried again");
        self.events.tell(EventKind::InDoubt, note(subject, attempt), message);
        let doubt = Doubt { since, owner: self.owner, reason: reason.clone() };
        (Close::Doubt(doubt), Outcome::Doubt(reason, since))
    }

    async fn close(
        &self,
        (user, epoch, attempt): (UserId, Epoch, AttemptId),
        close: &Close,
        outcome: Outcome,
        stalled: Stalled<'_>,
    ) -> Outcome {
        let closed =
            self.insist(stalled, None, || self.store.close_attempt(user, epoch, attempt, close)).await;
        if closed { outcome } else { Outcome::Superseded }
    }

    /// Steps 3 to 5 for an answer that is in the spool, if anything could be written there.
    pub(super) async fn conclude(
        &self,
        case: &Case<'_>,
        spooled: bool,
        stalled: Stalled<'_>,
    ) -> (Outcome, Option<RefreshError>) {
        let kept = &case.kept;
        let (app, name) = (&case.subject.app.name, &case.subject.name);
        let reading = read(&kept.answer, kept.received_at);
        if !matches!(reading, Reading::RateLimited(_)) && case.is_new() {
            self.gate.answered(app).await;
        }
        let (close, outcome, error) = match reading {
            Reading::Granted(tokens) => {
                let refresh_token = tokens.refresh_token.clone();
                let outcome = self.commit(case, refresh_token, Some(tokens), spooled, stalled).await;
                let lost = matches!(outcome, Outcome::Superseded).then_some(RefreshError::StoreError);
                return (outcome, lost);
            }
            // Only this may keep the login: the one that was sent may be spent.
            Reading::NewRefreshToken(new) if new != kept.refresh_token => {
                let outcome = self.commit(case, Some(new), None, spooled, stalled).await;
                return (outcome, Some(RefreshError::ProviderError));
            }
            Reading::NewRefreshToken(_) => self.unclear(case, NO_TOKEN),
            Reading::RateLimited(retry_after) => {
                // An old answer's wait is over, or was noted when it came.
                let until = match case.is_new() {
                    true => self.gate.hold(app, retry_after).await,
                    false => self.clock.now(),
                };
                let reason = format!("Spotify's rate limit holds the app until {until}");
                let retry_after = until.since(self.clock.now());
                let error = TokenError::Waiting { reason, retry_after, trouble: Trouble::RateLimited };
                (Close::Nothing, Outcome::NotSent(error), RefreshError::RateLimited)
            }
            Reading::ClientRefused(words) => {
                let reason = format!(
                    "Spotify refuses app {app}: {words}; check its client_id, auth and secret, then `longplay reload`"
                );
                self.refuse_app(case, &reason).await;
                (Close::Nothing, Outcome::ClientRefused(reason), RefreshError::ClientError)
            }
            Reading::RequestRefused(words) => {
                let reason = format!(
                    "Spotify refuses the token request of app {app}: {words}; check the app's settings"
                );
                self.refuse_app(case, &reason).await;
                (Close::Nothing, Outcome::ClientRefused(reason), RefreshError::ClientError)
            }
            Reading::GrantRefused { expired, description } => {
                self.accept_app(case, None).await;
                let over_age = expired || case.login_ends.is_some_and(|ends| ends <= self.clock.now());
                let refusal = self.refusal(case, over_age, &description);
                let news = case.refusal.is_none();
                let closed = Close::Refused(refusal.clone());
                let key = (kept.user, kept.epoch, kept.attempt);
                let outcome = self.close(key, &closed, Outcome::Refused(refusal), stalled).await;
                if let Outcome::Refused(refusal) = &outcome
                    && news
                {
                    self.metrics.login_lost(loss(case, over_age));
                    let message = format!("{name} must log in: {}", refusal.reason);
                    self.events.tell(EventKind::LoginLost, note(case.subject, kept.attempt), message);
                }
                return (outcome, Some(RefreshError::InvalidRefreshToken));
            }
            Reading::Unclear(what) => self.unclear(case, &what),
        };
        let key = (kept.user, kept.epoch, kept.attempt);
        (self.close(key, &close, outcome, stalled).await, Some(error))
    }

    fn unclear(&self, case: &Case<'_>, what: &str) -> (Close, Outcome, RefreshError) {
        let reason = format!("Spotify's token endpoint answered what proves nothing ({what})");
        let (close, outcome) = self.doubt(case.subject, case.kept.attempt, reason, case.kept.sent_at);
        (close, outcome, RefreshError::ProviderError)
    }

    /// Commits the next generation. `new`: the refresh token that the answer brought; the one that was sent stays where
    /// it brought none.
    async fn commit(
        &self,
        case: &Case<'_>,
        new: Option<RefreshToken>,
        tokens: Option<Tokens>,
        spooled: bool,
        stalled: Stalled<'_>,
    ) -> Outcome {
        let kept = &case.kept;
        let (user, epoch, generation) = (kept.user, kept.epoch, kept.sent.next());
        let rotated = new.as_ref().is_some_and(|token| *token != kept.refresh_token);
        let refresh_token = new.unwrap_or_else(|| kept.refresh_token.clone());
        let skew = skew(kept.answer.date.as_deref(), kept.sent_at, kept.received_at).unwrap_or(0);
        let access = tokens.as_ref().map(|t| (&t.access_token, times(kept.sent_at, t.lifetime, skew)));
        let held = self.vault.hold().await;
        let seal = |label, text: &str| self.vault.seal(label, text.as_bytes(), &self.random);
        let new = NewTokens {
            user,
            epoch,
            generation,
            refresh_token: seal(Label::Refresh(user, epoch, generation), refresh_token.expose()),
            access: access
                .map(|(token, times)| (seal(Label::Access(user, epoch, generation), token.expose()), times)),
            scope: tokens.as_ref().and_then(|tokens| tokens.scope.clone()),
            attempt: kept.attempt,
            cause: kept.cause,
        };
        let keep_trying = (!spooled).then_some(kept);
        let mut committed =
            self.insist(stalled, keep_trying, || self.store.commit_tokens(&new, case.commit_if)).await;
        if !committed && case.commit_if == CommitIf::AttemptHolds {
            // Whatever became of the attempt: while the store is not newer, this answer is the newest there is.
            let newest = CommitIf::NotNewerThan(kept.sent);
            committed = self.insist(stalled, keep_trying, || self.store.commit_tokens(&new, newest)).await;
        }
        drop(held);
        if !committed {
            return Outcome::Superseded;
        }
        self.accept_app(case, Some(rotated)).await;
        let (kind, what) = match (&access, rotated) {
            (None, _) => (EventKind::RefreshFailed, "a new refresh token, and was given no access token"),
            (_, true) => (EventKind::TokenRefreshed, "a new access token, with a new refresh token"),
            (_, false) => (EventKind::TokenRefreshed, "a new access token, the refresh token stays"),
        };
        let message = format!("{} has {what}", case.subject.name);
        self.events.tell(kind, note(case.subject, kept.attempt), message);
        let now = self.moment(skew);
        let held = |times| match case.sent_boot {
            Some(sent) => Held::received(times, sent, now),
            None => Held::read(times, now),
        };
        let view = Box::new(View {
            epoch,
            generation,
            client_matches: true,
            refresh_token,
            access: access.map(|(token, times)| (token.clone(), held(times))),
            born: (now.boot, Some(kept.cause)),
            on_record: None,
            login_ends: case.login_ends,
            doubt: None,
            refusal: None,
        });
        if view.access.is_some() { Outcome::Committed(view) } else { Outcome::Tokenless(view) }
    }

    async fn refuse_app(&self, case: &Case<'_>, reason: &str) {
        if case.is_new() {
            self.gate.refuse(&case.subject.app.name, reason).await;
        }
    }

    async fn accept_app(&self, case: &Case<'_>, rotated: Option<bool>) {
        if case.is_new() {
            self.gate.accept(&case.subject.app.name, rotated).await;
        }
    }

    fn refusal(&self, case: &Case<'_>, over_age: bool, description: &str) -> Refusal {
        let name = &case.subject.name;
        let now = self.clock.now();
        let (since, tries) = match &case.refusal {
            Some(earlier) => (earlier.since, earlier.tries + 1),
            None => (now, 0),
        };
        let next = TRIES.get(tries as usize).filter(|_| !over_age);
        let reason = match (&case.refusal, &case.lost) {
            (Some(earlier), _) => earlier.reason.clone(),
            (None, _) if over_age => {
                format!(
                    "the login is over: it has come to its age ({description}); run `longplay login {name}`"
                )
            }
            (None, Some(seen)) if seen == RESTORED => format!(
                "{RESTORED}, and Spotify refuses the refresh token that it has ({description}): run `longplay login {name}`"
            ),
            (None, Some(seen)) => format!(
                "an answer was lost, and Spotify had replaced the refresh token in it ({seen}; then: {description}): run `longplay login {name}`"
            ),
            (None, None) => format!("Spotify refuses the login ({description}): run `longplay login {name}`"),
        };
        // After a standstill the tries that were missed are not made in a row.
        Refusal { since, reason, tries, next_try_at: next.map(|after| (since + *after).max(now + TRIES[0])) }
    }

    /// Repeats a statement until the store answers; meanwhile tries the spool again, if `unspooled`.
    async fn insist<F>(
        &self,
        stalled: Stalled<'_>,
        mut unspooled: Option<&Kept>,
        work: impl Fn() -> F,
    ) -> bool
    where
        F: Future<Output = Stored<bool>>,
    {
        let mut pause = FIRST_RETRY;
        loop {
            match work().await {
                Ok(done) => return done,
                Err(error) => {
                    tracing::warn!("the outcome of a refresh waits for the store: {}", said(&error));
                    stalled(said(&error));
                }
            }
            if let Some(kept) = unspooled
                && self.spool.keep(kept).await.is_ok()
            {
                unspooled = None;
            }
            self.clock.sleep(self.random.jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }
}

fn loss(case: &Case<'_>, over_age: bool) -> LoginLoss {
    match &case.lost {
        _ if over_age => LoginLoss::Expired,
        Some(seen) if seen == RESTORED => LoginLoss::StoreRestored,
        Some(_) => LoginLoss::AnswerLost,
        None => LoginLoss::Revoked,
    }
}

fn note(subject: &Subject, attempt: AttemptId) -> Note {
    Note { attempt: Some(attempt), ..Note::of(&subject.name, &subject.app.name) }
}
