//! A copy's side on PostgreSQL.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Error};

use super::row::{Cell, Table, quoted};

type Result<T> = std::result::Result<T, Error>;

pub async fn tables(connection: &mut PgConnection) -> Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        // What an extension has made is nobody's; a partition is part of its table.
        "SELECT CAST(relname AS TEXT) FROM pg_catalog.pg_class
         WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind IN ('r', 'p')
           AND NOT relispartition AND relname <> '_sqlx_migrations'
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend
                           WHERE classid = CAST('pg_class' AS regclass) AND objid = pg_class.oid AND deptype = 'e')
         ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        let declared: Vec<(String, String)> = sqlx::query_as(
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY CAST(column_name AS TEXT) COLLATE \"C\"",
        )
        .bind(&name)
        .fetch_all(&mut *connection)
        .await?;
        let refers_to = sqlx::query_scalar(
            "SELECT DISTINCT CAST(other.relname AS TEXT)
             FROM pg_catalog.pg_constraint
               JOIN pg_catalog.pg_class AS own ON own.oid = conrelid
               JOIN pg_catalog.pg_class AS other ON other.oid = confrelid
             WHERE contype = 'f' AND own.relnamespace = CAST(current_schema() AS regnamespace)
               AND own.relname = $1",
        )
        .bind(&name)
        .fetch_all(&mut *connection)
        .await?;
        tables.push(Table { columns: super::kinds(&name, declared)?, name, refers_to });
    }
    Ok(tables)
}

/// By COPY in its text form (the manual, COPY, File Formats).
pub async fn insert(connection: &mut PgConnection, table: &Table, rows: &[Vec<Cell>]) -> Result<()> {
    let sql = format!("COPY {} ({}) FROM STDIN", quoted(&table.name), table.names());
    let mut into = connection.copy_in_raw(&sql).await?;
    into.send(copied(rows).into_bytes()).await?;
    into.finish().await.map(drop)
}

fn copied(rows: &[Vec<Cell>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            if n > 0 {
                text.push('\t');
            }
            match cell {
                Cell::Null => text.push_str("\\N"),
                Cell::Int(number) => text.push_str(&number.to_string()),
                Cell::Text(value) => value.chars().for_each(|c| match c {
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    '\r' => text.push_str("\\r"),
                    '\t' => text.push_str("\\t"),
                    c => text.push(c),
                }),
                Cell::Blob(bytes) => {
                    text.push_str("\\\\x");
                    text.push_str(&super::hex(bytes));
                }
            }
        }
        text.push('\n');
    }
    text
}

/// The tables that number their rows: table, column, sequence.
async fn numbered(connection: &mut PgConnection) -> Result<Vec<(String, String, String)>> {
    sqlx::query_as(
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT),
           pg_get_serial_sequence(quote_ident(table_name), column_name)
         FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES'
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await
}

/// The last number that a sequence has given out; 0: none.
async fn last(connection: &mut PgConnection, sequence: &str) -> Result<i64> {
    let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await
}

pub async fn counters(connection: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let mut counters = vec![(String::new(), last(connection, "changes").await?)];
    for (table, _, sequence) in numbered(connection).await? {
        let last = last(connection, &sequence).await?;
        counters.push((table, last));
    }
    Ok(counters)
}

pub async fn set_counters(connection: &mut PgConnection, counters: &[(String, i64)]) -> Result<()> {
    let told = |table: &str| counters.iter().find(|(of, _)| of == table).map_or(0, |(_, last)| *last);
    let mut sequences = vec![("changes".to_owned(), told("").max(last(connection, "changes").await?))];
    for (table, column, sequence) in numbered(connection).await? {
        let sql = format!("SELECT COALESCE(max({}), 0) FROM {}", quoted(&column), quoted(&table));
        let highest: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
        sequences.push((sequence, told(&table).max(highest)));
    }
    for (sequence, last) in sequences {
        sqlx::query("SELECT setval(CAST($1 AS regclass), greatest($2, 1), $2 > 0)")
            .bind(sequence)
            .bind(last)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_separates_is_escaped() {
        let rows = [
            vec![Cell::Text("a\tb\nc\\N\r".to_owned()), Cell::Null, Cell::Int(-1)],
            vec![Cell::Text("\\.".to_owned()), Cell::Blob(vec![0, 0xff]), Cell::Text(String::new())],
        ];
        assert_eq!(copied(&rows), "a\\tb\\nc\\\\N\\r\t\\N\t-1\n\\\\.\t\\\\x00ff\t\n");
    }
}
