//! Listeners: where events of a tenant are posted. Bots register themselves, again and again; operators look after them.

pub(crate) mod events;
pub(crate) mod register;
mod registration;
pub(crate) mod rest;
mod secret;
mod shown;

use std::sync::Arc;

use axum::{
    Router,
    http::HeaderMap,
    routing::{get, post},
};
use chasqui_callback::{Allowed, CallbackError, CallbackUrl};
use chasqui_directory::{Directory, Scope};
use chasqui_kit::{Bus, Code, Coded, TraceContext, seal::Seal};
use chasqui_proto::{
    Tenant, service,
    v1::{DirectoryEntry, EntryKind, GetEntry, ListenerEntry, PutEntry, RemoveEntry, directory_entry::Entry},
};
use uuid::Uuid;

use crate::{
    admission::Caller,
    fields::FieldError,
    machine::{MachineError, Machines},
};

/// How many listeners a tenant may have. Every event is matched against each of them.
const LISTENERS_MAX: usize = 2_000;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) machines: Arc<Machines>,
    pub(crate) directory: Directory,
    /// `None` where no key is configured.
    pub(crate) seal: Option<Seal>,
    pub(crate) allowed: Allowed,
}

pub(crate) fn routes(listeners: Listeners) -> Router {
    Router::new()
        .route("/api/whatsapp/register-listener", post(register::register))
        .route("/api/whatsapp/unregister-listener", post(register::unregister))
        .route("/api/whatsapp/listeners", get(rest::list))
        .route("/api/whatsapp/listeners/{id}", get(rest::show).patch(rest::change).delete(rest::remove))
        .route("/api/whatsapp/listeners/{id}/deliveries", get(events::list))
        .route("/api/whatsapp/listeners/{id}/test", post(events::test))
        .route("/api/whatsapp/listeners/{id}/replay", post(events::replay))
        .route("/api/whatsapp/listeners/{id}/rotate-secret", post(rest::rotate))
        .with_state(Arc::new(listeners))
}

impl Listeners {
    fn bus(&self) -> &Bus {
        &self.machines.bus
    }

    fn seal(&self) -> Result<&Seal, MachineError> {
        self.seal.as_ref().ok_or(MachineError::NoSealingKey)
    }

    /// SHC-23, SHC-31: who may hear what happens may say where.
    async fn caller(&self, headers: &HeaderMap) -> Result<(Caller, TraceContext), MachineError> {
        let caller = self.machines.caller(headers, &[Scope::Listen]).await?;
        Ok((caller, TraceContext::of_http(headers)))
    }

    /// SHC-25: a URL that events may be posted to, as far as it can be told without resolving a name.
    fn url(&self, text: &str) -> Result<CallbackUrl, FieldError> {
        let wrong = |error: CallbackError| FieldError::new("url", error.to_string());
        let url = CallbackUrl::parse(text).map_err(wrong)?;
        url.judge(&self.allowed).map_err(wrong)?;
        Ok(url)
    }

    /// A listener of the tenant by the id of a path.
    async fn get(
        &self,
        tenant: &Tenant,
        id: &str,
        trace: TraceContext,
    ) -> Result<ListenerEntry, MachineError> {
        let id: Uuid = id.parse().map_err(|_| MachineError::NoListener)?;
        let (tenant, kind) = (tenant.to_string(), EntryKind::Listener.into());
        let question = GetEntry { kind, tenant, id: id.to_string() };
        let found = self.bus().ask(service::DIRECTORY_GET, &question, trace).await;
        match found {
            Ok(DirectoryEntry { entry: Some(Entry::Listener(listener)) }) => Ok(listener),
            Ok(_) => Err(MachineError::NoListener),
            Err(error) if error.code() == Code::NotFound => Err(MachineError::NoListener),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a listener, or with `if_absent` only where there is none; answers with the one that is there then.
    async fn put(
        &self,
        listener: ListenerEntry,
        if_absent: bool,
        trace: TraceContext,
    ) -> Result<ListenerEntry, MachineError> {
        let entry = Some(DirectoryEntry { entry: Some(Entry::Listener(listener)) });
        let stored = self.bus().ask(service::DIRECTORY_PUT, &PutEntry { entry, if_absent }, trace).await?;
        match stored.entry {
            Some(Entry::Listener(listener)) => Ok(listener),
            _ => Err(MachineError::NoListener),
        }
    }

    /// Whether there was one.
    async fn remove(&self, tenant: &Tenant, id: Uuid, trace: TraceContext) -> Result<bool, MachineError> {
        let (tenant, id, kind) = (tenant.to_string(), id.to_string(), EntryKind::Listener.into());
        let gone = self.bus().ask(service::DIRECTORY_REMOVE, &RemoveEntry { kind, tenant, id }, trace).await;
        match gone {
            Ok(gone) => Ok(gone.removed),
            Err(error) if error.code() == Code::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How many listeners were registered, changed, … lately.
fn count(result: &'static str) {
    metrics::counter!("chasqui_ingest_listeners_total", "result" => result).increment(1);
}

/// A URL as logs show it: what stands behind `?` is often a secret.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}
