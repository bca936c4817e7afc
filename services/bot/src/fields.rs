//! The fields of a table of a file, taken one by one, so that every problem is found and not the first alone.

use std::{fmt::Display, ops::Range};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use crate::problem::Problem;

/// What is wrong with a file, as far as it was read.
pub(crate) struct Found<'t> {
    pub(crate) file: &'t str,
    pub(crate) text: &'t str,
    pub(crate) problems: Vec<Problem>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A table of which fields are taken.
pub(crate) struct Fields<'t> {
    table: DeTable<'t>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'t> Found<'t> {
    /// Notes a problem.
    pub(crate) fn problem(&mut self, span: Range<usize>, message: impl Display) {
        self.problems.push(Problem::at(self.file, self.text, span, message.to_string()));
    }

    /// Notes a problem unless something holds.
    pub(crate) fn require(&mut self, holds: bool, span: Range<usize>, message: impl Display) {
        if !holds {
            self.problem(span, message);
        }
    }

    /// The tables of the file.
    pub(crate) fn parse(&mut self) -> Fields<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.problem(error.span().unwrap_or_default(), error.message());
        }
        let span = table.span();
        Fields { table: table.into_inner(), span, asked: Vec::new() }
    }

    fn deserialize<T: Deserialize<'t>>(&mut self, name: &str, value: Spanned<DeValue<'t>>) -> Option<At<T>> {
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(At { value, span }),
            Err(error) => {
                let message = error.message().trim_end().replace('\n', ", ");
                self.problem(error.span().unwrap_or(span), format!("`{name}`: {message}"));
                None
            }
        }
    }

    fn fields(&mut self, name: &str, value: Spanned<DeValue<'t>>) -> Option<Fields<'t>> {
        let span = value.span();
        if let DeValue::Table(table) = value.into_inner() {
            return Some(Fields { table, span, asked: Vec::new() });
        }
        self.problem(span, format!("`{name}` must be a table"));
        None
    }
}

impl<'t> Fields<'t> {
    /// Where the table stands.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn value(&mut self, name: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.asked.push(name);
        self.table.remove(name)
    }

    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Whether a field is there and is a table.
    pub(crate) fn is_table(&self, name: &str) -> bool {
        self.table.get(name).is_some_and(|value| value.get_ref().is_table())
    }

    /// A field; none where it is missing or wrong, which is told.
    pub(crate) fn take<T: Deserialize<'t>>(
        &mut self,
        found: &mut Found<'t>,
        name: &'static str,
    ) -> Option<At<T>> {
        let value = self.value(name)?;
        found.deserialize(name, value)
    }

    /// A field that must be there.
    pub(crate) fn need<T: Deserialize<'t>>(
        &mut self,
        found: &mut Found<'t>,
        name: &'static str,
    ) -> Option<At<T>> {
        found.require(self.has(name), self.span(), format!("`{name}` is missing"));
        self.take(found, name)
    }

    /// A number that must be within bounds.
    pub(crate) fn number(
        &mut self,
        found: &mut Found<'t>,
        name: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        let number = self.take::<u64>(found, name)?;
        let message = || format!("`{name}` must be {} to {}", bounds.start(), bounds.end());
        found.require(bounds.contains(&number.value), number.span.clone(), message());
        Some(number)
    }

    /// A table in the table.
    pub(crate) fn table(&mut self, found: &mut Found<'t>, name: &'static str) -> Option<Self> {
        let value = self.value(name)?;
        found.fields(name, value)
    }

    /// Tables in a list (`[[rules]]`).
    pub(crate) fn tables(&mut self, found: &mut Found<'t>, name: &'static str) -> Vec<Self> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let span = value.span();
        if let DeValue::Array(values) = value.into_inner() {
            return values.into_iter().filter_map(|value| found.fields(name, value)).collect();
        }
        found.problem(span, format!("`{name}` must be a list of tables: [[{name}]]"));
        Vec::new()
    }

    /// Tells of the fields that nobody asked for.
    pub(crate) fn finish(self, found: &mut Found<'t>) {
        for (name, _) in self.table {
            let known = self.asked.join("`, `");
            found.problem(name.span(), format!("`{}` is unknown; expected one of `{known}`", name.get_ref()));
        }
    }
}
