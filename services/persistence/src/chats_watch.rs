//! What happens to chats without being asked: grace ends, and states that were not told are told.

use std::time::Duration;

use chasqui_kit::{
    Platform, TraceContext,
    publish::{Fact, PublishError},
};
use chasqui_proto::{Tenant, subject};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    chats::Chats,
    error::Error,
    meter,
    store::{chats::Row, queue, told},
    telling::{self, Teller},
};

/// How many tenants are looked after between two looks at what is due.
const DUE_MAX: i64 = 100;

impl Chats {
    /// Looks what is due every `interval`, and tells what changed, until stopped.
    pub(crate) async fn watch(
        &self,
        platform: &Platform,
        interval: Duration,
        retry_pause_max: Duration,
        stop: &CancellationToken,
    ) {
        let looking = async {
            loop {
                if let Err(error) = self.look().await {
                    tracing::debug!(%error, "the chats could not be looked at; trying again");
                }
                let next = tokio::time::timeout(interval, self.due.notified());
                if stop.run_until_cancelled(next).await.is_none() {
                    return;
                }
            }
        };
        tokio::join!(looking, telling::keep(self, platform, interval, retry_pause_max, stop));
    }

    /// Settles the tenants in whose queues something is due.
    async fn look(&self) -> Result<(), Error> {
        for tenant in queue::due(&self.pool, self.grace, DUE_MAX).await? {
            let tenant: Tenant = tenant.parse().map_err(|_| Error::Unreadable("tenant"))?;
            self.settle(&tenant).await?;
        }
        meter::chats_waiting(queue::length(&self.pool).await?);
        Ok(())
    }
}

impl Teller for Chats {
    type State = Row;

    const NAME: &'static str = "chats";

    fn changed(&self) -> &Notify {
        &self.changed
    }

    async fn take(&self, lease: Duration, limit: i64) -> sqlx::Result<Vec<Row>> {
        told::take(&self.pool, lease, limit).await
    }

    /// Each time under an id of its own: where a state is told again, that is because another one may have come after
    /// it, and under the same id the stream would drop it.
    async fn publish(&self, platform: &Platform, row: Row) -> Result<(), PublishError> {
        let parsed = row.tenant.parse().ok().zip(row.conversation_token.parse().ok());
        let (tenant, token) = parsed.expect("both were parsed before they were stored");
        let state = row.state();
        let (id, trace) = (Uuid::now_v7().to_string(), TraceContext::root());
        let fact = Fact::new(subject::chats_updated(&tenant, &token), &state, id, trace);
        platform.bus.publish(fact).await.map(drop)
    }

    async fn mark(&self, told: &[&Row]) -> sqlx::Result<()> {
        told::mark(&self.pool, told).await
    }

    async fn release(&self, left: &[&Row]) -> sqlx::Result<()> {
        told::release(&self.pool, left).await
    }
}
