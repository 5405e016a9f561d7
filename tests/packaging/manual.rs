//! The man pages of section 1: `longplay` and one for each command, from the definitions of the command line.

use std::collections::BTreeSet;
use std::fs;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use longplay::cli::Cli;

use super::{generated, path, read, roff};

const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Every command that is shown, with those below it.
fn commands(root: &Command) -> Vec<Command> {
    let below = root.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(root.clone()).chain(below.flat_map(commands)).collect()
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, all: &[Command]) -> String {
    let man = Man::new(command.clone());
    let mut rendered = Vec::new();
    man.render_name_section(&mut rendered).unwrap();
    rendered.extend(synopsis(command).into_bytes());
    man.render_description_section(&mut rendered).unwrap();
    man.render_options_section(&mut rendered).unwrap();
    let rendered = String::from_utf8(rendered).unwrap();
    // Each section defines the apostrophe again; once is enough.
    let mut page = APOSTROPHE.to_owned() + &roff::title(&name(command), 1, "User Commands");
    page.push_str(&rendered.replace(APOSTROPHE, "").replace(" \n", "\n"));
    let below: Vec<&Command> = command.get_subcommands().filter(|below| !below.is_hide_set()).collect();
    if !below.is_empty() {
        page.push_str(&roff::section("COMMANDS"));
        for below in &below {
            let about = below.get_about().map(ToString::to_string).unwrap_or_default();
            page.push_str(&roff::item(&format!("{}(1)", name(below)), "", &about));
        }
    }
    let after = command.get_after_long_help().or(command.get_after_help());
    page.push_str(&after.map(|text| sections(&text.to_string())).unwrap_or_default());
    page.push_str(&roff::section("SEE ALSO"));
    let parent = name(command).rsplit_once('-').map(|(parent, _)| parent.to_owned());
    let parent = parent.filter(|parent| all.iter().any(|other| name(other) == *parent));
    let also: Vec<String> = parent
        .map(|parent| format!("{parent}(1)"))
        .into_iter()
        .chain(["longplay.toml(5)".to_owned(), "longplay(8)".to_owned()])
        .collect();
    page.push_str(&(roff::text(&also.join(", ")) + "\n"));
    page
}

/// As the help has it: what clap_mangen writes leaves out what an option takes.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let lines = usage.trim_start_matches("Usage: ").lines().map(str::trim);
    roff::section("SYNOPSIS") + &roff::verbatim(lines)
}

/// What stands after a command's help: each block begins with a line such as "Examples:".
fn sections(text: &str) -> String {
    let mut page = String::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines();
        let heading = lines.next().unwrap_or_default().trim_end_matches(':');
        let heading = match heading {
            "Exit codes" => "EXIT STATUS".to_owned(),
            other => other.to_uppercase(),
        };
        page.push_str(&roff::section(&heading));
        page.push_str(&roff::verbatim(lines));
    }
    page
}

#[test]
fn every_command_has_its_man_page() {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let all = commands(&root);
    let pages: BTreeSet<String> = all.iter().map(|command| format!("{}.1", name(command))).collect();
    for command in &all {
        generated(&format!("packaging/man/{}.1", name(command)), &page(command, &all));
    }
    let there = fs::read_dir(path("packaging/man")).unwrap().map(|file| file.unwrap().file_name());
    for file in there.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".1")) {
        assert!(pages.contains(&file), "packaging/man/{file} is of no command: remove it");
    }
}

#[test]
fn the_page_of_the_command_line_tells_every_exit_code() {
    let page = read("packaging/man/longplay.1");
    let (_, codes) = page.split_once(".SH \"EXIT STATUS\"").unwrap();
    for code in ["0", "1", "2", "69", "75", "77", "78"] {
        assert!(codes.lines().any(|line| line.split_whitespace().next() == Some(code)), "{code}");
    }
}
