//! `expires` and `signature` of an address.

/// The longest signature that is looked at, characters: SHA-256 in hexadecimal.
const SIGNATURE_LENGTH: usize = 64;

/// What an address says besides the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// Unix seconds.
    pub(super) expires: i64,
    pub(super) signature: &'a str,
}

impl<'a> Query<'a> {
    /// Reads a query; `None` when it does not have both once and as we write them. Other parameters, such as those that
    /// caches and trackers add, mean nothing.
    pub(super) fn read(query: &'a str) -> Option<Self> {
        let (mut expires, mut signature) = (None, None);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let place = match name {
                "expires" => &mut expires,
                "signature" => &mut signature,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        // Digits only, so that one time has one spelling.
        let expires = expires.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
        let is_hex = |text: &&str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let signature = signature.filter(|text| text.len() == SIGNATURE_LENGTH).filter(is_hex)?;
        Some(Self { expires, signature })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_are_needed_once_and_as_we_write_them() {
        let signature = "0a".repeat(32);
        let read = |query: &str| Query::read(query).map(|query| query.expires);
        assert_eq!(read(&format!("expires=17&signature={signature}")), Some(17));
        assert_eq!(read(&format!("utm=x&signature={signature}&flag&expires=17")), Some(17));
        for wrong in [
            String::new(),
            "expires=17".to_owned(),
            format!("signature={signature}"),
            format!("expires=17&expires=18&signature={signature}"),
            format!("expires=-17&signature={signature}"),
            format!("expires=+17&signature={signature}"),
            format!("expires=99999999999999999999&signature={signature}"),
            format!("expires=17&signature={}", signature.to_uppercase()),
            format!("expires=17&signature={signature}0"),
            "expires=17&signature=".to_owned(),
        ] {
            assert_eq!(read(&wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_query_breaks_the_reader(query in ".{0,200}") {
            if let Some(read) = Query::read(&query) {
                prop_assert!(read.expires >= 0);
                prop_assert_eq!(read.signature.len(), SIGNATURE_LENGTH);
            }
        }

        #[test]
        fn what_we_write_is_read(expires in 0_i64.., signature in "[0-9a-f]{64}") {
            let query = format!("expires={expires}&signature={signature}");
            prop_assert_eq!(Query::read(&query), Some(Query { expires, signature: &signature }));
        }
    }
}
