//! Addresses of files that anybody may be given, for a while.

use chasqui_proto::Tenant;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::{Config, FileId, MediaError};

/// What is signed begins with this, so that a signature is good for nothing else that the key may sign one day.
const PURPOSE: &str = "chasqui media address";
/// An address is the same for this part of its lifetime, so that it can be made once and its answer be cached.
const STEPS_PER_LIFETIME: i64 = 4;

/// Makes and checks addresses of files. Clones share the keys.
#[derive(Clone, Debug)]
pub struct MediaUrls {
    /// The first signs, all verify.
    keys: Vec<SecretString>,
    base_url: String,
    lifetime_secs: i64,
}

impl MediaUrls {
    /// Fails when there is no key.
    pub fn new(config: &Config) -> Result<Self, MediaError> {
        let keys: Vec<SecretString> = config.url_keys().collect();
        if keys.is_empty() {
            return Err(MediaError::NoKey);
        }
        let base_url = config.base_url.trim_end_matches('/').to_owned();
        Ok(Self { keys, base_url, lifetime_secs: i64::from(config.url_lifetime_secs) })
    }

    /// The address of a file, good for a lifetime at least and a quarter more at most. `now_ms` is unix milliseconds.
    pub fn url(&self, tenant: &Tenant, id: FileId, now_ms: i64) -> String {
        let step_secs = (self.lifetime_secs / STEPS_PER_LIFETIME).max(1);
        let now_secs = now_ms.div_euclid(1_000);
        let expires = (now_secs.div_euclid(step_secs) + 1) * step_secs + self.lifetime_secs;
        let mac = mac(&self.keys[0], tenant, id, expires);
        let signature = hex::encode(mac.finalize().into_bytes());
        format!("{}/media/{tenant}/{id}?expires={expires}&signature={signature}", self.base_url)
    }

    /// Whether an address is ours and still good. `expires` is unix seconds, `signature` lower-case hexadecimal. The
    /// comparison takes the same time wherever the two differ.
    pub fn verify(
        &self,
        tenant: &Tenant,
        id: FileId,
        (expires, signature): (i64, &str),
        now_ms: i64,
    ) -> Result<(), MediaError> {
        let given = hex::decode(signature).map_err(|_| MediaError::Forged)?;
        let is_ours = self.keys.iter().any(|key| mac(key, tenant, id, expires).verify_slice(&given).is_ok());
        if !is_ours {
            return Err(MediaError::Forged);
        }
        if expires <= now_ms.div_euclid(1_000) { Err(MediaError::Expired) } else { Ok(()) }
    }
}

fn mac(key: &SecretString, tenant: &Tenant, id: FileId, expires: i64) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(format!("{PURPOSE}\n{tenant}\n{id}\n{expires}").as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_123;
    const KEY: &str = "a-key-of-sixteen";

    fn urls(keys: &str) -> MediaUrls {
        let config = Config {
            url_key: Some(keys.into()),
            base_url: "https://chat.example.com/".to_owned(),
            ..Config::default()
        };
        MediaUrls::new(&config).unwrap()
    }

    fn tenant() -> Tenant {
        "default".parse().unwrap()
    }

    fn id() -> FileId {
        "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10".parse().unwrap()
    }

    /// The two parameters of an address.
    fn taken_apart(url: &str) -> (i64, String) {
        let (_, query) = url.split_once("?expires=").unwrap();
        let (expires, signature) = query.split_once("&signature=").unwrap();
        (expires.parse().unwrap(), signature.to_owned())
    }

    #[test]
    fn an_address_is_frozen() {
        assert_eq!(
            urls(KEY).url(&tenant(), id(), NOW),
            "https://chat.example.com/media/default/018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10?expires=1700003700\
             &signature=04ac0bd93f1c42c6900cfd0a21e23365841368a9957d664b79e089d8934eba10"
        );
    }

    #[test]
    fn an_address_stays_the_same_for_a_quarter_of_its_lifetime() {
        let urls = urls(KEY);
        let at = |secs: i64| urls.url(&tenant(), id(), secs * 1_000);
        let begin = 1_700_000_100;
        assert_eq!(at(begin), at(begin + 899));
        assert_ne!(at(begin), at(begin + 900));
        for now in begin..begin + 900 {
            let (expires, _) = taken_apart(&at(now));
            assert!((3_600..=4_500).contains(&(expires - now)), "{}", expires - now);
        }
    }

    #[test]
    fn only_our_own_address_opens_the_file_and_only_in_its_time() {
        let urls = urls(KEY);
        let (expires, signature) = taken_apart(&urls.url(&tenant(), id(), NOW));
        let signature = signature.as_str();
        let verify = |tenant: &Tenant, id, given, now| urls.verify(tenant, id, given, now);
        verify(&tenant(), id(), (expires, signature), NOW).unwrap();
        verify(&tenant(), id(), (expires, signature), expires * 1_000 - 1).unwrap();
        let late = verify(&tenant(), id(), (expires, signature), expires * 1_000);
        assert!(matches!(late, Err(MediaError::Expired)), "{late:?}");
        let other = "other".parse().unwrap();
        for forged in [
            verify(&other, id(), (expires, signature), NOW),
            verify(&tenant(), FileId::now(), (expires, signature), NOW),
            verify(&tenant(), id(), (expires + 1, signature), NOW),
            verify(&tenant(), id(), (expires, &signature[..62]), NOW),
            verify(&tenant(), id(), (expires, ""), NOW),
            verify(&tenant(), id(), (expires, "zz"), NOW),
        ] {
            assert!(matches!(forged, Err(MediaError::Forged)), "{forged:?}");
        }
    }

    #[test]
    fn a_key_is_changed_without_breaking_addresses() {
        let next = "the-next-key-of-all";
        let given = taken_apart(&urls(KEY).url(&tenant(), id(), NOW));
        let given = (given.0, given.1.as_str());
        urls(&format!("{next}, {KEY}")).verify(&tenant(), id(), given, NOW).unwrap();
        assert!(urls(next).verify(&tenant(), id(), given, NOW).is_err());
        assert_eq!(
            urls(next).url(&tenant(), id(), NOW),
            urls(&format!("{next},{KEY}")).url(&tenant(), id(), NOW)
        );
    }

    #[test]
    fn without_a_key_there_are_no_addresses() {
        let none = MediaUrls::new(&Config { url_key: Some(" , ".into()), ..Config::default() });
        assert!(matches!(none, Err(MediaError::NoKey)));
    }
}
