//! A chunk of a streamed answer, as loosely as servers write it.

use serde_json::Value;

/// What a chunk says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Chunk<'a> {
    /// The next piece of the answer; often empty.
    pub(super) text: &'a str,
    /// Why the answer ends here: `stop`, `length`, `content_filter`, …
    pub(super) finish_reason: Option<&'a str>,
    /// What the answer cost, tokens read and written. The last chunk that says so is right.
    pub(super) tokens: Option<u64>,
    /// Something failed after the answer had begun.
    pub(super) is_error: bool,
}

impl<'a> Chunk<'a> {
    /// Reads whatever came. What is missing, `null` or of another type says nothing.
    pub(super) fn read(json: &'a Value) -> Self {
        let choice = &json["choices"][0];
        let usage = &json["usage"];
        let count = |key: &str| usage[key].as_u64();
        let sum = || Some(count("prompt_tokens")?.saturating_add(count("completion_tokens")?));
        Self {
            text: choice["delta"]["content"].as_str().unwrap_or_default(),
            finish_reason: choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()),
            tokens: count("total_tokens").or_else(sum),
            is_error: !json["error"].is_null(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(json: &Value, expected: Chunk<'_>) {
        assert_eq!(Chunk::read(json), expected, "{json}");
    }

    #[test]
    fn chunks_are_read_as_loosely_as_servers_write_them() {
        let nothing = Chunk::default();
        for silent in [
            json!({}),
            json!([]),
            json!({ "choices": null }),
            json!({ "choices": [], "usage": null }),
            json!({ "choices": [{ "delta": null, "finish_reason": null }] }),
            json!({ "choices": [{ "delta": { "role": "assistant", "content": null }, "finish_reason": "" }] }),
            json!({ "choices": [{ "delta": { "tool_calls": [] } }], "error": null }),
        ] {
            check(&silent, nothing);
        }
        check(&json!({ "choices": [{ "delta": { "content": "Ho" } }] }), Chunk { text: "Ho", ..nothing });
        check(
            &json!({ "choices": [{ "delta": {}, "finish_reason": "length" }] }),
            Chunk { finish_reason: Some("length"), ..nothing },
        );
        check(&json!({ "usage": { "total_tokens": 7 } }), Chunk { tokens: Some(7), ..nothing });
        check(
            &json!({ "usage": { "prompt_tokens": 3, "completion_tokens": 2 } }),
            Chunk { tokens: Some(5), ..nothing },
        );
        check(&json!({ "error": { "message": "overloaded" } }), Chunk { is_error: true, ..nothing });
    }

    proptest! {
        #[test]
        fn no_json_is_too_strange(text in "\\PC{0,40}", number: i64, index in 0_usize..5) {
            let odd = [json!(text), json!(number), json!([text]), json!({ "content": number }), Value::Null];
            let odd = &odd[index];
            for json in [
                odd.clone(),
                json!({ "choices": odd, "usage": odd }),
                json!({ "choices": [odd], "usage": { "total_tokens": odd } }),
                json!({ "choices": [{ "delta": odd, "finish_reason": odd }] }),
                json!({ "choices": [{ "delta": { "content": odd } }] }),
            ] {
                let _ = Chunk::read(&json);
            }
        }
    }
}
