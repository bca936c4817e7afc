#![doc = include_str!("../README.md")]

mod api_key;
mod directory;
mod entries;
mod place;
mod shown;
mod watch;

pub use api_key::{NewKey, SECRET_PREFIX, Scope, sha256_of};
pub use directory::Directory;
pub use place::{key_of, person};
pub use shown::shown;
pub use watch::{WatchError, read_all};
