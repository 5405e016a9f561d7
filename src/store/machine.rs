//! What a file lies on, as far as the host tells: when it was made, its inode, and whose machine it is.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use std::os::unix::fs::MetadataExt as _;

use sha2::{Digest as _, Sha256};

use super::home::Home;

/// Filesystems whose inodes may be others after a remount (linux/magic.h): FUSE, CIFS, SMB2, 9p, VirtualBox's, overlays,
/// FAT, exFAT.
const NUMBERED_ANEW: [u32; 8] =
    [0x6573_5546, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x786f_4256, 0x794c_7630, 0x0000_4d44, 0x2011_bab0];
/// Filesystems that a reboot empties: tmpfs, ramfs.
const EMPTIED: [u32; 2] = [0x0102_1994, 0x8584_58f6];
const MACHINE_ID: &str = "/etc/machine-id";

/// What a SQLite file on this machine lives on.
///
/// # Errors
/// Where the file can't be looked at.
pub fn home_of(path: &Path, machine: Option<&str>) -> io::Result<Home> {
    let file = fs::metadata(path)?;
    // Some filesystems say 1970 for what they don't know.
    let born =
        file.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).filter(|at| !at.is_zero());
    let lasting = !lies_on(path, &NUMBERED_ANEW);
    Ok(Home::Sqlite {
        born: born.map(|at| at.as_nanos().to_string()),
        inode: lasting.then(|| file.ino()),
        machine: machine.map(str::to_owned),
    })
}

fn lies_on(path: &Path, kinds: &[u32]) -> bool {
    let kind = rustix::fs::statfs(path).map(|of| of.f_type).unwrap_or_default();
    // The magic numbers have 32 bits, whatever the type of the field is here.
    kinds.iter().any(|number| i64::from(*number) == kind as i64 & 0xffff_ffff)
}

/// This machine, by a digest of its id (machine-id(5) asks not to show the id itself); `None` where it has none.
pub fn machine() -> Option<String> {
    let contained = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"]
        .iter()
        .any(|mark| Path::new(mark).exists())
        || std::env::var_os("container").is_some()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let passing = lies_on(Path::new(MACHINE_ID), &EMPTIED);
    machine_of(fs::read_to_string(MACHINE_ID).ok().as_deref(), contained || passing)
}

/// A container's id is the image's, or made at each start, and one in memory is made at each boot (machine-id(5)): they
/// say nothing of where the files are.
fn machine_of(id: Option<&str>, passing: bool) -> Option<String> {
    let id = id?.trim();
    if passing || id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digest = Sha256::new().chain_update(b"longplay machine").chain_update(id).finalize();
    Some(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lives_elsewhere_and_a_renamed_or_rewritten_file_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path("a"), "1").unwrap();
        let home = home_of(&path("a"), None).unwrap();
        // Two files that were made in one tick of the kernel's clock were made at the same time.
        let born = |name| fs::metadata(path(name)).unwrap().created().ok();
        fs::copy(path("a"), path("copy")).unwrap();
        while born("copy").is_some() && born("copy") == born("a") {
            fs::remove_file(path("copy")).unwrap();
            fs::copy(path("a"), path("copy")).unwrap();
        }
        let change = home_of(&path("copy"), None).unwrap().since(&home);
        assert!(matches!(change, crate::store::Change::Elsewhere(_)), "{change:?}");
        fs::write(path("a"), "much else").unwrap();
        fs::rename(path("a"), path("b")).unwrap();
        assert_eq!(home_of(&path("b"), None).unwrap(), home);
    }

    #[test]
    fn what_lies_in_memory_is_told_from_what_lasts() {
        assert!(lies_on(Path::new("/dev/shm"), &EMPTIED));
        assert!(!lies_on(Path::new("/proc"), &EMPTIED));
    }

    #[test]
    fn a_machine_is_known_by_its_id_but_for_a_container() {
        let id = "0123456789abcdef0123456789abcdef\n";
        let known = machine_of(Some(id), false).unwrap();
        assert!(known.len() == 32 && !known.contains("0123456789"), "{known}");
        assert_ne!(machine_of(Some(&id.replace('0', "f")), false), Some(known));
        for nothing in [None, Some(""), Some("uninitialized\n")] {
            assert_eq!(machine_of(nothing, false), None, "{nothing:?}");
        }
        assert_eq!(machine_of(Some(id), true), None);
    }
}
