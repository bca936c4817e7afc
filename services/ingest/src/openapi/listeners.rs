//! What the document shows of listeners.

use utoipa::{ToSchema, openapi::Object};

/// A listener as a bot registers it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct ListenerBody {
    /// Where events are posted to.
    #[schema(example = "https://bot.example.org/api/message-received")]
    url: String,
    /// `message.received` (which it is without), `message.sent`, `message.status`, `session.status`.
    events: Option<Vec<String>>,
    /// What events are signed with: `whsec_` and base64; for `cloud_api` any 16 to 256 characters. Default: one is made.
    secret: Option<String>,
    /// `client` (which it is without), `chasqui` or `cloud_api`.
    format: Option<String>,
    /// For people, at most 256 characters.
    description: Option<String>,
    /// It is a bot: it is told what contacts write only where no person and no other bot answers them. Default true; one
    /// that only records says false, at each registration.
    answers: Option<bool>,
}

/// Which listener.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct ListenerUrl {
    url: String,
}

/// A listener that is registered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Registered {
    success: bool,
    listener: Object,
    /// Only when it was made now.
    secret: Option<String>,
}

/// What is left of a listener.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Removed {
    success: bool,
    /// Whether there was one.
    removed: bool,
}

/// A listener and how it is doing (`state`).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct ListenerShown {
    success: bool,
    listener: Object,
}

/// Listeners, each with how it is doing.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct ListenerPage {
    success: bool,
    listeners: Vec<Object>,
    /// `cursor` of the next page.
    next: Option<String>,
}

/// What changes of a listener.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct ListenerChange {
    events: Option<Vec<String>>,
    format: Option<String>,
    description: Option<String>,
    /// Nothing is posted to it.
    disabled: Option<bool>,
    /// It is told what contacts write only where no person and no other bot answers them. A bot says it anew whenever it
    /// registers.
    answers: Option<bool>,
}

/// Another secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct RotationBody {
    /// Default: one is made.
    secret: Option<String>,
    /// The one before signs no more. Default false.
    withdraw: Option<bool>,
}

/// Deliveries, newest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct DeliveryPageShown {
    success: bool,
    deliveries: Vec<Object>,
    /// `cursor` of the next page.
    next: Option<String>,
}

/// How a test went.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Tested {
    /// The listener took it.
    success: bool,
    attempt: Object,
}

/// What is brought once more: one of the two.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct ReplayBody {
    delivery_id: Option<String>,
    /// Everything that was given up since then, unix milliseconds.
    since_ms: Option<i64>,
}

/// How much is on its way again.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct Replayed {
    success: bool,
    count: u32,
}
