//! `/{session}/api/wapp-session/*`: a session by its name, as older clients ask for it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_directory::Scope;
use chasqui_kit::TraceContext;
use chasqui_proto::v1::{Session, SessionStatus};
use serde_json::json;

use super::SharedClient;
use crate::{
    fields::FieldError,
    machine::{MachineError, answer},
    openapi::{MachineRefusals, SessionShown},
    sessions::{InvalidSession, SessionName, spelled},
};

/// A session as it stands
#[utoipa::path(
    get, operation_id = "session_status", path = "/{session}/api/wapp-session/status", tag = "whatsapp",
    security(("key" = []), ("bearer" = [])), params(("session" = String, Path, description = "Its name, such as haby")),
    responses((status = 200, description = "It; one that is unknown is disconnected", body = SessionShown), MachineRefusals)
)]
pub(crate) async fn show(
    State(client): State<Arc<SharedClient>>,
    Path(session): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let trace = TraceContext::of_http(&headers);
        let caller = client.machines.caller(&headers, &[Scope::Send]).await?;
        let name = name(&session)?;
        // One that nobody knows, or that nobody can be asked about, is disconnected.
        let session = client.machines.sessions.behind(&caller.tenant, &name, trace).await;
        Ok(shown(&session.unwrap_or_default()))
    })
    .await
}

/// Starts a session that is not connected
///
/// What becomes of it is told by its status; the QR is there as soon as there is one to scan.
#[utoipa::path(
    post, operation_id = "start_session", path = "/{session}/api/wapp-session/init", tag = "whatsapp",
    security(("key" = []), ("bearer" = [])), params(("session" = String, Path, description = "Its name, such as haby")),
    responses((status = 200, description = "It, as it stands now", body = SessionShown), MachineRefusals)
)]
pub(crate) async fn init(
    State(client): State<Arc<SharedClient>>,
    Path(session): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let trace = TraceContext::of_http(&headers);
        let caller = client.machines.caller(&headers, &[Scope::Send]).await?;
        let (sessions, name) = (&client.machines.sessions, name(&session)?);
        // Of a name that is unknown, and where nobody can be asked, opening it tells.
        let behind = sessions.behind(&caller.tenant, &name, trace).await.unwrap_or_default();
        let name = behind.id.parse().unwrap_or(name);
        Ok(shown(&sessions.open(&caller.tenant, &name, trace).await?))
    })
    .await
}

fn name(session: &str) -> Result<SessionName, MachineError> {
    Ok(session.parse().map_err(|invalid: InvalidSession| FieldError::new("session", invalid.to_string()))?)
}

fn shown(session: &Session) -> Response {
    let status = session.status();
    let qr = Some(&session.qr).filter(|qr| status == SessionStatus::ScanQr && !qr.is_empty());
    let connected = status == SessionStatus::Connected;
    Json(json!({ "status": spelled(status), "connected": connected, "qr": qr })).into_response()
}
