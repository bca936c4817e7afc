//! Connection state recovery: what a client keeps of its connection, and brings when it comes back.
//!
//! Clients do this by themselves once the answer to CONNECT has a `pid`: they remember the last string argument of each
//! event as their offset, and the next CONNECT carries both. They call it recovered when the answer has the same `pid`.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::engineio::random_id;

/// The most characters of a pid.
const PID_CHARS_MAX: usize = 96;

/// The most characters of an offset.
const OFFSET_CHARS_MAX: usize = 256;

/// Between the session of a pid and what tells two pids of one session apart.
const SEPARATOR: char = '~';

/// The name of a recoverable connection, a secret between the client and us: `<session>~<random text>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pid(Box<str>);

impl Pid {
    /// A new pid for a client of a session, however the application names that: letters, digits, `-`, `_` and `.`.
    pub fn of_session(session: &str) -> Self {
        Self(format!("{session}{SEPARATOR}{}", random_id()).into())
    }

    /// The session it was made for.
    pub fn session(&self) -> &str {
        self.0.split_once(SEPARATOR).map_or(&*self.0, |(session, _)| session)
    }

    /// The text as the client keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let safe = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.', SEPARATOR].contains(&c);
        let fits = (1..=PID_CHARS_MAX).contains(&text.len());
        (fits && text.chars().all(safe)).then(|| Self(text.into()))
    }
}

impl fmt::Debug for Pid {
    /// Says nothing of it: whoever knows it may take the session over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pid")
    }
}

/// What a client brings of an earlier connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The earlier connection.
    pub pid: Pid,
    /// The last offset the client saw, or whatever string an event without an offset ended with; `None` before any.
    pub offset: Option<Box<str>>,
}

impl fmt::Debug for Recovery {
    /// Says nothing of it: the offset may be any text that the client was shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery").finish_non_exhaustive()
    }
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
    fn a_pid_tells_its_session_and_no_two_are_alike() {
        let (one, other) = (Pid::of_session("a-b.1"), Pid::of_session("a-b.1"));
        assert_ne!(one, other);
        assert_eq!(one.session(), "a-b.1");
        assert_eq!(Pid::parse(one.as_str()), Some(one.clone()), "it fits");
        assert!(!format!("{one:?}").contains("a-b"));
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
