//! The unit: what it promises is what the code keeps and the manual tells.

use super::read;

/// The settings of the unit, in order; a line without a reason above it is named.
fn settings() -> Vec<(String, String)> {
    let unit = read("packaging/systemd/longplay.service");
    let lines = unit.lines().filter(|line| !line.starts_with('#') && !line.starts_with('['));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

fn values(key: &str) -> Vec<String> {
    settings().into_iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect()
}

#[test]
fn a_faulty_configuration_is_not_tried_again() {
    assert_eq!(values("RestartPreventExitStatus"), ["78"]);
}

#[test]
fn the_manual_names_every_credential_of_the_unit() {
    let page = read("packaging/man/longplay.8");
    for credential in values("LoadCredential") {
        let (name, from) = credential.split_once(':').unwrap();
        // A relative name may be missing, an absolute path may not (systemd.exec(5)).
        assert_eq!(from, format!("longplay.{name}"));
        assert!(page.contains(&format!("\\fB{}\\fR", name.replace('-', "\\-"))), "{name}");
        assert!(longplay::config::LOADED.contains(&name), "root's commands look for {name} elsewhere");
    }
    assert_eq!(values("LoadCredential").len(), longplay::config::LOADED.len());
}

#[test]
fn every_line_of_the_unit_has_a_reason() {
    let unit = read("packaging/systemd/longplay.service");
    let (mut reason, mut blocks) = (false, 0);
    for line in unit.lines() {
        match line {
            "" => reason = false,
            line if line.starts_with('#') => (reason, blocks) = (true, blocks + 1),
            line if line.starts_with('[') => reason = line == "[Unit]" || line == "[Install]",
            line => assert!(reason || line.starts_with("WantedBy"), "no reason: {line}"),
        }
    }
    assert!(blocks > 20);
}
