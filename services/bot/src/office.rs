//! What every conversation is answered with.

use std::sync::Arc;

use chasqui_directory::Directory;
use chasqui_kit::Bus;
use chasqui_proto::subject::NodeToken;
use chasqui_responder::Responders;

use crate::{
    Config, conversations::Conversations, definition::Definitions, model::Models, past::Past, work::Works,
};

/// Everything that answering takes, shared by all conversations of a process.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) config: Config,
    pub(crate) bus: Bus,
    pub(crate) node: NodeToken,
    pub(crate) directory: Directory,
    pub(crate) responders: Responders,
    pub(crate) definitions: Definitions,
    pub(crate) models: Arc<Models>,
    pub(crate) conversations: Conversations,
    pub(crate) past: Past,
    pub(crate) works: Arc<Works>,
}
