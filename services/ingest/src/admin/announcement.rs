//! `/api/admin/announcements`: a word to everyone of a tenant who is connected right now.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chasqui_kit::{TraceContext, clock};
use chasqui_proto::{header, subject, v1::Announcement};
use prost::{Message, Name};
use serde_json::json;
use uuid::Uuid;

use super::{
    Admin, answer,
    error::{AdminError, wrong},
};
use crate::{fields::Fields, openapi::AdminRefusals, request_body};

/// The most that an announcement carries, bytes of JSON.
const DATA_BYTES_MAX: usize = 64 * 1024;
/// Room for that and the rest.
const BODY_BYTES_MAX: usize = DATA_BYTES_MAX + 4 * 1024;
/// The longest name of an event, bytes.
const EVENT_LENGTH_MAX: usize = 64;

/// A word to everyone of a tenant who is connected right now
#[utoipa::path(
    post, operation_id = "announce", path = "/api/admin/announcements", tag = "administration", security(("key" = [])),
    request_body(content = Object, description = "`event`, `data` (any JSON, at most 64 KiB) and `tenant`"),
    responses(
        (status = 202, description = "Told to whoever is connected; nobody is told later", body = Object),
        AdminRefusals,
    )
)]
pub(crate) async fn receive(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    answer(async {
        let trace = TraceContext::of_http(request.headers());
        let caller = admin.admission.administrator(request.headers())?;
        let mut fields = Fields::read(&request_body::read(request.into_body(), BODY_BYTES_MAX).await?)?;
        let tenant = admin.tenant(&caller, fields.text("tenant")?.as_deref())?;
        let announcement = read(tenant.to_string(), fields)?;
        publish(&admin, &announcement, trace).await?;
        tracing::info!(%tenant, event = announcement.event, trace = trace.trace_id(), "an announcement was made");
        let body = json!({
            "success": true,
            "id": announcement.id,
            "message": "told to whoever is connected now; nobody is told later",
        });
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    })
    .await
}

fn read(tenant: String, mut fields: Fields) -> Result<Announcement, AdminError> {
    let event = fields.text("event")?.unwrap_or_default();
    let is_name = event.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    if !is_name || !(1..=EVENT_LENGTH_MAX).contains(&event.len()) {
        return Err(wrong("event", "must be 1 to 64 letters, digits and any of _ - . :"));
    }
    let data = fields.any("data").unwrap_or_default().to_string();
    if data.len() > DATA_BYTES_MAX {
        return Err(wrong("data", "must be at most 65536 bytes of JSON"));
    }
    fields.end()?;
    Ok(Announcement {
        id: Uuid::now_v7().to_string(),
        tenant,
        event,
        data: data.into(),
        at_ms: clock::now_ms(),
    })
}

/// Returns once the broker has it. Who listens is not known, and nothing is stored.
async fn publish(admin: &Admin, announcement: &Announcement, trace: TraceContext) -> Result<(), AdminError> {
    if !admin.bus.is_connected() {
        return Err(AdminError::Away);
    }
    let tenant = announcement.tenant.parse().map_err(|invalid| AdminError::tenant(&invalid))?;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::TYPE, Announcement::full_name());
    headers.insert(header::ID, announcement.id.as_str());
    headers.insert(header::TRACEPARENT, trace.to_header());
    let (subject, payload) = (subject::announcements_made(&tenant), announcement.encode_to_vec());
    let client = admin.bus.client();
    let sent = client.publish_with_headers(subject.as_str().to_owned(), headers, payload.into()).await;
    sent.map_err(|_| AdminError::Away)?;
    admin.bus.barrier().await.map_err(|_| AdminError::Away)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(body: &str) -> Result<Announcement, AdminError> {
        read("acme".into(), Fields::read(body.as_bytes())?)
    }

    #[test]
    fn ben_42_an_announcement_is_a_name_and_any_json() {
        let made = read_text(r#"{"event":"maintenance_soon","data":{"minutes":5}}"#).unwrap();
        assert_eq!((made.event.as_str(), made.data.as_ref()), ("maintenance_soon", &br#"{"minutes":5}"#[..]));
        assert_eq!(read_text(r#"{"event":"ping"}"#).unwrap().data.as_ref(), b"null");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!(r#"{{"event":"e","data":"{}"}}"#, "x".repeat(DATA_BYTES_MAX));
        for (body, field) in [
            ("{}", "event"),
            (r#"{"event":"a b"}"#, "event"),
            (r#"{"event":7}"#, "event"),
            (long.as_str(), "data"),
            (r#"{"event":"e","to":"x"}"#, "to"),
        ] {
            let told = read_text(body).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{field}: ")), "{told}");
        }
    }
}
