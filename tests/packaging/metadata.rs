//! What Debian is told of the package.

use super::{path, read};

#[test]
fn debians_changelog_is_of_this_version() {
    let changelog = read("packaging/deb/changelog");
    let first = changelog.lines().next().unwrap();
    assert!(first.starts_with(&format!("longplay ({}-", env!("CARGO_PKG_VERSION"))), "{first}");
}

#[test]
fn everything_under_packaging_is_packaged_or_said_not_to_be() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let sources: Vec<&str> =
        deb["assets"].as_array().unwrap().iter().map(|asset| asset[0].as_str().unwrap()).collect();
    for folder in ["man", "completions", "systemd", "nagios", "examples"] {
        for file in std::fs::read_dir(path("packaging").join(folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            // These come by `systemd-units`.
            if ["service", "sysusers"].contains(&extension) {
                continue;
            }
            let here = format!("packaging/{folder}/{name}");
            let glob = [format!("packaging/{folder}/*.{extension}"), format!("packaging/{folder}/*")];
            assert!(
                sources.iter().any(|source| *source == here || glob.contains(&(*source).to_owned())),
                "{here}"
            );
        }
    }
}

#[test]
fn nagios_is_told_of_the_plugin_where_the_package_has_it() {
    let objects = read("packaging/examples/nagios.cfg");
    let lines: Vec<&str> = objects.lines().filter(|line| !line.starts_with('#')).collect();
    // In the files of objects ";" begins a comment, and "$" the name of a macro.
    assert!(!lines.iter().any(|line| line.contains([';', '$'])), "{objects}");
    let command = lines.iter().find_map(|line| line.trim().strip_prefix("command_line")).unwrap().trim();
    let (folder, name) = command.rsplit_once('/').unwrap();
    let asset = format!("[\"packaging/nagios/{name}\", \"{}/\", \"755\"]", folder.trim_start_matches('/'));
    assert!(read("Cargo.toml").contains(&asset), "{asset}");
    assert!(read("docs/OPERATIONS.md").contains(&format!("`{command}`")), "{command}");
}

#[test]
fn the_handbook_tells_of_every_metric_and_every_alert() {
    let handbook = read("docs/OPERATIONS.md");
    let seen = longplay::telemetry::UsersSeen::default();
    let metrics = longplay::telemetry::Metrics::new().render(&seen);
    let metrics = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let rules = read("packaging/prometheus/longplay.rules.yml");
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = metrics.chain(alerts).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(handbook.contains(&format!("`{name}")), "{name}");
    }
}
