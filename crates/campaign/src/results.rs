//! What became of recipients, as CSV: one shape, whoever writes it.

use chasqui_proto::v1::{ProviderError, Recipient};
use csv::{Terminator, WriterBuilder};

use crate::time::iso;

/// The columns, in order.
const COLUMNS: [&str; 10] = [
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
/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// What some spreadsheet takes for the end of a cell, also where quotes say otherwise: those that expect `;` do not see
/// our quotes.
const ENDS: [char; 4] = [';', '\t', '\r', '\n'];

/// The line that names the columns.
pub fn header() -> Vec<u8> {
    written(&[COLUMNS.map(str::to_owned)])
}

/// Recipients, a line each; `address` says how the number of each is written.
pub fn lines(recipients: &[Recipient], address: impl Fn(&str) -> String) -> Vec<u8> {
    written(&recipients.iter().map(|recipient| row(recipient, &address)).collect::<Vec<_>>())
}

/// Why a message failed, in the words that say most.
pub fn reason(error: &ProviderError) -> &str {
    let said = [&error.details, &error.message, &error.title].into_iter().find(|text| !text.is_empty());
    said.map_or("", String::as_str)
}

fn row(recipient: &Recipient, address: impl Fn(&str) -> String) -> [String; COLUMNS.len()] {
    let error = recipient.error.as_ref();
    [
        recipient.line.to_string(),
        recipient.contact.as_ref().map(|contact| defused(&address(&contact.value))).unwrap_or_default(),
        defused(&recipient.name),
        recipient.state().name().to_owned(),
        recipient.message_id.clone(),
        recipient.attempt.to_string(),
        error.map(|error| error.code.to_string()).unwrap_or_default(),
        defused(error.map(reason).unwrap_or_default()),
        iso(recipient.queued_at_ms).unwrap_or_default(),
        iso(recipient.updated_at_ms).unwrap_or_default(),
    ]
}

fn written(rows: &[[String; COLUMNS.len()]]) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("writing to memory does not fail, and all rows are as long");
    }
    writer.into_inner().expect("flushing to memory does not fail")
}

/// A text that no spreadsheet calculates with.
fn defused(text: &str) -> String {
    let (mut defused, mut begins) = (String::with_capacity(text.len() + 1), true);
    for character in text.chars() {
        if begins && FORMULA.contains(&character) {
            defused.push('\'');
        }
        defused.push(character);
        begins = ENDS.contains(&character);
    }
    defused
}

#[cfg(test)]
mod tests {
    use chasqui_proto::{address::phone, v1::RecipientState};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_spreadsheet_would_calculate_is_a_text() {
        for (said, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("Contact;=1+1", "Contact;'=1+1"),
            ("Contact\n=1+1", "Contact\n'=1+1"),
            ("Contact; the other", "Contact; the other"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(defused(said), written);
        }
    }

    #[test]
    fn a_line_has_what_became_of_a_recipient() {
        let title = "=Undeliverable".to_owned();
        let recipient = Recipient {
            line: 2,
            contact: Some(phone("5491100000001")),
            name: "Contact \"7\", =".to_owned(),
            state: RecipientState::Failed.into(),
            message_id: "m".to_owned(),
            attempt: 1,
            error: Some(ProviderError { code: 131_026, title, ..ProviderError::default() }),
            queued_at_ms: 1_796_126_400_000,
            ..Recipient::default()
        };
        let expected =
            "2,549…,\"Contact \"\"7\"\", =\",failed,m,1,131026,'=Undeliverable,2026-12-01T12:00:00.000Z,\r\n";
        let told = lines(&[recipient], |number| format!("{}…", &number[..3]));
        assert_eq!(String::from_utf8(told).unwrap(), expected);
        assert!(header().starts_with(b"line,to,name,state,") && header().ends_with(b"updated_at\r\n"));
    }

    proptest! {
        #[test]
        fn no_cell_is_a_formula_wherever_it_is_cut(text in "[a=+@;\t\r\n-]{0,20}") {
            for cell in defused(&text).split(ENDS) {
                prop_assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell:?}");
            }
        }
    }
}
