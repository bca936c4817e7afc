//! Telling others the counters of tenants, not too often.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chasqui_kit::{Bus, Platform, TraceContext, clock, publish::Fact};
use chasqui_proto::{Tenant, id::fact_id, subject, v1};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{counters, error::Error, store};

/// Tenants whose counters changed since they were last told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed(Arc<(Mutex<BTreeSet<String>>, Notify)>);

impl Changed {
    /// These tenants' counters changed.
    pub(crate) fn add(&self, tenants: impl IntoIterator<Item = String>) {
        let mut changed = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        changed.extend(tenants);
        if !changed.is_empty() {
            self.0.1.notify_one();
        }
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Publishes counters, at most once an interval and tenant, until stopped.
///
/// A tenant is read again an interval after it was told, until nothing changed in between: so the last word on it is
/// right even where another replica's older one came later.
pub(crate) async fn tell(
    platform: &Platform,
    pool: &PgPool,
    changed: &Changed,
    interval: Duration,
    stop: &CancellationToken,
) {
    let mut told: HashMap<String, BTreeMap<String, i64>> = HashMap::new();
    while stop.run_until_cancelled(changed.0.1.notified()).await.is_some() {
        for tenant in changed.take() {
            match tell_one(platform, pool, &tenant, told.get(&tenant)).await {
                Ok(None) => {
                    told.remove(&tenant);
                }
                Ok(Some(counters)) => {
                    told.insert(tenant.clone(), counters);
                    changed.add([tenant]);
                }
                Err(error) => {
                    tracing::debug!(%error, tenant, "the counters could not be published; trying again");
                    changed.add([tenant]);
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
            return;
        }
    }
}

/// Publishes the counters of a tenant unless they are what was told last.
async fn tell_one(
    platform: &Platform,
    pool: &PgPool,
    tenant: &str,
    told: Option<&BTreeMap<String, i64>>,
) -> Result<Option<BTreeMap<String, i64>>, Error> {
    let counters = store::counters::read(pool, tenant).await?;
    if told == Some(&counters) {
        return Ok(None);
    }
    let stats = counters::stats(tenant, &counters, clock::now_ms());
    publish(&platform.bus, platform.node.as_str(), &stats).await?;
    Ok(Some(counters))
}

async fn publish(bus: &Bus, node: &str, stats: &v1::Stats) -> Result<(), Error> {
    let tenant: Tenant = stats.tenant.parse().expect("it was parsed before it was counted");
    let id = fact_id(&["stats", tenant.as_str(), node, &stats.updated_at_ms.to_string()]);
    let fact = Fact::new(subject::stats_updated(&tenant), stats, id.to_string(), TraceContext::root());
    bus.publish(fact).await?;
    Ok(())
}
