//! How users stand: what decides their state, counted or one by one, and when logins were given. No token is read.

use super::sql::{Bind as _, Row, Session, params, table};
use super::users::{Listed, read};
use super::{Alike, Batch, Result, UserSeen};
use crate::domain::{AppName, Epoch, Footing, Login, Timestamp, UserId, UserName};

/// When a user gave their login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginGiven {
    /// Whose, by number.
    pub user: UserId,
    /// Whose.
    pub name: UserName,
    /// To which app.
    pub app: AppName,
    /// Which login.
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// How many days before its end that was told of last.
    pub told: Option<u32>,
}

type Column<T> = std::result::Result<T, sqlx::Error>;

pub async fn tally(session: &mut Session) -> Result<Vec<Alike>> {
    let now = session.now().await?;
    let alike = session
        .all(
            // What another program wrote that is no user name is no user. The app's name is looked at below.
            "SELECT users.app, users.paused, users.last_run_result, users.blocked IS NOT NULL AS blocked,
               CASE WHEN grants.refresh_token IS NOT NULL THEN grants.client_id END AS login_of,
               grants.refusal_since IS NOT NULL AS refused,
               (grants.doubt_since IS NOT NULL OR (grants.attempt IS NOT NULL AND grants.attempt_lease_until < $1))
                 AS in_doubt,
               count(*) AS alike, min(users.name) AS first,
               min(COALESCE(users.last_archived_at, CASE WHEN grants.refresh_token IS NOT NULL THEN grants.taken_at END)) AS oldest,
               max(users.newest_played_at) AS newest
             FROM users LEFT JOIN grants ON grants.user_id = users.id
             WHERE users.active AND length(users.name) BETWEEN 1 AND 63
               AND trim(users.name, 'abcdefghijklmnopqrstuvwxyz0123456789._-') = ''
               AND substr(users.name, 1, 1) NOT IN ('.', '_', '-')
             GROUP BY 1, 2, 3, 4, 5, 6, 7",
            params![now],
            alike,
        )
        .await?;
    Ok(alike.into_iter().flatten().collect())
}

fn alike(row: &Row) -> Column<Option<Alike>> {
    let Ok(app) = row.get::<String>("app")?.parse::<AppName>() else { return Ok(None) };
    let Ok(first) = row.get::<String>("first")?.parse() else { return Ok(None) };
    let login_of: Option<String> = row.maybe("login_of")?;
    let login = login_of.is_some();
    let footing = Footing {
        app,
        paused: row.get("paused")?,
        refused: login && row.get("refused")?,
        blocked: row.get("blocked")?,
        in_doubt: login && row.get("in_doubt")?,
        last_run_result: row.maybe("last_run_result")?,
        login_of,
    };
    let users: i64 = row.get("alike")?;
    Ok(Some(Alike {
        footing,
        users: users.unsigned_abs(),
        first,
        oldest_archived: row.maybe("oldest")?,
        newest_played: row.maybe("newest")?,
    }))
}

/// What is told of a user; the parameter is the time that the program gives.
macro_rules! seen {
    ($now:literal) => {
        concat!(
            "users.*, grants.client_id, grants.login_at, grants.access_sent_at, grants.access_lifetime,
               grants.attempt_lease_until, grants.doubt_reason, grants.refusal_reason,
               grants.refresh_token IS NOT NULL AS login, clock(",
            $now,
            ") AS read_at
             FROM users LEFT JOIN grants ON grants.user_id = users.id"
        )
    };
}

pub async fn seen(session: &mut Session, after: Option<UserId>, limit: i64) -> Result<Batch> {
    let now = session.given_now();
    let listed = session
        .all(
            concat!(
                "SELECT ",
                seen!("$3"),
                " WHERE users.active AND users.id > $1 ORDER BY users.id LIMIT $2"
            ),
            params![after.unwrap_or(UserId(i64::MIN)), limit.max(1), now],
            |row| Ok((row.get::<UserId>("id")?, one(row)?)),
        )
        .await?;
    let full = i64::try_from(listed.len()).is_ok_and(|rows| rows >= limit.max(1));
    let next = listed.last().map(|(id, _)| *id).filter(|_| full);
    Ok(Batch { users: listed.into_iter().filter_map(|(_, seen)| seen).collect(), next })
}

pub async fn seen_of(session: &mut Session, numbers: &[UserId]) -> Result<Vec<UserSeen>> {
    let now = session.given_now();
    let listed = session
        .all(
            concat!(
                "SELECT ",
                seen!("$1"),
                " JOIN rows($2 AS listed: id BIGINT) ON listed.id = users.id WHERE users.active ORDER BY users.id"
            ),
            vec![now.bind(), table![numbers; |number| *number]],
            one,
        )
        .await?;
    Ok(listed.into_iter().flatten().collect())
}

fn one(row: &Row) -> Column<Option<UserSeen>> {
    let Listed::Ok(user) = read(row)? else { return Ok(None) };
    let sent_at: Option<Timestamp> = row.maybe("access_sent_at")?;
    let lifetime = row.maybe("access_lifetime")?;
    let login = match row.get("login")? {
        false => None,
        true => Some(Login {
            client_id: row.get("client_id")?,
            login_at: row.maybe("login_at")?,
            access_expires_at: sent_at.zip(lifetime).map(|(at, lifetime)| at + lifetime),
            lease_until: row.maybe("attempt_lease_until")?,
            doubt: row.maybe("doubt_reason")?,
            refusal: row.maybe("refusal_reason")?,
        }),
    };
    Ok(Some(UserSeen {
        user,
        login,
        newest_played: row.maybe("newest_played_at")?,
        read_at: row.get("read_at")?,
    }))
}

pub async fn logins_given(
    session: &mut Session,
    until: Timestamp,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<LoginGiven>> {
    let given = session
        .all(
            "SELECT users.id, users.name, users.app, grants.epoch, grants.login_at, grants.ending_told
             FROM grants JOIN users ON users.id = grants.user_id
             WHERE users.active AND grants.refresh_token IS NOT NULL AND grants.refusal_since IS NULL
               AND grants.login_at <= $1 AND users.id > $2
             ORDER BY users.id LIMIT $3",
            params![until, after.unwrap_or(UserId(i64::MIN)), limit.max(1)],
            |row| {
                let (name, app): (String, String) = (row.get("name")?, row.get("app")?);
                let (Ok(name), Ok(app)) = (name.parse(), app.parse()) else { return Ok(None) };
                let told: Option<i64> = row.maybe("ending_told")?;
                Ok(Some(LoginGiven {
                    user: row.get("id")?,
                    name,
                    app,
                    epoch: row.get("epoch")?,
                    at: row.get("login_at")?,
                    told: told.and_then(|days| u32::try_from(days).ok()),
                }))
            },
        )
        .await?;
    Ok(given.into_iter().flatten().collect())
}

pub async fn note_ending(session: &mut Session, user: UserId, epoch: Epoch, days: u32) -> Result<bool> {
    let noted = session
        .run(
            "UPDATE grants SET ending_told = $3
             WHERE user_id = $1 AND epoch = $2 AND (ending_told IS NULL OR ending_told > $3)",
            params![user, epoch, i64::from(days)],
        )
        .await?;
    Ok(noted > 0)
}
