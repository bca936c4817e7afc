#![doc = include_str!("../README.md")]

mod bring;
mod config;
mod error;
mod file;
mod limits;
mod routes;
mod store;
mod urls;

pub use bring::bring;
pub use config::Config;
pub use error::MediaError;
pub use file::{FileId, NotAFileId, Properties};
pub use limits::Limits;
pub use routes::{OnMissing, routes};
pub use store::{Incoming, MediaStore, Opened};
pub use urls::MediaUrls;
