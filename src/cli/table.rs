//! Tables for people: columns as wide as their widest cell, counted in characters.

use super::output::plain;

/// A column.
pub struct Column {
    title: &'static str,
    numbers: bool,
}

/// A column of text.
pub const fn text(title: &'static str) -> Column {
    Column { title, numbers: false }
}

/// A column of numbers, which stand to the right.
pub const fn numbers(title: &'static str) -> Column {
    Column { title, numbers: true }
}

/// A colour, by what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As it should be.
    Good,
    /// Worth watching.
    Warning,
    /// Somebody has to act.
    Bad,
    /// Of no matter now.
    Dim,
}

/// One cell.
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// In a colour, where there are colours.
    pub fn painted(text: &str, paint: Paint) -> Self {
        Self { text: plain(text), paint: Some(paint) }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: plain(text.as_ref()), paint: None }
    }
}

/// The table, with a line for the titles.
pub fn render(columns: &[Column], rows: &[Vec<Cell>], colours: bool) -> String {
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::from(column.title)).collect();
    let lines = || std::iter::once(&titles).chain(rows);
    let width = |i: usize| lines().filter_map(|row| row.get(i)).map(|c| c.text.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|i| width(i).unwrap_or(0)).collect();
    let mut table = String::new();
    for row in lines() {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(columns).zip(&widths) {
            let padding = " ".repeat(width - cell.text.chars().count());
            let shown = painted(cell, colours);
            line.push_str(&if column.numbers { padding + &shown } else { shown + &padding });
            line.push_str("  ");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// Pairs of a name and a value, a line each.
pub fn pairs(pairs: &[(&str, Cell)], colours: bool) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    pairs.iter().map(|(name, cell)| format!("{name:width$}  {}\n", painted(cell, colours))).collect()
}

/// A cell's text, in its colour.
pub fn painted(cell: &Cell, colours: bool) -> String {
    let code = match cell.paint.filter(|_| colours) {
        None => return cell.text.clone(),
        Some(Paint::Good) => "32",
        Some(Paint::Warning) => "33",
        Some(Paint::Bad) => "31",
        Some(Paint::Dim) => "2",
    };
    format!("\x1b[{code}m{}\x1b[0m", cell.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [text("USER"), numbers("PLAYS"), text("WHY")];

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_in_characters() {
        let rows =
            [vec!["zoë".into(), "5".into(), "".into()], vec!["al".into(), "123456".into(), "x".into()]];
        assert_eq!(render(&COLUMNS, &rows, false), "USER   PLAYS  WHY\nzoë        5\nal    123456  x\n");
    }

    #[test]
    fn colours_change_no_widths() {
        let row = || vec![Cell::painted("ok", Paint::Good), "5".into(), "x".into()];
        let painted = render(&COLUMNS, &[row()], true);
        assert!(painted.contains("\x1b[32mok\x1b[0m  "), "{painted:?}");
        let bare = painted.replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert_eq!(bare, render(&COLUMNS, &[row()], false));
    }

    #[test]
    fn names_stand_before_their_values() {
        assert_eq!(pairs(&[("state", "ok".into()), ("app", "a".into())], false), "state  ok\napp    a\n");
    }
}
