//! Dialects: how each kind of client is shown what happens, and how it says what it wants. Pure functions.

pub(crate) mod crm;
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
}

impl Dialect {
    /// How many there are.
    pub(crate) const COUNT: usize = 2;

    /// The frame of an event; `None` where the dialect does not show it.
    pub(crate) fn encode(self, event: &Event) -> Option<String> {
        match self {
            Self::Crm => Some(crm::encode(event)),
            Self::Widget => widget::encode(event),
        }
    }
}
