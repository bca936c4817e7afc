//! How the bots of all tenants stand. Pure.

use std::collections::BTreeMap;

use chasqui_proto::{
    Tenant,
    v1::{BotState, BotStatus, BotWork},
};

use super::stand::{Queued, Seen, Stand};

/// How the bots of all tenants stand.
#[derive(Debug, Default)]
pub(super) struct Board(BTreeMap<Tenant, Stand>);

impl Board {
    /// Whether a tenant stands on it.
    pub(super) fn has(&self, tenant: &Tenant) -> bool {
        self.0.contains_key(tenant)
    }

    /// Puts a tenant on it, as it was told last by whomever.
    pub(super) fn add(&mut self, tenant: Tenant, stored: Option<BotStatus>) {
        self.0.entry(tenant).or_insert_with(|| Stand::new(stored));
    }

    /// Counts what a replica did for a tenant that stands on it.
    pub(super) fn count(&mut self, tenant: &Tenant, work: &BotWork, now_ms: i64) {
        if let Some(stand) = self.0.get_mut(tenant) {
            stand.count(work, now_ms);
        }
    }

    /// Everything that is not as it was told last.
    pub(super) fn changed(
        &mut self,
        seen: impl Fn(&Tenant) -> Seen,
        queued: Queued,
        now_ms: i64,
    ) -> Vec<(Tenant, BotStatus)> {
        let stands = self.0.iter_mut();
        stands
            .filter_map(|(tenant, stand)| {
                let status = stand.changed(tenant.as_str(), &seen(tenant), queued, now_ms)?;
                Some((tenant.clone(), status))
            })
            .collect()
    }

    /// It was told.
    pub(super) fn told(&mut self, tenant: &Tenant, status: BotStatus) {
        if let Some(stand) = self.0.get_mut(tenant) {
            stand.told(status);
        }
    }

    /// How many bots are in a state.
    pub(super) fn number_in(&self, state: BotState) -> usize {
        let told = self.0.values().filter_map(Stand::last);
        told.filter(|status| status.state() == state).count()
    }
}
