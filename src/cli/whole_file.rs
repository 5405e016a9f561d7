//! A file that is there whole or not at all: written beside its place without a name, synced, and only then named. What
//! was there before is untouched until then, and a process that is killed leaves nothing. Its owner alone may read it.
//!
//! A thread of its own does that: it stays who ran the command, while the command becomes whoever owns the archive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::fs::{AtFlags, CWD, OFlags, linkat};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::exit::CliError;

/// How many pieces wait to be written.
const ON_THE_WAY: usize = 4;

enum Order {
    Write(Vec<u8>),
    Finish,
}

/// A file that is being written. Dropped before it is finished, it never was.
pub struct WholeFile {
    path: PathBuf,
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl WholeFile {
    /// Begins it; where something that is no ordinary file is there (a pipe, a device), that is written to as it is.
    pub fn create(path: &Path) -> Result<Self, CliError> {
        let (opened, is_open) = sync_channel(1);
        let (orders, received) = sync_channel(ON_THE_WAY);
        let place = path.to_owned();
        let thread = std::thread::spawn(move || match Draft::open(&place) {
            Ok(draft) => {
                let _ = opened.send(Ok(()));
                draft.follow(&received)
            }
            Err(error) => {
                let _ = opened.send(Err(error));
                Ok(())
            }
        });
        let file = Self { path: path.to_owned(), orders: Some(orders), thread: Some(thread) };
        match is_open.recv() {
            Ok(Ok(())) => Ok(file),
            Ok(Err(error)) => Err(file.error(&error)),
            Err(_) => Err(file.error(&io::Error::other("its writer ended"))),
        }
    }

    /// Writes on.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.order(Order::Write(bytes.to_vec()))
    }

    /// Makes it durable and puts it in its place.
    pub fn finish(mut self) -> Result<(), CliError> {
        self.order(Order::Finish)?;
        self.ended()
    }

    fn order(&mut self, order: Order) -> Result<(), CliError> {
        match self.orders.as_ref().map(|orders| orders.send(order)) {
            Some(Ok(())) => Ok(()),
            // The writer says why it takes no more.
            _ => self.ended().and_then(|()| Err(self.error(&io::Error::other("its writer ended")))),
        }
    }

    fn ended(&mut self) -> Result<(), CliError> {
        drop(self.orders.take());
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(outcome)) => outcome.map_err(|error| self.error(&error)),
            Some(Err(_)) | None => Err(self.error(&io::Error::other("its writer broke off"))),
        }
    }

    fn error(&self, error: &io::Error) -> CliError {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return io::Error::from(io::ErrorKind::BrokenPipe).into();
        }
        CliError::failed(format!("writing {}: {error}", self.path.display()))
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say that anybody waits for.
            let _ = thread.join();
        }
    }
}

/// What is written before it has its name.
struct Draft {
    file: File,
    goal: Goal,
}

enum Goal {
    /// Something that is no ordinary file: there is nothing to put in its place.
    AsItIs,
    /// A file without a name, and where it goes.
    Unnamed(PathBuf),
    /// The same where the filesystem has no files without names.
    Named { draft: PathBuf, path: PathBuf },
}

impl Draft {
    fn open(path: &Path) -> io::Result<Self> {
        // What a link leads to is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&path) {
            Ok(there) if there.is_dir() => return Err(io::Error::other("it is a folder: name a file")),
            Ok(there) if !there.is_file() => {
                return Ok(Self { file: OpenOptions::new().write(true).open(&path)?, goal: Goal::AsItIs });
            }
            _ => {}
        }
        let flags = i32::try_from(OFlags::TMPFILE.bits()).unwrap_or_default();
        match OpenOptions::new().write(true).mode(0o600).custom_flags(flags).open(folder(&path)) {
            Ok(file) => Ok(Self { file, goal: Goal::Unnamed(path) }),
            // EISDIR of kernels, EOPNOTSUPP of filesystems that don't know of it.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::Unsupported) =>
            {
                Self::named(path)
            }
            Err(error) => Err(error),
        }
    }

    fn named(path: PathBuf) -> io::Result<Self> {
        let draft = beside(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        remove_on_signal(draft.clone())?;
        Ok(Self { file, goal: Goal::Named { draft, path } })
    }

    fn follow(mut self, orders: &Receiver<Order>) -> io::Result<()> {
        let mut last = Ok(());
        while last.is_ok() {
            match orders.recv() {
                Ok(Order::Write(bytes)) => last = self.file.write_all(&bytes),
                Ok(Order::Finish) => return self.put(),
                // Whoever gave orders gave up.
                Err(_) => break,
            }
        }
        if let Goal::Named { draft, .. } = &self.goal {
            let _ = fs::remove_file(draft);
        }
        last
    }

    fn put(self) -> io::Result<()> {
        let path = match &self.goal {
            Goal::AsItIs => return Ok(()),
            Goal::Unnamed(path) | Goal::Named { path, .. } => path,
        };
        let placed = self.file.sync_all().and_then(|()| match &self.goal {
            Goal::Named { draft, .. } => fs::rename(draft, path),
            _ => self.name(path),
        });
        if let (Err(_), Goal::Named { draft, .. }) = (&placed, &self.goal) {
            let _ = fs::remove_file(draft);
        }
        placed?;
        File::open(folder(path))?.sync_all()
    }

    /// A link can't replace a file, and so the name in between is that of what is whole already.
    fn name(&self, path: &Path) -> io::Result<()> {
        let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let link = |name: &Path| linkat(CWD, &*unnamed, CWD, name, AtFlags::SYMLINK_FOLLOW);
        match link(path) {
            Err(rustix::io::Errno::EXIST) => {
                let between = beside(path);
                link(&between)?;
                fs::rename(&between, path).inspect_err(|_| drop(fs::remove_file(&between)))
            }
            linked => Ok(linked?),
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder(path).join(format!(".{name}.{}.part", std::process::id()))
}

/// What is ignored stays ignored: `nohup` wants it so.
fn remove_on_signal(draft: PathBuf) -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let heeded = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(&status, *signal));
    let mut signals = Signals::new(heeded)?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _ = fs::remove_file(&draft);
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}

/// Whether the process ignores a signal, by what the kernel says of it (proc_pid_status(5)).
fn is_ignored(status: &str, signal: i32) -> bool {
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigIgn:"));
    let mask = masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).next().unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_only_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for text in ["one", "another"] {
            let before = fs::read(&path).ok();
            let mut file = WholeFile::create(&path).unwrap();
            file.write(text.as_bytes()).unwrap();
            assert_eq!(fs::read(&path).ok(), before);
            file.finish().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(names(folder.path()), ["a"]);
        }
    }

    #[test]
    fn what_is_given_up_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn where_no_file_is_without_a_name_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        for (orders, text) in [(vec![Order::Write(b"new".to_vec())], "old"), (vec![Order::Finish], "")] {
            let (give, take) = sync_channel(9);
            orders.into_iter().for_each(|order| give.send(order).unwrap());
            drop(give);
            Draft::named(path.clone()).unwrap().follow(&take).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(folder.path()), ["a"]);
        }
    }

    #[test]
    fn a_signal_that_is_ignored_is_known_from_what_the_kernel_says() {
        let nohup = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";
        assert!(is_ignored(nohup, SIGHUP));
        assert!(!is_ignored(nohup, SIGINT) && !is_ignored(nohup, SIGTERM) && !is_ignored("", SIGHUP));
    }

    #[test]
    fn a_link_stays_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        fs::write(at("real"), "old").unwrap();
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        WholeFile::create(&at("link")).unwrap().finish().unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(at("real")).unwrap(), "");
        let mut null = WholeFile::create(Path::new("/dev/null")).unwrap();
        null.write(b"x").unwrap();
        null.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_folder_and_a_missing_one_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (path, why) in
            [(folder.path().to_owned(), "is a folder"), (folder.path().join("no/a"), "No such file")]
        {
            let error = WholeFile::create(&path).err().unwrap();
            assert!(
                error.lines[0].contains(why) && error.lines[0].contains(&*path.to_string_lossy()),
                "{error:?}"
            );
        }
    }
}
