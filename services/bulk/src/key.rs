//! Which campaign.

use std::fmt;

use chasqui_proto::{
    Subject, Tenant, stream,
    subject::{self, NodeToken},
    v1::{BulkProgress, DueCampaign},
};
use uuid::Uuid;

/// A campaign of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CampaignKey {
    pub(crate) tenant: Tenant,
    pub(crate) id: Uuid,
}

impl CampaignKey {
    /// The campaign that persistence names; `None` where it names none.
    pub(crate) fn read(due: &DueCampaign) -> Option<Self> {
        Some(Self { tenant: due.tenant.parse().ok()?, id: due.id.parse().ok()? })
    }

    /// The lease of its runner.
    pub(crate) fn lease(&self) -> String {
        stream::campaign_lease(&self.tenant, self.id)
    }

    /// Where it is told how far it is.
    pub(crate) fn progress(&self) -> Subject<BulkProgress> {
        subject::bulk_progress(&self.tenant, &NodeToken::new(&self.id.to_string()))
    }
}

impl fmt::Display for CampaignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_is_named_by_its_tenant_and_its_uuid() {
        let due = |tenant: &str, id: &str| DueCampaign { tenant: tenant.to_owned(), id: id.to_owned() };
        let id = "0d9a4a5e-0000-4000-8000-000000000005";
        let key = CampaignKey::read(&due("default", id)).unwrap();
        assert_eq!(key.lease(), format!("campaign.default.{id}"));
        assert_eq!(CampaignKey::read(&due("default", "7")), None);
        assert_eq!(CampaignKey::read(&due("no.tenant", id)), None);
    }
}
