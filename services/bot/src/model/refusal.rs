//! What a server says when it refuses.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The longest word for a refusal that is repeated, characters.
const REASON_CHARACTERS_MAX: usize = 64;

/// RFC 9110, 5.6.7.
const HTTP_DATE: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = time::PrimitiveDateTime::parse(value, HTTP_DATE).ok()?.assume_utc();
    let wait_ms = date.unix_timestamp().checked_mul(1_000)?.saturating_sub(now_ms);
    Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
}

/// `error.code` or `error.type` of a body, where it is a word such as `insufficient_quota`. Nothing else of a body is ever
/// repeated: servers quote keys and messages in their texts.
pub(super) fn reason(body: &[u8], secret: &SecretString) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &body["error"];
    let words = ["code", "type"].into_iter().filter_map(|key| error[key].as_str());
    words.into_iter().find(|word| is_repeatable(word, secret)).unwrap_or_default().to_owned()
}

fn is_repeatable(word: &str, secret: &SecretString) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    !word.is_empty()
        && word.len() <= REASON_CHARACTERS_MAX
        && word.bytes().all(is_word)
        && !word.contains(secret.expose_secret())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        for (value, expected) in [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some(50_000)),
            ("Thu, 01 Jan 1970 00:00:01 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, 10_000), expected.map(Duration::from_millis), "{value:?}");
        }
    }

    #[test]
    fn only_a_word_is_repeated_and_never_the_key() {
        let key = SecretString::from("topsecret");
        for (body, expected) in [
            (r#"{"error":{"code":"insufficient_quota","type":"x"}}"#, "insufficient_quota"),
            (r#"{"error":{"code":null,"type":"server_error"}}"#, "server_error"),
            (r#"{"error":{"code":500,"message":"Incorrect API key: topsecret"}}"#, ""),
            (r#"{"error":{"code":"a_topsecret_b","type":"topsecret"}}"#, ""),
            (r#"{"error":{"code":"sk-proj-1"}}"#, ""),
            (r#"{"error":"topsecret"}"#, ""),
            ("<html>topsecret</html>", ""),
            ("", ""),
        ] {
            assert_eq!(reason(body.as_bytes(), &key), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_value_of_a_server_is_too_strange(value in "\\PC{0,40}", body: Vec<u8>, now_ms: i64) {
            let _ = (retry_after(&value, now_ms), reason(&body, &SecretString::from("x")));
        }
    }
}
