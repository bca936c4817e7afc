//! JSON bodies of requests, read field by field, so that what is wrong is named. Pure.

use axum::{body::Bytes, extract::rejection::BytesRejection};
use serde_json::{Map, Value};

use crate::error::Error;

/// The most bytes of a body that only says what is to change.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How much of a field's name an answer repeats, characters.
const NAME_CHARS_SHOWN: usize = 64;

/// A body as it came.
pub(super) type Body = Result<Bytes, BytesRejection>;

/// The fields of a body.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of an object that has at least one, and none but those `known`.
    pub(super) fn of_change(body: Body, known: &[&str]) -> Result<Self, Error> {
        let fields = Self::read(&received(body)?, known)?;
        if fields.0.is_empty() {
            return Err(Error::Invalid(format!("the body must have at least one of {}", known.join(", "))));
        }
        Ok(fields)
    }

    /// The same of a body that need not be there.
    pub(super) fn of_option(body: Body, known: &[&str]) -> Result<Self, Error> {
        let body = received(body)?;
        if body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        Self::read(&body, known)
    }

    fn read(body: &[u8], known: &[&str]) -> Result<Self, Error> {
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            let known = known.join(", ");
            Error::Invalid(format!("the body must be a JSON object with some of {known}: {error}"))
        })?;
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(NAME_CHARS_SHOWN).collect();
            return Err(Error::Invalid(format!(
                "{name:?} is no field of it; expected some of {}",
                known.join(", ")
            )));
        }
        Ok(Self(fields))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        let boolean = |value: &Value| {
            value.as_bool().ok_or_else(|| Error::Invalid(format!("{name} must be true or false")))
        };
        self.0.get(name).map(boolean).transpose()
    }

    /// A text that `read` understands; `expected` completes "must be".
    pub(super) fn text<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let text = |value: &Value| {
            let read = value.as_str().and_then(&read);
            read.ok_or_else(|| Error::Invalid(format!("{name} must be {expected}")))
        };
        self.0.get(name).map(text).transpose()
    }

    /// The same where `null` takes away what there is.
    pub(super) fn text_or_null<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
        nothing: T,
    ) -> Result<Option<T>, Error> {
        if self.0.get(name).is_some_and(Value::is_null) {
            return Ok(Some(nothing));
        }
        self.text(name, expected, read)
    }
}

fn received(body: Body) -> Result<Bytes, Error> {
    body.map_err(|error| {
        if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            Error::TooLarge(format!("the body must have at most {BODY_BYTES_MAX} bytes"))
        } else {
            Error::Invalid(format!("the body cannot be read: {}", error.body_text()))
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["flag", "name"];

    fn change(text: &str) -> Result<Fields, Error> {
        Fields::of_change(Ok(Bytes::copy_from_slice(text.as_bytes())), KNOWN)
    }

    fn refused(result: Result<Fields, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_field_that_nobody_knows_is_named_with_those_there_are() {
        assert_eq!(
            refused(change(r#"{"flog":true}"#)),
            "\"flog\" is no field of it; expected some of flag, name"
        );
        for text in ["", "[]", "7", "{", "null"] {
            let refusal = refused(change(text));
            assert!(
                refusal.starts_with("the body must be a JSON object with some of flag, name"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_change_of_nothing_is_refused_and_a_body_may_be_optional() {
        assert_eq!(refused(change("{}")), "the body must have at least one of flag, name");
        for text in ["", " \n", "{}"] {
            assert!(Fields::of_option(Ok(Bytes::from_static(text.as_bytes())), KNOWN).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_wrong_type_is_named_with_what_was_expected() {
        let fields = change(r#"{"flag":"yes","name":7}"#).unwrap();
        assert_eq!(fields.boolean("flag").unwrap_err().to_string(), "flag must be true or false");
        let name = |text: &str| Some(text.to_owned());
        let wrong = fields.text("name", "a text", name).unwrap_err();
        assert_eq!(wrong.to_string(), "name must be a text");
        let fields = change(r#"{"name":null}"#).unwrap();
        assert_eq!(fields.boolean("flag").unwrap(), None);
        assert!(fields.text("name", "a text", name).is_err());
        assert_eq!(fields.text_or_null("name", "a text", name, String::new()).unwrap(), Some(String::new()));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::of_change(Ok(Bytes::from(bytes)), KNOWN);
        }
    }
}
