//! `X-Hub-Signature-256`: proof that a webhook comes from whoever knows the app secret.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header of the signature.
pub(crate) const HEADER: &str = "x-hub-signature-256";

/// Whether `header` signs exactly these bytes with one of the secrets. The comparison takes the same time wherever
/// the two differ.
pub(crate) fn verifies(secrets: &[SecretString], body: &[u8], header: &str) -> bool {
    let Some(given) = header.strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok()) else {
        return false;
    };
    secrets.iter().any(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            .expect("HMAC takes keys of every length");
        mac.update(body);
        mac.verify_slice(&given).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    const SIGNATURE: &str = "sha256=d3e4f9da0ce6c71ab3dba55929b8eeeee2455349e534924ead19f98d143e904f";

    fn secrets(all: &[&str]) -> Vec<SecretString> {
        all.iter().map(|secret| SecretString::from(*secret)).collect()
    }

    #[test]
    fn a_known_signature_verifies_with_either_secret_of_a_rotation() {
        assert!(verifies(&secrets(&["app-secret"]), BODY, SIGNATURE));
        assert!(verifies(&secrets(&["new", "app-secret"]), BODY, SIGNATURE));
    }

    #[test]
    fn everything_else_is_refused() {
        let ours = secrets(&["app-secret"]);
        assert!(!verifies(&secrets(&["other"]), BODY, SIGNATURE));
        assert!(!verifies(&[], BODY, SIGNATURE));
        assert!(!verifies(&ours, b"{}", SIGNATURE));
        for header in ["", "sha256=", "sha256=zz", &SIGNATURE[7..], &SIGNATURE[..70], "sha1=d3e4"] {
            assert!(!verifies(&ours, BODY, header), "{header:?}");
        }
    }
}
