//! How Meta signs a webhook.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header of the signature.
pub const HEADER: &str = "x-hub-signature-256";

/// The header's value for exactly these bytes.
pub fn sign(app_secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_the_raw_bytes() {
        assert_eq!(
            sign("app-secret", br#"{"object":"whatsapp_business_account","entry":[]}"#),
            "sha256=d3e4f9da0ce6c71ab3dba55929b8eeeee2455349e534924ead19f98d143e904f"
        );
    }
}
