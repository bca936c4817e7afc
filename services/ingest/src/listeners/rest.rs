//! `/api/whatsapp/listeners`: what operators see of listeners, and change.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_proto::{
    Tenant, service,
    v1::{EntryKind, ListEntries, ListenerEntry, directory_entry::Entry},
};
use futures::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    Listeners, count,
    registration::{Wanted, rotate as rotated},
    secret,
    shown::shown,
};
use crate::{
    fields::Fields,
    machine::{self, MachineError, answer},
    openapi::{
        ListenerChange, ListenerPage, ListenerShown, MachineRefusals, Registered, Removed, RotationBody,
    },
    query::{self, Page},
};

/// How many states are read at once for a page.
const STATES_AT_ONCE_MAX: usize = 16;

/// Listeners, by id, each with how it is doing
#[utoipa::path(
    get, operation_id = "list_listeners", path = "/api/whatsapp/listeners", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(Page),
    responses((status = 200, description = "A page of them", body = ListenerPage), MachineRefusals)
)]
pub(crate) async fn list(
    State(listeners): State<Arc<Listeners>>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(&headers).await?;
        let Page { limit, cursor } = query::read(page)?;
        let kind = EntryKind::Listener.into();
        let question = ListEntries { kind, tenant: caller.tenant.to_string(), cursor, limit };
        let found = listeners.bus().ask(service::DIRECTORY_LIST, &question, trace).await?;
        let entries = found.entries.into_iter().filter_map(|entry| match entry.entry {
            Some(Entry::Listener(listener)) => Some(listener),
            _ => None,
        });
        let shown = stream::iter(entries).map(|listener| listeners.with_state(&caller.tenant, listener));
        let shown: Vec<Value> = shown.buffered(STATES_AT_ONCE_MAX).collect().await;
        let next = Some(found.next).filter(|next| !next.is_empty());
        Ok(Json(json!({ "success": true, "listeners": shown, "next": next })).into_response())
    })
    .await
}

/// One listener, with how it is doing
#[utoipa::path(
    get, operation_id = "show_listener", path = "/api/whatsapp/listeners/{id}", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id")),
    responses((status = 200, description = "It", body = ListenerShown), MachineRefusals)
)]
pub(crate) async fn show(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(&headers).await?;
        let listener = listeners.get(&caller.tenant, &id, trace).await?;
        let shown = listeners.with_state(&caller.tenant, listener).await;
        Ok(Json(json!({ "success": true, "listener": shown })).into_response())
    })
    .await
}

/// Changes a listener
///
/// What is left out stays as it is.
#[utoipa::path(
    patch, operation_id = "change_listener", path = "/api/whatsapp/listeners/{id}", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id")),
    request_body(content = ListenerChange),
    responses((status = 200, description = "It, as it is now", body = ListenerShown), MachineRefusals)
)]
pub(crate) async fn change(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(request.headers()).await?;
        let wanted = Wanted::of_operator(Fields::read(&machine::body(request).await?)?)?;
        let stored = listeners.get(&caller.tenant, &id, trace).await?;
        let changed = wanted.changed(&stored, listeners.seal()?)?;
        let stored = listeners.put(changed, false, trace).await?;
        count("changed");
        let shown = listeners.with_state(&caller.tenant, stored).await;
        Ok(Json(json!({ "success": true, "listener": shown })).into_response())
    })
    .await
}

/// Removes a listener
#[utoipa::path(
    delete, operation_id = "remove_listener", path = "/api/whatsapp/listeners/{id}", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id")),
    responses((status = 200, description = "It is gone", body = Removed), MachineRefusals)
)]
pub(crate) async fn remove(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(&headers).await?;
        let id = id.parse().map_err(|_| MachineError::NoListener)?;
        if !listeners.remove(&caller.tenant, id, trace).await? {
            return Err(MachineError::NoListener);
        }
        count("removed");
        Ok(Json(json!({ "success": true, "removed": true })).into_response())
    })
    .await
}

/// Gives a listener a new secret
///
/// Events carry a signature by the one before as well, until the next rotation or `withdraw`.
#[utoipa::path(
    post, operation_id = "rotate_listener_secret", path = "/api/whatsapp/listeners/{id}/rotate-secret", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id")),
    request_body(content = Option<RotationBody>),
    responses((status = 200, description = "Its secret only when it was made now; it is never told again", body = Registered), MachineRefusals)
)]
pub(crate) async fn rotate(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(request.headers()).await?;
        let mut fields = Fields::read_optional(&machine::body(request).await?)?;
        let given = fields.text("secret")?.map(SecretString::from);
        let withdraw = fields.flag("withdraw")?;
        fields.end()?;
        let mut listener = listeners.get(&caller.tenant, &id, trace).await?;
        if let Some(given) = &given {
            secret::check(given, listener.format(), "secret")?;
        }
        let is_new = given.is_none();
        let new = given.unwrap_or_else(secret::new);
        rotated(&mut listener, &new, listeners.seal()?, withdraw);
        let stored = listeners.put(listener, false, trace).await?;
        count("rotated");
        tracing::info!(tenant = %caller.tenant, listener = stored.id, withdraw, "the secret of a listener was changed");
        let mut body = json!({ "success": true, "listener": listeners.with_state(&caller.tenant, stored).await });
        if is_new {
            body["secret"] = Value::from(new.expose_secret());
        }
        Ok(Json(body).into_response())
    })
    .await
}

impl Listeners {
    async fn with_state(&self, tenant: &Tenant, listener: ListenerEntry) -> Value {
        let state = self.state(tenant, &listener.id).await;
        shown(listener, state.as_ref())
    }
}
