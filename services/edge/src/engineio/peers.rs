//! The border to the other nodes of a cluster. A client's requests may land on any of them; its session lives on one.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::bridge::Bridge;
use super::refusal::Refusal;

/// The most characters of a node's name.
const NAME_CHARS_MAX: usize = 64;

/// What separates the random part of a session's id from the name of its node. Safe in a URL, and in no name.
const SEPARATOR: char = '.';

/// The other nodes, as a server sees them.
pub trait Peers: Send + Sync + 'static {
    /// This node's name among them: letters, digits and `-`. No process had it before.
    fn name(&self) -> &str;

    /// Asks the owner of a session on behalf of a client, and waits at most `limit`. Dropping the future tells the
    /// owner that the client has gone. An owner that is gone is an unknown session.
    fn ask<'a>(
        &'a self,
        owner: &'a str,
        session_id: &'a str,
        question: Question,
        limit: Duration,
    ) -> BoxFuture<'a, Result<String, Refusal>>;

    /// Builds a bridge from a WebSocket of this node to a session of `owner`.
    fn bridge<'a>(&'a self, owner: &'a str, session_id: &'a str) -> BoxFuture<'a, Result<Bridge, Refusal>>;
}

/// What a client asks of its session by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// GET: the packets there are, or the next ones.
    Poll,
    /// POST: here are packets.
    Post(Bytes),
}

/// A session's id: a secret, and the node that owns the session.
pub(super) fn session_id(secret: &str, node: &str) -> String {
    format!("{secret}{SEPARATOR}{node}")
}

/// The node that owns a session, as its id says.
pub(super) fn owner(session_id: &str) -> Option<&str> {
    let (_, node) = session_id.rsplit_once(SEPARATOR)?;
    let fits = (1..=NAME_CHARS_MAX).contains(&node.len());
    (fits && node.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')).then_some(node)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_names_its_owner() {
        assert_eq!(owner(&session_id("a_b-c", "edge-1")), Some("edge-1"));
        for id in ["", "abc", "abc.", "abc.a b", "abc.*", "abc.>", "abc.ñ"] {
            assert_eq!(owner(id), None, "{id}");
        }
        assert_eq!(owner(&session_id("a", &"x".repeat(NAME_CHARS_MAX + 1))), None);
    }

    proptest! {
        #[test]
        fn no_id_names_more_than_one_token_of_a_subject(id in ".{0,100}") {
            if let Some(node) = owner(&id) {
                prop_assert!(!node.contains(['.', '*', '>', ' ']));
            }
        }
    }
}
