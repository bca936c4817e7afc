//! The members of a JSON object, taken one by one: whatever is wrong is told by its name.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::error::AdminError;

/// What is left of an object.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn read(body: &[u8]) -> Result<Self, AdminError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(wrong("body", "must be a JSON object")),
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, AdminError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "must be text")),
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, AdminError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(wrong(name, "must be true or false")),
        }
    }

    /// A whole number, where there is none 0.
    pub(super) fn number<N: TryFrom<i64> + Default>(&mut self, name: &'static str) -> Result<N, AdminError> {
        let Some(value) = self.take(name) else { return Ok(N::default()) };
        let number = value.as_i64().and_then(|number| N::try_from(number).ok());
        number.ok_or_else(|| wrong(name, "must be a whole number within its bounds"))
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, AdminError> {
        let must = || wrong(name, "must be a list of texts");
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(must()) };
        let text = |item: Value| match item {
            Value::String(text) => Ok(text),
            _ => Err(must()),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn any(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name)
    }

    /// What was read may be sent back: these say nothing.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Everything was taken.
    pub(super) fn end(self) -> Result<(), AdminError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            // A name as long as a body would come back whole.
            Some((name, _)) => {
                let name: String = name.chars().take(64).collect();
                Err(AdminError::Field { field: name.into(), expected: "there is no such field".into() })
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }
}

/// A field that is not what it must be.
pub(super) fn wrong(field: &'static str, expected: impl Into<Cow<'static, str>>) -> AdminError {
    AdminError::Field { field: field.into(), expected: expected.into() }
}
