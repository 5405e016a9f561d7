//! Rows as they are between two databases, and the digest of a table: the same for the same rows, in whichever database
//! and order they come. Pure.

use sha2::{Digest as _, Sha256};

/// What stands in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// What a column holds. A truth value is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Int,
    Bool,
    Text,
    Blob,
}

impl Kind {
    /// By the type that a database declares; `None`: one that is not known here.
    pub fn of(declared: &str) -> Option<Self> {
        match declared.to_ascii_lowercase().as_str() {
            "integer" | "int" | "bigint" | "smallint" => Some(Self::Int),
            "boolean" => Some(Self::Bool),
            "text" | "character varying" => Some(Self::Text),
            "blob" | "bytea" => Some(Self::Blob),
            _ => None,
        }
    }
}

/// A table: its columns by name, and those that its rows refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<(String, Kind)>,
    pub refers_to: Vec<String>,
}

impl Table {
    /// Where a column stands in a row.
    pub fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|(name, _)| name == column)
    }

    /// The columns' names, quoted.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        names.join(", ")
    }
}

/// A name as SQL has it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The tables in an order in which each comes after those that it refers to.
pub fn in_order(mut tables: Vec<Table>) -> Vec<Table> {
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let mut ordered: Vec<Table> = Vec::new();
    while !tables.is_empty() {
        let free = |table: &Table| {
            table
                .refers_to
                .iter()
                .all(|other| *other == table.name || !tables.iter().any(|waiting| waiting.name == *other))
        };
        // In a circle there is no order; the database says so then.
        let next = tables.iter().position(free).unwrap_or(0);
        ordered.push(tables.remove(next));
    }
    ordered
}

/// How many rows, and the sum of their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub rows: u64,
    lanes: [u64; 4],
}

impl Sum {
    /// Counts a row in.
    pub fn add(&mut self, row: &[Cell]) {
        let mut digest = Sha256::new();
        let mut part = |tag: u8, bytes: &[u8]| {
            digest.update([tag]);
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        for cell in row {
            match cell {
                Cell::Null => part(0, &[]),
                Cell::Int(number) => part(1, &number.to_le_bytes()),
                Cell::Text(text) => part(2, text.as_bytes()),
                Cell::Blob(bytes) => part(3, bytes),
            }
        }
        let digest = digest.finalize();
        for (lane, bytes) in self.lanes.iter_mut().zip(digest.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            *lane = lane.wrapping_add(u64::from_le_bytes(word));
        }
        self.rows += 1;
    }

    /// In hexadecimal.
    pub fn hex(&self) -> String {
        self.lanes.iter().map(|lane| format!("{lane:016x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Cell]]) -> Sum {
        let mut sum = Sum::default();
        rows.iter().for_each(|row| sum.add(row));
        sum
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn a_sum_is_of_the_rows_and_not_of_their_order() {
        let (a, b) = (vec![Cell::Int(1), text("x")], vec![Cell::Int(2), Cell::Null]);
        assert_eq!(sum(&[&a, &b]), sum(&[&b, &a]));
        let others: [&[&[Cell]]; 6] = [
            &[&a],
            &[&a, &b, &b],
            &[&[Cell::Int(1), text("y")], &b],
            &[&[Cell::Int(1), Cell::Blob(b"x".to_vec())], &b],
            &[&[Cell::Int(1), text("x")], &[Cell::Int(2), text("")]],
            &[&[text("x"), Cell::Int(1)], &b],
        ];
        for other in others {
            assert_ne!(sum(other), sum(&[&a, &b]), "{other:?}");
        }
        assert_ne!(sum(&[&[text("ab"), text("c")]]), sum(&[&[text("a"), text("bc")]]));
        assert_eq!(sum(&[]).hex(), "0".repeat(64));
    }

    #[test]
    fn a_table_comes_after_those_that_it_refers_to() {
        let table = |name: &str, refers_to: &[&str]| Table {
            name: name.to_owned(),
            columns: Vec::new(),
            refers_to: refers_to.iter().map(|name| (*name).to_owned()).collect(),
        };
        let tables = vec![
            table("a", &["c", "b"]),
            table("b", &["b", "elsewhere"]),
            table("c", &["d"]),
            table("d", &[]),
        ];
        let names: Vec<String> = in_order(tables).into_iter().map(|table| table.name).collect();
        assert_eq!(names, ["b", "d", "c", "a"]);
        assert_eq!(in_order(vec![table("x", &["y"]), table("y", &["x"])]).len(), 2);
    }
}
