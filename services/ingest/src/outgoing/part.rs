use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::OutgoingError;

/// One object of a message's JSON, and where it stands in it.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    members: &'a Map<String, Value>,
    /// Empty for the message itself.
    path: String,
}

impl<'a> Part<'a> {
    /// The message itself.
    pub(crate) fn root(members: &'a Map<String, Value>) -> Self {
        Self { members, path: String::new() }
    }

    /// The object that `value` is.
    pub(crate) fn of(path: impl Into<String>, value: &'a Value) -> Result<Self, OutgoingError> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            _ => Err(OutgoingError::Kind { path, expected: "an object" }),
        }
    }

    /// The whole object again.
    pub(crate) fn value(&self) -> Value {
        Value::Object(self.members.clone())
    }

    /// Whether it has a member besides these.
    pub(crate) fn has_more_than(&self, known: &[&str]) -> bool {
        self.members.iter().any(|(key, value)| !value.is_null() && !known.contains(&key.as_str()))
    }

    /// A member that is there and not `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    /// A member that must be an object.
    pub(crate) fn object(&self, key: &str) -> Result<Part<'a>, OutgoingError> {
        self.optional_object(key)?.ok_or_else(|| self.missing(key))
    }

    pub(crate) fn optional_object(&self, key: &str) -> Result<Option<Part<'a>>, OutgoingError> {
        self.get(key).map(|value| Part::of(self.path(key), value)).transpose()
    }

    /// A member that must be a string with as many characters.
    pub(crate) fn text(&self, key: &str, length: RangeInclusive<usize>) -> Result<&'a str, OutgoingError> {
        self.optional_text(key, length)?.ok_or_else(|| self.missing(key))
    }

    /// A string with as many characters. An empty one where that is too few is none: clients write it for a field that
    /// was left open.
    pub(crate) fn optional_text(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<&'a str>, OutgoingError> {
        let text = match self.get(key) {
            None => return Ok(None),
            Some(Value::String(text)) => text.as_str(),
            Some(_) => return Err(self.kind(key, "a string")),
        };
        if text.is_empty() && !length.contains(&0) {
            return Ok(None);
        }
        // PostgreSQL cannot hold it.
        if text.contains('\0') {
            return Err(self.value_of(key, "not contain U+0000"));
        }
        if !length.contains(&text.chars().count()) {
            let (least, most) = (length.start(), length.end());
            return Err(self.value_of(key, format!("have {least} to {most} characters")));
        }
        Ok(Some(text))
    }

    /// A member that must be an array of as many objects.
    pub(crate) fn objects(
        &self,
        key: &str,
        count: RangeInclusive<usize>,
    ) -> Result<Vec<Part<'a>>, OutgoingError> {
        let elements = match self.get(key) {
            None => return Err(self.missing(key)),
            Some(Value::Array(elements)) => elements,
            Some(_) => return Err(self.kind(key, "an array")),
        };
        if !count.contains(&elements.len()) {
            let (least, most) = (count.start(), count.end());
            return Err(self.value_of(key, format!("have {least} to {most} elements")));
        }
        let element = |(at, value)| Part::of(format!("{}[{at}]", self.path(key)), value);
        elements.iter().enumerate().map(element).collect()
    }

    /// The same, none when it is not there.
    pub(crate) fn optional_objects(
        &self,
        key: &str,
        count_max: usize,
    ) -> Result<Vec<Part<'a>>, OutgoingError> {
        if self.get(key).is_none() { Ok(Vec::new()) } else { self.objects(key, 0..=count_max) }
    }

    /// A member that must be a number, or a string that is one, within these bounds.
    pub(crate) fn number(&self, key: &str, bounds: RangeInclusive<f64>) -> Result<f64, OutgoingError> {
        let number = match self.get(key) {
            None => return Err(self.missing(key)),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => return Err(self.kind(key, "a number")),
        };
        number.filter(|number| bounds.contains(number)).ok_or_else(|| {
            self.value_of(key, format!("be a number from {} to {}", bounds.start(), bounds.end()))
        })
    }

    pub(crate) fn missing(&self, key: &str) -> OutgoingError {
        OutgoingError::Missing(self.path(key))
    }

    pub(crate) fn kind(&self, key: &str, expected: &'static str) -> OutgoingError {
        OutgoingError::Kind { path: self.path(key), expected }
    }

    /// `expected` goes on after "must".
    pub(crate) fn value_of(&self, key: &str, expected: impl Into<String>) -> OutgoingError {
        OutgoingError::Value { path: self.path(key), expected: expected.into() }
    }

    fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
