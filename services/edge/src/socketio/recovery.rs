//! Connection state recovery: what a client keeps of its connection, and brings when it comes back.
//!
//! Clients do this by themselves once the answer to CONNECT has a `pid`: they remember the last string argument of each
//! event as their offset, and the next CONNECT carries both. They call it recovered when the answer has the same `pid`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::engineio::random_id;

/// The most characters of a pid; ours have 20.
const PID_CHARS_MAX: usize = 64;

/// The most characters of an offset.
const OFFSET_CHARS_MAX: usize = 256;

/// The name of a recoverable connection, a secret between the client and us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pid(Box<str>);

impl Pid {
    /// A pid nobody can guess.
    pub fn random() -> Self {
        Self(random_id().into())
    }

    /// The text as the client keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let fits = (1..=PID_CHARS_MAX).contains(&text.len());
        (fits && text.chars().all(safe)).then(|| Self(text.into()))
    }
}

/// What a client brings of an earlier connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The earlier connection.
    pub pid: Pid,
    /// The last offset the client saw, or whatever string an event without an offset ended with; `None` before any.
    pub offset: Option<Box<str>>,
}

impl Recovery {
    /// Reads it from the client's `auth`. What cannot be used counts as not brought: the client is new then.
    pub(super) fn of_auth(auth: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Auth {
            pid: String,
            offset: Option<String>,
        }
        let Auth { pid, offset } = serde_json::from_str(auth.get()).ok()?;
        let offset = offset.filter(|offset| offset.len() <= OFFSET_CHARS_MAX).map(Into::into);
        Some(Self { pid: Pid::parse(&pid)?, offset })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(auth: &str) -> Option<Recovery> {
        Recovery::of_auth(&RawValue::from_string(auth.to_owned()).ok()?)
    }

    #[test]
    fn a_client_brings_its_pid_and_its_offset() {
        let pid = Pid("abc".into());
        let found = Recovery { pid: pid.clone(), offset: Some("18a.7".into()) };
        assert_eq!(read(r#"{"pid":"abc","offset":"18a.7","token":"x"}"#), Some(found));
        assert_eq!(read(r#"{"pid":"abc"}"#), Some(Recovery { pid, offset: None }));
    }

    #[test]
    fn what_cannot_be_used_was_not_brought() {
        let long = format!(r#"{{"pid":"{}"}}"#, "x".repeat(PID_CHARS_MAX + 1));
        for auth in ["{}", r#"{"pid":""}"#, r#"{"pid":7}"#, r#"{"pid":"a b"}"#, r#"{"offset":"1"}"#, &long] {
            assert_eq!(read(auth), None, "{auth}");
        }
        let endless = format!(r#"{{"pid":"abc","offset":"{}"}}"#, "x".repeat(OFFSET_CHARS_MAX + 1));
        assert_eq!(read(&endless).unwrap().offset, None);
    }

    proptest! {
        #[test]
        fn no_auth_makes_it_panic(pid in ".{0,80}", offset in ".{0,300}") {
            let read = read(&serde_json::json!({ "pid": pid, "offset": offset }).to_string());
            prop_assert!(read.is_none_or(|recovery| *recovery.pid.0 == *pid));
        }
    }
}
