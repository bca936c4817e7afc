//! What ingest answers over HTTP, for programs: `OpenAPI`, from the handlers themselves.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

use crate::{admin, bot_reply, webhook};

/// The routes that every ingest mounts.
#[derive(OpenApi)]
#[openapi(
    paths(
        bot_reply::receive,
        admin::announcement::receive,
        admin::list,
        admin::create,
        admin::show,
        admin::replace,
        admin::remove,
    ),
    modifiers(&Keys),
)]
struct Routes;

/// The route of the Cloud API, where it is on.
#[derive(OpenApi)]
#[openapi(paths(webhook::handshake, webhook::receive))]
struct WebhookRoutes;

/// How a request proves whom it speaks for.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
        components.add_security_scheme("key", key);
    }
}

/// The document.
pub(crate) fn document(has_webhook: bool) -> utoipa::openapi::OpenApi {
    let mut document = Routes::openapi();
    if has_webhook {
        document.merge(WebhookRoutes::openapi());
    }
    document
}

/// What a bot sends.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct BotReplyBody {
    /// The contact's number, or another of its addresses.
    #[schema(example = "5491100000001")]
    target_user_whats_app_number: String,
    /// At most 4,096 characters.
    message_text: String,
}

/// What a bot is told, in Spanish.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Told {
    success: bool,
    message: String,
}

/// Why a request was not done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Refusal {
    /// Names the field and what was expected.
    error: String,
}

/// Why a request of an administrator was not done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct AdminRefusal {
    success: bool,
    /// Names the field and what was expected.
    message: String,
    /// For programs.
    code: String,
}
