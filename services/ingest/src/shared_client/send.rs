//! `/api/whatsapp/send`: a message to a contact, stored before it is answered.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use chasqui_kit::{TraceContext, clock};
use chasqui_proto::v1::{Message, Session};
use serde_json::json;

use super::{
    SharedClient,
    order::{Order, Way},
};
use crate::{
    idempotency,
    machine::{self, MachineError, answer},
    openapi::{MachineRefusals, Queued, SendBody},
    publication::PublicationError,
};

/// Sends a message to a contact
///
/// It is stored when this answers; what becomes of it is told by its statuses.
#[utoipa::path(
    post, operation_id = "send", path = "/api/whatsapp/send", tag = "whatsapp", security(("key" = []), ("bearer" = [])),
    request_body(content = SendBody),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same message is sent once; 1 to 255 characters")),
    responses((status = 200, description = "Stored; it will be sent", body = Queued), MachineRefusals)
)]
pub(crate) async fn receive(State(client): State<Arc<SharedClient>>, request: Request) -> Response {
    answer(async {
        let trace = TraceContext::of_http(request.headers());
        let (message, session) = take(&client, request, trace).await?;
        let to = message.contact.iter().flat_map(|contact| &contact.aliases).next();
        let body = json!({
            "success": true,
            "messageId": message.id,
            "to": to.map(|alias| &alias.value),
            "status": "queued",
            "session": session.id,
        });
        Ok(Json(body).into_response())
    })
    .await
}

/// Stores a message, and tells through which session it goes.
async fn take(
    client: &SharedClient,
    request: Request,
    trace: TraceContext,
) -> Result<(Message, Session), MachineError> {
    let caller = client.machines.sender(request.headers()).await?;
    let id = idempotency::message_id(request.headers(), &["send", caller.tenant.as_str()])?;
    let order = Order::read(&machine::body(request).await?, &caller.tenant)?;
    let session = client.machines.sessions.taking(&caller.tenant, order.session.as_ref(), trace).await?;
    let found = client.publication.addresses().conversation(&caller.tenant, &order.to).await;
    let conversation = found.map_err(PublicationError::from)?;
    let kind = order.kind();
    let message =
        order.message(id, Way { conversation: &conversation, session: &session }, &caller, clock::now_ms());
    let stored = client.publication.publish_out(&message, trace).await?;
    let (priority, result) =
        (message.priority().name(), if stored.duplicate { "duplicate" } else { "stored" });
    metrics::counter!("chasqui_ingest_sends_total", "type" => kind, "priority" => priority, "result" => result)
        .increment(1);
    tracing::info!(
        message = message.id,
        session = session.id,
        trace = trace.trace_id(),
        "a message to a contact was taken"
    );
    Ok((message, session))
}
