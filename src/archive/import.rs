//! Reading what Spotify gives its users of their own data, and what longplay itself exports: files, folders, zips. Nothing
//! is unpacked to disk, and memory doesn't grow with the files. A row that can't be read stops nothing.

mod collect;
mod coverage;
mod csv;
mod extended;
mod frame;
mod lines;
mod row;
mod sent;
mod source;
mod unzip;
mod wire;
mod words;

pub use collect::{Collected, Step, Target, Trouble, read};
pub use source::{Plan, Refused, plan};

#[cfg(test)]
mod tests;
