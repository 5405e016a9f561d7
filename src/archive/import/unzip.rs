//! Files of a zip, unpacked while they are read, and never to more than an export has.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zip::ZipArchive;

use super::source::LARGEST;

/// So many times its size a file of a zip may be unpacked. JSON comes to 50; only what was made to harm comes to more.
const RATIO: u64 = 250;
/// Smaller ones may be anything.
const ALWAYS: u64 = 64 * 1024 * 1024;

/// A file of a zip, unpacked as it is read, but not for ever.
pub(super) struct Entry {
    /// Chunks of it, from a thread of its own: the zip and what reads from it can't be kept together.
    chunks: std::sync::mpsc::Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    /// Whether the last chunk came.
    is_read: bool,
}

impl Entry {
    pub fn open(path: &Path, entry: usize) -> io::Result<Self> {
        let mut zip = open_zip(path)?;
        let (send, chunks) = std::sync::mpsc::sync_channel(4);
        std::thread::Builder::new().name("unzip".to_owned()).spawn(move || {
            let unpacked = unpack(&mut zip, entry, &send);
            if let Err(error) = unpacked {
                // Nobody listens where the reader has left.
                let _ = send.send(Err(error));
            }
        })?;
        Ok(Self { chunks, chunk: io::Cursor::default(), is_read: false })
    }
}

fn unpack(
    zip: &mut ZipArchive<File>,
    entry: usize,
    send: &std::sync::mpsc::SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut entry = zip.by_index(entry).map_err(io::Error::other)?;
    let most = most_of(entry.compressed_size());
    let mut sent = 0_u64;
    loop {
        let mut chunk = Vec::with_capacity(256 * 1024);
        let read = (&mut entry).take(256 * 1024).read_to_end(&mut chunk);
        sent += chunk.len() as u64;
        if sent > most {
            return Err(io::Error::other("it unpacks to far more than an export does"));
        }
        if chunk.is_empty() {
            read?;
            // An empty one ends it; where nobody listens, the reader has left.
            let _ = send.send(Ok(chunk));
            return Ok(());
        }
        // What comes before the damage is read.
        if send.send(Ok(chunk)).is_err() {
            return read.map(drop);
        }
        read?;
    }
}

/// How far a file of a zip may be unpacked.
pub(super) fn most_of(compressed: u64) -> u64 {
    compressed.saturating_mul(RATIO).clamp(ALWAYS, LARGEST)
}

impl Read for Entry {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.chunk.read(buffer)? {
                0 if buffer.is_empty() => return Ok(0),
                0 if self.is_read => return Ok(0),
                0 => match self.chunks.recv() {
                    // An empty one is the last.
                    Ok(chunk) => {
                        self.chunk = io::Cursor::new(chunk?);
                        self.is_read = self.chunk.get_ref().is_empty();
                    }
                    Err(_) => return Err(io::Error::other("unpacking it broke off")),
                },
                read => return Ok(read),
            }
        }
    }
}

pub(super) fn open_zip(path: &Path) -> io::Result<ZipArchive<File>> {
    ZipArchive::new(File::open(path)?).map_err(io::Error::other)
}
