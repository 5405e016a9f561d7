//! longplay.toml(5), from the comments of the configuration that is installed.

use super::{generated, read, roff};

/// A table or a key of the file, with what is said of it.
struct Entry {
    line: String,
    said: Vec<String>,
}

/// What stands at the top, and the entries.
fn parse(file: &str) -> (Vec<String>, Vec<Entry>) {
    let (mut top, mut entries, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for line in file.lines() {
        match line.strip_prefix('#') {
            Some(text) if text.is_empty() || text.starts_with(' ') => said.push(text.trim().to_owned()),
            Some(entry) => entries.push(Entry { line: entry.to_owned(), said: std::mem::take(&mut said) }),
            // Only the first paragraph stands apart from what it is about.
            None if entries.is_empty() && top.is_empty() => top = std::mem::take(&mut said),
            None => assert!(line.is_empty(), "only comments may be in the file: {line}"),
        }
    }
    assert!(said.is_empty(), "a comment about nothing: {said:?}");
    (top, entries)
}

#[test]
fn every_setting_is_in_the_manual() {
    let (top, entries) = parse(&read("config/longplay.toml"));
    let mut page = roff::title("longplay.toml", 5, "File Formats");
    page.push_str(&roff::section("NAME"));
    page.push_str("longplay.toml \\- the settings of longplay\n");
    page.push_str(&roff::section("SYNOPSIS"));
    page.push_str(&roff::verbatim(["/etc/longplay/longplay.toml", "/etc/longplay/conf.d/*.toml"]));
    page.push_str(&roff::section("DESCRIPTION"));
    page.push_str("Without a file the defaults hold. Keys that are not listed here are refused.\n.PP\n");
    for line in top {
        page.push_str(&(roff::text(&line) + "\n"));
    }
    page.push_str(&roff::section("SETTINGS"));
    let mut keys = 0;
    for Entry { line, said } in &entries {
        let said = said.iter().map(|line| roff::text(line)).collect::<Vec<_>>().join("\n");
        match line.split_once(" = ") {
            None => page.push_str(&format!(".SS \"{}\"\n{}", roff::text(line), ended(&said))),
            Some((key, value)) => {
                keys += 1;
                page.push_str(&format!(
                    ".TP\n\\fB{}\\fR = {}\n{}",
                    roff::text(key),
                    roff::text(value),
                    ended(&said)
                ));
            }
        }
    }
    assert!(keys > 30, "only {keys} keys were found");
    page.push_str(&roff::section("SEE ALSO"));
    page.push_str("longplay(1), longplay\\-check(1), longplay\\-config(1), longplay(8)\n");
    generated("packaging/man/longplay.toml.5", &page);
}

fn ended(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("{said}\n") }
}

#[test]
fn the_installed_configuration_sets_nothing() {
    let set: Vec<String> = read("config/longplay.toml")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(set.iter().all(String::is_empty), "{set:?}");
}
