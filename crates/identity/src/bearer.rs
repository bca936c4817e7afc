//! The token of a request, where HTTP has a place for it.

use http::{HeaderMap, header};

/// What stands in `Authorization: Bearer <token>`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("bearer ")).map(str::trim)
}
