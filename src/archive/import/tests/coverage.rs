//! What files have everything of.

use std::path::PathBuf;

use super::super::plan;
use super::{batches, minute, written};
use crate::domain::{Covered, Timestamp};

#[test]
fn a_part_that_is_cut_off_covers_nothing() {
    let (_folder, plan) = written(&[
        ("endsong_0.json", format!("[{},{}]", minute(0), minute(90))),
        ("endsong_1.json", format!("[{},{}", minute(10), minute(20))),
    ]);
    let (_, collected) = batches(&plan);
    assert_eq!((collected.counts.read, collected.counts.unreadable), (5, 1));
    assert_eq!(collected.covered, []);
    assert_eq!(collected.troubles[0].row, 3);
}

fn minutes(covered: &[Covered]) -> Vec<(i64, i64)> {
    let minute = |at: Timestamp| (at.as_millis() - 1_600_000_000_000) / 60_000;
    covered.iter().map(|stretch| (minute(stretch.from), minute(stretch.to))).collect()
}

fn rows(from: i64, to: i64) -> String {
    format!("[{},{}]", minute(from), minute(to))
}

/// What files of these names cover, in minutes: in a folder, and in a zip of it.
fn covers(files: &[(&str, i64, i64)]) -> [Vec<(i64, i64)>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<(&str, String)> = files.iter().map(|(name, from, to)| (*name, rows(*from, *to))).collect();
    for (name, text) in &texts {
        let path = folder.path().join("data").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let zip = folder.path().join("all.zip");
    std::fs::write(&zip, zipped(&texts)).unwrap();
    [folder.path().join("data"), zip].map(|path| {
        let (_, collected) = batches(&plan(&[path]).unwrap());
        minutes(&collected.covered)
    })
}

fn zipped(files: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in files {
        zip.start_file(*name, stored).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn files_that_lie_far_apart_cover_nothing_between() {
    let both = |one, two| [vec![one, two], vec![one, two]];
    let years = [("endsong_0.json", 0, 100), ("Streaming_History_Audio_2022-2024_1.json", 9_000, 9_100)];
    assert_eq!(covers(&years), both((0, 100), (9_000, 9_100)));
    let firsts = [
        ("Streaming_History_Audio_2015-2017_0.json", 0, 100),
        ("Streaming_History_Audio_2022-2024_0.json", 9_000, 9_100),
    ];
    assert_eq!(covers(&firsts), both((0, 100), (9_000, 9_100)), "two exports in one folder");
    let folders = [("a/endsong_0.json", 0, 100), ("b/endsong_1.json", 9_000, 9_100)];
    assert_eq!(covers(&folders), both((0, 100), (9_000, 9_100)));
    let missing = [("endsong_0.json", 0, 100), ("endsong_2.json", 9_000, 9_100)];
    assert_eq!(covers(&missing), both((0, 100), (9_000, 9_100)), "one is missing");
}

#[test]
fn files_of_one_export_join_on_to_each_other() {
    let years = [
        ("Streaming_History_Audio_2015-2017_0.json", 0, 100),
        ("Streaming_History_Audio_2017-2019_1.json", 900, 1_000),
        ("Streaming_History_Video_2015-2019.json", 0, 99_000),
    ];
    assert_eq!(covers(&years), [vec![(0, 1_000)], vec![(0, 1_000)]], "and what was watched says nothing");
    let overlap = [("endsong_3.json", 0, 100), ("a.json", 50, 200)];
    assert_eq!(covers(&overlap), [vec![(0, 200)], vec![(0, 200)]]);
    // Older exports have numbers in no order, so that nobody can tell what is missing.
    let mixed = [("endsong_0.json", 900, 1_000), ("endsong_1.json", 0, 100), ("endsong_2.json", 500, 600)];
    assert_eq!(
        covers(&mixed),
        [vec![(0, 100), (500, 600), (900, 1_000)], vec![(0, 100), (500, 600), (900, 1_000)]]
    );
}

#[test]
fn a_damaged_zip_in_a_folder_is_told_of_and_nothing_is_covered() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("endsong_0.json", rows(0, 100).as_bytes());
    write("Userdata.json", br#"{"username":"u"}"#);
    write("cover.jpg", b"\xff\xd8\xff");
    write("other.zip", &zipped(&[("a.json", "[{}]".to_owned()), ("b.pdf", "%PDF".to_owned())]));
    let read = || batches(&plan(&[PathBuf::from(folder.path())]).unwrap()).1;
    let whole = read();
    assert_eq!((whole.damaged, whole.covered.len(), whole.counts.unreadable), (0, 1, 0));

    let good = zipped(&[("my/endsong_1.json", rows(200, 300)), ("my/data.json", rows(400, 500))]);
    let at = |text: &[u8], nth: usize| {
        good.windows(text.len()).enumerate().filter(|(_, w)| *w == text).map(|(n, _)| n).nth(nth).unwrap()
    };
    // The header of an entry, the rows of one that has no export's name, and of one that has.
    let header = at(b"PK\x03\x04", 1) + 2;
    let last = at(b"spotify:track", 3);
    let first = at(b"spotify:track", 1);
    let cases = [
        (&good[..good.len() / 2], usize::MAX, "broken.zip", (3, 1)),
        (&b"<html>not found</html>"[..], usize::MAX, "broken.zip", (3, 1)),
        (&good[..], header, "broken.zip/my/data.json", (5, 1)),
        (&good[..], last, "broken.zip/my/data.json", (5, 1)),
        (&good[..], first, "broken.zip/my/endsong_1.json", (7, 1)),
    ];
    for (bytes, damage, file, (rows, unreadable)) in cases {
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(damage) {
            *byte ^= 0x20;
        }
        write("broken.zip", &bytes);
        let collected = read();
        assert_eq!((collected.counts.read, collected.counts.unreadable), (rows, unreadable), "{file}");
        assert_eq!((collected.damaged, collected.troubles.len()), (1, 1), "{file}");
        assert!(collected.troubles[0].file.ends_with(file), "{:?}", collected.troubles);
        let covered = minutes(&collected.covered);
        assert!(!covered.contains(&(200, 300)), "{file}: {covered:?}");
        assert!(file.ends_with("endsong_1.json") && damage == first || covered.is_empty(), "{covered:?}");
    }
    std::fs::remove_file(folder.path().join("endsong_0.json")).unwrap();
    write("broken.zip", b"PK\x03\x04 and then nothing");
    let refused = plan(&[PathBuf::from(folder.path())]).unwrap_err().to_string();
    assert!(refused.contains("broken.zip: this zip can't be read"), "{refused}");
}
