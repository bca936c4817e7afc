//! Whose a provider's number is.

use std::{collections::HashSet, sync::Mutex};

use chasqui_directory::Directory;
use chasqui_proto::Tenant;

/// How many numbers that nobody registered are remembered, so that each is told once; past it they are told again.
const UNKNOWN_MAX: usize = 10_000;

/// Finds the tenant of a number. What belongs to nobody belongs to the default tenant: a deployment of one tenant
/// registers nothing.
#[derive(Debug)]
pub(crate) struct Numbers {
    directory: Directory,
    default_tenant: Tenant,
    /// Numbers that were told to be unknown.
    unknown: Mutex<HashSet<Box<str>>>,
}

impl Numbers {
    pub(crate) fn new(directory: &Directory, default_tenant: &Tenant) -> Self {
        let (directory, default_tenant) = (directory.clone(), default_tenant.clone());
        Self { directory, default_tenant, unknown: Mutex::default() }
    }

    /// The tenant of a phone number id.
    pub(crate) fn tenant_of(&self, phone_number_id: &str) -> Tenant {
        if phone_number_id.is_empty() {
            return self.default_tenant.clone();
        }
        self.directory.tenant_of_number(phone_number_id).unwrap_or_else(|| {
            metrics::counter!("chasqui_ingest_unknown_numbers_total").increment(1);
            if self.is_news(phone_number_id) {
                let tenant = &self.default_tenant;
                tracing::info!(
                    phone_number_id,
                    %tenant,
                    "number {phone_number_id} is registered with no tenant; its webhooks go to {tenant}"
                );
            }
            self.default_tenant.clone()
        })
    }

    fn is_news(&self, phone_number_id: &str) -> bool {
        let mut unknown = self.unknown.lock().expect("no holder of this lock panics");
        if unknown.len() >= UNKNOWN_MAX {
            unknown.clear();
        }
        unknown.insert(phone_number_id.into())
    }
}
