//! The Graph API, as far as a business that sends messages sees it.

mod agenda;
mod control;
mod error;
mod fault;
mod limit;
mod media;
mod messages;
mod routes;
mod settings;
mod stats;
mod telling;
mod validation;

pub(crate) use agenda::{Agenda, News, Update};
pub(crate) use control::routes as control_routes;
pub(crate) use fault::Faults;
pub(crate) use limit::Limits;
pub(crate) use routes::routes;
pub(crate) use stats::Stats;
pub(crate) use telling::tell_statuses;

pub use settings::{GraphConfig, Told, Window};
