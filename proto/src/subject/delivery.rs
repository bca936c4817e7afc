//! The way of an event to a listener.

use super::{NodeToken, Pattern, Subject};
use crate::{Tenant, v1};

/// An event that is to be posted to a listener now. A listener is always in the same partition.
pub fn deliveries_due(partition: u32, tenant: &Tenant, listener: &NodeToken) -> Subject<v1::Delivery> {
    Subject::new(format!("deliveries.due.{partition}.{tenant}.{listener}"))
}

/// Every event of a partition that is to be posted now.
pub fn deliveries_of_partition(partition: u32) -> Pattern {
    Pattern(format!("deliveries.due.{partition}.>"))
}

/// An event that is to be posted at a set time: the broker then moves it to `deliveries.due`.
pub fn deliveries_later(tenant: &Tenant, delivery: &NodeToken) -> Subject<v1::Delivery> {
    Subject::new(format!("deliveries.later.{tenant}.{delivery}"))
}

/// An attempt to post an event, for the log.
pub fn deliveries_attempted(tenant: &Tenant, listener: &NodeToken) -> Subject<v1::DeliveryAttempt> {
    Subject::new(format!("deliveries.attempted.{tenant}.{listener}"))
}

/// Every attempt of every tenant.
pub fn deliveries_attempted_of_all() -> Pattern {
    Pattern("deliveries.attempted.>".to_owned())
}

/// How a listener is doing.
pub fn listeners_updated(tenant: &Tenant, listener: &NodeToken) -> Subject<v1::ListenerState> {
    Subject::new(format!("listeners.updated.{tenant}.{listener}"))
}
