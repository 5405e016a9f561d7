//! Lines to the journal: fields as `LONGPLAY_USER=` and so on, and for an event of note the `MESSAGE_ID` of its kind. The
//! crate for it puts one prefix before each field of an event, and `MESSAGE_ID` must have none: each kind has a layer of
//! its own, which says it as a custom field.

use std::fmt::Debug;
use std::io;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::domain::EventKind;

/// What is normal is information, and no notice: `journalctl -p notice` shows what is not (syslog(3)).
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// The layer that sends to journald.
pub struct Journald<L = tracing_journald::Layer> {
    plain: L,
    of_note: Vec<(EventKind, L)>,
}

impl Journald {
    /// To journald's socket.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub fn open() -> io::Result<Self> {
        let layer = || -> io::Result<_> {
            let layer = tracing_journald::layer()?.with_field_prefix(Some("LONGPLAY".to_owned()));
            Ok(layer.with_syslog_identifier("longplay".to_owned()).with_priority_mappings(PRIORITIES))
        };
        let of_note = EventKind::ALL.into_iter().map(|kind| {
            let id = kind.message_id().simple().to_string();
            Ok((kind, layer()?.with_custom_fields([("MESSAGE_ID", id)])))
        });
        Ok(Self { plain: layer()?, of_note: of_note.collect::<io::Result<_>>()? })
    }
}

impl<S, L> Layer<S> for Journald<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    // A span's fields are kept with the span, where each layer finds them.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.plain.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.plain.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut kind = Kind(None);
        event.record(&mut kind);
        let of_note = self.of_note.iter().find(|(of, _)| Some(*of) == kind.0);
        of_note.map_or(&self.plain, |(_, layer)| layer).on_event(event, context);
    }
}

/// Of which kind an event of note is.
struct Kind(Option<EventKind>);

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.0 = EventKind::parse(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{Events, Note};
    use super::*;
    use crate::clock::SimulatedClock;
    use crate::domain::Timestamp;

    /// Notes that an event came to it.
    struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl<S: Subscriber> Layer<S> for Named {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn an_event_of_note_goes_by_its_kinds_own_way() {
        let heard = Arc::default();
        let named = |name| Named(name, Arc::clone(&heard));
        let of_note = EventKind::ALL.map(|kind| (kind, named(kind.as_str()))).into();
        let layer = Journald { plain: named("plain"), of_note };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let events = Events::new(Arc::new(SimulatedClock::new(Timestamp::default())));
            events.tell(EventKind::LoginLost, Note::default(), "bob must log in");
            tracing::info_span!("periodic", work = "store").in_scope(|| tracing::info!("plain"));
            tracing::info!(event = "unheard of", "plain");
            events.tell(EventKind::Archived, Note::default(), "1 new play");
        });
        assert_eq!(*heard.lock().unwrap(), ["login_lost", "plain", "plain", "archived"]);
    }

    #[test]
    fn the_message_ids_are_what_operators_have_written_down() {
        for (kind, id) in [
            (EventKind::LoginLost, "a874331f4a5b55c3b79d42dbfbad6825"),
            (EventKind::LoginEnding, "3792f57da89b536c9b5d1aa332de95a5"),
            (EventKind::LoginEnded, "c397d17f174b5044a9f39d82e82f0006"),
            (EventKind::StoreRefused, "f1b08161b6f85322b4e29c2b05d4c6d1"),
            (EventKind::StoreAdopted, "93942d2c3b5e5e438d7b2e1c902853b5"),
            (EventKind::Problem, "93117fa46edc55fa99857ffe9b923802"),
        ] {
            assert_eq!(kind.message_id().simple().to_string(), id, "{kind:?}");
        }
        let ids: std::collections::BTreeSet<_> =
            EventKind::ALL.iter().map(|kind| kind.message_id()).collect();
        assert_eq!(ids.len(), EventKind::ALL.len());
    }
}
