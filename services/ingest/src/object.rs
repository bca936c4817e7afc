//! JSON of strangers, read leniently: what is missing or of another shape is absent, and nothing is an error.

use std::collections::HashMap;

use serde_json::value::RawValue;

/// A JSON object whose members are read when they are asked for, and whose text is kept verbatim.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(HashMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// The object that `raw` is; `None` for every other kind of value.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok().map(Self)
    }

    /// A member that is there and not `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.get(key).copied().filter(|raw| raw.get() != "null")
    }

    /// A string, or a number as it is written: ids and times come as both. U+0000 is replaced, since PostgreSQL
    /// cannot hold it.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let raw = self.get(key)?;
        if is_number(raw) {
            return Some(raw.get().to_owned());
        }
        let text: String = serde_json::from_str(raw.get()).ok()?;
        Some(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }

    /// A string that says something.
    pub(crate) fn filled(&self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.trim().is_empty())
    }

    /// A whole number, or a string that is one.
    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        self.text(key)?.trim().parse().ok()
    }

    /// A finite number, or a string that is one.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Whether a member is `true`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|raw| raw.get() == "true")
    }

    /// A member that is an object.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Self::read(self.get(key)?)
    }

    /// The elements of a member that is an array; none when it is absent or something else.
    pub(crate) fn elements(&self, key: &str) -> Vec<&'a RawValue> {
        self.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The elements of a member that are objects.
    pub(crate) fn objects(&self, key: &str) -> Vec<Object<'a>> {
        self.elements(key).into_iter().filter_map(Self::read).collect()
    }
}

fn is_number(raw: &RawValue) -> bool {
    raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Object<'_> {
        Object::read(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn numbers_and_strings_of_numbers_are_the_same() {
        let object = read(r#"{"a":" 7","b":7,"c":-1.5,"d":"x","e":1e999,"f":123456789012345678901}"#);
        assert_eq!((object.integer("a"), object.integer("b"), object.integer("d")), (Some(7), Some(7), None));
        assert_eq!((object.number("c"), object.number("e")), (Some(-1.5), None));
        assert_eq!(object.text("f").as_deref(), Some("123456789012345678901"));
    }

    #[test]
    fn what_has_another_shape_is_absent() {
        let object = read(r#"{"a":null,"b":{},"c":"","d":"\ud800","e":"x\u0000y","a\u0062":true}"#);
        assert_eq!((object.text("a"), object.text("b"), object.filled("c")), (None, None, None));
        assert_eq!((object.text("d"), object.text("e").as_deref()), (None, Some("x\u{fffd}y")));
        assert!(object.flag("ab") && !object.flag("b") && object.elements("b").is_empty());
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(json in r#"[\[\]{}",:0-9a-z\\-]{0,40}"#) {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&json)
                && let Some(object) = Object::read(raw)
            {
                for key in object.0.keys() {
                    let _ = (object.text(key), object.number(key), object.elements(key), object.object(key));
                }
            }
        }
    }
}
