//! What became of every recipient, as CSV: the columns are those of `results.csv` of the HTTP interface.

use chasqui_proto::v1::Recipient;

use super::shown::{address_of, reason};
use crate::table::moment;

/// The first line.
pub(super) const COLUMNS: [&str; 10] = [
    "line",
    "to",
    "name",
    "state",
    "message_id",
    "attempt",
    "error_code",
    "error",
    "queued_at",
    "updated_at",
];

/// What a spreadsheet takes for the beginning of a formula, whoever wrote it.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Recipients, a line each.
pub(super) fn lines(recipients: &[Recipient], full: bool) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for recipient in recipients {
        writer.write_record(row(recipient, full))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn row(recipient: &Recipient, full: bool) -> [String; COLUMNS.len()] {
    let error = recipient.error.as_ref();
    [
        recipient.line.to_string(),
        address_of(recipient, full),
        defused(&recipient.name),
        recipient.state().name().to_owned(),
        recipient.message_id.clone(),
        recipient.attempt.to_string(),
        error.map(|error| error.code.to_string()).unwrap_or_default(),
        defused(error.map(reason).unwrap_or_default()),
        moment(recipient.queued_at_ms).unwrap_or_default(),
        moment(recipient.updated_at_ms).unwrap_or_default(),
    ]
}

/// A text that no spreadsheet calculates with.
fn defused(text: &str) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::{
        address::phone,
        v1::{ProviderError, RecipientState},
    };

    use super::*;

    #[test]
    fn a_line_has_a_cell_for_each_column_and_no_formula() {
        let error =
            ProviderError { code: 131_026, title: "Undeliverable".to_owned(), ..ProviderError::default() };
        let recipient = Recipient {
            line: 2,
            contact: Some(phone("5491100000001")),
            name: "=cmd(\"x\"), Contact".to_owned(),
            state: RecipientState::Failed.into(),
            attempt: 1,
            message_id: "m-1".to_owned(),
            error: Some(error),
            queued_at_ms: 1_760_000_000_000,
            ..Recipient::default()
        };
        let expected = "2,5491100000001,\"'=cmd(\"\"x\"\"), Contact\",failed,m-1,1,131026,Undeliverable,\
                        2025-10-09T08:53:20Z,\n";
        assert_eq!(String::from_utf8(lines(&[recipient], true).unwrap()).unwrap(), expected);
        assert!(lines(&[], true).unwrap().is_empty());
    }
}
