//! `/api/whatsapp/status` and `/api/status`: how the tenant's WhatsApp stands.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_directory::Scope;
use chasqui_kit::TraceContext;
use chasqui_proto::{
    Tenant,
    v1::{Session, SessionStatus},
};
use serde_json::{Value, json};

use super::SharedClient;
use crate::{
    machine::answer,
    openapi::{BotStatus, MachineRefusals, WhatsappStatus},
    sessions::spelled,
};

/// How the WhatsApp client stands
#[utoipa::path(
    get, operation_id = "whatsapp_status", path = "/api/whatsapp/status", tag = "whatsapp", security(("key" = []), ("bearer" = [])),
    responses((status = 200, description = "It, with how many listeners are registered", body = WhatsappStatus), MachineRefusals)
)]
pub(crate) async fn show(State(client): State<Arc<SharedClient>>, headers: HeaderMap) -> Response {
    answer(async {
        let trace = TraceContext::of_http(&headers);
        let caller = client.machines.caller(&headers, &[Scope::Listen, Scope::Send]).await?;
        Ok(Json(client.status(&caller.tenant, trace).await).into_response())
    })
    .await
}

/// How the bot's WhatsApp client stands
///
/// Without a key it is told about the default tenant, as bots were.
#[utoipa::path(
    get, operation_id = "bot_status", path = "/api/status", tag = "whatsapp", security(("key" = []), ("bearer" = []), ()),
    responses((status = 200, description = "It", body = BotStatus), MachineRefusals)
)]
pub(crate) async fn show_bot(State(client): State<Arc<SharedClient>>, headers: HeaderMap) -> Response {
    answer(async {
        let trace = TraceContext::of_http(&headers);
        let caller = client.machines.anyone(&headers).await?;
        let whatsapp = client.status(&caller.tenant, trace).await;
        let body = json!({ "bot": "WhatsApp Bot Responder", "status": "running", "whatsapp": whatsapp });
        Ok(Json(body).into_response())
    })
    .await
}

impl SharedClient {
    /// SHC-04: these three, and nothing beside them. A client that cannot be asked is disconnected.
    async fn status(&self, tenant: &Tenant, trace: TraceContext) -> Value {
        let asked = self.machines.sessions.get(tenant, None, trace).await;
        let status = asked.as_ref().map_or(SessionStatus::Unspecified, Session::status);
        let listeners = self.directory.listeners(tenant).iter().filter(|listener| !listener.disabled).count();
        json!({
            "connected": status == SessionStatus::Connected,
            "state": spelled(status),
            "listeners": listeners,
        })
    }
}
