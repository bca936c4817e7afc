//! What the parts of a process share.

use chasqui_directory::Directory;
use chasqui_kit::Bus;
use chasqui_responder::Responders;

use crate::{Config, attempt::Poster, schedule::Schedule};

/// The means of everybody who routes or delivers.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) bus: Bus,
    pub(crate) directory: Directory,
    pub(crate) responders: Responders,
    pub(crate) poster: Poster,
    pub(crate) schedule: Schedule,
    pub(crate) config: Config,
}
