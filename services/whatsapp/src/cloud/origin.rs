//! Whom the token may be shown: the address of a file is said by an answer, and answers are outside input.

use chasqui_proto::v1::ProviderError;
use reqwest::Url;

use crate::connector::ConnectorError;

/// Where WhatsApp keeps files: these hosts and those under them.
const META_HOSTS: [&str; 5] = ["facebook.com", "fbsbx.com", "fbcdn.net", "whatsapp.net", "whatsapp.com"];
/// The longest id of a file, characters; those seen have 17.
const MEDIA_ID_LENGTH_MAX: usize = 256;

/// The path of a file of the provider.
pub(super) fn path_of(media_id: &str) -> Result<String, ConnectorError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_id = (1..=MEDIA_ID_LENGTH_MAX).contains(&media_id.len()) && media_id.bytes().all(is_plain);
    if is_id { Ok(media_id.to_owned()) } else { Err(refused("media.id", "is no id of the Cloud API")) }
}

/// The address of a file, if it is Meta's, or on the very server that the Graph API was configured to be.
pub(super) fn trusted(address: &str, graph: &Url) -> Result<Url, ConnectorError> {
    let untrusted = || refused("media.url", "is not on a server of the provider");
    let url = Url::parse(address).map_err(|_| untrusted())?;
    let host = url.host_str().unwrap_or_default();
    let is_under =
        |meta: &str| host == meta || host.strip_suffix(meta).is_some_and(|under| under.ends_with('.'));
    let is_meta =
        url.scheme() == "https" && url.port().is_none() && META_HOSTS.iter().any(|meta| is_under(meta));
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_trusted = (is_meta || url.origin() == graph.origin()) && !has_user;
    if is_trusted { Ok(url) } else { Err(untrusted()) }
}

fn refused(field: &str, cause: &str) -> ConnectorError {
    let message = format!("{field} {cause}");
    ConnectorError::Refused(ProviderError {
        title: "untrusted file".to_owned(),
        message,
        ..ProviderError::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_trusted(address: &str) -> bool {
        trusted(address, &Url::parse("http://127.0.0.1:8080/v23.0/").unwrap()).is_ok()
    }

    #[test]
    fn the_token_is_shown_to_meta_and_to_the_configured_server_only() {
        for good in [
            "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&hash=x",
            "https://scontent.whatsapp.net/v/1",
            "https://facebook.com/x",
            "http://127.0.0.1:8080/files/1",
        ] {
            assert!(is_trusted(good), "{good}");
        }
        for bad in [
            "http://lookaside.fbsbx.com/x",
            "https://lookaside.fbsbx.com:8443/x",
            "https://notfbsbx.com/x",
            "https://fbsbx.com.example.com/x",
            "https://x@lookaside.fbsbx.com/x",
            "https://lookaside.fbsbx.com@example.com/x",
            "http://127.0.0.1:8081/files/1",
            "https://127.0.0.1:8080/files/1",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "/files/1",
            "",
        ] {
            assert!(!is_trusted(bad), "{bad}");
        }
    }

    #[test]
    fn a_media_id_cannot_leave_its_place() {
        assert_eq!(path_of("1234567890123456").unwrap(), "1234567890123456");
        for bad in ["", "..", "../1", "a/b", "1?x=1", "1#", "%2e", "http://x", &"1".repeat(257)] {
            assert!(path_of(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_address_breaks_the_reader(address in ".{0,80}") {
            prop_assert!(!is_trusted(&address) || address.contains("facebook.com"));
        }
    }
}
