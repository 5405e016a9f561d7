//! What other daemons on the same store announce, brought to whoever must know it. Announcements may be lost with the
//! connection; then, and from time to time anyway, what changed is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::control::Service;
use crate::domain::{AppName, UserId, said};
use crate::store::{Announcement, Store};
use crate::tokens::News;

/// How soon the store is listened to again after that failed.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// What was heard and not yet acted upon; a thousand announcements of one thing are one.
#[derive(Default)]
struct Heard {
    everything: bool,
    users: bool,
    apps: BTreeSet<AppName>,
    grants: BTreeMap<UserId, Vec<News>>,
}

impl Heard {
    fn take_in(&mut self, announcement: Announcement) {
        match announcement {
            Announcement::Listening => self.everything = true,
            Announcement::Users => self.users = true,
            Announcement::App(app) => drop(self.apps.insert(app)),
            Announcement::Tokens(user, generation) => self.grant(user, News::Generation(generation)),
            Announcement::Refused(user, tries) => self.grant(user, News::Refused(tries)),
        }
    }

    /// The newest generation and the newest refusal are all there is to know.
    fn grant(&mut self, user: UserId, news: News) {
        let known = self.grants.entry(user).or_default();
        known.retain(|old| std::mem::discriminant(old) != std::mem::discriminant(&news));
        known.push(news);
    }
}

/// Listens for as long as the daemon lives; ends at once where nobody else can be on the store. `lost` is set when a
/// connection that stood is lost: the server may have been away for a moment, and have come back without its last commits.
pub fn start(service: Service, store: Arc<dyn Store>, clock: Arc<dyn Clock>, lost: Arc<AtomicBool>) {
    let (heard, more) = (Arc::new(Mutex::new(Heard::default())), Arc::new(Notify::new()));
    let acting = tokio::spawn(act(service, Arc::clone(&heard), Arc::clone(&more)));
    tokio::spawn(async move {
        let stood = AtomicBool::new(false);
        let tell = |announcement| {
            stood.store(true, Ordering::SeqCst);
            heard.lock().unwrap_or_else(PoisonError::into_inner).take_in(announcement);
            more.notify_one();
        };
        while let Err(error) = store.listen(&tell).await {
            tracing::debug!("other daemons are not heard: {}", said(&error));
            lost.fetch_or(stood.swap(false, Ordering::SeqCst), Ordering::SeqCst);
            clock.sleep(LISTEN_AGAIN).await;
        }
        acting.abort();
    });
}

async fn act(service: Service, heard: Arc<Mutex<Heard>>, more: Arc<Notify>) {
    loop {
        more.notified().await;
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        if heard.everything {
            service.reread_everything().await;
            continue;
        }
        if heard.users
            && let Err(problem) = service.refresh_users().await
        {
            tracing::debug!("users are not read: {}", problem.detail);
        }
        for app in &heard.apps {
            service.reread_app(app).await;
        }
        for (user, news) in heard.grants {
            for news in news {
                service.heard(user, news).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Generation;

    #[test]
    fn of_many_announcements_the_newest_of_each_kind_is_kept() {
        let mut heard = Heard::default();
        let user = UserId(7);
        for n in 0..1_000 {
            heard.take_in(Announcement::Tokens(user, Generation(n)));
            heard.take_in(Announcement::Users);
            heard.take_in(Announcement::App("default".parse().unwrap()));
        }
        heard.take_in(Announcement::Refused(user, 1));
        assert!(heard.users && !heard.everything);
        assert_eq!(heard.apps.len(), 1);
        let news = [News::Generation(Generation(999)), News::Refused(1)];
        assert_eq!(heard.grants.into_iter().collect::<Vec<_>>(), [(user, news.to_vec())]);
    }
}
