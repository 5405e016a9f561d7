//! The journal's message catalog: what `journalctl -x` tells of each kind of event.

use std::collections::BTreeMap;

use longplay::domain::EventKind;

use super::read;

/// The entries by message id, each with its header and its text.
fn entries(catalog: &str) -> BTreeMap<String, (String, String)> {
    let mut entries = BTreeMap::new();
    for part in catalog.split("\n-- ").skip(1) {
        let (id, rest) = part.split_once('\n').unwrap();
        let (header, text) = rest.split_once("\n\n").unwrap();
        let text: String = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        assert!(entries.insert(id.to_owned(), (header.to_owned(), text)).is_none(), "{id} twice");
    }
    entries
}

#[test]
fn the_catalog_tells_of_every_kind_of_event_and_of_no_other() {
    let catalog = read("packaging/systemd/longplay.catalog");
    let mut entries = entries(&catalog);
    for kind in EventKind::ALL {
        let (word, id) = (kind.as_str(), kind.message_id().simple().to_string());
        let (header, text) =
            entries.remove(&id).unwrap_or_else(|| panic!("the catalog lacks {word}: -- {id}"));
        // So that a person finds the kind in the file.
        assert!(catalog.contains(&format!("\n# {word}\n-- {id}\n")), "# {word} stands before -- {id}");
        for field in ["Subject: ", "Defined-By: longplay", "Documentation: man:longplay(8)"] {
            assert!(header.contains(field), "{word}: {field}");
        }
        assert!(text.trim().len() > 40, "{word}: what happened, and what to do?");
    }
    assert!(entries.is_empty(), "of no kind of event: {entries:?}");
}

#[test]
fn the_manual_of_the_service_tells_of_every_kind_of_event() {
    let page = read("packaging/man/longplay.8");
    for kind in EventKind::ALL {
        let word = kind.as_str().replace('-', "\\-");
        assert!(page.contains(&format!("\\fB{word}\\fR")), "{word}");
    }
}
