//! The forms that values can have: how each is read, and how what is accepted is told.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use url::{Host, Url};

use crate::domain::{AppName, Schedule, parse_zone};

/// How a value is written in TOML. In the environment everything is text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Text,
    Number,
}

/// What a form makes of text: the value, or a word more on why it is refused, which may be empty.
pub(super) type Parsed<T> = Result<T, String>;

type Parse<T> = Box<dyn Fn(&str) -> Parsed<T>>;

/// How a value is read.
pub(super) struct Form<T> {
    pub written: Written,
    pub accepted: String,
    pub parse: Parse<T>,
    shown: fn(&str) -> String,
}

impl<T> Form<T> {
    pub fn new(accepted: impl Into<String>, parse: impl Fn(&str) -> Parsed<T> + 'static) -> Self {
        let shown = |text: &str| format!("{:?}", cut(&redacted(text)));
        Self { written: Written::Text, accepted: accepted.into(), parse: Box::new(parse), shown }
    }

    /// The same form for values of which a faulty one may be, or hold, a secret.
    pub fn showing(self, shown: fn(&str) -> String) -> Self {
        Self { shown, ..self }
    }

    /// A faulty value as it may be shown.
    pub fn got(&self, text: &str) -> String {
        (self.shown)(text)
    }
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(120).collect()
}

fn bare<T>(value: Option<T>) -> Parsed<T> {
    value.ok_or_else(String::new)
}

fn reasoned<T, E: Display>(value: Result<T, E>) -> Parsed<T> {
    value.map_err(|e| e.to_string())
}

/// A URL without what may be secret in it: user, password and query.
pub(super) fn redacted(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('@') && rest.contains(['@', '?']) => {
            format!("{}://(hidden)", cut(scheme))
        }
        Some((scheme, _)) if scheme.contains('@') => "(hidden)".into(),
        _ => text.into(),
    }
}

/// A whole number.
pub(super) fn number<T>(range: RangeInclusive<T>) -> Form<T>
where
    T: FromStr + PartialOrd + Display + 'static,
{
    let accepted = format!("a whole number from {} to {}", range.start(), range.end());
    let parse = move |text: &str| bare(text.parse().ok().filter(|n| range.contains(n)));
    Form { written: Written::Number, ..Form::new(accepted, parse) }
}

/// A length of time with its unit; the bounds are written the same way.
pub(super) fn duration(least: &'static str, most: &'static str) -> Form<Duration> {
    let read = |text: &str| humantime::parse_duration(text).ok();
    let accepted = format!("a duration from {least:?} to {most:?}, such as \"90s\", \"5m\" or \"1h 30m\"");
    Form::new(accepted, move |text| {
        bare(read(text).filter(|d| read(least).is_none_or(|l| *d >= l) && read(most).is_none_or(|m| *d <= m)))
    })
}

/// Calendar months, or none.
pub(super) fn months() -> Form<Option<u32>> {
    Form::new("\"N months\" with N from 1 to 120, or \"\" where logins don't end", |text| {
        if text.is_empty() {
            return Ok(None);
        }
        let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
        let months = number.parse().ok().filter(|n| (1..=120).contains(n));
        bare(months.filter(|_| matches!(unit.trim(), "month" | "months")).map(Some))
    })
}

/// One of a few words.
pub(super) fn choice<T: Copy + 'static>(words: &'static [(&'static str, T)]) -> Form<T> {
    let all: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    let parse = move |text: &str| bare(words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value));
    // What is longer than any of the words was put there by mistake, and may be a secret.
    Form::new(all.join(" or "), parse).showing(|text| match text.chars().count() {
        length @ 17.. => format!("{length} characters"),
        _ => format!("{text:?}"),
    })
}

/// A client id or another identifier: printable, without spaces.
pub(super) fn identifier(what: &str) -> Form<String> {
    let printable =
        |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    // "..." stands for something that was not filled in.
    let printable = move |text: &str| printable(text) && text.bytes().any(|b| b.is_ascii_alphanumeric());
    Form::new(what, move |text| bare(printable(text).then(|| text.to_owned())))
}

/// An app's name.
pub(super) fn app_name() -> Form<AppName> {
    Form::new("the name of an app", |text| reasoned(text.parse()))
}

/// A path; a relative one starts from `base`, the folder of the configuration file.
pub(super) fn path(base: &Path) -> Form<PathBuf> {
    let base = base.to_owned();
    Form::new("a path", move |text| match text {
        "" => Err(String::new()),
        home if home.starts_with('~') => Err("\"~\" has no meaning here; write it out".into()),
        text if text.contains('\0') => Err("without a NUL".into()),
        text => Ok(base.join(text)),
    })
}

/// A schedule, checked and kept as text.
pub(super) fn schedule() -> Form<Schedule> {
    Form::new(
        "\"adaptive\", or a cron expression of 5 fields, or 6 with seconds, that fits some date",
        |text| reasoned(text.parse()),
    )
}

/// An IANA zone.
pub(super) fn zone() -> Form<chrono_tz::Tz> {
    Form::new("an IANA time zone such as \"Europe/Berlin\" or \"UTC\"", |text| {
        parse_zone(text).map_err(|_| String::new())
    })
}

/// An address to listen on, or none.
pub(super) fn listen() -> Form<Option<SocketAddr>> {
    Form::new("an IP address and a port, such as \"127.0.0.1:8467\" or \"[::1]:8467\", or \"\"", |text| {
        if text.is_empty() { Ok(None) } else { bare(text.parse().ok().map(Some)) }
    })
}

/// Whether only this host can be meant.
fn loopback(url: &Url, by_name: bool) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Domain(name)) => by_name && name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn plain_url(text: &str) -> Parsed<Url> {
    let url = Url::parse(text).map_err(|e| e.to_string())?;
    match () {
        () if !url.username().is_empty() || url.password().is_some() => {
            Err("without user and password".into())
        }
        () if url.fragment().is_some() => Err("without a fragment".into()),
        () if text.contains(|c: char| c.is_whitespace() || c.is_control()) => Err("without spaces".into()),
        () => Ok(url),
    }
}

/// An address of the provider, kept without a slash at its end.
pub(super) fn endpoint() -> Form<String> {
    Form::new("an https URL; plain http on loopback only", |text| {
        let url = plain_url(text)?;
        let safe = url.scheme() == "https" || url.scheme() == "http" && loopback(&url, true);
        bare(safe.then(|| text.trim_end_matches('/').to_owned()))
    })
}

/// Where the provider sends the browser after a login. Spotify refuses `localhost` (its redirect URI rules of 2025).
pub(super) fn redirect() -> Form<String> {
    let accepted = "an https URL, or http on a loopback address, such as \"http://127.0.0.1:8467/callback\"";
    Form::new(accepted, |text| {
        let url = plain_url(text)?;
        match url.scheme() {
            "https" => Ok(text.to_owned()),
            "http" if loopback(&url, false) => Ok(text.to_owned()),
            "http" if loopback(&url, true) => {
                Err("Spotify refuses the name localhost; use 127.0.0.1 or [::1]".into())
            }
            _ => Err(String::new()),
        }
    })
}

/// What a store's URL may be.
pub const STORE_URL: &str = "\"sqlite://PATH\", or a \"postgres://\" URL";

/// A store. A relative path of SQLite starts from `base`.
pub(super) fn store_url(base: &Path) -> Form<String> {
    let base = base.to_owned();
    let form = Form::new(STORE_URL, move |text| match text.split_once("://") {
        Some(("sqlite", path)) => match path {
            ":memory:" => Err("an archive in memory keeps nothing".into()),
            folder if folder.is_empty() || folder.ends_with('/') => Err("with the path of a file".into()),
            absolute if absolute.starts_with('/') => without_options(text.to_owned()),
            _ => without_options(format!("{}/{path}", sqlite_url(&base))),
        },
        Some(("postgres" | "postgresql", _)) => {
            Url::parse(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
        }
        _ => Err(String::new()),
    });
    form.showing(|text| match text.split_once("://") {
        Some(("sqlite", path)) if !path.contains('?') => format!("{:?}", cut(text)),
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
            format!("\"{}://(hidden)\"", cut(scheme))
        }
        _ => "(hidden)".into(),
    })
}

/// The URL of an SQLite file, which is nothing but its path.
pub(super) fn without_options(url: String) -> Parsed<String> {
    if url.contains('?') { Err("without \"?\": SQLite takes no options".into()) } else { Ok(url) }
}

/// A store's URL as it may be shown: all of it, unless it holds a password.
pub(super) fn store_shown(text: &str) -> String {
    let open = Url::parse(text).is_ok_and(|url| {
        url.password().is_none()
            && !url.path().contains('@')
            && !url.query().unwrap_or("").contains('@')
            && url.query_pairs().all(|(key, _)| !key.to_lowercase().contains("pass"))
    });
    if open || text.starts_with("sqlite:") { text.into() } else { "(hidden)".into() }
}

/// The URL of an SQLite file: its path as it stands.
pub(super) fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display().to_string().trim_end_matches('/'))
}
