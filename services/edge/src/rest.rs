//! History over HTTP, for first loads and for clients that poll (CRM-14).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{
    service::{CONVERSATIONS_LIST, MESSAGES_LIST},
    v1,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    auth::Identity,
    dialect::view::{ConversationView, MessageView},
    error::Error,
    service::Edge,
};

/// How many items a page has when the client does not say.
const PAGE_ITEMS_DEFAULT: u32 = 50;
/// The most items of a page.
const PAGE_ITEMS_MAX: u32 = 200;

/// Which page.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    limit: Option<u32>,
    cursor: Option<String>,
}

type Asked = Result<Query<Page>, QueryRejection>;

/// `GET /api/conversations`
pub(crate) async fn conversations(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    page: Asked,
) -> Response {
    answer(list_conversations(&edge, &headers, page).await)
}

/// `GET /api/conversations/{id}/messages`
pub(crate) async fn messages(
    State(edge): State<Arc<Edge>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    page: Asked,
) -> Response {
    answer(list_messages(&edge, &headers, conversation, page).await)
}

async fn list_conversations(edge: &Edge, headers: &HeaderMap, page: Asked) -> Result<Response, Error> {
    let identity = staff(edge, headers).await?;
    let (limit, cursor) = bounds(page)?;
    let question = v1::ListConversations { tenant: identity.tenant.to_string(), cursor, limit };
    let page = edge.bus.ask(CONVERSATIONS_LIST, &question, TraceContext::of_http(headers)).await?;
    let conversations: Vec<_> = page.conversations.iter().map(ConversationView::new).collect();
    Ok(Json(json!({ "success": true, "conversations": conversations, "next": next(&page.next) }))
        .into_response())
}

async fn list_messages(
    edge: &Edge,
    headers: &HeaderMap,
    conversation: String,
    page: Asked,
) -> Result<Response, Error> {
    let identity = staff(edge, headers).await?;
    let (limit, cursor) = bounds(page)?;
    let question = v1::ListMessages { tenant: identity.tenant.to_string(), conversation, cursor, limit };
    let page = edge.bus.ask(MESSAGES_LIST, &question, TraceContext::of_http(headers)).await?;
    let messages: Vec<_> = page
        .messages
        .iter()
        .filter_map(|stored| Some(MessageView::new(stored.message.as_ref()?, stored.status())))
        .collect();
    Ok(Json(json!({ "success": true, "messages": messages, "next": next(&page.next) })).into_response())
}

fn next(cursor: &str) -> Option<&str> {
    (!cursor.is_empty()).then_some(cursor)
}

async fn staff(edge: &Edge, headers: &HeaderMap) -> Result<Identity, Error> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given
        .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
        .ok_or(Error::Unauthorized("the header `Authorization: Bearer <token>` is missing"))?;
    let identity = edge.gate.identify(token.trim()).await?;
    edge.admits_staff(&identity)?;
    Ok(identity)
}

fn bounds(page: Asked) -> Result<(u32, String), Error> {
    let Query(page) =
        page.map_err(|error| Error::Invalid(format!("limit, cursor: {}", error.body_text())))?;
    let limit = page.limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Error::Invalid(format!("limit must be 1 to {PAGE_ITEMS_MAX}")));
    }
    Ok((limit, page.cursor.unwrap_or_default()))
}

fn answer(result: Result<Response, Error>) -> Response {
    result.unwrap_or_else(|error| {
        let code = error.code();
        let body = Json(json!({ "success": false, "message": error.to_string(), "code": code.as_str() }));
        let mut response = (code.http_status(), body).into_response();
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        if code == Code::Internal {
            tracing::error!(%error, "a request could not be answered");
        }
        response
    })
}
