//! What the package holds besides the program: generated from the code, or checked against it. After a change of the
//! command line or the settings, `LONGPLAY_WRITE=1 tests/run --test packaging` writes the generated files anew.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

mod completion;
mod journal;
mod manual;
mod metadata;
mod roff;
mod settings;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Holds a generated file to what the code says, or writes it where that is asked for.
fn generated(name: &str, text: &str) {
    if std::env::var_os("LONGPLAY_WRITE").is_some() {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
        eprintln!("{name}: written");
        return;
    }
    let there = fs::read_to_string(path(name)).unwrap_or_default();
    let cure = "run `LONGPLAY_WRITE=1 tests/run --test packaging`, look at the change, and commit it";
    assert!(there == text, "{name} is not what the code says: {cure}");
}
