//! The completion scripts: what `longplay completions` prints.

use clap::CommandFactory as _;
use clap_complete::Shell;
use longplay::cli::Cli;

#[test]
fn the_completions_know_every_command() {
    for (shell, file) in
        [(Shell::Bash, "longplay.bash"), (Shell::Zsh, "_longplay"), (Shell::Fish, "longplay.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "longplay", &mut script);
        super::generated(&format!("packaging/completions/{file}"), &String::from_utf8(script).unwrap());
    }
}
