//! What the columns of a file are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chasqui_proto::v1::{Recipient, RowProblem};

use super::{
    criteria::{Candidate, Criteria, phone},
    definition::COLUMN_LENGTH_MAX,
    report::invalid,
    table::Row,
};
use crate::fields::FieldError;

/// The most columns of a file.
const COLUMNS_MAX: usize = 32;
/// What the column of the number may be called where the campaign does not say it.
const PHONE_COLUMNS: [&str; 10] =
    ["phone", "to", "telefono", "teléfono", "numero", "número", "celular", "movil", "móvil", "whatsapp"];
/// What the column of the contact's name may be called.
const NAME_COLUMNS: [&str; 2] = ["name", "nombre"];

/// The header of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Columns {
    names: Vec<String>,
    phone: usize,
    name: Option<usize>,
    /// Positions of the columns that the message mentions.
    mentioned: Vec<usize>,
}

impl Columns {
    /// Reads a header for a message that asks for `criteria`.
    pub(super) fn read(
        header: &Row<'_>,
        phone_column: Option<&str>,
        criteria: &Criteria,
    ) -> Result<Self, FieldError> {
        let names = names(header)?;
        let position = |wanted: &str| names.iter().position(|name| name == wanted);
        let missing = |field: &'static str, wanted: &str| {
            told(field, &format!("the file has no column {wanted}"), &names)
        };
        let phone = match phone_column {
            Some(wanted) => position(wanted).ok_or_else(|| missing("phone_column", wanted))?,
            None => found(&names)?,
        };
        let mentioned = criteria.names().map(|name| position(name).ok_or_else(|| missing("message", name)));
        let mentioned = mentioned.collect::<Result<_, _>>()?;
        let name = names.iter().position(|name| NAME_COLUMNS.contains(&name.to_lowercase().as_str()));
        Ok(Self { names, phone, name, mentioned })
    }

    /// The recipient that a row is, or why it is none.
    pub(super) fn recipient(&self, row: &Row<'_>, criteria: &Criteria) -> Result<Recipient, RowProblem> {
        if row.len() > self.names.len() {
            let (has, columns) = (row.len(), self.names.len());
            return Err(invalid(row.line, "", format!("has {has} fields, the header {columns}")));
        }
        let text = |at: usize| self.text(row, at);
        let mut variables = BTreeMap::new();
        for at in &self.mentioned {
            variables.insert(self.names[*at].clone(), text(*at)?.to_owned());
        }
        criteria.recipient(Candidate {
            line: row.line,
            to_field: &self.names[self.phone],
            to: text(self.phone)?,
            name_field: self.name.map_or("", |at| &self.names[at]),
            name: self.name.map_or(Ok(""), text)?,
            variables,
        })
    }

    fn text<'a>(&self, row: &Row<'a>, at: usize) -> Result<&'a str, RowProblem> {
        let text = str::from_utf8(row.field(at));
        text.map(str::trim).map_err(|_| invalid(row.line, &self.names[at], "must be UTF-8".to_owned()))
    }
}

fn names(header: &Row<'_>) -> Result<Vec<String>, FieldError> {
    if header.len() > COLUMNS_MAX {
        return Err(FieldError::new("file", format!("must have at most {COLUMNS_MAX} columns")));
    }
    let mut seen = BTreeSet::new();
    let name = |at: usize| {
        let name = str::from_utf8(header.field(at))
            .map_err(|_| FieldError::new("file", "must be CSV in UTF-8: the names of its columns are not"))?;
        let name = name.trim();
        if name.contains('\0') {
            return Err(FieldError::new("file", "must be CSV in UTF-8: its first line has U+0000"));
        }
        if name.chars().count() > COLUMN_LENGTH_MAX {
            let expected =
                format!("the names of its columns must have at most {COLUMN_LENGTH_MAX} characters");
            return Err(FieldError::new("file", expected));
        }
        // Columns without a name are of no use, and no harm.
        if !name.is_empty() && !seen.insert(name.to_owned()) {
            let twice = || FieldError::new("file", format!("has two columns {name}"));
            return Err(if is_number(name) { headless() } else { twice() });
        }
        Ok(name.to_owned())
    };
    (0..header.len()).map(name).collect()
}

/// The column that is called as those of numbers are.
fn found(names: &[String]) -> Result<usize, FieldError> {
    let is_phone = |name: &String| PHONE_COLUMNS.contains(&name.to_lowercase().as_str());
    let mut found = names.iter().enumerate().filter(|(_, name)| is_phone(name));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some((_, one)), Some((_, other))) => {
            let expected = format!("must say which column is the number: {one} or {other}");
            Err(FieldError::new("phone_column", expected))
        }
        (None, _) => Err(told("phone_column", "must name the column of the number", names)),
    }
}

/// What is wrong, and which columns there are. Where those are a recipient their names are missing, and it is told to
/// nobody: errors are logged.
fn told(field: &'static str, wrong: &str, names: &[String]) -> FieldError {
    if names.iter().any(|name| is_number(name)) {
        return headless();
    }
    let listed: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    FieldError::new(field, format!("{wrong}; its columns are {}", listed.join(", ")))
}

fn headless() -> FieldError {
    let expected = "must begin with a line that names the columns; its first line has a phone number";
    FieldError::new("file", expected)
}

fn is_number(name: &str) -> bool {
    phone(name).is_ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chasqui_proto::v1::{Message, MessageType};

    use super::*;
    use crate::campaigns::table::Table;

    fn read(header: &str, phone_column: Option<&str>) -> Result<Columns, String> {
        let text = "{{fecha}}".to_owned();
        let message = Message { r#type: MessageType::Text.into(), text, ..Message::default() };
        let mut table = Table::new();
        table.push(&Bytes::copy_from_slice(header.as_bytes()));
        table.end();
        let header = table.next().unwrap().unwrap();
        Columns::read(&header, phone_column, &Criteria::of(&message).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_column_of_the_number_is_told_by_its_name() {
        for phone in ["phone", "To", "TELEFONO", "Teléfono", "número", "celular", "whatsapp"] {
            let columns = read(&format!("fecha;Nombre; {phone} ;;"), None).unwrap();
            assert_eq!((columns.phone, columns.name, columns.mentioned), (2, Some(1), vec![0]), "{phone}");
        }
        assert_eq!(read("fecha,dato", Some("dato")).unwrap().phone, 1);
    }

    #[test]
    fn what_is_wrong_with_a_header_is_told() {
        for (header, phone_column, expected) in [
            ("fecha,a", None, "phone_column: must name the column of the number; its columns are fecha, a"),
            ("fecha,to,phone", None, "phone_column: must say which column is the number: to or phone"),
            ("fecha,to", Some("b"), "phone_column: the file has no column b; its columns are fecha, to"),
            ("to,Fecha", None, "message: the file has no column fecha; its columns are to, Fecha"),
            ("to,a,a", None, "file: has two columns a"),
            (&format!("to{}", ",".repeat(32)), None, "file: must have at most 32 columns"),
            (&format!("to,{}", "x".repeat(65)), None, "file: the names of its columns must have at most 64"),
        ] {
            let told = read(header, phone_column).unwrap_err();
            assert!(told.starts_with(expected), "{told} should say {expected}");
        }
    }
}
