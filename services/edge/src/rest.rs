//! What programs ask over HTTP: history, for first loads and for clients that poll (CRM-14); who answers a conversation;
//! appointments.

pub(crate) mod appointments;
mod body;
pub(crate) mod responder;

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
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

pub(crate) use body::BODY_BYTES_MAX;

use crate::{
    auth::{Identity, bearer},
    dialect::view::{ConversationView, MessageView},
    error::Error,
    service::Edge,
};

/// How many items a page has when the client does not say.
const PAGE_ITEMS_DEFAULT: u32 = 50;
/// The most items of a page.
const PAGE_ITEMS_MAX: u32 = 200;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// How many items, 1 to 200. Default 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of conversations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationPage<'a> {
    success: bool,
    /// The one that changed last comes first.
    conversations: Vec<ConversationView<'a>>,
    /// The `cursor` of the next page, if there is one.
    next: Option<&'a str>,
}

/// A page of messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessagePage<'a> {
    success: bool,
    /// Newest first.
    messages: Vec<MessageView<'a>>,
    /// The `cursor` of the next page, if there is one.
    next: Option<&'a str>,
}

/// Why a request was not answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusal {
    success: bool,
    /// For people; names the field and what was expected.
    message: String,
    /// For programs: `invalid_input`, `unauthorized`, `forbidden`, `not_found`, `conflict`, `too_large`, `rate_limited`,
    /// `unavailable`, `timeout` or `internal`.
    code: &'static str,
}

/// How every request may be refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the shape of answers that are put together by hand")]
pub(crate) enum Refusals {
    /// The token is missing or refused.
    #[response(status = 401)]
    Unauthorized(Refusal),
    /// The store is away; try again.
    #[response(status = 503)]
    Unavailable(Refusal),
}

/// How every request that is for staff may be refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the shape of answers that are put together by hand")]
pub(crate) enum StaffRefusals {
    /// The token is missing or refused.
    #[response(status = 401)]
    Unauthorized(Refusal),
    /// The token is a contact's, or its user is not staff.
    #[response(status = 403)]
    Forbidden(Refusal),
    /// The store is away; try again.
    #[response(status = 503)]
    Unavailable(Refusal),
}

type Asked = Result<Query<Page>, QueryRejection>;

/// Conversations of the tenant
#[utoipa::path(
    get, operation_id = "list_conversations", path = "/api/conversations", tag = "history", security(("token" = [])), params(Page),
    responses(
        (status = 200, description = "A page of them", body = ConversationPage),
        (status = 400, description = "A parameter is wrong", body = Refusal),
        StaffRefusals,
    )
)]
pub(crate) async fn conversations(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    page: Asked,
) -> Response {
    answer(list_conversations(&edge, &headers, page).await)
}

/// Messages of a conversation
#[utoipa::path(
    get, operation_id = "list_messages", path = "/api/conversations/{id}/messages", tag = "history", security(("token" = [])),
    params(("id" = String, Path, description = "The number, the UUID, the phone number or the external_id"), Page),
    responses(
        (status = 200, description = "A page of them", body = MessagePage),
        (status = 400, description = "A parameter is wrong", body = Refusal),
        (status = 404, description = "The tenant has no such conversation", body = Refusal),
        StaffRefusals,
    )
)]
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
    let mut page = edge.bus.ask(CONVERSATIONS_LIST, &question, TraceContext::of_http(headers)).await?;
    page.conversations.iter_mut().for_each(|conversation| edge.files.addresses.give_last(conversation));
    let conversations = page.conversations.iter().map(ConversationView::new).collect();
    Ok(Json(ConversationPage { success: true, conversations, next: next(&page.next) }).into_response())
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
    let mut page = edge.bus.ask(MESSAGES_LIST, &question, TraceContext::of_http(headers)).await?;
    edge.files.addresses.give_all(&mut page.messages);
    let messages = page
        .messages
        .iter()
        .filter_map(|stored| Some(MessageView::new(stored.message.as_ref()?, stored.status())))
        .collect();
    Ok(Json(MessagePage { success: true, messages, next: next(&page.next) }).into_response())
}

/// The cursor of the next page, where there is one.
pub(crate) fn next(cursor: &str) -> Option<&str> {
    (!cursor.is_empty()).then_some(cursor)
}

/// Whom a request speaks for, if that is staff.
pub(crate) async fn staff(edge: &Edge, headers: &HeaderMap) -> Result<Identity, Error> {
    let identity = identified(edge, headers).await?;
    edge.admits_staff(&identity)?;
    Ok(identity)
}

/// Whom a request speaks for.
async fn identified(edge: &Edge, headers: &HeaderMap) -> Result<Identity, Error> {
    let missing = Error::Unauthorized("the header `Authorization: Bearer <token>` is missing");
    edge.gate.identify(bearer(headers).ok_or(missing)?).await
}

fn bounds(page: Asked) -> Result<(u32, String), Error> {
    let Query(page) =
        page.map_err(|error| Error::Invalid(format!("limit, cursor: {}", error.body_text())))?;
    Ok((items(page.limit)?, page.cursor.unwrap_or_default()))
}

/// How many items a page is to have.
fn items(limit: Option<u32>) -> Result<u32, Error> {
    let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Error::Invalid(format!("limit must be 1 to {PAGE_ITEMS_MAX}")));
    }
    Ok(limit)
}

/// Whatever came of a request, as HTTP.
pub(crate) fn answer(result: Result<Response, Error>) -> Response {
    result.unwrap_or_else(|error| {
        let code = error.code();
        let body = Json(Refusal { success: false, message: error.to_string(), code: code.as_str() });
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
