//! Invented music, and evenings spent listening to it. The same name is always the same track.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::{Album, Artist, Play, Timestamp, Track};

const ARTISTS: [&str; 12] = [
    "The Paper Lanterns",
    "Ines Valdoria",
    "Coldwater Assembly",
    "Moth & Marrow",
    "Kaspar Lindqvarn",
    "Orchard Static",
    "Delphine Okorro",
    "Slow Harbour",
    "Nine Umbrellas",
    "Tamsin Rook",
    "Velvet Almanac",
    "Ostrava Night Bus",
];

const TITLES: [&str; 40] = [
    "Low Tide Letters",
    "Copper Weather",
    "A Room Facing North",
    "Half the Orchestra",
    "Salt on the Stairs",
    "Kilometre Zero",
    "Borrowed Umbrella",
    "The Cartographer's Cat",
    "Yesterday's Timetable",
    "Snow in the Wires",
    "Marzipan",
    "Unfinished Ferry",
    "Eleven Lamps",
    "Slow Arithmetic",
    "Your Other Coat",
    "Glasshouse",
    "Second Breakfast Blues",
    "Dial Tone Waltz",
    "Pigeon Parliament",
    "Rust and Honey",
    "The Long Queue",
    "Tin Moon",
    "Harbour Master",
    "Quiet Carriage",
    "Ink Before Noon",
    "Windfall",
    "Lighthouse on Wheels",
    "Morning of the Auction",
    "Paper Crown",
    "Seven Sleepers",
    "Ladder Song",
    "Cloud Inventory",
    "The Last Tram Home",
    "Small Thunder",
    "Postcard from Nowhere",
    "Juniper Street",
    "Static Bloom",
    "Winter Bicycle",
    "Green Corridor",
    "Farewell, Vending Machine",
];

const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A number that belongs to this name for good.
fn number(kind: &str, name: &str) -> u128 {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("simulated-spotify:{kind}:{name}").as_bytes()).as_u128()
}

/// The item of a list that belongs to this name.
fn pick<'a>(list: &[&'a str], kind: &str, name: &str) -> &'a str {
    let len = list.len() as u128;
    // The remainder is less than the list's length.
    list[(number(kind, name) % len) as usize]
}

/// Spotify's 22 characters for this name.
pub(super) fn id(kind: &str, name: &str) -> String {
    let mut rest = number(kind, name);
    let digit = |_| {
        let at = (rest % 62) as usize;
        rest /= 62;
        char::from(BASE62[at])
    };
    (0..22).map(digit).collect()
}

pub(super) fn uri(kind: &str, name: &str) -> String {
    format!("spotify:{kind}:{}", id(kind, name))
}

/// The track of this name: artists, album, length (2 to 6 minutes) and ISRC follow from it.
pub fn track(name: &str) -> Track {
    let lead = pick(&ARTISTS, "lead", name);
    let guest = pick(&ARTISTS, "guest", name);
    let featured = number("featured", name).is_multiple_of(5) && guest != lead;
    let names = if featured { vec![lead, guest] } else { vec![lead] };
    let album = format!("{} ({lead})", pick(&TITLES, "album", name));
    let serial = number("isrc", name) % 10_000_000;
    let length = 120_000 + number("length", name) % 240_000;
    Track {
        uri: Some(uri("track", name)),
        name: name.to_owned(),
        artists: names
            .into_iter()
            .map(|name| Artist { uri: Some(uri("artist", name)), name: name.to_owned() })
            .collect(),
        album: Some(Album { uri: Some(uri("album", &album)), name: album }),
        isrc: Some(format!("QZSIM{serial:07}")),
        duration_ms: i64::try_from(length).ok(),
    }
}

/// A play of the track of this name that ended at this time, played from nowhere.
pub fn play(name: &str, played_at: Timestamp) -> Play {
    Play { played_at, track: track(name), context_uri: None }
}

/// So many plays in a row, oldest first, the last one ending at `until`: each ends a track's length after the one
/// before, with a short pause after every seventh. The same arguments give the same plays.
pub fn session(count: usize, until: Timestamp) -> Vec<Play> {
    let mut end = until;
    let evening = until.to_string();
    let mut plays: Vec<Play> = (0..count)
        .map(|back| {
            let mut play = play(pick(&TITLES, "played", &format!("{evening} {back}")), end);
            if !back.is_multiple_of(4) {
                play.context_uri = Some(uri("playlist", pick(&TITLES, "playlist", &evening)));
            }
            let length = u64::try_from(play.track.duration_ms.unwrap_or_default()).unwrap_or_default();
            let pause = if back % 7 == 6 { 95_000 } else { 0 };
            end = end - Duration::from_millis(length + pause);
            play
        })
        .collect();
    plays.reverse();
    plays
}

/// A play as Spotify comes to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// What was heard, and when it ended. Whatever is `None` in it is null in Spotify's answer.
    pub play: Play,
    /// From when on Spotify shows it: plays can appear hours late, and out of order.
    pub visible_at: Timestamp,
    /// Whether Spotify shows the item with `"track": null`.
    pub without_track: bool,
}

impl Listen {
    /// A play of the track of this name, shown as soon as it has ended.
    pub fn new(name: &str, played_at: Timestamp) -> Self {
        play(name, played_at).into()
    }

    /// The same, shown from this time on.
    pub fn visible_at(mut self, time: Timestamp) -> Self {
        self.visible_at = time;
        self
    }

    /// The same, played from this playlist, album or artist.
    pub fn context(mut self, uri: &str) -> Self {
        self.play.context_uri = Some(uri.to_owned());
        self
    }

    /// The same, shown without its track.
    pub fn without_track(mut self) -> Self {
        self.without_track = true;
        self
    }
}

impl From<Play> for Listen {
    fn from(play: Play) -> Self {
        Self { visible_at: play.played_at, play, without_track: false }
    }
}
