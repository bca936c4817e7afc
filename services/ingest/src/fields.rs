//! The members of a JSON object, taken one by one: whatever is wrong is told by its name.

use std::borrow::Cow;

use chasqui_kit::{Code, Coded};
use serde_json::{Map, Value};

/// A field that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub(crate) struct FieldError {
    /// Its name.
    pub(crate) field: Cow<'static, str>,
    /// What was expected of it.
    pub(crate) expected: Cow<'static, str>,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), expected: expected.into() }
    }
}

impl Coded for FieldError {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

/// What is left of an object.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Those of an object that was read already.
    pub(crate) fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, FieldError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(FieldError::new("body", "must be a JSON object")),
        }
    }

    /// The same, where no body at all is an object without members.
    pub(crate) fn read_optional(body: &[u8]) -> Result<Self, FieldError> {
        if body.is_empty() { Ok(Self(Map::new())) } else { Self::read(body) }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FieldError::new(name, "must be text")),
        }
    }

    /// Text, or a number as it is written: addresses come as both.
    pub(crate) fn text_or_number(&mut self, name: &'static str) -> Result<Option<String>, FieldError> {
        match self.take(name) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => {
                self.0.insert(name.to_owned(), other);
                self.text(name)
            }
            None => Ok(None),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, FieldError> {
        Ok(self.optional_flag(name)?.unwrap_or_default())
    }

    pub(crate) fn optional_flag(&mut self, name: &'static str) -> Result<Option<bool>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(FieldError::new(name, "must be true or false")),
        }
    }

    /// A whole number, where there is none 0.
    pub(crate) fn number<N: TryFrom<i64> + Default>(&mut self, name: &'static str) -> Result<N, FieldError> {
        Ok(self.optional_number(name)?.unwrap_or_default())
    }

    /// A whole number.
    pub(crate) fn optional_number<N: TryFrom<i64>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<N>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_i64().and_then(|number| N::try_from(number).ok());
        number.map(Some).ok_or_else(|| FieldError::new(name, "must be a whole number within its bounds"))
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, FieldError> {
        let must = || FieldError::new(name, "must be a list of texts");
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(must()) };
        let text = |item: Value| match item {
            Value::String(text) => Ok(text),
            _ => Err(must()),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn any(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name)
    }

    /// What was read may be sent back: these say nothing.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// What was not taken.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.0
    }

    /// Everything was taken.
    pub(crate) fn end(self) -> Result<(), FieldError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            // A name as long as a body would come back whole.
            Some((name, _)) => {
                let name: String = name.chars().take(64).collect();
                Err(FieldError::new(name, "there is no such field"))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }
}
