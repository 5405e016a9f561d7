//! Rows as PostgreSQL's COPY takes them, which costs less than an INSERT (PostgreSQL's manual, COPY, "Binary Format").

/// Rows of numbers and texts.
#[derive(Debug)]
pub struct Copied {
    bytes: Vec<u8>,
    columns: i16,
}

impl Copied {
    /// For so many rows; each has so many cells.
    pub fn new(rows: usize, columns: i16) -> Self {
        let mut bytes = Vec::with_capacity(rows * 96 + 32);
        bytes.extend(b"PGCOPY\n\xff\r\n\0");
        // Neither flags nor an extension of the header.
        bytes.extend([0; 8]);
        Self { bytes, columns }
    }

    /// Begins a row.
    pub fn row(&mut self) -> &mut Self {
        self.bytes.extend(self.columns.to_be_bytes());
        self
    }

    /// A BIGINT.
    pub fn int(&mut self, number: Option<i64>) -> &mut Self {
        self.cell(number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice))
    }

    /// A TEXT.
    pub fn text(&mut self, text: Option<&str>) -> &mut Self {
        self.cell(text.map(str::as_bytes))
    }

    fn cell(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(bytes.unwrap_or_default());
        self
    }

    /// All of it.
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.extend((-1_i16).to_be_bytes());
        self.bytes
    }
}
