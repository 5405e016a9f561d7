//! SQLite's plans for reading.

use std::time::Duration;

use super::{Shelf, run};
use crate::domain::UserId;
use crate::store::conformance::plans::{FILL, questions};
use crate::store::heard::WEEKS_READ;
use crate::store::plays::PAGE;
use crate::store::{ReadStore as _, Store as _};

#[tokio::test]
async fn nothing_that_is_read_of_a_long_history_goes_through_all_of_it() {
    let shelf = Shelf::new();
    let store = shelf.store();
    store.open().await.unwrap();
    run(&shelf.path(), FILL).await;
    let user = UserId(1);
    store.count(user, Duration::from_secs(3_600)).await.unwrap();
    let mut session = store.writing("asking for plans").await.unwrap();
    for question in questions(&mut session, user).await {
        let sql = String::leak(format!("EXPLAIN QUERY PLAN {}", question.sql));
        let plan: Vec<String> = session.all(sql, question.params, |row| row.get("detail")).await.unwrap();
        // A query that stands for a table, by its name, is gone through too.
        let steps = |step: [&str; 2]| plan.iter().filter(|line| line.split(' ').take(2).eq(step)).count();
        let through = |table: &str| {
            steps(["SCAN", table]) > steps(["CO-ROUTINE", table]) + steps(["MATERIALIZE", table])
        };
        for table in
            ["plays", "heard", "heard_sums", "heard_weeks", "tracks", "track_artists", "artists", "albums"]
        {
            assert!(!through(table), "{}: through all of {table}: {plan:#?}", question.name);
        }
        let key = "SEARCH plays USING PRIMARY KEY (user_id=? AND played_at>?";
        let of_plays = plan.iter().filter(|step| step.starts_with("SEARCH plays ")).collect::<Vec<_>>();
        let without = question.sql == WEEKS_READ;
        assert!(
            without == of_plays.is_empty() && of_plays.iter().all(|step| step.starts_with(key)),
            "{plan:#?}"
        );
        let week = "(user_id=? AND week>? AND week<?)";
        assert!(
            !without || plan.len() == 1 && plan[0].starts_with("SEARCH ") && plan[0].ends_with(week),
            "{plan:#?}"
        );
        let first = "SEARCH heard_sums USING INDEX heard_sums_by_plays (user_id=? AND weeks=? AND kind=? AND plays>?)";
        let is_top = plan.iter().any(|step| step.contains(" heard_sums "));
        assert!(!is_top || plan.iter().any(|step| step == first), "{plan:#?}");
        let sorts = plan.iter().any(|step| step == "USE TEMP B-TREE FOR ORDER BY");
        assert!(question.sql != PAGE || !sorts, "{}: {plan:#?}", question.name);
    }
}
