//! What ingest answers over HTTP, for programs: `OpenAPI`, from the handlers themselves.

mod campaigns;
mod listeners;
mod machines;
mod opt_outs;

use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

use crate::{
    admin, bot_reply, campaigns as campaign_routes, cloud_door, listeners as listener_routes,
    opt_outs as opt_out_routes, shared_client, webhook,
};

pub(crate) use campaigns::{
    CampaignBody, CampaignChanged, CampaignForm, CampaignMade, CampaignPage, CampaignRefused, CampaignShown,
    CampaignStart, RecipientPageShown,
};
pub(crate) use listeners::{
    DeliveryPageShown, ListenerBody, ListenerChange, ListenerPage, ListenerShown, ListenerUrl, Registered,
    Removed, ReplayBody, Replayed, RotationBody, Tested,
};
pub(crate) use machines::{
    BotStatus, MachineRefusal, MachineRefusals, Queued, SendBody, SessionShown, WhatsappStatus,
};
pub(crate) use opt_outs::{OptOutBody, OptOutPage};

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
        shared_client::send::receive,
        shared_client::status::show,
        shared_client::status::show_bot,
        shared_client::legacy::show,
        shared_client::legacy::init,
        listener_routes::register::register,
        listener_routes::register::unregister,
        listener_routes::rest::list,
        listener_routes::rest::show,
        listener_routes::rest::change,
        listener_routes::rest::remove,
        listener_routes::rest::rotate,
        listener_routes::events::list,
        listener_routes::events::test,
        listener_routes::events::replay,
        campaign_routes::create::receive,
        campaign_routes::rest::list,
        campaign_routes::rest::show,
        campaign_routes::rest::change,
        campaign_routes::results::list,
        campaign_routes::results::file,
        opt_out_routes::list,
        opt_out_routes::store,
        opt_out_routes::remove,
    ),
    components(schemas(AdminRefusal, MachineRefusal)),
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
    document.merge(cloud_door::document());
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

/// How routes of administrators refuse.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the shape of answers that are put together by hand")]
pub(crate) enum AdminRefusals {
    /// A field or parameter is wrong.
    #[response(status = 400)]
    Invalid(AdminRefusal),
    /// The key is missing or refused.
    #[response(status = 401)]
    Unauthorized(AdminRefusal),
    /// The key administers something else.
    #[response(status = 403)]
    Forbidden(AdminRefusal),
    /// There is no such collection or entry.
    #[response(status = 404)]
    NotFound(AdminRefusal),
    /// Another entry is in the way.
    #[response(status = 409)]
    Conflict(AdminRefusal),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(AdminRefusal),
    /// The directory or the broker cannot be reached; try again.
    #[response(status = 503)]
    Unavailable(AdminRefusal),
}
