//! How a command ends: the exit codes that scripts rely on, and errors with their lines for people.

use crate::config::Faults;
use crate::control::api::{Problem, Word};
use crate::control::client::ClientError;
use crate::domain::{RunResult, UserName, said};

use super::{connect, output};

/// An exit code. Of several users' outcomes the highest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The daemon or the store can't be reached.
    Unavailable = 69,
    /// Try again later.
    TryLater = 75,
    /// The user must log in.
    NeedsLogin = 77,
    /// The configuration is wrong.
    Configuration = 78,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// How a run's result counts; `None` for a blocked or paused user, who only counts where there are no others.
    pub fn of_run(result: RunResult) -> Option<Self> {
        match result {
            RunResult::Ok | RunResult::Partial => Some(Self::Done),
            RunResult::NeedsLogin => Some(Self::NeedsLogin),
            RunResult::Blocked => None,
            RunResult::RateLimited
            | RunResult::Unreachable
            | RunResult::BadAnswer
            | RunResult::StoreError
            | RunResult::Cancelled => Some(Self::TryLater),
        }
    }

    /// How a refusal of the daemon counts.
    pub fn of_problem(problem: &Problem) -> Self {
        match problem.word() {
            Some(Word::NeedsLogin) => Self::NeedsLogin,
            Some(Word::Waiting | Word::InDoubt | Word::Store | Word::Stopping) => Self::TryLater,
            Some(Word::ValidForTooLong | Word::BadRequest) => Self::Usage,
            Some(Word::Configuration) => Self::Configuration,
            _ if problem.status == 503 => Self::TryLater,
            _ => Self::Failed,
        }
    }
}

/// Why a command failed: its exit code, and a line for each error, with the cure.
#[derive(Debug, PartialEq, Eq)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What standard error is told.
    pub lines: Vec<String>,
}

impl CliError {
    /// With one line.
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, lines: vec![line.into()] }
    }

    /// An ordinary failure.
    pub fn failed(line: impl Into<String>) -> Self {
        Self::new(Exit::Failed, line)
    }

    /// A command line that can't be followed.
    pub fn usage(line: impl Into<String>) -> Self {
        Self::new(Exit::Usage, line)
    }

    /// Says it on standard error.
    pub fn print(&self) {
        for line in &self.lines {
            output::error(line);
        }
    }

    /// The same, each line saying whom it is about.
    pub fn about(mut self, user: &UserName) -> Self {
        self.lines = self.lines.iter().map(|line| about(user, line)).collect();
        self
    }
}

impl From<Faults> for CliError {
    fn from(faults: Faults) -> Self {
        let lines = faults.0.iter().map(ToString::to_string).collect();
        Self { exit: Exit::Configuration, lines }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoDaemon(_) => {
                let cure = "start it with `systemctl start longplay` or `longplay serve`";
                Self::new(Exit::Unavailable, format!("{error}: {cure}"))
            }
            ClientError::NotPermitted(ref socket) => {
                Self::new(Exit::Unavailable, format!("{error}: {}", connect::permission(socket)))
            }
            ClientError::Problem(problem) => Self::from(*problem),
            ClientError::Lost { .. } => Self::new(Exit::Unavailable, said(&error)),
        }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let exit = Exit::of_problem(&problem);
        if !problem.faults.is_empty() {
            return Self { exit, lines: problem.faults };
        }
        let mut line = problem.detail;
        if let Some(seconds) = problem.retry_after.filter(|seconds| *seconds > 0) {
            let wait = humantime::format_duration(std::time::Duration::from_secs(seconds));
            line.push_str(&format!(" (worth trying again in {wait})"));
        }
        Self::new(exit, line)
    }
}

impl From<std::io::Error> for CliError {
    /// Of writing what the command prints: nobody reading on is no failure.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, lines: Vec::new() };
        }
        Self::failed(format!("writing to standard output: {error}"))
    }
}

/// A line about a user, which may say so itself.
pub fn about(user: &UserName, line: &str) -> String {
    match line.strip_prefix(user.as_str()).is_some_and(|rest| rest.starts_with([' ', ':'])) {
        true => line.to_owned(),
        false => format!("{user}: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, status: u16) -> Problem {
        Problem {
            kind: format!("urn:longplay:{kind}"),
            title: kind.to_owned(),
            status,
            detail: "it is so".to_owned(),
            retry_after: None,
            faults: Vec::new(),
            result: None,
        }
    }

    #[test]
    fn every_problem_has_its_exit_code() {
        let codes = [
            ("needs_login", 77),
            ("waiting", 75),
            ("in_doubt", 75),
            ("store", 75),
            ("stopping", 75),
            ("blocked", 1),
            ("paused", 1),
            ("fresh_rejected", 1),
            ("unknown_user", 1),
            ("file_user", 1),
            ("exists", 1),
            ("valid_for_too_long", 2),
            ("bad_request", 2),
            ("configuration", 78),
        ];
        for (kind, code) in codes {
            assert_eq!(CliError::from(problem(kind, 409)).exit.code(), code, "{kind}");
        }
        assert_eq!(Exit::of_problem(&problem("of_tomorrow", 503)), Exit::TryLater);
        assert_eq!(Exit::of_problem(&problem("of_tomorrow", 409)), Exit::Failed);
    }

    #[test]
    fn every_result_of_a_run_has_its_exit_code() {
        let code = |result| Exit::of_run(result).map(Exit::code);
        let later = [RunResult::RateLimited, RunResult::Unreachable, RunResult::BadAnswer];
        assert!(later.into_iter().all(|result| code(result) == Some(75)));
        assert_eq!(code(RunResult::Partial), Some(0));
        assert_eq!(code(RunResult::NeedsLogin), Some(77));
        assert_eq!(code(RunResult::Blocked), None);
    }

    #[test]
    fn a_refused_configuration_is_said_fault_by_fault() {
        let faults = vec!["a: got 1".to_owned(), "b: got 2".to_owned()];
        let error = CliError::from(Problem { faults: faults.clone(), ..problem("configuration", 422) });
        assert_eq!(error.lines, faults);
    }

    #[test]
    fn when_to_try_again_is_said() {
        let error = CliError::from(Problem { retry_after: Some(90), ..problem("waiting", 503) });
        assert_eq!(error.lines, ["it is so (worth trying again in 1m 30s)"]);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error = CliError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((error.exit, error.lines), (Exit::Done, Vec::new()));
        let error = CliError::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.exit, Exit::Failed);
    }

    #[test]
    fn whom_a_line_is_about_is_said_once() {
        let user: UserName = "al".parse().unwrap();
        assert_eq!(about(&user, "al is paused"), "al is paused");
        assert_eq!(about(&user, "alice is paused"), "al: alice is paused");
    }

    #[test]
    fn a_socket_of_others_is_a_matter_of_its_group() {
        let error = CliError::from(ClientError::NotPermitted("/proc/1/nothing/here".into()));
        assert_eq!(error.exit.code(), 69);
        assert!(error.lines[0].contains("/here: join its group"), "{error:?}");
    }

    #[test]
    fn a_lost_answer_is_said_with_its_causes() {
        let error = ClientError::Lost { doing: "GET /v1/users".to_owned(), source: "reset".into() };
        let error = CliError::from(error);
        assert_eq!((error.exit.code(), error.lines), (69, vec!["GET /v1/users failed: reset".to_owned()]));
    }
}
