//! A message as WhatsApp wrote it, but for its file: clients find files in our store, and not in WhatsApp's.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{json, value::RawValue};

use super::File;

/// How deep a file may stand in a message: `edit`, `message`, `image`.
const DEPTH_MAX: u32 = 3;
/// What every file of WhatsApp has, and nothing else in a message.
const FILE_MARK: &str = "mime_type";

/// The message with our file's id and address in place of WhatsApp's; all else stays as it is written. An address of
/// WhatsApp, which opens only with its token, is told to nobody.
pub(super) fn with_own_file(message: &RawValue, file: &File) -> String {
    let text = message.get();
    let rewritten = if text.contains(FILE_MARK) { rewrite(message, file, 0) } else { None };
    rewritten.unwrap_or_else(|| text.to_owned())
}

/// None where there is no file in it.
fn rewrite(value: &RawValue, file: &File, depth: u32) -> Option<String> {
    let members = Members::read(value)?;
    let is_file = members.has(FILE_MARK);
    let url = file.url.as_ref().map(|url| json!(url).to_string());
    let mut changed = is_file;
    let mut shown = Vec::with_capacity(members.0.len() + 1);
    for (name, value) in &members.0 {
        let own = match name.as_str() {
            "id" if is_file => file.id.as_ref().map(|id| json!(id).to_string()),
            "url" if is_file && url.is_none() => continue,
            "url" if is_file => url.clone(),
            _ if !is_file && depth < DEPTH_MAX => rewrite(value, file, depth + 1),
            _ => None,
        };
        changed |= own.is_some();
        shown.push(format!("{}:{}", json!(name), own.as_deref().unwrap_or(value.get())));
    }
    if let Some(url) = url.filter(|_| is_file && !members.has("url")) {
        shown.push(format!("\"url\":{url}"));
    }
    changed.then(|| format!("{{{}}}", shown.join(",")))
}

/// The members of an object in their order, their values as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn read(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member, _)| member == name)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn shown(text: &str) -> String {
        let file = File { id: Some("ours".to_owned()), url: None };
        with_own_file(serde_json::from_str(text).unwrap(), &file)
    }

    #[test]
    fn a_file_is_found_where_an_edited_message_has_it() {
        let edited =
            r#"{"edit":{"message":{"type":"image","image":{"mime_type":"image/jpeg","id":"3","url":"u"}}}}"#;
        assert_eq!(
            shown(edited),
            r#"{"edit":{"message":{"type":"image","image":{"mime_type":"image/jpeg","id":"ours"}}}}"#
        );
    }

    #[test]
    fn what_has_no_file_stays_byte_for_byte() {
        for text in [r#"{"a" : 1.50, "text":{"body":"mime_type"} }"#, r#"{"id":"3","url":"u"}"#, "7", "[ ]"] {
            assert_eq!(shown(text), text);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_around_a_file_stays(name in ".{1,20}", text in ".{0,20}", number: i64) {
            let value = json!({ name.clone(): text, "n": number, "image": { "mime_type": "x", "id": "3", "url": "u" } });
            let told: Value = serde_json::from_str(&shown(&value.to_string())).unwrap();
            let mut expected = value;
            if name != "image" && name != "n" {
                expected["image"] = json!({ "mime_type": "x", "id": "ours" });
                prop_assert_eq!(told, expected);
            }
        }

        #[test]
        fn no_json_makes_it_panic(text in r#"[{}\[\]":,a-d0-9]{0,60}|\{"image":\{"mime_type":.{0,20}\}\}"#) {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&text) {
                with_own_file(raw, &File::default());
            }
        }
    }
}
