//! A key that tokens are checked with. It fixes how: a token never chooses.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use secrecy::{ExposeSecret, SecretString};

use crate::TokenRules;

/// How far the clocks of an issuer and ours may differ, seconds.
const CLOCK_SKEW_SECS: u64 = 30;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A key, its name where it has one, and what is asked of the tokens it signed.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) decoding: DecodingKey,
    pub(crate) validation: Validation,
}

impl Key {
    fn new(id: Option<String>, decoding: DecodingKey, algorithms: &[Algorithm], rules: &TokenRules) -> Self {
        let mut validation = Validation {
            algorithms: algorithms.to_vec(),
            leeway: CLOCK_SKEW_SECS,
            validate_nbf: true,
            validate_aud: rules.audience.is_some(),
            ..Validation::default()
        };
        // Issuers of front ends in use sign tokens that never expire; where `exp` stands, it holds.
        validation.required_spec_claims.clear();
        if let Some(audience) = &rules.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Self { id, decoding, validation }
    }

    /// The shared secret of HS256.
    pub(crate) fn of_secret(secret: &SecretString, rules: &TokenRules) -> Self {
        let decoding = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self::new(None, decoding, &[Algorithm::HS256], rules)
    }

    /// A public key as PEM text.
    pub(crate) fn of_pem(pem: &str, rules: &TokenRules) -> Option<Self> {
        let (decoding, algorithms) = read_public_key(pem)?;
        Some(Self::new(None, decoding, algorithms, rules))
    }

    /// A key of an issuer's set; `None` for one that is not for checking signatures, or of a kind we do not take.
    pub(crate) fn of_jwk(jwk: &Jwk, rules: &TokenRules) -> Option<Self> {
        let usable = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let family: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                &[Algorithm::ES256]
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
                &[Algorithm::ES384]
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            // A shared secret in a public place is none.
            _ => return None,
        };
        let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string().parse::<Algorithm>());
        let algorithms: Vec<Algorithm> = match named {
            None => family.to_vec(),
            Some(named) => family.iter().copied().filter(|one| named.as_ref() == Ok(one)).collect(),
        };
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        (usable && !algorithms.is_empty())
            .then(|| Self::new(jwk.common.key_id.clone(), decoding, &algorithms, rules))
    }

    /// Whether a token with this header may be checked with it.
    pub(crate) fn fits(&self, header: &jsonwebtoken::Header) -> bool {
        let same_id = match (&self.id, &header.kid) {
            (Some(id), Some(named)) => id == named,
            _ => true,
        };
        same_id && self.validation.algorithms.contains(&header.alg)
    }
}

fn read_public_key(pem: &str) -> Option<(DecodingKey, &'static [Algorithm])> {
    let pem = pem.as_bytes();
    if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        return Some((key, RSA));
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return Some((key, &[Algorithm::ES256, Algorithm::ES384]));
    }
    DecodingKey::from_ed_pem(pem).ok().map(|key| (key, &[Algorithm::EdDSA] as &[_]))
}

/// The PEM text of a setting, which is that text or the file that holds it; in error, what is wrong with it.
pub fn read_pem(setting: &str) -> Result<String, String> {
    let text = if setting.contains("-----BEGIN") {
        // Environment variables often carry line breaks as two characters.
        setting.replace("\\n", "\n")
    } else {
        std::fs::read_to_string(setting).map_err(|error| format!("{setting}: {error}"))?
    };
    match read_public_key(&text) {
        Some(_) if text.contains("PRIVATE KEY") => {
            Err("must be the public key, not the private one".to_owned())
        }
        Some(_) => Ok(text),
        None => {
            Err("must be the PEM of an RSA, EC (P-256, P-384) or Ed25519 public key, or its file".to_owned())
        }
    }
}
