//! A person as presence knows it.

use chasqui_proto::v1::{self, PersonKind};
use uuid::Uuid;

use crate::told::Unreadable;

/// The longest id of a user or an agent, bytes.
pub const ID_BYTES_MAX: usize = 256;
/// The most connections one person may have on one node; what a node says of a person must fit a message.
pub const CONNECTIONS_OF_PERSON_MAX: usize = 1_024;

/// Who a person is to its tenant and its front ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The person's id as its front end knows it.
    pub user_id: Box<str>,
    /// What the person is.
    pub kind: PersonKind,
    /// The agent's id, of agents.
    pub agent_id: Option<Box<str>>,
}

impl Who {
    /// Of several things that one person is, what it is shown as: an agent first, a contact last.
    pub(crate) fn rank(&self) -> u8 {
        match self.kind {
            PersonKind::Agent => 4,
            PersonKind::User => 3,
            PersonKind::Staff => 2,
            PersonKind::Contact => 1,
            PersonKind::Unspecified => 0,
        }
    }
}

/// One open connection of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Unique in the cluster.
    pub id: Uuid,
    /// The session it resumed or began.
    pub session: Uuid,
    /// Which connection of the session: the newest is the session's.
    pub generation: u32,
    /// When it was let in, unix milliseconds of its node.
    pub opened_at_ms: i64,
}

impl From<&Connection> for v1::Connection {
    fn from(connection: &Connection) -> Self {
        Self {
            id: connection.id.simple().to_string(),
            session: connection.session.simple().to_string(),
            generation: connection.generation,
            opened_at_ms: connection.opened_at_ms,
        }
    }
}

impl TryFrom<&v1::Connection> for Connection {
    type Error = Unreadable;

    fn try_from(connection: &v1::Connection) -> Result<Self, Unreadable> {
        Ok(Self {
            id: connection.id.parse().map_err(|_| Unreadable("connections.id"))?,
            session: connection.session.parse().map_err(|_| Unreadable("connections.session"))?,
            generation: connection.generation,
            opened_at_ms: connection.opened_at_ms,
        })
    }
}
