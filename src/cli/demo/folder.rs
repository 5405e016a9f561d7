//! The demo's temporary folder: private, and gone when the demo ends, however it ends.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CliError;
use crate::config::Place;
use crate::random::Random;

/// The longest path of a Unix socket (unix(7)).
const SOCKET_PATH_LIMIT: usize = 107;

/// Removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one (0700) where `TMPDIR` says.
    ///
    /// # Errors
    /// Where it can't be made, or its path is too long for a socket in it.
    pub fn create(place: &Place, random: &Random) -> Result<Self, CliError> {
        let cure = "set TMPDIR to another folder, such as /tmp";
        let parent = std::path::absolute(place.var("TMPDIR").unwrap_or("/tmp"));
        let name = format!("longplay-demo-{:08x}", u32::from_le_bytes(random.bytes()));
        let path = parent.map(|parent| parent.join(name)).map_err(|e| CliError::failed(e.to_string()))?;
        let folder = path.display();
        if socket(&path).as_os_str().len() > SOCKET_PATH_LIMIT {
            let why = format!("its path is too long for a socket in it, {SOCKET_PATH_LIMIT} bytes at most");
            return Err(CliError::failed(format!("the temporary folder {folder}: {why}; {cure}")));
        }
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| {
            CliError::failed(format!("the temporary folder {folder} can't be made: {e}; {cure}"))
        })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the configuration into it; answers the file.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write_config(&self, config: &impl Serialize) -> Result<PathBuf, CliError> {
        let file = self.0.join("longplay.toml");
        let text = toml::to_string(config)
            .map_err(|e| CliError::failed(format!("the demo's configuration: {e}")))?;
        fs::write(&file, text).map_err(|e| CliError::failed(format!("writing {}: {e}", file.display())))?;
        Ok(file)
    }

    /// Removes it.
    ///
    /// # Errors
    /// Where something of it stays.
    pub fn remove(self) -> Result<(), CliError> {
        fs::remove_dir_all(&self.0).map_err(|e| {
            CliError::failed(format!("{} can't be removed: {e}; remove it yourself", self.0.display()))
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Most often it is gone by now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The control socket in this folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn create(parent: &Path) -> Result<Folder, CliError> {
        let env = [("TMPDIR".to_owned(), parent.display().to_string())].into();
        let place = Place { config: None, env, root: false, system_file: "/nowhere".into() };
        Folder::create(&place, &Random::seeded(1))
    }

    #[test]
    fn the_folder_is_private_and_goes_however_the_demo_ends() {
        let parent = tempfile::tempdir().unwrap();
        let folder = create(parent.path()).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        folder.write_config(&serde_json::json!({"store": {"state_dir": path}})).unwrap();
        drop(folder);
        assert!(!path.exists());
        create(parent.path()).unwrap().remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_of_others_is_never_taken() {
        let parent = tempfile::tempdir().unwrap();
        let first = create(parent.path()).unwrap();
        let error = create(parent.path()).unwrap_err();
        assert!(error.lines[0].contains("TMPDIR"), "{error:?}");
        assert!(first.path().exists());
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_said_with_its_cure() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("x".repeat(90));
        fs::create_dir(&long).unwrap();
        let error = create(&long).unwrap_err();
        assert!(error.lines[0].contains("107") && error.lines[0].contains("TMPDIR"), "{error:?}");
        assert_eq!(fs::read_dir(long).unwrap().count(), 0);
    }
}
