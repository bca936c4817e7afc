//! What the edge answers over HTTP, for programs: `OpenAPI`, from the handlers themselves.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{
    clients::device,
    dialect::device::{DeviceConversation, DeviceMessage},
    fallback, rest, upload,
};

/// The routes that are not sockets, and `/sse`.
#[derive(OpenApi)]
#[openapi(
    paths(
        rest::conversations,
        rest::messages,
        rest::responder::steer,
        rest::responder::take,
        rest::responder::release,
        rest::appointments::list,
        rest::appointments::show,
        rest::appointments::change,
        fallback::poll::events,
        fallback::sse::open,
        device::rest::qr,
        device::rest::conversations,
        device::rest::messages,
        device::rest::upload,
        upload::upload,
    ),
    modifiers(&Tokens),
)]
struct Routes;

/// How a request proves whom it speaks for.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Routes::openapi()
}

/// The QR, or that it is not needed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct DeviceQr {
    success: bool,
    message: String,
    connected: bool,
    /// `null` when connected.
    data: Option<DeviceQrData>,
}

/// The QR itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct DeviceQrData {
    /// `data:image/png;base64,…`
    qr: String,
}

/// A page of the account's conversations.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct DeviceConversations<'a> {
    success: bool,
    conversations: Vec<DeviceConversation<'a>>,
    next: Option<String>,
}

/// A page of messages, oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct DeviceMessages<'a> {
    success: bool,
    messages: Vec<DeviceMessage<'a>>,
    next: Option<String>,
}

/// Why a request was not answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct DeviceRefusal {
    success: bool,
    /// In Spanish, for people.
    message: String,
}
