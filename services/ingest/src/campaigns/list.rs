//! Recipients in a JSON list. Pure.

use std::collections::BTreeMap;

use chasqui_proto::v1::{Recipient, RowProblem};
use serde_json::{Value, value::RawValue};

use super::{
    criteria::{Candidate, Criteria},
    report::invalid,
};
use crate::fields::{FieldError, Fields};

/// The variable that a contact's name is, as the column of that name in a file.
const NAME: &str = "name";

/// The recipient that an element is, or why it is none. `line` is its position, from 1.
pub(super) fn recipient(line: u32, element: &RawValue, criteria: &Criteria) -> Result<Recipient, RowProblem> {
    let wrong = |error: FieldError| invalid(line, &error.field, error.expected.into_owned());
    let (to, name, mut given) = read(element).map_err(wrong)?;
    let mut variables = BTreeMap::new();
    for mentioned in criteria.names() {
        let value = match given.remove(mentioned) {
            None if mentioned == NAME => name.clone(),
            None => continue,
            Some(value) => text(mentioned, value).map_err(wrong)?,
        };
        variables.insert(mentioned.to_owned(), value);
    }
    criteria.recipient(Candidate { line, to_field: "to", to: &to, name_field: NAME, name: &name, variables })
}

/// Number, name and variables.
fn read(element: &RawValue) -> Result<(String, String, serde_json::Map<String, Value>), FieldError> {
    let must = || FieldError::new("", "must be a phone number, or an object with to, name and variables");
    let members = match serde_json::from_str(element.get()) {
        Ok(Value::String(to)) => return Ok((to, String::new(), serde_json::Map::new())),
        Ok(Value::Number(to)) => return Ok((to.to_string(), String::new(), serde_json::Map::new())),
        Ok(Value::Object(members)) => members,
        _ => return Err(must()),
    };
    let mut fields = Fields::of(members);
    let to = fields.text_or_number("to")?.unwrap_or_default();
    let name = fields.text(NAME)?.unwrap_or_default().trim().to_owned();
    let variables = match fields.any("variables") {
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(FieldError::new("variables", "must be an object")),
    };
    fields.end()?;
    Ok((to, name, variables))
}

/// A variable: a text, or a number as it is written.
fn text(name: &str, value: Value) -> Result<String, FieldError> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok(String::new()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(FieldError::new(name.to_owned(), "must be a text or a number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Message, MessageType};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(element: &str) -> Result<Recipient, (String, String)> {
        let text = "{{name}} {{monto}}".to_owned();
        let message = Message { r#type: MessageType::Text.into(), text, ..Message::default() };
        let raw: Box<RawValue> = serde_json::from_str(element).unwrap();
        let read = recipient(1, &raw, &Criteria::of(&message).unwrap());
        read.map_err(|problem| (problem.field, problem.problem))
    }

    #[test]
    fn an_element_has_a_number_a_name_and_variables() {
        for to in [json!("5491100000001"), json!(5_491_100_000_001_u64), json!("+54 911 0000-0001")] {
            let element = json!({ "to": to, "name": "Ana", "variables": { "monto": 7.5, "otro": "x" } });
            let recipient = read(&element.to_string()).unwrap();
            assert_eq!(recipient.contact.unwrap().value, "5491100000001");
            let told: Vec<_> = recipient.variables.values().map(String::as_str).collect();
            assert_eq!(told, ["7.5", "Ana"]);
        }
        let own =
            json!({ "to": "5491100000001", "name": "Ana", "variables": { "monto": "7", "name": "Anita" } });
        assert_eq!(read(&own.to_string()).unwrap().variables["name"], "Anita");
    }

    #[test]
    fn what_is_wrong_with_an_element_is_told_with_its_field() {
        for (element, field, expected) in [
            (json!("5491100000001"), "monto", "monto is needed"),
            (json!(null), "", "must be a phone number, or an object"),
            (json!([]), "", "must be a phone number, or an object"),
            (json!({}), "to", "is needed"),
            (json!({ "to": true }), "to", "must be text"),
            (json!({ "to": "5491100000001", "monto": "7" }), "monto", "there is no such field"),
            (json!({ "to": "5491100000001", "variables": [] }), "variables", "must be an object"),
            (
                json!({ "to": "5491100000001", "variables": { "monto": {} } }),
                "monto",
                "must be a text or a number",
            ),
        ] {
            let (told_field, told) = read(&element.to_string()).unwrap_err();
            assert_eq!(told_field, field, "{element}");
            assert!(told.starts_with(expected), "{element}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_element_makes_it_panic(json in r#"[\[\]{}",:0-9a-z]{0,40}"#) {
            if serde_json::from_str::<Value>(&json).is_ok() {
                let _ = read(&json);
            }
        }
    }
}
