//! A language model, as whoever asks for chat completions sees it.

mod fault;
mod model;
mod routes;
mod settings;
mod written;

pub(crate) use model::Model;
pub(crate) use routes::routes;
