//! What an answer with a file looks like.

use std::ops::Range;

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chasqui_proto::v1::StoredMedia;
use futures::stream::BoxStream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::range::Wanted;
use crate::MediaError;

/// What contacts send is never ours: nothing in it may run, load or be framed as part of the site that serves it.
const SECURITY_POLICY: &str =
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'";
/// What a file of no known type is.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// The longest name a file is offered under, characters.
const FILENAME_LENGTH_MAX: usize = 150;
/// What stands for itself in `filename*`.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// How a request is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With the file or a part of it.
    File(Wanted),
    /// The client has it already.
    NotModified,
}

impl Answer {
    /// The answer to a request for `file`.
    pub(super) fn to(headers: &HeaderMap, file: &StoredMedia) -> Self {
        let tag = tag(file);
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let known = text(header::IF_NONE_MATCH).unwrap_or_default();
        if known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
        {
            return Self::NotModified;
        }
        // A part of another version is of no use.
        let is_same = text(header::IF_RANGE).is_none_or(|version| version == tag);
        Self::File(Wanted::read(text(header::RANGE).filter(|_| is_same), file.size_bytes))
    }

    /// The bytes that are to be read: `None` where none are, `Some(None)` where all are.
    #[expect(clippy::option_option, reason = "no bytes and all bytes are two answers")]
    pub(super) fn range(&self, size: u64) -> Option<Option<Range<u64>>> {
        match self {
            // A store cannot be asked for no bytes.
            Self::File(Wanted::Whole) if size > 0 => Some(None),
            Self::File(Wanted::Part(range)) => Some(Some(range.clone())),
            _ => None,
        }
    }

    /// The answer, with `content` where it is wanted. It may be kept for `fresh_secs`.
    pub(super) fn render(
        self,
        file: &StoredMedia,
        fresh_secs: i64,
        content: Option<BoxStream<'static, Result<Bytes, MediaError>>>,
    ) -> Response {
        let size = file.size_bytes;
        let mut response = match self {
            Self::NotModified => StatusCode::NOT_MODIFIED.into_response(),
            Self::File(Wanted::Beyond) => {
                let error = json!({ "error": format!("the file has only {size} bytes") });
                let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
                return (StatusCode::RANGE_NOT_SATISFIABLE, range, Json(error)).into_response();
            }
            Self::File(wanted) => whole_or_part(&wanted, file, content),
        };
        let caching = format!("private, max-age={}, immutable", fresh_secs.max(0));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, ascii(&caching));
        headers.insert(header::ETAG, ascii(&tag(file)));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SECURITY_POLICY));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn whole_or_part(
    wanted: &Wanted,
    file: &StoredMedia,
    content: Option<BoxStream<'static, Result<Bytes, MediaError>>>,
) -> Response {
    let size = file.size_bytes;
    let (status, length) = match wanted {
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
        _ => (StatusCode::OK, size),
    };
    let mut response = (status, content.map_or_else(Body::empty, Body::from_stream)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, ascii_or(&file.mime_type, UNKNOWN_TYPE));
    headers.insert(header::CONTENT_DISPOSITION, ascii(&disposition(file)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Wanted::Part(range) = wanted {
        headers
            .insert(header::CONTENT_RANGE, ascii(&format!("bytes {}-{}/{size}", range.start, range.end - 1)));
    }
    response
}

/// The bytes never change under a name, so their hash is the version.
fn tag(file: &StoredMedia) -> String {
    format!("\"{}\"", file.sha256)
}

/// Pictures, sound and films are shown; everything else, also pictures that are programs, is offered for saving.
fn disposition(file: &StoredMedia) -> String {
    let r#type = file.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_shown = ["image/", "audio/", "video/"].iter().any(|family| r#type.starts_with(family))
        && r#type != "image/svg+xml";
    let kind = if is_shown { "inline" } else { "attachment" };
    let name = last_part(&file.filename);
    if name.is_empty() {
        return kind.to_owned();
    }
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || " .-_()".contains(c) { c } else { '_' })
        .collect();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, PLAIN))
}

/// A name without the folders somebody may have put into it, and without what has no sign.
fn last_part(filename: &str) -> String {
    let last = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(FILENAME_LENGTH_MAX).collect::<String>().trim().to_owned()
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("only visible ASCII was put into it")
}

fn ascii_or(text: &str, otherwise: &'static str) -> HeaderValue {
    let given = Some(text).filter(|text| text.contains('/') && text.is_ascii());
    given.and_then(|text| HeaderValue::from_str(text).ok()).unwrap_or(HeaderValue::from_static(otherwise))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(mime_type: &str, filename: &str) -> StoredMedia {
        StoredMedia {
            mime_type: mime_type.to_owned(),
            filename: filename.to_owned(),
            ..StoredMedia::default()
        }
    }

    #[test]
    fn only_what_cannot_run_is_shown_in_place() {
        assert_eq!(disposition(&file("image/jpeg", "")), "inline");
        assert_eq!(disposition(&file("AUDIO/ogg; codecs=opus", "")), "inline");
        for saved in ["text/html", "image/svg+xml", "IMAGE/SVG+XML ;x=y", "application/pdf", ""] {
            assert_eq!(disposition(&file(saved, "")), "attachment", "{saved}");
        }
    }

    #[test]
    fn a_name_is_offered_without_its_folders_and_with_its_accents() {
        assert_eq!(
            disposition(&file("application/pdf", "../etc/niño \"1\".pdf")),
            "attachment; filename=\"ni_o _1_.pdf\"; filename*=UTF-8''ni%C3%B1o%20%221%22.pdf"
        );
        assert_eq!(
            disposition(&file("application/pdf", "C:\\x\\a.pdf")),
            disposition(&file("application/pdf", "a.pdf"))
        );
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_of_a_file_breaks_an_answer(mime_type in "\\PC{0,40}|.{0,40}", filename in ".{0,300}") {
            let response = Answer::File(Wanted::Whole).render(&file(&mime_type, &filename), 1, None);
            let disposition = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
            prop_assert_eq!(disposition.matches('"').count() % 2, 0);
        }
    }
}
