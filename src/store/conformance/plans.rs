//! How a database goes about reading a long history, told by itself: never through all of it where a page or a range is
//! asked for, and never through plays that are counted.

use crate::domain::{Timestamp, TopKind, UserId};
use crate::store::sql::{Bind as _, Session, Value, params};
use crate::store::{heard, plays, top};

/// Ten years of the first user's plays, of some tracks far more than of others, and fewer of forty others. Years begin with
/// 2016.
pub const FILL: &str = "
    CREATE TABLE numbers AS
      WITH RECURSIVE numbers(n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < 60000) SELECT n FROM numbers;
    INSERT INTO artists (id, key, name) SELECT n, 'artist ' || n, 'Artist ' || n FROM numbers WHERE n <= 200;
    INSERT INTO albums (id, key, name) SELECT n, 'album ' || n, 'Album ' || n FROM numbers WHERE n <= 500;
    INSERT INTO tracks (id, key, name, album_id, isrc, duration_ms)
      SELECT n, 'track ' || n, 'Track ' || n, 1 + n % 500, 'ISRC' || n, 200000 FROM numbers WHERE n <= 4000;
    INSERT INTO track_artists (track_id, position, artist_id) SELECT n, 0, 1 + n % 200 FROM numbers WHERE n <= 4000;
    INSERT INTO users (name) SELECT 'user' || n FROM numbers WHERE n <= 41;
    INSERT INTO plays (user_id, played_at, track_id, source)
      SELECT (SELECT min(id) FROM users), 1451606400000 + n * 5259600,
        1 + (n * 7919 % 4001) * (n * 7919 % 4001) / 4003, 'api' FROM numbers;
    INSERT INTO plays (user_id, played_at, track_id, source)
      SELECT id, 1451606400000 + n * 631152000, 1 + n * 7919 % 4000, 'api' FROM users, numbers
      WHERE n <= 500 AND id > (SELECT min(id) FROM users);
    DROP TABLE numbers;
    ANALYZE;";

/// A question that the plan is asked for.
pub struct Question {
    pub name: &'static str,
    pub sql: &'static str,
    pub params: Vec<Value>,
}

/// What people ask of the first user: the archive ends with 2025, and is counted until its last week.
pub async fn questions(session: &mut Session, user: UserId) -> Vec<Question> {
    let ready = heard::ready(session, user).await.unwrap();
    assert!(ready.is_some(), "it is counted");
    let mut questions = Vec::new();
    let page = |since: i64, before: i64| params![user, since, before, 77_i64, 50_i64];
    let (begin, end) = (1_451_606_400_000, 1_767_225_600_000);
    for (name, params) in [
        ("the newest plays", page(i64::MIN, i64::MAX)),
        ("a page of long ago", page(i64::MIN, begin + (end - begin) / 3)),
        ("the plays of a month", page(end - 4_000_000_000, end - 2_000_000_000)),
    ] {
        questions.push(Question { name, sql: plays::PAGE, params });
    }
    let kinds = [("artists", TopKind::Artists), ("tracks", TopKind::Tracks), ("albums", TopKind::Albums)];
    for (name, kind) in kinds {
        for days in [28_i64, 182, 365, 0] {
            let since = (days > 0).then(|| Timestamp::from_millis(end - days * 86_400_000));
            let read = heard::tracks(ready, since);
            let params = params![user, read.weeks, read.from, read.until, read.after, 10_i64, 9_i64];
            questions.push(Question { name, sql: top::sql(kind), params });
        }
    }
    let shifts = crate::domain::shifts(
        chrono_tz::Tz::Europe__Berlin,
        Timestamp::from_millis(begin),
        Timestamp::from_millis(end),
    );
    for (name, sql) in [("by day", top::BY_DAY), ("by hour", top::BY_HOUR)] {
        let pieces = heard::pieces(ready, &shifts);
        let params = vec![user.bind(), top::one_by_one(&pieces)];
        questions.push(Question { name, sql, params });
    }
    questions.push(Question { name: "the weeks", sql: heard::WEEKS_READ, params: params![user, begin, end] });
    questions
}
