//! The opening handshake (RFC 6455 section 4.2).

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use sha1::{Digest as _, Sha1};
use thiserror::Error;

/// RFC 6455 section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
const KEY_BYTES: usize = 16;

/// Why a request does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not a GET request: 405.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// No `Upgrade: websocket`, or no `Connection: upgrade`: 426.
    #[error("this is a WebSocket: send Connection: upgrade and Upgrade: websocket")]
    NotAnUpgrade,
    /// `Sec-WebSocket-Version` is not 13: 426.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64: 400.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
    /// The connection cannot be upgraded, for example because it is HTTP/1.0: 400.
    #[error("this connection cannot be upgraded")]
    Connection,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Connection => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Method => drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET"))),
            Self::NotAnUpgrade | Self::Version => {
                headers.insert(header::CONNECTION, UPGRADE);
                headers.insert(header::UPGRADE, WEBSOCKET);
                headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
            }
            Self::Key | Self::Connection => {}
        }
        response
    }
}

/// Checks a request; the value of `Sec-WebSocket-Accept` to answer it with.
pub(crate) fn check(request: &Parts) -> Result<HeaderValue, Refusal> {
    let headers = &request.headers;
    if request.method != Method::GET {
        return Err(Refusal::Method);
    }
    if !names(headers, &header::UPGRADE, "websocket") || !names(headers, &header::CONNECTION, "upgrade") {
        return Err(Refusal::NotAnUpgrade);
    }
    if request.version != Version::HTTP_11 {
        return Err(Refusal::Connection);
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Refusal::Version);
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == KEY_BYTES => Ok(accept(key.as_bytes())),
        _ => Err(Refusal::Key),
    }
}

/// The answer that switches protocols.
pub(crate) fn answer(accept: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, UPGRADE);
    headers.insert(header::UPGRADE, WEBSOCKET);
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The items of a header with a comma separated list, which may stand in several lines.
pub(crate) fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

fn names(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    items(headers, name).any(|item| item.eq_ignore_ascii_case(token))
}

/// The value of a header that must stand there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

fn accept(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest)).expect("base64 is visible ASCII")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(changes: &[(HeaderName, &str)]) -> Parts {
        let mut request = Request::get("/ws").body(()).unwrap();
        let good = [
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "WebSocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in good.iter().chain(changes) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request.into_parts().0
    }

    fn refusal_of(name: HeaderName, value: &str) -> Refusal {
        check(&request(&[(name, value)])).unwrap_err()
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        assert_eq!(check(&request(&[])).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_told_why() {
        assert_eq!(refusal_of(header::CONNECTION, "close"), Refusal::NotAnUpgrade);
        assert_eq!(refusal_of(header::UPGRADE, "h2c"), Refusal::NotAnUpgrade);
        assert_eq!(refusal_of(header::SEC_WEBSOCKET_VERSION, "8"), Refusal::Version);
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE="] {
            assert_eq!(refusal_of(header::SEC_WEBSOCKET_KEY, key), Refusal::Key, "{key}");
        }
        let mut post = request(&[]);
        post.method = Method::POST;
        assert_eq!(check(&post).unwrap_err(), Refusal::Method);
        let mut old = request(&[]);
        old.version = Version::HTTP_10;
        assert_eq!(check(&old).unwrap_err(), Refusal::Connection);
    }

    #[test]
    fn a_wrong_version_is_told_the_right_one() {
        let response = Refusal::Version.into_response();
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_VERSION], "13");
    }
}
