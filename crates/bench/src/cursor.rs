//! Where a client is, as it comes back with it.

use serde::{Deserialize, Serialize};

/// A client's place in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Cursor {
    /// Which life of the stream.
    pub(crate) epoch: String,
    /// The position.
    pub(crate) seq: u64,
}

/// What the server says of a client that has just connected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Greeting {
    /// Where it is before whatever follows.
    #[serde(flatten)]
    pub(crate) cursor: Cursor,
    /// Whether everything since the cursor it came with follows.
    pub(crate) recovered: bool,
}
