//! What files have everything of: each from its first row to its last, and from there to the next one's first where
//! Spotify numbers the two one after the other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::row::Kind;
use super::source::Input;
use crate::domain::merge::Precision;
use crate::domain::piece::joined;
use crate::domain::{Covered, Timestamp};

/// No more stretches are told of.
const MOST: usize = 1_000;
/// From here on a number in a name is a year.
const YEARS: u32 = 1_000;

/// What was read of each file.
#[derive(Default)]
pub struct Coverage {
    files: Vec<File>,
    /// Folders of which something could not be read, nobody knows from when.
    holey: HashSet<Arc<str>>,
}

struct File {
    folder: Arc<str>,
    /// All but the years and the number of its name.
    series: String,
    number: Option<u32>,
    in_zip: bool,
    extended: Option<(Timestamp, Timestamp)>,
    account: Option<(Timestamp, Timestamp)>,
}

impl Coverage {
    /// What follows is of this file.
    pub fn open(&mut self, input: &Input) {
        let (series, number) = series(&input.name);
        let folder = input.folder.as_str().into();
        let in_zip = input.is_in_zip();
        self.files.push(File { folder, series, number, in_zip, extended: None, account: None });
    }

    /// Music was played.
    pub fn hear(&mut self, kind: Kind, at: Timestamp) {
        let Some(file) = self.files.last_mut() else { return };
        let ends = match kind {
            // Music that is watched comes in files of its own, of all years.
            Kind::Extended if file.series.contains("_Video") => return,
            Kind::Extended => &mut file.extended,
            Kind::Account => &mut file.account,
            Kind::Own => return,
        };
        *ends = Some(ends.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
    }

    /// Something of the file can't be read. It may have been a play of any time that its folder tells of.
    pub fn leave_a_hole(&mut self) {
        self.holey.extend(self.files.last().map(|file| Arc::clone(&file.folder)));
    }

    /// Stretches without overlaps.
    pub fn end(self) -> Vec<Covered> {
        let mut series: BTreeMap<(&str, &str), Vec<&File>> = BTreeMap::new();
        for file in self.files.iter().filter(|file| !self.holey.contains(&file.folder)) {
            series.entry((&*file.folder, &file.series)).or_default().push(file);
        }
        let of = |files: &Vec<&File>| {
            let mut all = of_series(files, Precision::Second, |file| file.extended);
            all.extend(of_series(files, Precision::Minute, |file| file.account));
            all
        };
        let mut covered = joined(series.values().flat_map(of).collect());
        covered.truncate(MOST);
        covered
    }
}

fn of_series(
    files: &[&File],
    precision: Precision,
    ends: impl Fn(&File) -> Option<(Timestamp, Timestamp)>,
) -> Vec<Covered> {
    let mut played: Vec<(Timestamp, Timestamp, Option<u32>)> =
        files.iter().filter_map(|file| ends(file).map(|(from, to)| (from, to, file.number))).collect();
    played.sort_unstable();
    let numbers: HashSet<u32> = files.iter().filter_map(|file| file.number).collect();
    // Older exports (`endsong`) have numbers in no order: what one of them lacks may lie between any others.
    let in_order = files.iter().all(|file| !file.series.starts_with("endsong"));
    // As Spotify sent it nothing is missing.
    let is_all = files.iter().all(|file| file.in_zip)
        && numbers.len() == files.len()
        && (0..).zip(0..files.len()).all(|(number, _)| numbers.contains(&number));
    let follow = |a: Option<u32>, b: Option<u32>| match (a, b) {
        (Some(a), Some(b)) if a != b => (a.min(b) + 1..a.max(b)).all(|between| {
            // One that has nothing of music.
            numbers.contains(&between) && !played.iter().any(|(.., number)| *number == Some(between))
        }),
        _ => false,
    };
    let mut covered: Vec<Covered> = Vec::new();
    for (n, (from, to, number)) in played.iter().enumerate() {
        // Rounded down, the last row ended up to that much later.
        let to = to.offset_millis(precision.millis() - 1);
        let goes_on = n > 0 && in_order && (is_all || follow(played[n - 1].2, *number));
        match covered.last_mut() {
            Some(last) if goes_on => last.to = last.to.max(to),
            _ => covered.push(Covered { from: *from, to }),
        }
    }
    covered
}

/// `Streaming_History_Audio_2015-2017_3.json`: the series `Streaming_History_Audio`, number 3.
fn series(name: &str) -> (String, Option<u32>) {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = base.strip_suffix(".json").unwrap_or(base);
    let bare = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    match stem[bare.len()..].parse().ok().filter(|number| *number < YEARS) {
        None => (stem.to_owned(), None),
        Some(number) => {
            let years = |c: char| c.is_ascii_digit() || c == '-' || c == '_';
            (bare.trim_end_matches(years).to_owned(), Some(number))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_series_and_number() {
        let cases = [
            ("a/Streaming_History_Audio_2015-2017_3.json", "Streaming_History_Audio", Some(3)),
            ("x.zip/Streaming_History_Audio_2019_12.json", "Streaming_History_Audio", Some(12)),
            ("Streaming_History_Audio_2020.json", "Streaming_History_Audio_2020", None),
            ("StreamingHistory_music_0.json", "StreamingHistory_music", Some(0)),
            ("StreamingHistory1.json", "StreamingHistory", Some(1)),
            ("endsong_4.json", "endsong", Some(4)),
            ("endsong_4 (1).json", "endsong_4 (1)", None),
        ];
        for (name, of, number) in cases {
            assert_eq!(series(name), (of.to_owned(), number), "{name}");
        }
    }
}
