//! What is remembered of the request that opened a session.

use std::fmt;

use axum::extract::Query;
use http::request::Parts;

use super::refusal::Refusal;

/// The most bytes of the query a session may begin with, since it is kept as long as the session lives.
const QUERY_BYTES_MAX: usize = 16 * 1024;

/// How many of its parameters are kept; each costs more than its bytes.
const PARAMETERS_MAX: usize = 32;

/// What is known of the request that opened a session. Copied and compact, since it lives as long as the session: the
/// request itself would keep the HTTP server's whole read buffer alive.
pub struct Handshake {
    /// The session's id. It is a secret between the client and us.
    pub session_id: Box<str>,
    query: Box<[(Box<str>, Box<str>)]>,
}

impl Handshake {
    pub(crate) fn new(session_id: &str, request: &Parts) -> Result<Self, Refusal> {
        if request.uri.query().map_or(0, str::len) > QUERY_BYTES_MAX {
            return Err(Refusal::BadRequest);
        }
        let parameters = query_pairs(request).into_iter().take(PARAMETERS_MAX);
        let query = parameters.map(|(name, value)| (name.into(), value.into())).collect();
        Ok(Self { session_id: session_id.into(), query })
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }
}

impl fmt::Debug for Handshake {
    /// Says nothing of it: the id is a secret, and the query may hold a token and a phone number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
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
    fn the_query_is_decoded() {
        let request = Request::get("/socket.io/?EIO=4&userPhone=%2B5491100000001&name=a%C3%B1o+nuevo");
        let request = request.body(()).unwrap();
        let handshake = Handshake::new("sid", &request.into_parts().0).unwrap();
        assert_eq!(handshake.query("userPhone"), Some("+5491100000001"));
        assert_eq!(handshake.query("name"), Some("año nuevo"));
        assert_eq!(handshake.query("missing"), None);
    }

    #[test]
    fn what_is_kept_of_a_handshake_is_bounded() {
        let opened_with = |query: &str| {
            let request = Request::get(format!("/socket.io/?{query}")).body(()).unwrap();
            Handshake::new("sid", &request.into_parts().0)
        };
        let refused = opened_with(&"x".repeat(QUERY_BYTES_MAX + 1));
        assert_eq!(refused.unwrap_err(), Refusal::BadRequest);
        assert_eq!(opened_with(&"x&".repeat(QUERY_BYTES_MAX / 2)).unwrap().query.len(), PARAMETERS_MAX);
    }

    proptest! {
        #[test]
        fn whatever_a_query_holds_is_read_or_passed_over(
            query in "[a-zA-Z0-9%&=+._~?/;:@!$'()*,-]{0,200}",
        ) {
            let request = Request::get(format!("/socket.io/?{query}"));
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
