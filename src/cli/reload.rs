//! `longplay reload`: what `systemctl reload` runs.

use super::connect::{Needs, connect};
use super::exit::{CliError, Exit};
use super::output::print_line;
use crate::config::Place;
use crate::control::api::Reloaded;

/// Has the daemon load its configuration anew, and waits for it.
pub async fn run(place: &Place) -> Result<Exit, CliError> {
    let reloaded = connect(place, Needs::Daemon).await?.reload().await?;
    print_line(&said(&reloaded))?;
    Ok(Exit::Done)
}

fn said(reloaded: &Reloaded) -> String {
    match reloaded.needs_restart.as_slice() {
        [] => "the new configuration is in force".to_owned(),
        keys => format!(
            "the new configuration is in force, but for {}: restart with `systemctl restart longplay`",
            keys.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_need_a_restart_are_named() {
        let said = said(&Reloaded { needs_restart: vec!["store.url".into(), "web.listen".into()] });
        assert!(said.contains("store.url, web.listen: restart"), "{said}");
    }
}
