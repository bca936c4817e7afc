//! URLs that listeners are registered with.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use url::{Host, Url};

use crate::Allowed;

/// The longest URL, bytes.
pub const URL_LENGTH_MAX: usize = 2_048;

/// A URL that events can be posted to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallbackUrl(Url);

/// Why events cannot be posted to a URL.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum CallbackError {
    /// It is no URL.
    #[error("must be a whole URL such as https://bot.example.com/events: {0}")]
    Unreadable(String),
    /// It is too long.
    #[error("must have at most {URL_LENGTH_MAX} bytes")]
    TooLong,
    /// Its scheme is another one.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// It has a user or a password.
    #[error("must not hold a user or password; events are signed instead")]
    Credentials,
    /// It has a fragment, which no server ever sees.
    #[error("must not have a part behind #")]
    Fragment,
    /// Nothing listens on port 0.
    #[error("must not name port 0")]
    Port,
    /// It leads where only allowed networks may lead.
    #[error(
        "leads to {0}, which is no public address and in no network of webhooks.private_networks_allowed"
    )]
    Forbidden(IpAddr),
}

impl CallbackUrl {
    /// Reads a URL. Two spellings that mean the same request become equal.
    pub fn parse(text: &str) -> Result<Self, CallbackError> {
        if text.len() > URL_LENGTH_MAX {
            return Err(CallbackError::TooLong);
        }
        let url: Url = text
            .trim()
            .parse()
            .map_err(|error: url::ParseError| CallbackError::Unreadable(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(CallbackError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CallbackError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(CallbackError::Fragment);
        }
        if url.port() == Some(0) {
            return Err(CallbackError::Port);
        }
        // Escaping may make it longer than what was given.
        if url.as_str().len() > URL_LENGTH_MAX {
            return Err(CallbackError::TooLong);
        }
        Ok(Self(url))
    }

    /// Refuses what can be known to lead into a forbidden network without resolving a name.
    pub fn judge(&self, allowed: &Allowed) -> Result<(), CallbackError> {
        match self.address() {
            Some(address) if !allowed.permits(address) => Err(CallbackError::Forbidden(address)),
            _ => Ok(()),
        }
    }

    /// The address that its host is, where it is no name that must be resolved.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(name) => is_this_machine(name).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }

    /// Scheme, host and port: what shares connections.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The normal spelling.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Names that mean loopback without anybody resolving them (RFC 6761).
fn is_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

impl FromStr for CallbackUrl {
    type Err = CallbackError;

    fn from_str(text: &str) -> Result<Self, CallbackError> {
        Self::parse(text)
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_urls_of_the_web_without_credentials_are_taken() {
        for good in [
            "http://bot.example.com",
            "https://bot.example.com:8443/api/events?bot=7",
            "http://[2001:4860::1]/",
        ] {
            assert!(CallbackUrl::parse(good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "x".repeat(URL_LENGTH_MAX));
        for (bad, why) in [
            ("ftp://bot.example.com/", CallbackError::Scheme),
            ("file:///etc/passwd", CallbackError::Scheme),
            ("http://me:mine@bot.example.com/", CallbackError::Credentials),
            ("http://me@bot.example.com/", CallbackError::Credentials),
            ("http://bot.example.com/#here", CallbackError::Fragment),
            ("http://bot.example.com:0/", CallbackError::Port),
            (long.as_str(), CallbackError::TooLong),
        ] {
            assert_eq!(CallbackUrl::parse(bad), Err(why), "{bad}");
        }
        for unreadable in [
            "",
            "bot.example.com",
            "/events",
            "http://",
            "http://a b/",
            "http://[::1",
            "http://[fe80::1%25eth0]/",
            "http://1.2.3.4.5/",
        ] {
            assert!(
                matches!(CallbackUrl::parse(unreadable), Err(CallbackError::Unreadable(_))),
                "{unreadable}"
            );
        }
    }

    #[test]
    fn shc_25_a_way_into_our_own_networks_is_refused_unless_it_is_allowed() {
        let (none, some) = (Allowed::default(), Allowed::new(["127.0.0.0/8"]).unwrap());
        for text in [
            "http://127.0.0.1:3013/api/message-received",
            "http://localhost:3013/api/message-received",
            "http://bot.localhost./",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://１２７.0.0.1/",
            "http://%31%32%37.0.0.1/",
        ] {
            let url = CallbackUrl::parse(text).unwrap();
            let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
            assert_eq!(url.judge(&none), Err(CallbackError::Forbidden(loopback)), "{text}");
            assert_eq!(url.judge(&some), Ok(()), "{text}");
        }
        assert_eq!(CallbackUrl::parse("http://10.0.0.1.example.com/").unwrap().judge(&none), Ok(()));
    }

    #[test]
    fn shc_25_no_spelling_of_an_address_hides_it() {
        for text in [
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::]/",
            "http://2852039166/",
        ] {
            let judged = CallbackUrl::parse(text).unwrap().judge(&Allowed::default());
            assert!(matches!(judged, Err(CallbackError::Forbidden(_))), "{text}: {judged:?}");
        }
    }

    #[test]
    fn two_spellings_of_one_url_are_one() {
        let (one, other) =
            (CallbackUrl::parse("HTTP://Bot.Example.com:80"), CallbackUrl::parse("http://bot.example.com/"));
        assert_eq!(one, other);
        assert_eq!(one.unwrap().origin(), "http://bot.example.com");
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_the_normal_spelling_is_stable(text in "(https?://)?.{0,40}") {
            if let Ok(url) = CallbackUrl::parse(&text) {
                prop_assert_eq!(CallbackUrl::parse(url.as_str()), Ok(url));
            }
        }
    }
}
