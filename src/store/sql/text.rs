//! One text for both databases: the three things that they say differently are written here once. Pure.
//!
//! `rows($3 AS page: at BIGINT, track TEXT)` is a table made of the last parameter; `names(EXPR ORDER BY EXPR)` is a
//! JSON array, as text; `clock($4)` is the present, which SQLite is given and PostgreSQL knows.

use std::borrow::Cow;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// Milliseconds since 1970.
pub const SERVER_CLOCK: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// The statement as the database understands it.
pub fn statement(sql: &'static str, dialect: Dialect) -> Cow<'static, str> {
    let mut text = Cow::Borrowed(sql);
    while let Some((before, inside, after)) = call(&text, "rows(") {
        text = format!("{before}{}{after}", rows(inside, dialect)).into();
    }
    while let Some((before, inside, after)) = call(&text, "names(") {
        text = match dialect {
            Dialect::Sqlite => format!("{before}json_group_array({inside}){after}"),
            Dialect::Postgres => format!("{before}COALESCE(json_agg({inside}), '[]')::TEXT{after}"),
        }
        .into();
    }
    while let Some((before, inside, after)) = call(&text, "clock(") {
        text = match dialect {
            Dialect::Sqlite => format!("{before}{inside}{after}"),
            Dialect::Postgres => format!("{before}COALESCE({inside}, {SERVER_CLOCK}){after}"),
        }
        .into();
    }
    text
}

/// What stands before the call of that name, in its brackets, and after it.
fn call<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str, &'t str)> {
    let (before, rest) = text.match_indices(name).find_map(|(at, _)| {
        let before = &text[..at];
        let is_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        (!is_word).then(|| (before, &text[at + name.len()..]))
    })?;
    let (inside, after) = rest.split_once(')')?;
    Some((before, inside, after))
}

/// SQLite reads the table from one JSON text; PostgreSQL from one array a column.
fn rows(inside: &str, dialect: Dialect) -> String {
    let (head, columns) = inside.split_once(':').unwrap_or((inside, ""));
    let (parameter, table) = head.split_once(" AS ").unwrap_or((head, "listed"));
    let columns: Vec<(&str, &str)> =
        columns.split(',').filter_map(|column| column.trim().split_once(' ')).collect();
    match dialect {
        Dialect::Sqlite => {
            let read = |(n, (name, kind)): (usize, &(&str, &str))| match *kind {
                "TEXT" => format!("value ->> {n} AS {name}"),
                kind => format!("CAST(value ->> {n} AS {kind}) AS {name}"),
            };
            let read: Vec<String> = columns.iter().enumerate().map(read).collect();
            format!("(SELECT {} FROM json_each({parameter})) AS {table}", read.join(", "))
        }
        Dialect::Postgres => {
            let first: usize = parameter.trim_start_matches('$').parse().unwrap_or(1);
            let arrays = columns.iter().enumerate().map(|(n, (_, kind))| format!("${}::{kind}[]", first + n));
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            let arrays: Vec<String> = arrays.collect();
            format!("UNNEST({}) AS {table} ({})", arrays.join(", "), names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_rows_is_said_as_each_database_wants_it() {
        let sql = "SELECT $1, page.at FROM rows($2 AS page: at BIGINT, track TEXT) JOIN tracks ON TRUE";
        assert_eq!(
            statement(sql, Dialect::Sqlite),
            "SELECT $1, page.at FROM (SELECT CAST(value ->> 0 AS BIGINT) AS at, value ->> 1 AS track \
             FROM json_each($2)) AS page JOIN tracks ON TRUE"
        );
        assert_eq!(
            statement(sql, Dialect::Postgres),
            "SELECT $1, page.at FROM UNNEST($2::BIGINT[], $3::TEXT[]) AS page (at, track) JOIN tracks ON TRUE"
        );
    }

    #[test]
    fn names_are_a_json_array_in_text() {
        let sql = "SELECT (SELECT names(a.name ORDER BY a.n) FROM a) AS artists";
        assert_eq!(
            statement(sql, Dialect::Sqlite),
            "SELECT (SELECT json_group_array(a.name ORDER BY a.n) FROM a) AS artists"
        );
        assert_eq!(
            statement(sql, Dialect::Postgres),
            "SELECT (SELECT COALESCE(json_agg(a.name ORDER BY a.n), '[]')::TEXT FROM a) AS artists"
        );
    }

    #[test]
    fn the_present_is_given_or_the_servers() {
        let sql = "SELECT clock($1) < 5";
        assert_eq!(statement(sql, Dialect::Sqlite), "SELECT $1 < 5");
        assert_eq!(
            statement(sql, Dialect::Postgres),
            "SELECT COALESCE($1, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)) < 5"
        );
    }

    #[test]
    fn what_both_understand_is_left_as_it_is() {
        for sql in ["SELECT usernames(1)", "UPDATE arrows SET x = (1)"] {
            assert!(matches!(statement(sql, Dialect::Postgres), Cow::Borrowed(text) if text == sql));
        }
    }
}
