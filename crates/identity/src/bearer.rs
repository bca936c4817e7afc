//! The token of a request, where HTTP has a place for it.

use http::{HeaderMap, header};

/// What stands in `Authorization: Bearer <token>`, however the scheme is spelled.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_bearer_carries_a_token() {
        let check = |value: &str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(bearer(&headers), expected, "{value}");
        };
        check("Bearer k", Some("k"));
        check("bearer  k ", Some("k"));
        check("BEARER k", Some("k"));
        for other in ["Basic k", "k", "Bearer"] {
            check(other, None);
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
