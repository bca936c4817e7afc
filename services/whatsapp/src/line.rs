//! A session with an owner: what sending and connecting share.

use std::sync::Arc;

use bytes::Bytes;
use chasqui_kit::Bus;
use chasqui_proto::{
    ConversationToken, Tenant,
    subject::NodeToken,
    v1::{Channel, ChannelKind},
};
use tokio_util::sync::CancellationToken;

use crate::connector::Connector;

/// One session while this process owns it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) bus: Bus,
    pub(crate) tenant: Tenant,
    pub(crate) session: NodeToken,
    /// What messages and statuses of this session carry.
    pub(crate) channel: Channel,
    /// This process, as the bucket `sends` names it.
    pub(crate) node: NodeToken,
    /// Grows with every owner the session had: what a connector tells owners apart by.
    pub(crate) ownership: u64,
    pub(crate) connector: Arc<dyn Connector>,
    /// How many messages the number may send a second; `None` where the provider sets no limit.
    pub(crate) messages_per_second_max: Option<u32>,
    /// The template that is sent where nothing else may be, as the Cloud API's `template` object.
    pub(crate) fallback: Option<Bytes>,
    /// Cancelled when this process stops or no longer owns the session: from then on nothing may be written.
    pub(crate) stop: CancellationToken,
}

impl Line {
    /// The kind of the number.
    pub(crate) fn kind(&self) -> ChannelKind {
        self.channel.kind()
    }
}

/// Why a session must not send for now. Sending tells it, connecting acts on it and shows it in the session's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The provider refuses the number or its credentials: the session has failed until it is opened again, or the
    /// number answers again. Nothing of the queue is lost.
    Number {
        /// For people and programs, such as `access token refused (190)`.
        reason: String,
    },
    /// Campaigns stop, answers go on.
    Campaigns {
        /// For people and programs, such as `spam limit (131048)`.
        reason: String,
    },
}

/// A contact of a session.
pub(crate) type Pair = ConversationToken;
