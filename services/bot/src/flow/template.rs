//! Texts with places for values: `{city.label}`.

use std::{collections::BTreeMap, ops::Range};

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Said as it is.
    Plain(&'t str),
    /// The name of a value.
    Value(&'t str),
    /// A brace that belongs to nothing. A flow that was read has none.
    Stray(&'t str),
}

/// The parts of a text, each with the bytes it is written in; `{{` and `}}` are braces.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (Range<usize>, Piece<'_>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let (piece, length) = first(&text[start..])?;
        let written = start..start + length;
        start = written.end;
        Some((written, piece))
    })
}

/// The first part of a text, and its length in bytes.
fn first(text: &str) -> Option<(Piece<'_>, usize)> {
    match text.find(['{', '}']) {
        _ if text.is_empty() => None,
        None => Some((Piece::Plain(text), text.len())),
        Some(0) if text.starts_with("{{") || text.starts_with("}}") => Some((Piece::Plain(&text[..1]), 2)),
        Some(0) => {
            let inner = text.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let name = inner.map(|(name, _)| name).filter(|name| is_value_name(name));
            Some(name.map_or((Piece::Stray(&text[..1]), 1), |name| (Piece::Value(name), name.len() + 2)))
        }
        Some(at) => Some((Piece::Plain(&text[..at]), at)),
    }
}

/// `city`, `city.label`.
fn is_value_name(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    name.split('.').all(is_word)
}

/// The text with its values, cut to so many characters. What a value holds is not looked at again; one that is missing
/// is nothing.
pub(super) fn filled(text: &str, values: &BTreeMap<String, String>, characters_max: usize) -> String {
    let parts = pieces(text).map(|(_, piece)| match piece {
        Piece::Plain(plain) | Piece::Stray(plain) => plain,
        Piece::Value(name) => values.get(name).map_or("", String::as_str),
    });
    parts.flat_map(str::chars).take(characters_max).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_stand_where_their_names_stood() {
        let values = values(&[("name", "Contact"), ("city.label", "Bogotá")]);
        assert_eq!(filled("{name}", &values, 3), "Con");
        assert_eq!(
            filled("{name}: {city.label}, {{name}} {none}!", &values, 99),
            "Contact: Bogotá, {name} !"
        );
    }

    #[test]
    fn what_a_contact_writes_is_never_a_place_for_a_value() {
        let values = values(&[("said", "{secret} {{ {said}"), ("secret", "hidden")]);
        assert_eq!(filled("«{said}»", &values, 99), "«{secret} {{ {said}»");
    }

    #[test]
    fn a_brace_that_belongs_to_nothing_is_seen() {
        for text in ["{", "a {b", "}", "{A}", "{}", "{a b}", "{.a}", "{a.}", "{ñ}"] {
            assert!(pieces(text).any(|(_, piece)| matches!(piece, Piece::Stray(_))), "{text}");
        }
        assert!(!pieces("{a-b.c_1} {{ }}").any(|(_, piece)| matches!(piece, Piece::Stray(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_filled_and_nothing_of_it_is_lost(text in "\\PC{0,60}|[{}a.]{0,20}") {
            let filled = filled(&text, &BTreeMap::new(), 99);
            prop_assert!(filled.len() <= text.len());
            if !text.contains(['{', '}']) {
                prop_assert_eq!(filled, text);
            }
        }
    }
}
