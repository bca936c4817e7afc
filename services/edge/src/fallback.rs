//! For clients that cannot hold a WebSocket: the frames of dialect `crm` as server-sent events, and by long polling.
//!
//! Both carry the positions of the sockets, so a client may change from one to the other with its cursor.

mod collector;
pub(crate) mod poll;
pub(crate) mod sse;
mod stream;
mod viewer;

pub(crate) use poll::events;
pub(crate) use sse::{LAST_EVENT_ID, open as open_stream};
