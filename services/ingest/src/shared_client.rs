//! The interface of a shared WhatsApp client: bots send through it and ask how it stands, with one key and no session of
//! their own.

pub(crate) mod legacy;
mod order;
pub(crate) mod send;
pub(crate) mod status;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use chasqui_directory::Directory;

use crate::{machine::Machines, publication::Publication};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct SharedClient {
    pub(crate) machines: Arc<Machines>,
    pub(crate) directory: Directory,
    pub(crate) publication: Arc<Publication>,
}

pub(crate) fn routes(client: SharedClient) -> Router {
    Router::new()
        .route("/api/whatsapp/send", post(send::receive))
        .route("/api/whatsapp/status", get(status::show))
        .route("/api/status", get(status::show_bot))
        .route("/{session}/api/wapp-session/status", get(legacy::show))
        .route("/{session}/api/wapp-session/init", post(legacy::init))
        .with_state(Arc::new(client))
}
