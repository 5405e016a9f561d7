//! PostgreSQL's plans for reading.

use std::time::Duration;

use super::{bench_on, on, server};
use crate::domain::UserId;
use crate::store::conformance::plans::{FILL, questions};
use crate::store::heard::WEEKS_READ;
use crate::store::plays::PAGE;
use crate::store::{ReadStore as _, Store as _};

#[tokio::test]
async fn nothing_that_is_read_of_a_long_history_goes_through_all_of_it() {
    let url = server::shared().database();
    let bench = bench_on(url.clone());
    let store = on(&url, bench.clock.clone());
    store.open().await.unwrap();
    (bench.by_hand)(FILL).await;
    let user = UserId(1);
    store.count(user, Duration::from_secs(3_600)).await.unwrap();
    let mut session = store.writing("asking for plans").await.unwrap();
    for question in questions(&mut session, user).await {
        let sql = String::leak(format!("EXPLAIN ANALYZE {}", question.sql));
        let plan: Vec<String> = session.all(sql, question.params, |row| row.get("QUERY PLAN")).await.unwrap();
        let shown = || format!("{}:\n{}", question.name, plan.join("\n"));
        for table in ["plays", "heard", "heard_sums", "heard_weeks"] {
            assert!(!plan.iter().any(|step| step.contains(&format!("Seq Scan on {table} "))), "{}", shown());
        }
        if question.sql == PAGE {
            let page = "Index Scan Backward using plays_pkey on plays ";
            let at =
                plan.iter().position(|step| step.contains(page)).unwrap_or_else(|| panic!("{}", shown()));
            assert!(
                plan[at - 1].contains("Limit") && !plan.iter().any(|step| step.contains("Sort")),
                "{}",
                shown()
            );
        }
        let read = |table: &str| -> u64 {
            plan.iter().filter(|step| step.contains(table)).map(|step| rows(step)).sum()
        };
        let plays = read(" on plays");
        let wanted = if question.sql == WEEKS_READ { 0..1 } else { 1..1_000 };
        assert!(wanted.contains(&plays), "{plays} of 60,000 plays are read: {}", shown());
        // Where no weeks fit there is nothing to look for.
        let by_id = ["using heard_sums_pkey on heard_sums", "One-Time Filter: false"];
        let looks_up = plan.iter().any(|step| by_id.iter().any(|by_id| step.contains(by_id)));
        assert!(looks_up || !question.sql.contains("heard_sums"), "{}", shown());
        // Of the sums those of what was heard lately too, a row or two each.
        let sums = read(" on heard_sums");
        assert!(sums <= 2 * plays + 60, "{sums} sums are read for ten: {}", shown());
    }
}

/// How many rows a step has read: `... (actual time=0.1..0.2 rows=50 loops=1)`.
fn rows(step: &str) -> u64 {
    let number = |name: &str| -> u64 {
        let (_, after) = step.rsplit_once(name).unwrap();
        after.trim_end_matches(')').split(' ').next().unwrap().parse().unwrap()
    };
    if step.ends_with("(never executed)") { 0 } else { number("rows=") * number("loops=") }
}
