//! Open files, of which every socket is one.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors we need besides the sockets.
const DESCRIPTORS_SPARE: u64 = 64;

/// Raises our limit of open files as far as we may.
pub(crate) fn allow(sockets: u32) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let needed = u64::from(sockets) + DESCRIPTORS_SPARE;
    ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= needed),
        "{sockets} sockets need {needed} open files, and the limit is {:?}",
        limit.maximum
    );
    Ok(())
}
