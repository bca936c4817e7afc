//! Signatures: Standard Webhooks (<https://www.standardwebhooks.com>), and WhatsApp's own.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What secrets of Standard Webhooks begin with.
const SECRET_PREFIX: &str = "whsec_";

/// The header `webhook-signature`: one signature a secret, so that a secret can be changed without losing an event.
pub(crate) fn standard(secrets: &[SecretString], id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let signature = |secret: &SecretString| {
        let mut mac = mac(&key(secret.expose_secret()));
        mac.update(format!("{id}.{timestamp_secs}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    };
    secrets.iter().map(signature).collect::<Vec<_>>().join(" ")
}

/// The header `X-Hub-Signature-256`. It holds one signature: the newest secret's.
pub(crate) fn hub(secret: &SecretString, body: &[u8]) -> String {
    let mut mac = mac(secret.expose_secret().as_bytes());
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The bytes a secret stands for: base64 as the libraries read it; any other text stands for itself.
fn key(secret: &str) -> Vec<u8> {
    let encoded = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
    STANDARD.decode(encoded).unwrap_or_else(|_| secret.as_bytes().to_vec())
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn shc_32_the_signature_is_that_of_standard_webhooks() {
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let signature = standard(
                &[secret.into()],
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#,
            );
            assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        }
    }

    #[test]
    fn while_a_secret_is_changed_both_sign() {
        let (new, old): (SecretString, SecretString) = ("new secret".into(), "old secret".into());
        let both = standard(&[new.clone(), old.clone()], "id", 1, b"{}");
        let each = [standard(&[new], "id", 1, b"{}"), standard(&[old], "id", 1, b"{}")];
        assert_eq!(both, each.join(" "));
        assert_ne!(each[0], each[1]);
        assert_eq!(standard(&[], "id", 1, b"{}"), "");
    }

    #[test]
    fn the_signature_of_the_cloud_api_is_whatsapps() {
        let body = br#"{"object":"whatsapp_business_account","entry":[]}"#;
        assert_eq!(
            hub(&"app-secret".into(), body),
            "sha256=d3e4f9da0ce6c71ab3dba55929b8eeeee2455349e534924ead19f98d143e904f"
        );
    }
}
