//! Whose events are where.

use chasqui_proto::{Tenant, stream, subject::NodeToken};

/// A listener, and the partition its events are in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) partition: u32,
    pub(crate) tenant: Tenant,
    pub(crate) listener: NodeToken,
}

/// Which partition a listener's events are in.
pub(crate) fn partition_of(tenant: &Tenant, listener: &NodeToken) -> u32 {
    // The first bytes of an id that is the same on every node and in every version.
    let id = chasqui_proto::id::fact_id(&["partition", tenant.as_str(), listener.as_str()]);
    id.as_fields().0 % stream::DELIVERY_PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits in one partition would never be looked for in another.
    #[test]
    fn the_partition_of_a_listener_never_changes() {
        let tenant: Tenant = "default".parse().unwrap();
        let of = |listener: &str| partition_of(&tenant, &NodeToken::new(listener));
        assert_eq!((of("main"), of("2ae0196f-15cf-5517-a33e-8d03afa6cbbe")), (6, 14));
        let mut partitions: Vec<u32> = (0..200).map(|listener| of(&listener.to_string())).collect();
        partitions.sort_unstable();
        partitions.dedup();
        assert_eq!(partitions, (0..stream::DELIVERY_PARTITIONS).collect::<Vec<_>>());
    }
}
