//! WAB-09…13: the same over HTTP, each request with `Authorization: Bearer <jwt>`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{
    service::{CONVERSATIONS_LIST, MESSAGES_LIST},
    v1::{self, SessionStatus},
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::{Owner, owner, session, told};
use crate::{
    auth::bearer,
    dialect::device::{DeviceConversation, DeviceMessage},
    error::Error,
    openapi as docs,
    rest::next,
    service::Edge,
    upload::{Named, Uploaded, take},
};

/// How long a request waits for a QR that is being made.
const QR_WAIT: Duration = Duration::from_secs(20);
/// Conversations or messages of one answer, when the client does not say.
const ITEMS_DEFAULT: u32 = 200;
/// The most of them.
const ITEMS_MAX: u32 = 200;

/// What is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// For messages only: the conversation's `external_id`.
    conversation_id: Option<String>,
    /// How many, 1 to 200. Default 200.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

type Asked = Result<Query<Wanted>, QueryRejection>;

/// A request that was refused, as its clients know it.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "success": false, "message": self.1 }))).into_response()
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = error.code().http_status();
        let message = match error.code() {
            Code::NotFound => told::NO_CONVERSATION.to_owned(),
            _ => super::failure(&error),
        };
        Self(status, message)
    }
}

/// The QR to scan, or that the session is connected
#[utoipa::path(
    get, operation_id = "device_qr", path = "/api/whatsapp/qr", tag = "device", security(("token" = [])),
    responses(
        (status = 200, description = "The QR as a data URL, or connected", body = docs::DeviceQr),
        (status = 401, description = "The token is missing or refused", body = docs::DeviceRefusal),
        (status = 503, description = "There is no QR yet, or nobody owns the numbers; try again", body = docs::DeviceRefusal),
    )
)]
pub(crate) async fn qr(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Response {
    answer(show_qr(&edge, &headers).await)
}

/// Conversations of the account
#[utoipa::path(
    get, operation_id = "device_conversations", path = "/api/whatsapp/get_conversations", tag = "device", security(("token" = [])), params(Wanted),
    responses(
        (status = 200, description = "A page of them", body = docs::DeviceConversations),
        (status = 400, description = "A parameter is wrong", body = docs::DeviceRefusal),
        (status = 401, description = "The token is missing or refused", body = docs::DeviceRefusal),
        (status = 503, description = "The store is away; try again", body = docs::DeviceRefusal),
    )
)]
pub(crate) async fn conversations(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    asked: Asked,
) -> Response {
    answer(list_conversations(&edge, &headers, asked).await)
}

/// Messages of a conversation of the account
#[utoipa::path(
    get, operation_id = "device_messages", path = "/api/whatsapp/get_messages", tag = "device", security(("token" = [])), params(Wanted),
    responses(
        (status = 200, description = "A page of them, oldest first", body = docs::DeviceMessages),
        (status = 400, description = "A parameter is missing or wrong", body = docs::DeviceRefusal),
        (status = 401, description = "The token is missing or refused", body = docs::DeviceRefusal),
        (status = 404, description = "The account has no such conversation", body = docs::DeviceRefusal),
        (status = 503, description = "The store is away; try again", body = docs::DeviceRefusal),
    )
)]
pub(crate) async fn messages(State(edge): State<Arc<Edge>>, headers: HeaderMap, asked: Asked) -> Response {
    answer(list_messages(&edge, &headers, asked).await)
}

/// Bring a file of the account
#[utoipa::path(
    post, operation_id = "device_upload", path = "/api/whatsapp/media", tag = "device", security(("token" = [])), params(Named),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The file itself with its type in Content-Type, or multipart/form-data with one part `file`"),
    responses(
        (status = 201, description = "It is kept; `attachments` of `send-message` name it by its id", body = Uploaded),
        (status = 400, description = "There is no file in it", body = docs::DeviceRefusal),
        (status = 401, description = "The token is missing or refused", body = docs::DeviceRefusal),
        (status = 413, description = "The file is larger than files of its type may be", body = docs::DeviceRefusal),
        (status = 503, description = "Too many at once, or the store is away; try again", body = docs::DeviceRefusal),
    )
)]
pub(crate) async fn upload(
    State(edge): State<Arc<Edge>>,
    Query(named): Query<Named>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let taken = async {
        let owner = authorized(&edge, &headers).await?;
        Ok::<_, Refused>(take(&edge, &owner.account, named, request).await?)
    };
    taken.await.unwrap_or_else(IntoResponse::into_response)
}

fn answer(result: Result<Value, Refused>) -> Response {
    result.map_or_else(IntoResponse::into_response, |body| Json(body).into_response())
}

async fn authorized(edge: &Edge, headers: &HeaderMap) -> Result<Owner, Refused> {
    let Some(token) = bearer(headers) else {
        let message = "Falta el encabezado Authorization: Bearer <token>".to_owned();
        return Err(Refused(StatusCode::UNAUTHORIZED, message));
    };
    owner(edge, token).await.map_err(|message| {
        let unavailable = message == told::NO_SERVICE;
        Refused(if unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED }, message)
    })
}

async fn show_qr(edge: &Arc<Edge>, headers: &HeaderMap) -> Result<Value, Refused> {
    let account = authorized(edge, headers).await?.account;
    // Those that wait are bounded as sockets are.
    let _place = edge
        .sockets
        .take_place()
        .map_err(|_| Refused(StatusCode::SERVICE_UNAVAILABLE, told::NO_SERVICE.to_owned()))?;
    let settled = session::settled(edge, &account, QR_WAIT, qr_body).await?;
    settled.ok_or_else(|| {
        let message = "El código QR todavía no está disponible, intente nuevamente".to_owned();
        Refused(StatusCode::SERVICE_UNAVAILABLE, message)
    })?
}

/// WAB-09, WAB-10; `None` while it is not decided.
fn qr_body(session: &v1::Session) -> Option<Result<Value, Refused>> {
    match session.status() {
        SessionStatus::ScanQr if !session.qr.is_empty() => Some(Ok(json!({
            "success": true,
            "message": "Escanea este código QR con WhatsApp",
            "connected": false,
            "data": { "qr": session.qr },
        }))),
        SessionStatus::Connected => Some(Ok(json!({
            "success": true,
            "message": "La sesión de WhatsApp ya está activa",
            "connected": true,
            "data": null,
        }))),
        SessionStatus::Failed | SessionStatus::LoggedOut => {
            let message = format!("No se pudo iniciar la sesión de WhatsApp: {}", session.reason);
            Some(Err(Refused(StatusCode::SERVICE_UNAVAILABLE, message)))
        }
        _ => None,
    }
}

async fn list_conversations(edge: &Edge, headers: &HeaderMap, asked: Asked) -> Result<Value, Refused> {
    let tenant = authorized(edge, headers).await?.account.to_string();
    let (_, limit, cursor) = bounds(asked)?;
    let question = v1::ListConversations { tenant, cursor, limit };
    let page = edge.bus.ask(CONVERSATIONS_LIST, &question, TraceContext::of_http(headers)).await;
    let page = page.map_err(Error::from)?;
    let conversations: Vec<_> = page.conversations.iter().map(DeviceConversation::new).collect();
    Ok(json!({ "success": true, "conversations": conversations, "next": next(&page.next) }))
}

async fn list_messages(edge: &Edge, headers: &HeaderMap, asked: Asked) -> Result<Value, Refused> {
    let tenant = authorized(edge, headers).await?.account.to_string();
    let (conversation, limit, cursor) = bounds(asked)?;
    let Some(conversation) = conversation.filter(|name| !name.trim().is_empty()) else {
        return Err(Refused(StatusCode::BAD_REQUEST, "Falta el parámetro conversationId".to_owned()));
    };
    let question = v1::ListMessages { tenant, conversation, cursor, limit };
    let page = edge.bus.ask(MESSAGES_LIST, &question, TraceContext::of_http(headers)).await;
    let mut page = page.map_err(Error::from)?;
    edge.files.addresses.give_all(&mut page.messages);
    // The newest page, in the order a chat is read.
    let stored = page.messages.iter().rev().filter_map(|stored| stored.message.as_ref());
    let messages: Vec<_> = stored.map(DeviceMessage::new).collect();
    Ok(json!({ "success": true, "messages": messages, "next": next(&page.next) }))
}

fn bounds(asked: Asked) -> Result<(Option<String>, u32, String), Refused> {
    let refused = |message: String| Refused(StatusCode::BAD_REQUEST, message);
    let Query(wanted) =
        asked.map_err(|error| refused(format!("conversationId, limit, cursor: {}", error.body_text())))?;
    let limit = wanted.limit.unwrap_or(ITEMS_DEFAULT);
    if !(1..=ITEMS_MAX).contains(&limit) {
        return Err(refused(format!("limit debe estar entre 1 y {ITEMS_MAX}")));
    }
    Ok((wanted.conversation_id, limit, wanted.cursor.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(status: SessionStatus, qr: &str) -> Option<Value> {
        let session = v1::Session { status: status.into(), qr: qr.to_owned(), ..v1::Session::default() };
        qr_body(&session).and_then(Result::ok)
    }

    #[test]
    fn wab_09_the_qr_stands_in_data() {
        let body = body(SessionStatus::ScanQr, "data:image/png;base64,AA==").unwrap();
        assert_eq!(body["data"]["qr"], "data:image/png;base64,AA==");
        assert_eq!(body["message"], "Escanea este código QR con WhatsApp");
        assert_eq!((&body["success"], &body["connected"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn wab_10_who_is_connected_is_told_so() {
        assert_eq!(body(SessionStatus::Connected, "").unwrap()["connected"], true);
        assert_eq!(body(SessionStatus::Starting, ""), None);
        assert_eq!(body(SessionStatus::ScanQr, ""), None);
    }
}
