//! Open files, of which every socket is one.

use chasqui_kit::config::Section as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What an edge opens besides its clients' sockets: the broker's connections, listeners, the runtime's own.
const FILES_SPARE: u64 = 64;

/// Allows this process as many sockets as the system lets it have, and tells when an edge may not hold all it is set to.
pub(crate) fn raise(edge: &chasqui_edge::Config) {
    let limit = raise_to_hard_limit();
    if let Some(sockets) = sockets_within(limit, edge.sockets_max) {
        let (section, limit) = (chasqui_edge::Config::NAME, limit.unwrap_or_default());
        tracing::warn!(
            limit,
            sockets,
            "the limit of open files leaves room for fewer sockets than {section}.sockets_max = {}: raise the limit \
             (ulimit -Hn, LimitNOFILE, ulimits of a container) or lower the setting",
            edge.sockets_max
        );
    }
}

/// The limit of open files after the soft one was raised to the hard one; `None` is no limit. Where the system refuses,
/// the process goes on with what it has.
fn raise_to_hard_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// How many sockets a limit leaves room for, where that is fewer than are wanted.
fn sockets_within(limit: Option<u64>, wanted: usize) -> Option<u64> {
    let room = limit?.saturating_sub(FILES_SPARE);
    (room < wanted as u64).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_low_when_the_sockets_and_what_else_is_open_do_not_fit() {
        assert_eq!(sockets_within(None, 100_000), None);
        assert_eq!(sockets_within(Some(1_000 + FILES_SPARE), 1_000), None);
        assert_eq!(sockets_within(Some(999 + FILES_SPARE), 1_000), Some(999));
        assert_eq!(sockets_within(Some(10), 1_000), Some(0));
    }
}
