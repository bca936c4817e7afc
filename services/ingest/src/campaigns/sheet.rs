//! A file of recipients: pieces in, recipients and problems out. Pure.

use bytes::Bytes;
use chasqui_proto::v1::{Recipient, RowProblem};

use super::{columns::Columns, criteria::Criteria, table::Table};
use crate::fields::FieldError;

/// Where the file is read.
#[derive(Debug)]
pub(super) struct Sheet {
    table: Table,
    phone_column: Option<String>,
    /// Known once the header was read.
    columns: Option<Columns>,
}

impl Sheet {
    /// Of a file that nothing of is there yet; the number stands in this column, where that is known.
    pub(super) fn new(phone_column: Option<String>) -> Self {
        Self { table: Table::new(), phone_column, columns: None }
    }

    /// The next piece of the file. What is in it is taken before the next one is given.
    pub(super) fn push(&mut self, piece: &Bytes) {
        self.table.push(piece);
    }

    /// There are no further pieces.
    pub(super) fn end(&mut self) {
        self.table.end();
    }

    /// What the next row is; `None` until there are more pieces, and at the end.
    pub(super) fn next(
        &mut self,
        criteria: &Criteria,
    ) -> Result<Option<Result<Recipient, RowProblem>>, FieldError> {
        if self.columns.is_none() {
            let Some(header) = self.table.next()? else {
                let expected = "must begin with a line that names the columns; there is none";
                return if self.table.is_whole() { Err(FieldError::new("file", expected)) } else { Ok(None) };
            };
            self.columns = Some(Columns::read(&header, self.phone_column.as_deref(), criteria)?);
        }
        let columns = self.columns.as_ref().expect("they were read above");
        Ok(self.table.next()?.map(|row| columns.recipient(&row, criteria)))
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{CampaignReport, Message, MessageType};
    use proptest::prelude::*;

    use super::*;
    use crate::campaigns::report::Report;

    fn criteria() -> Criteria {
        let text = "Hola {{nombre}}".to_owned();
        Criteria::of(&Message { r#type: MessageType::Text.into(), text, ..Message::default() }).unwrap()
    }

    /// What is found in a file, and who is left.
    fn read(file: &[u8]) -> Result<(CampaignReport, Vec<Recipient>), FieldError> {
        let (mut sheet, criteria) = (Sheet::new(None), criteria());
        let (mut report, mut recipients) = (Report::default(), Vec::new());
        let mut take = |sheet: &mut Sheet| {
            while let Some(row) = sheet.next(&criteria)? {
                report.row();
                match row {
                    Ok(recipient) => recipients.push(recipient),
                    Err(problem) => report.invalid(problem),
                }
            }
            Ok(())
        };
        for piece in file.chunks(7) {
            sheet.push(&Bytes::copy_from_slice(piece));
            take(&mut sheet)?;
        }
        sheet.end();
        take(&mut sheet)?;
        Ok((report.finish(), recipients))
    }

    #[test]
    fn a_spreadsheet_of_excel_is_read_as_it_is() {
        let file = "\u{feff}Teléfono;nombre;notas\r\n5491100000001;Ana;\"a;b\r\nc\"\r\n;;\r\n+54 911 0000-0002; José ;\r\n";
        let (report, recipients) = read(file.as_bytes()).unwrap();
        assert_eq!((report.rows, report.accepted, report.problems.len()), (2, 2, 0));
        let told: Vec<_> = recipients.iter().map(|one| (one.line, one.name.as_str())).collect();
        assert_eq!(told, [(2, "Ana"), (5, "José")]);
        assert_eq!(recipients[1].contact.as_ref().unwrap().value, "5491100000002");
        let kept: Vec<_> = recipients[0].variables.iter().collect();
        assert_eq!(kept, [(&"nombre".to_owned(), &"Ana".to_owned())], "what no message mentions is not kept");
    }

    #[test]
    fn every_bad_row_is_told_with_its_line_its_column_and_what_was_expected() {
        let file = b"telefono,nombre\n5491100000001,\nx,Ana\n5491100000002,Ana,7\n5491100000003,\xff\n5491100000004\n";
        let (report, recipients) = read(file).unwrap();
        assert_eq!((report.rows, report.accepted, report.invalid), (5, 0, 5));
        assert!(recipients.is_empty());
        let told: Vec<_> = report
            .problems
            .iter()
            .map(|problem| (problem.line, problem.field.as_str(), problem.problem.as_str()))
            .collect();
        let number = "must be a phone number with its country code, such as 5491100000001";
        assert_eq!(
            told,
            [
                (2, "nombre", "nombre is needed: the message mentions it"),
                (3, "telefono", number),
                (4, "", "has 3 fields, the header 2"),
                (5, "nombre", "must be UTF-8"),
                (6, "nombre", "nombre is needed: the message mentions it"),
            ]
        );
    }

    #[test]
    fn a_file_without_names_of_columns_says_so_and_not_whom_it_has() {
        for file in ["5491100000001,Contacto\n5491100000002,Otro\n", "5491100000001,5491100000001\n"] {
            let told = read(file.as_bytes()).unwrap_err().to_string();
            let expected =
                "file: must begin with a line that names the columns; its first line has a phone number";
            assert_eq!(told, expected);
        }
        for file in ["", "\n\n"] {
            let told = read(file.as_bytes()).unwrap_err().to_string();
            assert_eq!(told, "file: must begin with a line that names the columns; there is none");
        }
        assert_eq!(read(b"telefono,nombre\n").unwrap().0.rows, 0);
    }

    proptest! {
        #[test]
        fn every_line_of_any_bytes_is_accounted_for(
            rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30),
        ) {
            let file = [b"telefono,nombre\n".to_vec(), rows.join(&b'\n')].concat();
            let Ok((report, recipients)) = read(&file) else { return Ok(()) };
            prop_assert_eq!(report.rows, report.accepted + report.invalid + report.duplicates + report.opted_out);
            prop_assert_eq!(report.accepted as usize, recipients.len());
            prop_assert_eq!(report.invalid as usize, report.problems.len());
        }

        #[test]
        fn no_header_makes_it_panic(file in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&file);
        }
    }
}
