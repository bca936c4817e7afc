//! What the Graph API answers, whatever it is.

use std::fmt;

use chasqui_proto::v1::ProviderError;
use serde_json::Value;

use super::graph::Answered;
use crate::connector::{ConnectorError, Outcome};

/// The Graph API's own code for a parameter that cannot be right: also ours, where we need not ask it.
pub(super) const INVALID_PARAMETER: i64 = 100;
/// Its code for a file that cannot be sent.
pub(super) const MEDIA_UPLOAD: i64 = 131_053;
/// Its code for a file that it cannot get itself.
const MEDIA_DOWNLOAD: i64 = 131_052;
/// Its code for something that is not there, also a file that has expired.
const NO_OBJECT: i64 = 33;
/// Statuses of a gateway that had no answer in time: it may have passed the request on.
const NO_ANSWER_IN_TIME: [u16; 2] = [408, 504];
/// The longest text of an error that is kept, characters.
const TEXT_LENGTH_MAX: usize = 500;
/// The longest id of a message, characters.
const ID_LENGTH_MAX: usize = 256;

/// An answer that was read.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// Success, as JSON.
    Json(Value),
    /// An error, with the answer's status.
    Refused(ProviderError, u16),
    /// Success, but not readable: why.
    Odd(String),
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(_) => f.write_str("an answer that says something else"),
            Self::Refused(error, _) if error.code != 0 => write!(f, "{} ({})", error.message, error.code),
            Self::Refused(error, _) => f.write_str(&error.message),
            Self::Odd(why) => f.write_str(why),
        }
    }
}

impl From<Read> for ConnectorError {
    fn from(read: Read) -> Self {
        match read {
            Read::Refused(error, ..=428 | 430..=499) => Self::Refused(error),
            // Theirs to mend, or ours to wait for: the same question will do later.
            later => Self::Away(later.to_string()),
        }
    }
}

/// Reads any answer.
pub(super) fn read(answered: &Answered) -> Read {
    let status = answered.status;
    let json = answered.body.as_ref().ok().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let error = json.as_ref().and_then(|json| json.get("error")).filter(|error| !error.is_null());
    let is_of_graph = error.is_some_and(|error| !error["code"].is_null());
    if NO_ANSWER_IN_TIME.contains(&status) && !is_of_graph {
        return Read::Odd(format!("the provider answered {status} without saying why"));
    }
    if let Some(error) = error {
        return Read::Refused(provider_error(error), status);
    }
    if !(200..300).contains(&status) {
        let title = format!("HTTP {status}");
        let message = format!("the provider answered {status} without saying why");
        return Read::Refused(ProviderError { title, message, ..ProviderError::default() }, status);
    }
    match (json, &answered.body) {
        (Some(json), _) => Read::Json(json),
        (None, Ok(_)) => Read::Odd(format!("the provider answered {status} with something that is no JSON")),
        (None, Err(cause)) => Read::Odd(format!("the provider answered {status}, but {cause}")),
    }
}

/// What became of a message.
pub(super) fn outcome(answered: &Answered) -> Outcome {
    match read(answered) {
        Read::Json(json) => match id(&json["messages"][0]["id"]) {
            Some(provider_id) => Outcome::Accepted { provider_id },
            // It may well be on its way; only a status will tell.
            None => Outcome::Unknown(format!("the provider answered {} without an id", answered.status)),
        },
        Read::Refused(error, http_status) => {
            Outcome::Refused { error, http_status, retry_after: answered.retry_after }
        }
        Read::Odd(why) => Outcome::Unknown(why),
    }
}

/// The provider's id of a file that was uploaded. The message it goes with was not written, whatever happened.
pub(super) fn uploaded(answered: &Answered) -> Result<String, Outcome> {
    match read(answered) {
        Read::Json(json) => id(&json["id"])
            .ok_or_else(|| Outcome::NotWritten("the upload was answered without an id".to_owned())),
        Read::Refused(error, http_status) => {
            Err(Outcome::Refused { error, http_status, retry_after: answered.retry_after })
        }
        Read::Odd(why) => Err(Outcome::NotWritten(why)),
    }
}

/// What the provider says of a file of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) url: String,
    pub(super) mime_type: String,
    pub(super) size_bytes: Option<u64>,
}

/// Where a file of the provider is.
pub(super) fn file(read: Read) -> Result<File, ConnectorError> {
    let Read::Json(json) = read else { return Err(read.into()) };
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let url = text("url");
    if url.is_empty() {
        return Err(ConnectorError::Away("the provider answered without the address of the file".to_owned()));
    }
    let size = &json["file_size"];
    let size_bytes = size.as_u64().or_else(|| size.as_str().and_then(|text| text.parse().ok()));
    Ok(File { url, mime_type: text("mime_type"), size_bytes })
}

/// What the provider would refuse, refused without asking it.
pub(super) fn refused_by_us(code: i64, message: &str) -> Outcome {
    let title = "Not sent".to_owned();
    let error = ProviderError { code, title, message: message.to_owned(), ..ProviderError::default() };
    Outcome::Refused { error, http_status: 0, retry_after: None }
}

/// Whether it may be that a file which was uploaded before is gone.
pub(super) fn is_about_media(outcome: &Outcome) -> bool {
    let codes = [INVALID_PARAMETER, NO_OBJECT, MEDIA_DOWNLOAD, MEDIA_UPLOAD];
    matches!(outcome, Outcome::Refused { error, .. } if codes.contains(&error.code))
}

fn id(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    (!id.is_empty() && id.len() <= ID_LENGTH_MAX).then(|| id.to_owned())
}

/// The error object, of which any part may be missing or of another type.
fn provider_error(error: &Value) -> ProviderError {
    let code = &error["code"];
    let code = code.as_i64().or_else(|| code.as_str().and_then(|text| text.parse().ok())).unwrap_or_default();
    let text =
        |value: &Value| value.as_str().unwrap_or_default().chars().take(TEXT_LENGTH_MAX).collect::<String>();
    let first =
        |values: [&Value; 2]| values.map(text).into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let mut message = first([&error["message"], error]);
    if message.is_empty() {
        "the provider gave no reason".clone_into(&mut message);
    }
    ProviderError {
        code,
        title: first([&error["error_user_title"], &error["type"]]),
        message,
        details: text(&error["error_data"]["details"]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn answered(status: u16, body: &str) -> Answered {
        Answered { status, retry_after: None, body: Ok(Bytes::copy_from_slice(body.as_bytes())) }
    }

    fn sent(status: u16, body: &str) -> Outcome {
        outcome(&answered(status, body))
    }

    #[test]
    fn an_accepted_message_has_the_providers_id() {
        let body = r#"{"messaging_product":"whatsapp","contacts":[{"input":"5491100000001","wa_id":"5491100000001"}],
            "messages":[{"id":"wamid.A","message_status":"held_for_quality_assessment"}]}"#;
        assert_eq!(sent(200, body), Outcome::Accepted { provider_id: "wamid.A".to_owned() });
    }

    #[test]
    fn a_success_without_an_id_is_no_success_and_no_failure() {
        for body in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"messages":[]}"#,
            r#"{"messages":[{"id":""}]}"#,
            r#"{"messages":[{"id":7}]}"#,
            "<html>",
        ] {
            assert!(matches!(sent(200, body), Outcome::Unknown(_)), "{body:?}");
        }
        let cut = Answered { status: 200, retry_after: None, body: Err("it was cut".to_owned()) };
        assert!(matches!(outcome(&cut), Outcome::Unknown(_)));
    }

    #[test]
    fn an_error_is_told_as_the_provider_tells_it() {
        let body = r#"{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,
            "error_data":{"messaging_product":"whatsapp","details":"Too many messages"},"fbtrace_id":"x"}}"#;
        let answered = Answered { retry_after: Some(Duration::from_secs(7)), ..answered(429, body) };
        let error = ProviderError {
            code: 130_429,
            title: "OAuthException".to_owned(),
            message: "(#130429) Rate limit hit".to_owned(),
            details: "Too many messages".to_owned(),
        };
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(outcome(&answered), Outcome::Refused { error, http_status: 429, retry_after });
    }

    #[test]
    fn an_error_object_counts_whatever_its_status_and_shape() {
        let code = |status, body| match sent(status, body) {
            Outcome::Refused { error, http_status, .. } => (error.code, error.message, http_status),
            other => panic!("{other:?}"),
        };
        let none = "the provider gave no reason".to_owned();
        assert_eq!(code(200, r#"{"error":{"code":"131047"}}"#), (131_047, none.clone(), 200));
        assert_eq!(code(400, r#"{"error":"bad"}"#), (0, "bad".to_owned(), 400));
        assert_eq!(code(400, r#"{"error":{"code":{},"message":[]}}"#), (0, none, 400));
    }

    #[test]
    fn a_page_instead_of_an_answer_shows_nothing_of_itself() {
        let Outcome::Refused { error, http_status, .. } = sent(502, "<html>nginx 10.0.0.3</html>") else {
            panic!("a 502 is a refusal")
        };
        assert_eq!((error.code, http_status), (0, 502));
        assert_eq!(error.message, "the provider answered 502 without saying why");
    }

    #[test]
    fn a_gateway_that_had_no_answer_leaves_it_unknown_and_one_that_reached_nobody_does_not() {
        let gateway = "<html>gateway</html>";
        let graph = r#"{"error":{"code":131016,"message":"unavailable"}}"#;
        for (status, body, is_unknown) in [
            (504, gateway, true),
            (504, "", true),
            (504, r#"{"error":"timeout"}"#, true),
            (504, r#"{"error":{"message":"timeout"}}"#, true),
            (408, gateway, true),
            (504, graph, false),
            (408, graph, false),
            (500, gateway, false),
            (502, gateway, false),
            (503, gateway, false),
            (503, graph, false),
        ] {
            let outcome = sent(status, body);
            let is_refused = matches!(outcome, Outcome::Refused { http_status, .. } if http_status == status);
            assert_eq!(matches!(outcome, Outcome::Unknown(_)), is_unknown, "{status} {body}: {outcome:?}");
            assert_eq!(is_refused, !is_unknown, "{status} {body}: {outcome:?}");
            // An upload is no message: it may be tried again, whatever became of it.
            let uploaded = uploaded(&answered(status, body));
            assert!(!matches!(uploaded, Err(Outcome::Unknown(_))), "{status} {body}");
        }
    }

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        let error = |status, body: &str| ConnectorError::from(read(&answered(status, body)));
        assert!(matches!(error(500, "{}"), ConnectorError::Away(_)));
        assert!(matches!(error(429, r#"{"error":{"code":4}}"#), ConnectorError::Away(_)));
        assert!(matches!(error(404, ""), ConnectorError::Refused(_)));
        assert!(matches!(error(200, ""), ConnectorError::Away(_)));
    }

    #[test]
    fn a_files_address_and_size_are_read_in_either_spelling() {
        let file = |body: &str| file(read(&answered(200, body)));
        let read = file(r#"{"url":"https://x","mime_type":"image/jpeg","file_size":"17","id":"1"}"#).unwrap();
        assert_eq!(read.size_bytes, Some(17));
        assert_eq!(file(r#"{"url":"https://x","file_size":17}"#).unwrap().size_bytes, Some(17));
        assert!(matches!(file("{}"), Err(ConnectorError::Away(_))));
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(status in 100_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let answered = Answered { status, retry_after: None, body: Ok(body.into()) };
            let accepted = matches!(outcome(&answered), Outcome::Accepted { .. });
            prop_assert!(!accepted || (200..300).contains(&status));
            let _ = uploaded(&answered);
            let _ = file(read(&answered));
        }
    }
}
