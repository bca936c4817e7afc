//! CSV that arrives in pieces: rows, each with the line it begins in. Pure; what it holds does not grow with the file.

use bytes::{Buf, Bytes, BytesMut};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::fields::FieldError;

/// The most bytes of the line that names the columns.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a row: 32 columns of the longest values, four bytes a character.
const ROW_BYTES_MAX: usize = 32 * super::criteria::VALUE_LENGTH_MAX * 4;
/// The most fields of a row. One with more than columns is told as invalid; with more than this the file is no table.
const FIELDS_MAX: usize = 1_024;
/// What files of spreadsheet programs begin with: UTF-16 either way round, XLSX and its like, XLS.
const NO_CSV: [&[u8]; 4] = [&[0xff, 0xfe], &[0xfe, 0xff], b"PK\x03\x04", &[0xd0, 0xcf, 0x11, 0xe0]];
/// What fields may stand between. The one that the header has most often it is; of none the first.
const DELIMITERS: [u8; 3] = *b",;\t";
/// What ends a row.
const LINE_END: &[u8] = b"\n";

/// Where the file is read.
#[derive(Debug)]
pub(super) struct Table {
    /// `None` until the header is there whole: it tells what stands between fields.
    reader: Option<Box<Reader>>,
    input: BytesMut,
    /// Nothing comes after `input`.
    is_whole: bool,
    lines: Lines,
    /// Of the row that is read: its fields without what stands between them, and where each ends.
    record: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    fields: usize,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// The line it begins in, from 1.
    pub(super) line: u32,
    record: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Row<'a> {
    /// How many fields it has.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A field by its position, from 0; of a row that is too short an empty one.
    pub(super) fn field(&self, at: usize) -> &'a [u8] {
        let Some(end) = self.ends.get(at) else { return &[] };
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.record[begin..*end]
    }

    /// Spreadsheets write rows of nothing behind the last one.
    fn is_blank(&self) -> bool {
        self.record.iter().all(u8::is_ascii_whitespace)
    }
}

impl Table {
    /// Of a file that nothing of is there yet.
    pub(super) fn new() -> Self {
        Self {
            reader: None,
            input: BytesMut::new(),
            is_whole: false,
            lines: Lines { line: 1, after_return: false, began: None },
            record: vec![0; ROW_BYTES_MAX],
            ends: vec![0; FIELDS_MAX],
            length: 0,
            fields: 0,
        }
    }

    /// The next piece of the file. Rows are taken before the next one is given.
    pub(super) fn push(&mut self, piece: &Bytes) {
        self.input.extend_from_slice(piece);
    }

    /// There are no further pieces.
    pub(super) fn end(&mut self) {
        self.is_whole = true;
    }

    /// Whether that was said.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The next row that says something, the header first; `None` until there are more pieces, and at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, FieldError> {
        while let Some((line, length, fields)) = self.read()? {
            let row = Row { line, record: &self.record[..length], ends: &self.ends[..fields] };
            if !row.is_blank() {
                // Once more, since the row of the loop cannot leave it.
                return Ok(Some(Row { line, record: &self.record[..length], ends: &self.ends[..fields] }));
            }
        }
        Ok(None)
    }

    /// Reads a row into its place, and tells its line, its length and how many fields it has.
    fn read(&mut self) -> Result<Option<(u32, usize, usize)>, FieldError> {
        if self.reader.is_none() {
            let Some(delimiter) = self.delimiter()? else { return Ok(None) };
            self.reader = Some(Box::new(ReaderBuilder::new().delimiter(delimiter).build()));
        }
        let reader = self.reader.as_mut().expect("it was made above");
        while !self.input.is_empty() || self.is_whole {
            // What the file may have left out: it ends a row, unless that is within quotes.
            let is_end = self.input.is_empty();
            let input = if is_end { LINE_END } else { &self.input[..] };
            let (outcome, taken, written, ended) =
                reader.read_record(input, &mut self.record[self.length..], &mut self.ends[self.fields..]);
            if !is_end {
                self.lines.pass(&self.input[..taken]);
                self.input.advance(taken);
            }
            self.length += written;
            self.fields += ended;
            match outcome {
                ReadRecordResult::InputEmpty if is_end && written > 0 => {
                    let line = self.lines.begin();
                    let expected = format!("the row of line {line} has a quote that is never closed");
                    return Err(FieldError::new("file", expected));
                }
                ReadRecordResult::InputEmpty if is_end => return Ok(None),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => {
                    let row = (self.lines.begin(), self.length, self.fields);
                    (self.length, self.fields) = (0, 0);
                    return Ok(Some(row));
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::OutputFull => {
                    let line = self.lines.begin();
                    let expected =
                        format!("line {line} has more than {ROW_BYTES_MAX} bytes; a quote may not be closed");
                    return Err(FieldError::new("file", expected));
                }
                ReadRecordResult::OutputEndsFull => {
                    let line = self.lines.begin();
                    return Err(FieldError::new(
                        "file",
                        format!("line {line} has more than {FIELDS_MAX} fields"),
                    ));
                }
            }
        }
        Ok(None)
    }

    /// What stands between fields, once the header is there.
    fn delimiter(&self) -> Result<Option<u8>, FieldError> {
        if NO_CSV.iter().any(|beginning| self.input.starts_with(beginning)) {
            return Err(FieldError::new("file", "must be CSV in UTF-8, as spreadsheet programs export it"));
        }
        let (mut counts, mut is_quoted, mut has_begun) = ([0_u32; DELIMITERS.len()], false, false);
        for byte in self.input.iter().take(HEADER_BYTES_MAX) {
            match byte {
                b'\r' | b'\n' if !has_begun => continue,
                b'\r' | b'\n' if !is_quoted => return Ok(Some(most_frequent(counts))),
                b'"' => is_quoted = !is_quoted,
                _ if is_quoted => {}
                byte => {
                    if let Some(at) = DELIMITERS.iter().position(|delimiter| delimiter == byte) {
                        counts[at] += 1;
                    }
                }
            }
            has_begun = true;
        }
        if self.input.len() > HEADER_BYTES_MAX {
            let expected =
                format!("must begin with a line of at most {HEADER_BYTES_MAX} bytes that names the columns");
            return Err(FieldError::new("file", expected));
        }
        Ok(self.is_whole.then(|| most_frequent(counts)))
    }
}

fn most_frequent(counts: [u32; DELIMITERS.len()]) -> u8 {
    let most = counts.iter().max().expect("there are delimiters");
    let at = counts.iter().position(|count| count == most).expect("one of them is the largest");
    DELIMITERS[at]
}

/// Where in the file the reader is. A line ends with LF, CR or both, also within quotes.
#[derive(Debug)]
struct Lines {
    line: u32,
    after_return: bool,
    /// The line in which the row began that is read.
    began: Option<u32>,
}

impl Lines {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => {}
                b'\r' | b'\n' => self.line += 1,
                _ => {
                    self.began.get_or_insert(self.line);
                }
            }
            self.after_return = *byte == b'\r';
        }
    }

    /// The line in which the row began, of which the next one is the first byte to come.
    fn begin(&mut self) -> u32 {
        self.began.take().unwrap_or(self.line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every row with its line, from a file in pieces of `size`.
    fn rows(file: &[u8], size: usize) -> Result<Vec<(u32, Vec<String>)>, FieldError> {
        let (mut table, mut rows) = (Table::new(), Vec::new());
        let mut take = |table: &mut Table| {
            while let Some(row) = table.next()? {
                let fields = (0..row.len()).map(|at| String::from_utf8_lossy(row.field(at)).into_owned());
                rows.push((row.line, fields.collect()));
            }
            Ok(())
        };
        for piece in file.chunks(size) {
            table.push(&Bytes::copy_from_slice(piece));
            take(&mut table)?;
        }
        table.end();
        take(&mut table)?;
        Ok(rows)
    }

    fn check(file: &str, expected: &[(u32, &[&str])]) {
        let expected: Vec<(u32, Vec<String>)> = expected
            .iter()
            .map(|(line, fields)| (*line, fields.iter().copied().map(str::to_owned).collect()))
            .collect();
        for size in [1, 2, 3, 1_000] {
            assert_eq!(rows(file.as_bytes(), size).unwrap(), expected, "{file:?} in pieces of {size}");
        }
    }

    #[test]
    fn what_stands_between_fields_is_told_by_the_header() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a;b\r\n1,5;2", &[(1, &["a", "b"]), (2, &["1,5", "2"])]);
        check("a\tb\n1\t2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\"a,b,c\";d\n1;2\n", &[(1, &["a,b,c", "d"]), (2, &["1", "2"])]);
        check("a\n1\n", &[(1, &["a"]), (2, &["1"])]);
        check("\u{feff}a;b\n1;2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
    }

    #[test]
    fn a_row_stands_in_the_line_in_which_it_begins() {
        check("a,b\n\n1,\"x\ny\"\n\n\n2,z\n", &[(1, &["a", "b"]), (3, &["1", "x\ny"]), (7, &["2", "z"])]);
        check("\r\na\r\n\r\n1\r\n2\r\n", &[(2, &["a"]), (4, &["1"]), (5, &["2"])]);
        check("a\r1\r2", &[(1, &["a"]), (2, &["1"]), (3, &["2"])]);
        check("a,b\n;\n,\n , \n1,2", &[(1, &["a", "b"]), (2, &[";"]), (5, &["1", "2"])]);
    }

    #[test]
    fn what_is_no_table_is_told_by_its_line() {
        let told = |file: &[u8]| rows(file, 4_096).unwrap_err().to_string();
        let open = format!("a\n1\n\"{}", "x\n".repeat(ROW_BYTES_MAX));
        assert_eq!(
            told(open.as_bytes()),
            "file: line 3 has more than 131072 bytes; a quote may not be closed"
        );
        let wide = format!("a\n{}", ",".repeat(2_000) + "x");
        assert_eq!(told(wide.as_bytes()), "file: line 2 has more than 1024 fields");
        let csv = "file: must be CSV in UTF-8, as spreadsheet programs export it";
        assert_eq!(told(b"\xff\xfea\0\n\0"), csv);
        assert_eq!(told(b"PK\x03\x04\x14\0\x06\n"), csv);
        let endless = "a".repeat(HEADER_BYTES_MAX + 1);
        assert!(told(endless.as_bytes()).starts_with("file: must begin with a line of at most 16384 bytes"));
    }

    #[test]
    fn a_quote_that_is_never_closed_swallows_no_rows() {
        let told = |file: &str, size: usize| rows(file.as_bytes(), size).unwrap_err().to_string();
        for file in ["a,b\n1,x\n2,\"y\n3,z\n", "a,b\n1,x\n2,\"", "a,b\n1,x\n2,\"y\"\""] {
            for size in [1, 1_000] {
                let expected = "file: the row of line 3 has a quote that is never closed";
                assert_eq!(told(file, size), expected, "{file:?}");
            }
        }
        check("a,b\n1,\"x\"", &[(1, &["a", "b"]), (2, &["1", "x"])]);
        check("a,b\n1,x\"", &[(1, &["a", "b"]), (2, &["1", "x\""])]);
        check("a,b\n1,\"x\"\n", &[(1, &["a", "b"]), (2, &["1", "x"])]);
    }

    #[test]
    fn an_empty_file_has_no_rows() {
        check("", &[]);
        check("\n\r\n", &[]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_make_it_panic_and_pieces_make_no_difference(
            file in prop::collection::vec(prop::sample::select(b"ab1,;\t\"\r\n \xff\0".to_vec()), 0..200),
            size in 1_usize..20,
        ) {
            let whole = rows(&file, 1_000);
            prop_assert_eq!(&rows(&file, size), &whole);
            let Ok(rows) = whole else { return Ok(()) };
            prop_assert!(rows.windows(2).all(|two| two[0].0 < two[1].0), "lines only grow: {:?}", rows);
        }
    }
}
