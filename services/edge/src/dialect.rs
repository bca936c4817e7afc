//! Dialects: how each kind of client is shown what happens, and how it says what it wants. Pure functions.

pub(crate) mod appointment;
pub(crate) mod attachment;
pub(crate) mod chat;
pub(crate) mod crm;
pub(crate) mod device;
pub(crate) mod view;
pub(crate) mod widget;

use crate::event::Event;

/// The dialects of sockets. An event is encoded once in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `{type,data,seq}` over a plain WebSocket: CRMs and the native clients.
    Crm,
    /// The web widget of a contact, over Socket.IO.
    Widget,
    /// The owner of a WhatsApp number, over Socket.IO.
    Device,
    /// Users and agents over a plain WebSocket: what everyone who may see the event is shown.
    Chat,
    /// The same, and what only the one it was written to is shown.
    ChatNotice,
}

impl Dialect {
    /// How many there are.
    pub(crate) const COUNT: usize = 5;

    /// The frame of an event; `None` where the dialect does not show it.
    pub(crate) fn encode(self, event: &Event) -> Option<String> {
        match self {
            Self::Crm => crm::encode(event),
            Self::Widget => widget::encode(event),
            Self::Device => device::encode(event),
            Self::Chat => chat::encode(event),
            Self::ChatNotice => chat::encode_notice(event),
        }
    }
}
