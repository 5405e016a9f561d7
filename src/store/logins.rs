//! Logins that were begun and wait for the browser to come back.

use super::sql::{Session, params};
use super::{LoginProgress, PendingLogin, Result};

pub async fn begin(session: &mut Session, login: &PendingLogin) -> Result<()> {
    forget_expired(session).await?;
    session
        .run(
            "INSERT INTO logins (state, user_name, app, verifier, expires_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (state) DO NOTHING",
            params![&login.state, &login.user, &login.app, &login.verifier, login.expires_at],
        )
        .await?;
    Ok(())
}

pub async fn take(session: &mut Session, state: &str) -> Result<Option<PendingLogin>> {
    let now = session.now().await?;
    session
        .first(
            "UPDATE logins SET taken = TRUE WHERE state = $1 AND NOT taken AND expires_at > $2
             RETURNING state, user_name, app, verifier, expires_at",
            params![state, now],
            |row| {
                Ok(PendingLogin {
                    state: row.get("state")?,
                    user: row.get("user_name")?,
                    app: row.get("app")?,
                    verifier: row.get("verifier")?,
                    expires_at: row.get("expires_at")?,
                })
            },
        )
        .await
}

pub async fn end(
    session: &mut Session,
    state: &str,
    outcome: &std::result::Result<String, String>,
) -> Result<()> {
    session
        .run(
            "UPDATE logins SET taken = TRUE, done = $2, failed = $3 WHERE state = $1",
            params![state, outcome.as_ref().ok(), outcome.as_ref().err()],
        )
        .await?;
    Ok(())
}

/// An outcome is told for as long as the row is there: whoever waits may ask a moment after the end.
pub async fn progress(session: &mut Session, state: &str) -> Result<Option<LoginProgress>> {
    let now = session.now().await?;
    session
        .first(
            "SELECT done, failed FROM logins
             WHERE state = $1 AND (expires_at > $2 OR done IS NOT NULL OR failed IS NOT NULL)",
            params![state, now],
            |row| {
                Ok(match (row.maybe("done")?, row.maybe("failed")?) {
                    (Some(told), _) => LoginProgress::Done(told),
                    (None, Some(why)) => LoginProgress::Failed(why),
                    (None, None) => LoginProgress::Pending,
                })
            },
        )
        .await
}

pub async fn forget_expired(session: &mut Session) -> Result<()> {
    let now = session.now().await?;
    session.run("DELETE FROM logins WHERE expires_at <= $1", params![now]).await?;
    Ok(())
}
