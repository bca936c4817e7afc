//! Who answers a conversation: how its bot behaves (WAB-33), and people who take it and give it back.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_kit::TraceContext;
use chasqui_proto::{
    ConversationToken,
    service::{CHATS_CLOSE, CHATS_OPEN, CONVERSATIONS_GET, CONVERSATIONS_STEER},
    v1::{self, AgentStatus, AliasKind},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Refusal, StaffRefusals, answer,
    body::{Body, Fields},
    staff,
};
use crate::{
    auth::Identity,
    dialect::{crm::ChatView, view::ConversationView},
    error::Error,
    service::Edge,
    speech::chat::name_in_chat,
};

/// Why people have a conversation that one of them took.
const TAKEN: &str = "taken";
/// The longest id of an agent, characters.
const AGENT_ID_CHARS_MAX: usize = 128;

/// How the bot is to behave in a conversation; what is absent stays as it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read field by field")]
pub(crate) struct Steering {
    /// The built-in bot answers here.
    #[schema(nullable = false)]
    ai_active: Option<bool>,
    /// The bot keeps out, whatever `ai_active` says.
    #[schema(nullable = false)]
    no_ac_ai: Option<bool>,
    /// The UUID of the personality it has here; `null` takes it away.
    personality_id: Option<String>,
}

/// Who is to have a conversation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read field by field")]
pub(crate) struct Taking {
    /// An active agent; who asks, unless it is said.
    #[schema(nullable = false)]
    agent_id: Option<String>,
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationAnswer<'a> {
    success: bool,
    conversation: ConversationView<'a>,
}

/// A chat as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatAnswer<'a> {
    success: bool,
    chat: ChatView<'a>,
}

/// Say how the bot behaves in a conversation
#[utoipa::path(
    patch, operation_id = "steer_conversation", path = "/api/conversations/{id}", tag = "bot", security(("token" = [])),
    params(("id" = String, Path, description = "The number, the UUID, the phone number or the external_id")),
    request_body = Steering,
    responses(
        (status = 200, description = "The conversation after it", body = ConversationAnswer),
        (status = 400, description = "A field is unknown or wrong, or there is none", body = Refusal),
        (status = 404, description = "The tenant has no such conversation", body = Refusal),
        (status = 413, description = "The body is too large", body = Refusal),
        StaffRefusals,
    )
)]
pub(crate) async fn steer(
    State(edge): State<Arc<Edge>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(steer_conversation(&edge, &headers, conversation, body).await)
}

/// Give a conversation to an agent
#[utoipa::path(
    post, operation_id = "take_conversation", path = "/api/conversations/{id}/take", tag = "bot", security(("token" = [])),
    params(("id" = String, Path, description = "The number, the UUID, the phone number or the external_id")),
    request_body = Option<Taking>,
    responses(
        (status = 200, description = "Its chat: the agent has it, the bot is silent", body = ChatAnswer),
        (status = 400, description = "No agent is named and the caller is none, or the tenant has no such agent", body = Refusal),
        (status = 404, description = "The tenant has no such conversation", body = Refusal),
        (status = 409, description = "The agent is not active", body = Refusal),
        (status = 413, description = "The body is too large", body = Refusal),
        StaffRefusals,
    )
)]
pub(crate) async fn take(
    State(edge): State<Arc<Edge>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(take_conversation(&edge, &headers, conversation, body).await)
}

/// Give a conversation back to the bot
#[utoipa::path(
    post, operation_id = "release_conversation", path = "/api/conversations/{id}/release", tag = "bot", security(("token" = [])),
    params(("id" = String, Path, description = "The number, the UUID, the phone number or the external_id")),
    responses(
        (status = 200, description = "Its chat, which is closed: the bot has the conversation again", body = ChatAnswer),
        (status = 404, description = "The tenant has no such conversation, or nobody ever took it", body = Refusal),
        StaffRefusals,
    )
)]
pub(crate) async fn release(
    State(edge): State<Arc<Edge>>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(release_conversation(&edge, &headers, conversation).await)
}

async fn steer_conversation(
    edge: &Edge,
    headers: &HeaderMap,
    conversation: String,
    body: Body,
) -> Result<Response, Error> {
    let identity = staff(edge, headers).await?;
    let change = steering(body)?;
    let question = v1::SteerConversation { tenant: identity.tenant.to_string(), conversation, ..change };
    let mut steered = edge.bus.ask(CONVERSATIONS_STEER, &question, TraceContext::of_http(headers)).await?;
    edge.files.addresses.give_last(&mut steered);
    let conversation = ConversationView::new(&steered);
    Ok(Json(ConversationAnswer { success: true, conversation }).into_response())
}

/// What a body asks for, of no conversation yet.
fn steering(body: Body) -> Result<v1::SteerConversation, Error> {
    let fields = Fields::of_change(body, &["ai_active", "no_ac_ai", "personality_id"])?;
    let uuid = |text: &str| Uuid::parse_str(text).ok().map(|id| id.to_string());
    Ok(v1::SteerConversation {
        ai_active: fields.boolean("ai_active")?,
        no_ac_ai: fields.boolean("no_ac_ai")?,
        personality_id: fields.text_or_null("personality_id", "a UUID or null", uuid, String::new())?,
        ..v1::SteerConversation::default()
    })
}

async fn take_conversation(
    edge: &Edge,
    headers: &HeaderMap,
    conversation: String,
    body: Body,
) -> Result<Response, Error> {
    let identity = staff(edge, headers).await?;
    let agent_id = agent(edge, &identity, body)?;
    let (tenant, trace) = (identity.tenant.to_string(), TraceContext::of_http(headers));
    let question = v1::GetConversation { tenant: tenant.clone(), conversation };
    let known = edge.bus.ask(CONVERSATIONS_GET, &question, trace).await?;
    let question = v1::OpenChat {
        tenant,
        user_id: user_id(&known),
        conversation: known.token,
        user_name: name_in_chat(known.contact.as_ref().map_or("", |contact| &contact.name)),
        reason: TAKEN.to_owned(),
        agent_id,
    };
    let chat = edge.bus.ask(CHATS_OPEN, &question, trace).await?;
    metrics::counter!("chasqui_edge_conversations_handed_over_total", "to" => "agent").increment(1);
    Ok(Json(ChatAnswer { success: true, chat: ChatView::new(&chat) }).into_response())
}

/// The agent who is to have a conversation. Whoever is not there is refused by the name of the field.
fn agent(edge: &Edge, caller: &Identity, body: Body) -> Result<String, Error> {
    let fields = Fields::of_option(body, &["agent_id"])?;
    let expected = format!("the id of an agent, 1 to {AGENT_ID_CHARS_MAX} characters");
    let named = fields.text("agent_id", &expected, |id| {
        (1..=AGENT_ID_CHARS_MAX).contains(&id.chars().count()).then(|| id.to_owned())
    })?;
    let own = caller.agent.as_ref().map(|agent| agent.id.clone());
    let id = named.or(own).ok_or_else(|| {
        let message = "agent_id: you are no agent yourself; name the one who is to have the conversation";
        Error::Invalid(message.to_owned())
    })?;
    match edge.directory.agent(&caller.tenant, &id) {
        Some(agent) if agent.status() == AgentStatus::Active => Ok(id),
        Some(_) => Err(Error::Conflict("agent_id: the agent is not active")),
        None => Err(Error::Invalid("agent_id: the tenant has no such agent".to_owned())),
    }
}

/// The contact as its front end knows it: a user's own id, else its phone number, else whatever it is known by.
fn user_id(conversation: &v1::Conversation) -> String {
    let aliases = || conversation.contact.iter().flat_map(|contact| &contact.aliases);
    let of_kind = |kind: AliasKind| {
        aliases().find(|alias| alias.kind() == kind && !alias.value.is_empty()).map(|alias| &alias.value)
    };
    let known = of_kind(AliasKind::Web).or_else(|| of_kind(AliasKind::Phone)).cloned();
    let token = || conversation.token.parse().ok().map(|token: ConversationToken| token.alias().value);
    known.or_else(token).unwrap_or_default()
}

async fn release_conversation(
    edge: &Edge,
    headers: &HeaderMap,
    conversation: String,
) -> Result<Response, Error> {
    let identity = staff(edge, headers).await?;
    let question =
        v1::CloseChat { tenant: identity.tenant.to_string(), chat: conversation, closed_by: identity.user };
    let chat = edge.bus.ask(CHATS_CLOSE, &question, TraceContext::of_http(headers)).await?;
    metrics::counter!("chasqui_edge_conversations_handed_over_total", "to" => "bot").increment(1);
    Ok(Json(ChatAnswer { success: true, chat: ChatView::new(&chat) }).into_response())
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use chasqui_proto::address::phone;

    use super::*;

    fn read(text: &str) -> Result<v1::SteerConversation, String> {
        steering(Ok(Bytes::copy_from_slice(text.as_bytes()))).map_err(|error| error.to_string())
    }

    #[test]
    fn wab_33_what_is_absent_stays_as_it_is_and_null_takes_the_personality_away() {
        let nothing = v1::SteerConversation::default();
        assert_eq!(
            read(r#"{"ai_active":false}"#),
            Ok(v1::SteerConversation { ai_active: Some(false), ..nothing.clone() })
        );
        let all =
            r#"{"ai_active":true,"no_ac_ai":false,"personality_id":"0D9A4A5E-0000-4000-8000-000000000001"}"#;
        let id = "0d9a4a5e-0000-4000-8000-000000000001".to_owned();
        assert_eq!(
            read(all),
            Ok(v1::SteerConversation {
                ai_active: Some(true),
                no_ac_ai: Some(false),
                personality_id: Some(id),
                ..nothing.clone()
            })
        );
        assert_eq!(
            read(r#"{"personality_id":null}"#),
            Ok(v1::SteerConversation { personality_id: Some(String::new()), ..nothing })
        );
    }

    #[test]
    fn wab_33_what_is_wrong_is_named_with_what_was_expected() {
        for (body, told) in [
            (r#"{"ai_active":null}"#, "ai_active must be true or false"),
            (r#"{"no_ac_ai":"yes"}"#, "no_ac_ai must be true or false"),
            (r#"{"personality_id":"x"}"#, "personality_id must be a UUID or null"),
            (r#"{"personality_id":7}"#, "personality_id must be a UUID or null"),
            (
                r#"{"aiActive":true}"#,
                "\"aiActive\" is no field of it; expected some of ai_active, no_ac_ai, personality_id",
            ),
            ("{}", "the body must have at least one of ai_active, no_ac_ai, personality_id"),
        ] {
            assert_eq!(read(body), Err(told.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_contact_is_called_what_its_front_end_calls_it() {
        let conversation = |aliases: Vec<v1::Alias>, token: &str| v1::Conversation {
            token: token.to_owned(),
            contact: Some(v1::Contact { aliases, ..v1::Contact::default() }),
            ..v1::Conversation::default()
        };
        let web: ConversationToken = "web_u1".parse().unwrap();
        let both = vec![phone("5491100000001"), web.alias()];
        assert_eq!(user_id(&conversation(both, "5491100000001")), "u1");
        assert_eq!(user_id(&conversation(vec![phone("5491100000001")], "web_u1")), "5491100000001");
        assert_eq!(user_id(&conversation(Vec::new(), "web_u1")), "u1");
    }
}
