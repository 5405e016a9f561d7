//! The only place that knows tokio-cron-scheduler (0.15.1, pinned: this relies on its source). It ticks every half
//! second, asks our storage what is due, and sends each job through broadcast channels to its runner, which asks our
//! code for what to do. Every user is a job, and so is each periodic work; nothing is ever added to the library or
//! removed from it. It drops firings when a channel overflows: the plan limits what is on its way, and repeats.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::RwLock;
use tokio_cron_scheduler::job::job_data::{JobAndNextTick, JobStoredData, JobType};
use tokio_cron_scheduler::store::{DataStore, InitStore, MetaDataStorage};
use tokio_cron_scheduler::{
    Context, JobCode, JobScheduler, JobSchedulerError, JobToRunAsync, PinnedGetFuture,
    SimpleNotificationCode, SimpleNotificationStore, ToCode,
};
use uuid::Uuid;

use super::Core;
use super::plan::Job;
use crate::domain::UserId;

/// What each of the library's ten channels holds; in all they take 4 MB.
const CHANNEL: usize = 4096;
/// How many users may be on their way at a time: each sends up to three messages through one channel. With a tick of
/// half a second that is 2,048 users a second.
const ON_THEIR_WAY: usize = CHANNEL / 4;

/// The running library.
#[derive(Clone)]
pub struct Library(JobScheduler);

impl Library {
    /// Lets the library tick.
    pub async fn start(core: Arc<Core>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new_with_storage_and_code(
            Box::new(Storage(Arc::clone(&core))),
            Box::new(SimpleNotificationStore::default()),
            Box::new(Code::new(core)),
            Box::new(SimpleNotificationCode::default()),
            CHANNEL,
        )
        .await?;
        scheduler.start().await?;
        Ok(Self(scheduler))
    }

    /// Ends its ticking within half a second. Its listeners live on with the runtime, since they own each other's
    /// channels; they hear nothing any more.
    pub async fn stop(&self) {
        // Fails only in a shutdown handler, and none is set.
        let _ = self.0.clone().shutdown().await;
    }
}

// Ids say what they are of, so that no table of them is needed; to the library they are sixteen bytes.
const USER: u64 = 0x6c6f_6e67_706c_8001;
const WORK: u64 = 0x6c6f_6e67_706c_8002;

fn id_of(job: Job) -> Uuid {
    match job {
        Job::User(user) => Uuid::from_u64_pair(USER, user.0.cast_unsigned()),
        Job::Work(number) => Uuid::from_u64_pair(WORK, number as u64),
    }
}

fn job_of(id: Uuid) -> Option<Job> {
    match id.as_u64_pair() {
        (USER, user) => Some(Job::User(UserId(user.cast_signed()))),
        (WORK, number) => usize::try_from(number).ok().map(Job::Work),
        _ => None,
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, JobSchedulerError>> + Send>>;

fn answer<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(ready(Ok(value)))
}

/// The storage that the library asks what is due.
struct Storage(Arc<Core>);

impl MetaDataStorage for Storage {
    fn list_next_ticks(&mut self) -> Answer<Vec<JobAndNextTick>> {
        // The library compares with the host's wall clock; what we list is due by our own, so it was due long ago.
        let due = |job| JobAndNextTick {
            id: Some(id_of(job).into()),
            job_type: JobType::OneShot.into(),
            next_tick: 1,
            last_tick: None,
        };
        answer(self.0.hand_out(ON_THEIR_WAY).into_iter().map(due).collect())
    }

    fn set_next_and_last_tick(
        &mut self,
        _: Uuid,
        _: Option<DateTime<Utc>>,
        _: Option<DateTime<Utc>>,
    ) -> Answer<()> {
        answer(())
    }

    fn time_till_next_job(&mut self) -> Answer<Option<Duration>> {
        answer(None)
    }
}

impl DataStore<JobStoredData> for Storage {
    /// A stub without a schedule, for the library to shift: were there none, it would log an error for each firing.
    fn get(&mut self, id: Uuid) -> Answer<Option<JobStoredData>> {
        answer(Some(JobStoredData {
            id: Some(id.into()),
            last_updated: None,
            last_tick: None,
            next_tick: 0,
            job_type: JobType::OneShot.into(),
            count: 0,
            extra: Vec::new(),
            ran: false,
            stopped: false,
            job: None,
            time_offset_seconds: 0,
        }))
    }

    fn add_or_update(&mut self, _: JobStoredData) -> Answer<()> {
        Box::pin(ready(Err(JobSchedulerError::CantAdd)))
    }

    fn delete(&mut self, _: Uuid) -> Answer<()> {
        Box::pin(ready(Err(JobSchedulerError::CantRemove)))
    }
}

impl InitStore for Storage {
    fn init(&mut self) -> Answer<()> {
        answer(())
    }

    fn inited(&mut self) -> Answer<bool> {
        answer(true)
    }
}

/// One piece of code for all jobs: the id tells them apart.
struct Code(Arc<RwLock<Box<JobToRunAsync>>>);

impl Code {
    fn new(core: Arc<Core>) -> Self {
        let run: Box<JobToRunAsync> = Box::new(move |id, _| {
            let core = Arc::clone(&core);
            // All in the future, which is spawned: a panic outside it would end the library's only runner.
            Box::pin(async move {
                if let Some(work) = job_of(id).and_then(|job| core.deliver(job)) {
                    work.await;
                }
            })
        });
        Self(Arc::new(RwLock::new(run)))
    }
}

impl ToCode<Box<JobToRunAsync>> for Code {
    fn init(&mut self, _: &Context) -> Answer<()> {
        answer(())
    }

    fn get(&mut self, _: Uuid) -> PinnedGetFuture<Box<JobToRunAsync>> {
        answer(Some(Arc::clone(&self.0)))
    }
}

impl JobCode for Code {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_which_job_it_is_of() {
        let users = [0, 1, -1, i64::MIN, i64::MAX].map(|user| Job::User(UserId(user)));
        let works = [0, 1, usize::MAX].map(Job::Work);
        for job in users.into_iter().chain(works) {
            assert_eq!(job_of(id_of(job)), Some(job));
        }
        assert_eq!(job_of(Uuid::from_u128(u128::MAX / 3)), None);
    }
}
