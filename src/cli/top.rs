//! `longplay top`: what was heard most, by the archive or by Spotify.

use clap::{Args, ValueEnum};

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::{note, print, print_json};
use super::stats::minutes;
use super::table::{self, numbers, text};
use super::time::to_the_minute;
use crate::config::Place;
use crate::control::api::TopQuery;
use crate::domain::{Range, TopArtist, TopEntry, TopKind, UserName};

/// Show what was heard most
///
/// Every artist of a track counts. Of plays that Spotify's API has told, the length of the track counts, even if it was
/// cut short.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longplay top alice
  longplay top alice --kind tracks --range 1y --limit 50
  longplay top alice --source spotify")]
pub struct Top {
    /// The user
    user: UserName,
    /// Of what; artists where it is absent
    #[arg(long)]
    kind: Option<Kind>,
    /// Over which time until now: 4w, 6mo, 1y or all, in calendar months and years of the
    /// user's zone; 4w where it is absent
    #[arg(long)]
    range: Option<Range>,
    /// By whom: the archive, or Spotify's own top artists as last fetched
    #[arg(long, default_value = "archive")]
    source: By,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print JSON: [{"name", "artists", "uri", "plays", "ms_played"}], or [{"rank", "name", "uri", "fetched_at"}] of Spotify
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Artists,
    Tracks,
    Albums,
}

impl From<Kind> for TopKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Artists => Self::Artists,
            Kind::Tracks => Self::Tracks,
            Kind::Albums => Self::Albums,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Archive,
    Spotify,
}

impl Top {
    pub async fn run(self, place: &Place) -> Result<Exit, CliError> {
        match self.source {
            By::Archive => self.of_archive(place).await?,
            By::Spotify => self.of_spotify(place).await?,
        }
        Ok(Exit::Done)
    }

    async fn of_archive(self, place: &Place) -> Result<(), CliError> {
        let kind = self.kind.unwrap_or(Kind::Artists);
        let range = Some(self.range.unwrap_or(Range::Days(28)));
        let query = TopQuery { kind: kind.into(), range, since: None, limit: Some(self.limit.into()) };
        let entries = connect(place, Needs::Store).await?.top(&self.user, &query).await?;
        match self.json {
            true => print_json(&entries),
            false if entries.is_empty() => {
                note(&format!("no plays of {} in that time: try a longer --range", self.user));
                Ok(())
            }
            false => print(&rendered(&entries, kind)),
        }
    }

    async fn of_spotify(self, place: &Place) -> Result<(), CliError> {
        if self.kind.is_some_and(|kind| kind != Kind::Artists) || self.range.is_some() {
            let cure = "leave out --kind and --range";
            return Err(CliError::usage(format!("Spotify's list is of artists, over its own time: {cure}")));
        }
        let mut artists = connect(place, Needs::Store).await?.top_spotify(&self.user).await?;
        artists.truncate(self.limit.into());
        match self.json {
            true => print_json(&artists),
            false => match artists.first() {
                Some(first) => {
                    note(&format!("as Spotify said on {}", to_the_minute(first.fetched_at)));
                    print(&rendered_artists(&artists))
                }
                None => {
                    note(&format!("Spotify's list for {} was not fetched yet", self.user));
                    Ok(())
                }
            },
        }
    }
}

fn rendered(entries: &[TopEntry], kind: Kind) -> String {
    let by = kind != Kind::Artists;
    let name = match kind {
        Kind::Artists => "ARTIST",
        Kind::Tracks => "TRACK",
        Kind::Albums => "ALBUM",
    };
    let mut columns = vec![numbers("#"), numbers("PLAYS"), numbers("MINUTES"), text(name)];
    if by {
        columns.push(text("ARTISTS"));
    }
    let row = |(i, entry): (usize, &TopEntry)| {
        let mut row = vec![
            (i + 1).to_string().into(),
            entry.plays.to_string().into(),
            minutes(entry.ms_played).into(),
            (&entry.name).into(),
        ];
        if by {
            row.push(entry.artists.join(", ").into());
        }
        row
    };
    table::render(&columns, &entries.iter().enumerate().map(row).collect::<Vec<_>>(), false)
}

fn rendered_artists(artists: &[TopArtist]) -> String {
    let row = |artist: &TopArtist| vec![artist.rank.to_string().into(), (&artist.name).into()];
    table::render(&[numbers("#"), text("ARTIST")], &artists.iter().map(row).collect::<Vec<_>>(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, plays: i64) -> TopEntry {
        TopEntry {
            name: name.into(),
            artists: vec!["A".into(), "B".into()],
            uri: None,
            plays,
            ms_played: plays * 90_000,
        }
    }

    #[test]
    fn artists_of_tracks_are_named_and_those_of_artists_are_not() {
        let entries = [entry("One", 12), entry("Two", 3)];
        assert_eq!(
            rendered(&entries, Kind::Tracks),
            "#  PLAYS  MINUTES  TRACK  ARTISTS\n1     12       18  One    A, B\n2      3        4  Two    A, B\n"
        );
        assert_eq!(
            rendered(&entries, Kind::Artists),
            "#  PLAYS  MINUTES  ARTIST\n1     12       18  One\n2      3        4  Two\n"
        );
    }
}
