//! The command line as a whole: what it offers, and what it refuses.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;

fn parsed(line: &str) -> Result<Cli, ErrorKind> {
    let words = line.split_whitespace().map(|word| word.replace('_', " "));
    Cli::try_parse_from(std::iter::once("longplay".to_owned()).chain(words)).map_err(|e| e.kind())
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_handbook_is_understood() {
    for line in [
        "serve",
        "demo",
        "check --json",
        "config --json --config /etc/longplay/longplay.toml",
        "--config x.toml login alice --app default --paste",
        "users",
        "users --json",
        "users add alice --app default --schedule adaptive --timezone Europe/Berlin",
        "users add alice --refresh-token-file - --login-at 2026-01-02",
        "users set alice --schedule 0_5_*_*_*_*",
        "users remove alice --purge",
        "pause alice",
        "pause --all",
        "resume alice bob",
        "resume --all",
        "status",
        "status alice --check --json",
        "archive alice bob",
        "archive --all",
        "plays alice --since 7d --until 2026-01-02T03:04:05Z --limit 10 --format jsonl",
        "plays alice --json",
        "plays alice --follow --format csv",
        "top alice --kind tracks --range 6mo --json",
        "top alice --source spotify",
        "gaps alice --json",
        "token alice --valid-for 600 --fresh",
        "watch --json",
        "reload",
        "completions zsh",
    ] {
        assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
    }
}

#[test]
fn what_can_not_be_meant_is_a_usage_error() {
    for line in [
        "login Alice",
        "users add alice --schedule hourly",
        "users add alice --timezone Berlin",
        "users add alice --login-at 2026-01-02",
        "pause",
        "pause alice --all",
        "archive",
        "plays alice --since yesterday",
        "plays alice --limit 0",
        "plays alice --format xml",
        "plays alice --json --format csv",
        "plays alice --follow --until 2026-01-02",
        "top alice --range 4m",
        "token alice --valid-for soon",
        "export alice",
    ] {
        let error = parsed(line).err().unwrap_or_else(|| panic!("{line}: understood"));
        assert!(!matches!(error, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{line}");
    }
}

#[test]
fn what_every_command_does_is_said() {
    fn undocumented(command: &clap::Command) -> Vec<String> {
        let arguments =
            command.get_arguments().filter(|a| a.get_help().is_none()).map(|a| a.get_id().to_string());
        let own = command.get_about().is_none().then(|| command.get_name().to_owned());
        own.into_iter().chain(arguments).chain(command.get_subcommands().flat_map(undocumented)).collect()
    }
    assert_eq!(undocumented(&Cli::command()), Vec::<String>::new());
}
