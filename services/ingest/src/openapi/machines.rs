//! What the document shows of the routes of machines: bodies that are read and put together by hand, and refusals, which
//! are alike everywhere.

use utoipa::{IntoResponses, ToSchema};

/// Why a request was not done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct MachineRefusal {
    /// Not there under 401.
    success: Option<bool>,
    /// Names the field and what was expected.
    error: String,
}

/// How routes of machines refuse.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the shape of answers that are put together by hand")]
pub(crate) enum MachineRefusals {
    /// A field or parameter is wrong.
    #[response(status = 400)]
    Invalid(MachineRefusal),
    /// The key or token is missing or refused.
    #[response(status = 401)]
    Unauthorized(MachineRefusal),
    /// The key or token is for something else.
    #[response(status = 403)]
    Forbidden(MachineRefusal),
    /// There is no such listener or campaign.
    #[response(status = 404)]
    NotFound(MachineRefusal),
    /// Something is in the way: the `Idempotency-Key` was used for another message or campaign, there are too many listeners,
    /// a campaign does not go from where it stands to where it is wanted.
    #[response(status = 409)]
    Conflict(MachineRefusal),
    /// The body is larger than 64 KiB; of a campaign, than 8 MiB, and its file than 64 MiB.
    #[response(status = 413)]
    TooLarge(MachineRefusal),
    /// Too many requests; `Retry-After` says when to try again.
    #[response(status = 429)]
    TooFast(MachineRefusal),
    /// WhatsApp is not connected, or something is away; try again.
    #[response(status = 503)]
    Unavailable(MachineRefusal),
}

/// A message to a contact.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct SendBody {
    /// A phone number with its country code, in every usual spelling; a linked id (`…@lid`); a business-scoped id.
    #[schema(example = "5491100000001")]
    to: String,
    /// A text of at most 4,096 characters; instead of `type`.
    #[schema(example = "hola")]
    message: Option<String>,
    /// `text`, `image`, `audio`, `video`, `document`, `sticker`, `location`, `contacts`, `reaction`, `interactive` or
    /// `template`; the content stands in a member of this name, as in the Cloud API.
    r#type: Option<String>,
    /// The message it answers: `message_id`.
    context: Option<utoipa::openapi::Object>,
    /// Through which session: a phone number id or the name of a linked device. Default: the tenant's usual one.
    session: Option<String>,
    /// `reply`, `transactional` or `campaign`. Default: `reply` where it answers a message or staff sends it, else
    /// `transactional`.
    priority: Option<String>,
    /// Comes back with every status. At most 475 characters.
    callback_data: Option<String>,
    /// Sent instead where WhatsApp takes only a template: the Cloud API's `template`.
    fallback_template: Option<utoipa::openapi::Object>,
    /// After how many seconds it makes no sense any more, 1 to 604,800. Default never.
    expires_in_s: Option<u32>,
}

/// A message that is stored.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Queued {
    success: bool,
    /// Under which its statuses come.
    message_id: String,
    /// Whom it goes to, as it was understood.
    to: String,
    /// `queued`.
    status: String,
    /// Through which session it goes.
    session: String,
}

/// How the WhatsApp client stands.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct WhatsappStatus {
    connected: bool,
    /// `CONNECTED`, `SCAN_QR`, `STARTING`, `RECONNECTING`, `DISCONNECTED`, `LOGGED_OUT` or `FAILED`.
    state: String,
    /// How many are registered and enabled.
    listeners: u64,
}

/// How the bot stands.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct BotStatus {
    bot: String,
    status: String,
    whatsapp: WhatsappStatus,
}

/// A session.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct SessionShown {
    /// As `state` of the client's status.
    status: String,
    connected: bool,
    /// The QR to scan, as a data URL.
    qr: Option<String>,
}
