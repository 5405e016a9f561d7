//! Lines to the journal in its own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): fields as
//! `LONGPLAY_USER=` and so on, and for an event of note the `MESSAGE_ID` of its kind.

use std::fmt::{Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::domain::EventKind;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// A field's value is cut to this: what is longer needs another way to journald.
const LONGEST: usize = 32 * 1024;

/// The layer that sends to journald.
pub struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journald {
    /// To whoever listens there.
    ///
    /// # Errors
    /// Where nobody does.
    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // journald discards an empty one.
        socket.send_to(&[], path)?;
        Ok(Self { socket, path: path.to_owned() })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journald {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Entry::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let meta = event.metadata();
        let mut entry = Entry::default();
        for span in context.event_scope(event).into_iter().flatten() {
            entry.0.extend(span.extensions().get::<Entry>().into_iter().flat_map(|fields| &fields.0));
        }
        entry.put("PRIORITY", priority(*meta.level()));
        entry.put("SYSLOG_IDENTIFIER", "longplay");
        entry.put("TARGET", meta.target());
        event.record(&mut entry);
        // Nobody can be told that the journal does not listen.
        let _ = self.socket.send_to(&entry.0, &self.path);
    }
}

/// syslog(3)'s numbers.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// One entry as it is sent.
#[derive(Default)]
struct Entry(Vec<u8>);

impl Entry {
    /// With its length, so that any text can be a value.
    fn put(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(LONGEST)];
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }

    fn field(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => return self.put("MESSAGE", value),
            "event" => {
                if let Some(kind) = EventKind::parse(value) {
                    self.put("MESSAGE_ID", &kind.message_id().simple().to_string());
                }
            }
            _ => {}
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = "LONGPLAY_".chars().chain(field.name().chars().map(plain)).collect();
        self.put(&name, value);
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String can't fail but by the value's own fault; then what came counts.
        let _ = write!(text, "{value:?}");
        self.field(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{Events, Note};
    use super::*;
    use crate::clock::SimulatedClock;
    use crate::domain::Timestamp;

    /// What journald gets to see of what is logged meanwhile.
    fn sent(log: impl FnOnce()) -> Vec<BTreeMap<String, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let layer = Journald::open(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let (mut entries, mut buffer) = (Vec::new(), vec![0; 1 << 18]);
        while let Ok(length) = journal.recv(&mut buffer) {
            entries.extend((length > 0).then(|| fields(&buffer[..length])));
        }
        entries
    }

    fn fields(mut entry: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            let (length, rest) = entry[end + 1..].split_first_chunk().unwrap();
            let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            assert!(fields.insert(name, String::from_utf8(value.to_vec()).unwrap()).is_none(), "twice");
            entry = rest.strip_prefix(b"\n").unwrap();
        }
        fields
    }

    #[test]
    fn an_event_has_the_message_id_of_its_kind_and_its_fields() {
        let entries = sent(|| {
            let events = Events::new(Arc::new(SimulatedClock::new(Timestamp::default())));
            let note = Note::of(&"bob".parse().unwrap(), &"default".parse().unwrap());
            events.tell(EventKind::LoginLost, note, "bob must log in:\nrun `longplay login bob`");
            tracing::info_span!("periodic", work = "store")
                .in_scope(|| tracing::info!(error_type = 7, "plain"));
        });
        let [lost, plain] = &entries[..] else { panic!("{entries:?}") };
        let wanted = [
            ("MESSAGE", "bob must log in:\nrun `longplay login bob`"),
            ("MESSAGE_ID", "a874331f4a5b55c3b79d42dbfbad6825"),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "longplay"),
            ("LONGPLAY_EVENT", "login_lost"),
            ("LONGPLAY_USER", "bob"),
            ("LONGPLAY_APP", "default"),
        ];
        for (name, value) in wanted {
            assert_eq!(lost.get(name).map(String::as_str), Some(value), "{name} in {lost:?}");
        }
        assert_eq!((&*plain["LONGPLAY_ERROR_TYPE"], &*plain["LONGPLAY_WORK"]), ("7", "store"));
        assert!(!plain.contains_key("MESSAGE_ID") && plain["PRIORITY"] == "6", "{plain:?}");
    }

    #[test]
    fn a_message_that_is_too_long_is_cut() {
        let long = "ä".repeat(100_000);
        let entries = sent(|| tracing::error!("{long}"));
        assert_eq!(entries[0]["MESSAGE"].len(), LONGEST);
    }

    #[test]
    fn the_message_ids_are_what_operators_have_written_down() {
        for (kind, id) in [
            (EventKind::LoginLost, "a874331f4a5b55c3b79d42dbfbad6825"),
            (EventKind::LoginEnding, "3792f57da89b536c9b5d1aa332de95a5"),
            (EventKind::LoginEnded, "c397d17f174b5044a9f39d82e82f0006"),
            (EventKind::Problem, "93117fa46edc55fa99857ffe9b923802"),
        ] {
            assert_eq!(kind.message_id().simple().to_string(), id, "{kind:?}");
        }
        let ids: std::collections::BTreeSet<_> =
            EventKind::ALL.iter().map(|kind| kind.message_id()).collect();
        assert_eq!(ids.len(), EventKind::ALL.len());
    }

    #[test]
    fn where_nobody_listens_that_is_said() {
        assert!(Journald::open(Path::new("/nonexistent/socket")).is_err());
    }
}
