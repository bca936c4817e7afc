//! What the document shows of bodies that are read and put together by hand.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{media, messages};

#[derive(OpenApi)]
#[openapi(
    paths(messages::receive, media::upload, media::show, media::remove),
    modifiers(&Bearer),
    tags((name = "cloud-api", description = "In the shape of the WhatsApp Cloud API: its clients work here once their base URL is changed")),
)]
struct Routes;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key with scope `send`"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

/// The door's part of the document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}

/// A message, or a message that was read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(super) struct CloudMessage {
    /// `whatsapp`.
    messaging_product: String,
    /// `individual`, which it is without.
    recipient_type: Option<String>,
    /// A phone number in any usual spelling.
    #[schema(example = "5491100000001")]
    to: Option<String>,
    /// A business-scoped user id, where there is no `to`.
    recipient: Option<String>,
    /// `text` (which it is without), `image`, `audio`, `video`, `document`, `sticker`, `location`, `contacts`,
    /// `reaction`, `interactive` or `template`. The content stands in a member of that name.
    r#type: Option<String>,
    text: Option<CloudText>,
    context: Option<CloudContext>,
    /// Comes back with each status; at most 475 characters.
    biz_opaque_callback_data: Option<String>,
    /// `read`, with `message_id`: the message was read.
    status: Option<String>,
    /// The message that was read.
    message_id: Option<String>,
}

/// A text.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(super) struct CloudText {
    /// At most 4,096 characters.
    body: String,
    preview_url: Option<bool>,
}

/// The message that is answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(super) struct CloudContext {
    message_id: String,
}

/// A message that is stored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudAccepted {
    messaging_product: String,
    contacts: Vec<CloudContact>,
    messages: Vec<CloudMessageId>,
}

/// Whom it goes to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudContact {
    /// As it was written.
    input: String,
    /// The phone number, digits.
    wa_id: Option<String>,
    /// The business-scoped user id.
    user_id: Option<String>,
}

/// The message's id.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudMessageId {
    #[schema(example = "wamid.chasqui_0192f0c1222270008000000000000001")]
    id: String,
    /// `accepted`.
    message_status: String,
}

/// A file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(super) struct CloudUpload {
    /// `whatsapp`.
    messaging_product: String,
    /// Its type, before the file; else what the file's own part says.
    r#type: Option<String>,
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A file's id.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudId {
    id: String,
}

/// A file (`url`, `mime_type`, `sha256`, `file_size`) or a number (`display_phone_number`).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudObject {
    id: String,
    /// Good for `media.url_lifetime_secs`; it needs no key.
    url: Option<String>,
    mime_type: Option<String>,
    /// Lower-case hexadecimal.
    sha256: Option<String>,
    file_size: Option<u64>,
    display_phone_number: Option<String>,
}

/// It was done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudSuccess {
    success: bool,
}

/// Why a request was not done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudError {
    error: CloudErrorBody,
}

/// An error as the Graph API tells it. Branch on `code`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudErrorBody {
    #[schema(example = "(#131009) Parameter value is not valid")]
    message: String,
    r#type: String,
    code: i64,
    error_subcode: Option<i64>,
    is_transient: Option<bool>,
    error_data: CloudErrorDetails,
    /// What the logs have it under.
    fbtrace_id: String,
}

/// What exactly was wrong.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(super) struct CloudErrorDetails {
    messaging_product: String,
    /// Names the field and what was expected.
    details: String,
}
