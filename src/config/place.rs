//! Where a process finds its configuration, and the paths that hold where the configuration names none. Everything
//! that a load depends on besides files is in [`Place`].

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Fault;

/// Below `/`.
const SYSTEM_FILE: &str = "etc/longplay/longplay.toml";

/// The credentials that the service's unit names by itself; others come by drop-ins, and are found while it runs.
pub const LOADED: [&str; 4] = ["token-key", "token-key-old", "store-url", "app-default-secret"];

/// The surroundings that a configuration is loaded in.
#[derive(Clone)]
pub struct Place {
    /// What `--config` named.
    pub config: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Whether the process is root.
    pub root: bool,
    /// The file of the system's own daemon, `/etc/longplay/longplay.toml`.
    pub system_file: PathBuf,
}

/// The paths that hold where the configuration names none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Defaults {
    /// The main file, which need not exist; `conf.d` is beside it, and relative paths start from its folder.
    pub file: PathBuf,
    pub state_dir: PathBuf,
    /// `None`: `control.sock` in the state directory, wherever that is.
    pub socket: Option<PathBuf>,
}

impl Place {
    /// The surroundings of this process, with the file that `--config` named.
    pub fn of_process(config: Option<PathBuf>) -> Self {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        Self {
            // So that relative paths in the file don't depend on the working directory.
            config: config.map(|file| std::path::absolute(&file).unwrap_or(file)),
            env: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            root: rustix::process::geteuid().is_root(),
            system_file: Path::new("/").join(SYSTEM_FILE),
        }
    }

    /// A variable that names something: set, and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of the colon-separated folders that systemd puts into `name`.
    fn systemd_dir(&self, name: &str) -> Option<PathBuf> {
        self.var(name)?.split(':').next().map(PathBuf::from).filter(|dir| dir.is_absolute())
    }

    /// An XDG base directory. Its specification has relative ones ignored.
    fn xdg(&self, name: &str, below_home: Option<&str>) -> Option<PathBuf> {
        let absolute = |name| self.var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute(name).or_else(|| Some(absolute("HOME")?.join(below_home?)))
    }

    /// Where a credential is (systemd.exec(5)): in the folder that systemd names; for root's commands, to whom it names
    /// none, where the service has it from, so that they work on the same store with the same key.
    pub(super) fn credential(&self, name: &str) -> Option<PathBuf> {
        let places = match self.var("CREDENTIALS_DIRECTORY") {
            Some(dir) => vec![Path::new(dir).join(name)],
            None => {
                let root = self.services_root()?;
                let stored = |dir| root.join(dir).join(format!("longplay.{name}"));
                let in_use = root.join("run/credentials/longplay.service").join(name);
                match LOADED.contains(&name) {
                    true => vec![stored("etc/credstore"), stored("run/credstore"), in_use],
                    false => vec![in_use],
                }
            }
        };
        places.into_iter().find(|path| exists(path))
    }

    /// What `/` is to the configuration of the system's own daemon, where this is a command of root's on it.
    fn services_root(&self) -> Option<&Path> {
        let its_own = self.config.as_ref().is_none_or(|file| *file == self.system_file);
        let services = self.root && its_own && self.system_file.ends_with(SYSTEM_FILE);
        self.system_file.ancestors().nth(3).filter(|_| services)
    }

    /// Whether the configuration is the one of the system's own daemon, whose credentials this process may not see.
    pub fn lacks_credentials(&self) -> bool {
        let services = self.defaults().file == self.system_file && exists(&self.system_file);
        services && !self.root && self.var("CREDENTIALS_DIRECTORY").is_none()
    }

    pub(super) fn defaults(&self) -> Defaults {
        let state_directory = self.systemd_dir("STATE_DIRECTORY");
        let systems = self.root || state_directory.is_some() || exists(&self.system_file);
        let xdg = || {
            let config = self.xdg("XDG_CONFIG_HOME", Some(".config"))?;
            let state_dir = self.xdg("XDG_STATE_HOME", Some(".local/state"))?.join("longplay");
            let socket = self.xdg("XDG_RUNTIME_DIR", None).map(|dir| dir.join("longplay/control.sock"));
            Some(Defaults { file: config.join("longplay/longplay.toml"), state_dir, socket })
        };
        let mut defaults = if systems { None } else { xdg() }.unwrap_or_else(|| Defaults {
            file: self.system_file.clone(),
            state_dir: state_directory.unwrap_or_else(|| "/var/lib/longplay".into()),
            socket: Some("/run/longplay/control.sock".into()),
        });
        if let Some(dir) = self.systemd_dir("RUNTIME_DIRECTORY") {
            defaults.socket = Some(dir.join("control.sock"));
        }
        if let Some(file) = &self.config {
            defaults.file.clone_from(file);
        }
        defaults
    }

    /// The fault of a `--config` that names no file.
    pub(super) fn missing_file(&self) -> Option<Fault> {
        let file = self.config.as_deref().filter(|file| !exists(file))?;
        Some(Fault {
            file: file.display().to_string(),
            key: String::new(),
            got: "no such file".into(),
            accepted: "--config with a file that exists".into(),
        })
    }
}

/// Whether there is a file, be it one that this process may not look at.
pub(super) fn exists(path: &Path) -> bool {
    !matches!(path.metadata(), Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}
