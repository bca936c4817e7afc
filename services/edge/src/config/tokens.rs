//! The settings that tokens are checked by.

use std::time::Duration;

use chasqui_identity::{TokenRules, TokenSettings, read_pem};
use chasqui_kit::config::Problems;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::Config;
use crate::auth::LeaseRules;

/// An HS256 key shorter than its hash is weaker than it looks (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
/// The longest warning or grace: a day is more than anybody needs, and fits every clock.
const TERM_MAX: Duration = Duration::from_hours(24);

impl Config {
    /// What tokens are checked by, in a checked configuration; for other services of the process too.
    pub fn token_settings(&self) -> TokenSettings {
        TokenSettings {
            secret: self.jwt_secret.clone(),
            public_keys: self.public_keys().map(str::to_owned).collect(),
            jwks_url: self.jwks_url.as_ref().and_then(|url| url.parse().ok()),
            rules: TokenRules { issuer: self.jwt_issuer.clone(), audience: self.jwt_audience.clone() },
            users_are_staff: self.users_are_staff,
        }
    }

    /// When clients are told that their token ends.
    pub(crate) fn lease_rules(&self) -> LeaseRules {
        let milliseconds = |setting: u64| i64::try_from(setting).unwrap_or(i64::MAX);
        LeaseRules {
            warning_ms: milliseconds(self.token_warning_ms),
            grace_ms: milliseconds(self.token_grace_ms),
        }
    }

    /// The public keys as they were written: PEM text, or files of it.
    fn public_keys(&self) -> impl Iterator<Item = &str> {
        self.jwt_public_key.iter().chain(&self.jwt_public_keys).map(String::as_str)
    }

    pub(super) fn check_tokens(&self, problems: &mut Problems) {
        let has_public = self.public_keys().next().is_some() || self.jwks_url.is_some();
        match &self.jwt_secret {
            None => problems.require(
                has_public,
                "edge.jwt_secret",
                format!(
                    "must be set, with at least {JWT_SECRET_BYTES_MIN} bytes, unless edge.jwt_public_key or \
                     edge.jwks_url is"
                ),
            ),
            Some(secret) => problems.require(
                long_enough(secret),
                "edge.jwt_secret",
                format!("must have at least {JWT_SECRET_BYTES_MIN} bytes"),
            ),
        }
        for (name, keys) in [
            ("edge.jwt_public_key", self.jwt_public_key.as_slice()),
            ("edge.jwt_public_keys", &self.jwt_public_keys),
        ] {
            for problem in keys.iter().filter_map(|key| read_pem(key).err()) {
                problems.add(name, problem);
            }
        }
        if let Some(url) = &self.jwks_url {
            problems.require(
                self.may_fetch(url),
                "edge.jwks_url",
                "must be an https:// URL; http:// only for hosts of edge.jwks_plain_hosts",
            );
        }
        for (name, term) in
            [("edge.token_warning_ms", self.token_warning_ms), ("edge.token_grace_ms", self.token_grace_ms)]
        {
            problems.require(
                Duration::from_millis(term) <= TERM_MAX,
                name,
                "must be at most a day: 86,400,000",
            );
        }
    }

    fn may_fetch(&self, url: &str) -> bool {
        let Ok(url) = url.parse::<Url>() else { return false };
        let is_plain_host = |host: &str| self.jwks_plain_hosts.iter().any(|plain| plain == host);
        match url.scheme() {
            "https" => url.host_str().is_some(),
            "http" => url.host_str().is_some_and(is_plain_host),
            _ => false,
        }
    }
}

fn long_enough(secret: &SecretString) -> bool {
    secret.expose_secret().len() >= JWT_SECRET_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "an-hs256-secret-of-32-bytes-here";

    fn problems(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config { jwt_secret: Some(SECRET.into()), ..Config::default() };
        change(&mut config);
        let mut problems = Problems::default();
        config.check_tokens(&mut problems);
        if problems.is_empty() { String::new() } else { problems.to_string() }
    }

    #[test]
    fn what_checks_nothing_is_refused_at_start() {
        assert_eq!(problems(|_| {}), "");
        let check = |change: fn(&mut Config), names: &str, why: &str| {
            let found = problems(change);
            assert!(found.contains(names) && found.contains(why), "{found:?} should name {names}: {why}");
        };
        check(|config| config.jwt_secret = None, "edge.jwt_secret", "must be set");
        check(|config| config.jwt_secret = Some("short".into()), "edge.jwt_secret", "at least 32");
        check(
            |config| config.jwt_public_key = Some("/nowhere.pem".into()),
            "edge.jwt_public_key",
            "/nowhere.pem",
        );
        check(
            |config| config.jwt_public_keys = vec!["-----BEGIN PUBLIC KEY-----\n".into()],
            "edge.jwt_public_keys",
            "PEM",
        );
        for url in ["http://id.example.org/keys", "ftp://id.example.org/keys", "keys"] {
            let found = problems(|config| config.jwks_url = Some(url.to_owned()));
            assert!(found.contains("edge.jwks_url"), "{url}: {found}");
        }
        check(|config| config.token_grace_ms = u64::MAX, "edge.token_grace_ms", "a day");
    }

    #[test]
    fn keys_come_over_tls_or_from_a_host_that_was_named() {
        let set = |config: &mut Config| {
            config.jwt_secret = None;
            config.jwks_url = Some("http://127.0.0.1:9/keys".to_owned());
            config.jwks_plain_hosts = vec!["127.0.0.1".to_owned()];
        };
        assert_eq!(problems(set), "");
        assert_eq!(problems(|config| config.jwks_url = Some("https://id.example.org/keys".into())), "");
    }
}
