//! `/api/whatsapp/register-listener`, `…/unregister-listener`: what bots say when they start, and every now and then.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use chasqui_directory::shown;
use chasqui_kit::{TraceContext, clock};
use chasqui_proto::{
    Tenant,
    id::listener_id,
    v1::{ListenerEntry, directory_entry::Entry},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{LISTENERS_MAX, Listeners, count, registration::Wanted, secret, without_query};
use crate::{
    fields::{FieldError, Fields},
    machine::{self, MachineError, answer},
    openapi::{ListenerBody, ListenerUrl, MachineRefusals, Registered, Removed},
};

/// Registers a listener
///
/// Who registers again changes only what it says anew: bots do it at every start and as often as they like. A listener
/// that was disabled because nobody was there is enabled again.
#[utoipa::path(
    post, operation_id = "register_listener", path = "/api/whatsapp/register-listener", tag = "listeners",
    security(("key" = []), ("bearer" = [])), request_body(content = ListenerBody),
    responses((status = 200, description = "It is registered; its secret only when it was made now", body = Registered), MachineRefusals)
)]
pub(crate) async fn register(State(listeners): State<Arc<Listeners>>, request: Request) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(request.headers()).await?;
        let mut fields = Fields::read(&machine::body(request).await?)?;
        let url = listeners.url(&fields.text("url")?.ok_or_else(no_url)?)?;
        let wanted = Wanted::of_bot(&mut fields)?;
        let (listener, secret) = listeners.register(&caller.tenant, url.as_str(), wanted, trace).await?;
        let shown_url = without_query(&listener.url);
        tracing::info!(tenant = %caller.tenant, listener = listener.id, "Listener registrado: {shown_url}");
        let mut body = json!({ "success": true, "listener": shown(&Entry::Listener(listener)) });
        if let Some(secret) = secret {
            body["secret"] = Value::from(secret.expose_secret());
        }
        Ok(Json(body).into_response())
    })
    .await
}

/// Removes a listener
#[utoipa::path(
    post, operation_id = "unregister_listener", path = "/api/whatsapp/unregister-listener", tag = "listeners",
    security(("key" = []), ("bearer" = [])), request_body(content = ListenerUrl),
    responses((status = 200, description = "There is none any more; `removed` says whether there was one", body = Removed), MachineRefusals)
)]
pub(crate) async fn unregister(State(listeners): State<Arc<Listeners>>, request: Request) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(request.headers()).await?;
        let mut fields = Fields::read(&machine::body(request).await?)?;
        let given = fields.text("url")?.ok_or_else(no_url)?;
        // One that would not be taken any more can still be removed.
        let url = chasqui_callback::CallbackUrl::parse(&given);
        let url = url.map_err(|error| FieldError::new("url", error.to_string()))?;
        let id = listener_id(&caller.tenant, url.as_str());
        let removed = listeners.remove(&caller.tenant, id, trace).await?;
        if removed {
            count("removed");
            tracing::info!(tenant = %caller.tenant, listener = %id, "Listener eliminado: {}", without_query(url.as_str()));
        }
        Ok(Json(json!({ "success": true, "removed": removed })).into_response())
    })
    .await
}

fn no_url() -> FieldError {
    FieldError::new("url", "is needed: where events are posted to")
}

impl Listeners {
    /// The listener, and its secret when it was made now. Of two that register at once, one is told the secret.
    async fn register(
        &self,
        tenant: &Tenant,
        url: &str,
        wanted: Wanted,
        trace: TraceContext,
    ) -> Result<(ListenerEntry, Option<SecretString>), MachineError> {
        let (seal, id) = (self.seal()?, listener_id(tenant, url).to_string());
        if let Some(known) = self.directory.listener(tenant, &id)
            && wanted.registered(&known, seal)?.is_none()
        {
            // What bots do every minute changes nothing; but one that was away is given its events without more delay.
            count("known");
            let state = self.state(tenant, &id).await;
            let rests = state.is_some_and(|state| state.resting_until_ms > clock::now_ms());
            let known = if rests { self.put(known, false, trace).await? } else { known };
            return Ok((known, None));
        }
        if self.directory.listener(tenant, &id).is_none()
            && self.directory.listeners(tenant).len() >= LISTENERS_MAX
        {
            return Err(MachineError::TooManyListeners(LISTENERS_MAX));
        }
        let (made, has_secret) = (secret::new(), wanted.has_secret());
        let (tenant, url) = (tenant.to_string(), url.to_owned());
        let new = wanted.entry(ListenerEntry { tenant, id, url, ..ListenerEntry::default() }, seal, &made)?;
        let stored = self.put(new.clone(), true, trace).await?;
        if stored.sealed_secrets == new.sealed_secrets {
            count("registered");
            return Ok((stored, (!has_secret).then_some(made)));
        }
        let Some(changed) = wanted.registered(&stored, seal)? else {
            count("known");
            return Ok((stored, None));
        };
        count("changed");
        Ok((self.put(changed, false, trace).await?, None))
    }
}
