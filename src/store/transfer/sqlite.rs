//! A copy's side on SQLite.

use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Error, Executor as _};

use super::row::{Cell, Kind, Table, quoted};

type Result<T> = std::result::Result<T, Error>;

pub async fn tables(connection: &mut SqliteConnection) -> Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
           AND name NOT IN ('_sqlx_migrations', 'user_changes')
         ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        let declared: Vec<(String, String)> =
            sqlx::query_as("SELECT name, type FROM pragma_table_info($1) ORDER BY name")
                .bind(&name)
                .fetch_all(&mut *connection)
                .await?;
        let refers_to = sqlx::query_scalar("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)")
            .bind(&name)
            .fetch_all(&mut *connection)
            .await?;
        tables.push(Table { columns: super::kinds(&name, declared)?, name, refers_to });
    }
    Ok(tables)
}

/// As one JSON text: sqlx takes long for a statement. Bytes go as hexadecimal digits.
pub async fn insert(connection: &mut SqliteConnection, table: &Table, rows: &[Vec<Cell>]) -> Result<()> {
    let read = |(n, (_, kind)): (usize, &(String, Kind))| match kind {
        Kind::Blob => format!("unhex(value ->> {n})"),
        _ => format!("value ->> {n}"),
    };
    let read: Vec<String> = table.columns.iter().enumerate().map(read).collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM json_each($1)",
        quoted(&table.name),
        table.names(),
        read.join(", ")
    );
    let cell = |cell: &Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Int(number) => (*number).into(),
        Cell::Text(text) => text.as_str().into(),
        Cell::Blob(bytes) => super::hex(bytes).into(),
    };
    let json: Value = rows.iter().map(|row| row.iter().map(cell).collect::<Value>()).collect();
    sqlx::query(AssertSqlSafe(sql)).bind(json.to_string()).execute(connection).await.map(drop)
}

pub async fn take_triggers_off(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    let triggers: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")
            .fetch_all(&mut *connection)
            .await?;
    for (name, _) in &triggers {
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP TRIGGER {}", quoted(name))))).await?;
    }
    Ok(triggers.into_iter().map(|(_, sql)| sql).collect())
}

pub async fn counters(connection: &mut SqliteConnection) -> Result<Vec<(String, i64)>> {
    sqlx::query_as("SELECT name, seq FROM sqlite_sequence UNION ALL SELECT '', last FROM user_changes")
        .fetch_all(connection)
        .await
}

pub async fn set_counters(connection: &mut SqliteConnection, counters: &[(String, i64)]) -> Result<()> {
    for (table, last) in counters {
        if table.is_empty() {
            let sql = "UPDATE user_changes SET last = max(last, $1)";
            sqlx::query(sql).bind(last).execute(&mut *connection).await?;
            continue;
        }
        let counts: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema
               WHERE type = 'table' AND name = $1 AND sql LIKE '%AUTOINCREMENT%')",
        )
        .bind(table)
        .fetch_one(&mut *connection)
        .await?;
        if !counts {
            continue;
        }
        let there: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = $1")
            .bind(table)
            .fetch_optional(&mut *connection)
            .await?;
        let sql = match there {
            Some(_) => "UPDATE sqlite_sequence SET seq = max(seq, $2) WHERE name = $1",
            None => "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)",
        };
        sqlx::query(sql).bind(table).bind(last).execute(&mut *connection).await?;
    }
    Ok(())
}
