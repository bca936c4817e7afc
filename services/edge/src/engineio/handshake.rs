//! What is remembered of the request that opened a session.

use axum::extract::Query;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};

use super::refusal::Refusal;

/// The most bytes of query and headers a session may begin with, since they are kept as long as it lives.
const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;

/// Headers that only concern the connection, or that only the WebSocket handshake needs.
const FORGOTTEN: [HeaderName; 9] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CACHE_CONTROL,
    header::PRAGMA,
];

/// The request that opened a session. Copied and compact, since it lives as long as the session: the header map of
/// the HTTP server would keep its whole read buffer alive.
#[derive(Debug)]
pub struct Handshake {
    /// The session's id. It is a secret between the client and us.
    pub session_id: Box<str>,
    query: Box<[(Box<str>, Box<str>)]>,
    headers: Box<[(HeaderName, Box<str>)]>,
}

impl Handshake {
    pub(super) fn new(session_id: &str, request: &Parts) -> Result<Self, Refusal> {
        let header_bytes: usize = request.headers.values().map(HeaderValue::len).sum();
        if request.uri.query().map_or(0, str::len) + header_bytes > HANDSHAKE_BYTES_MAX {
            return Err(Refusal::BadRequest);
        }
        let headers = request.headers.iter().filter(|(name, _)| !FORGOTTEN.contains(name));
        Ok(Self {
            session_id: session_id.into(),
            query: query_pairs(request)
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            headers: headers
                .filter_map(|(name, value)| Some((name.clone(), value.to_str().ok()?.into())))
                .collect(),
        })
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }

    /// The first value of a header, if it is visible ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// The decoded query of a request; empty where it cannot be decoded.
pub(super) fn query_pairs(request: &Parts) -> Vec<(String, String)> {
    Query::try_from_uri(&request.uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_query_is_decoded_and_the_headers_are_kept() {
        let request = Request::get("/socket.io/?EIO=4&userPhone=%2B5491100000001&name=a%C3%B1o+nuevo")
            .header("origin", "https://app.example.org")
            .header("sec-websocket-key", "x")
            .body(())
            .unwrap();
        let handshake = Handshake::new("sid", &request.into_parts().0).unwrap();
        assert_eq!(handshake.query("userPhone"), Some("+5491100000001"));
        assert_eq!(handshake.query("name"), Some("año nuevo"));
        assert_eq!(handshake.query("missing"), None);
        assert_eq!(handshake.header(&header::ORIGIN), Some("https://app.example.org"));
        assert_eq!(handshake.header(&header::SEC_WEBSOCKET_KEY), None);
    }

    #[test]
    fn a_handshake_too_large_to_keep_is_refused() {
        let request =
            Request::get("/socket.io/").header("cookie", "x".repeat(HANDSHAKE_BYTES_MAX + 1)).body(());
        let refused = Handshake::new("sid", &request.unwrap().into_parts().0);
        assert_eq!(refused.unwrap_err(), Refusal::BadRequest);
    }
    proptest! {
        #[test]
        fn whatever_a_query_and_a_header_hold_they_are_read_or_passed_over(
            query in "[a-zA-Z0-9%&=+._~?/;:@!$'()*,-]{0,200}",
            header in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut request = Request::get(format!("/socket.io/?{query}"));
            if let Ok(value) = HeaderValue::from_bytes(&header) {
                request = request.header("x-anything", value);
            }
            let handshake = Handshake::new("sid", &request.body(()).unwrap().into_parts().0).unwrap();
            prop_assert_eq!(handshake.query("a name that no query has"), None);
        }

        #[test]
        fn a_value_is_read_back_however_it_was_written(value in ".{0,40}") {
            let encoded: String = hex::encode(&value).as_bytes().chunks(2).fold(String::new(), |text, byte| {
                text + "%" + str::from_utf8(byte).unwrap()
            });
            let request = Request::get(format!("/socket.io/?userPhone={encoded}")).body(()).unwrap();
            let handshake = Handshake::new("sid", &request.into_parts().0).unwrap();
            prop_assert_eq!(handshake.query("userPhone"), Some(value.as_str()));
        }
    }
}
