//! The extractor that turns a request into a WebSocket.

use axum_core::extract::FromRequestParts;
use axum_core::response::Response;
use http::{HeaderValue, header, request::Parts};
use hyper::upgrade::OnUpgrade;

use crate::{Deflate, Limits, Refusal, WebSocket, handshake, negotiation::Agreement, stream::Stream};

/// A request whose handshake is right, not answered yet.
#[derive(Debug)]
#[must_use = "the request is answered by on_upgrade"]
pub struct Upgrade {
    connection: OnUpgrade,
    accept: HeaderValue,
    offered_protocols: Vec<String>,
    offered_extensions: Vec<String>,
    protocol: Option<HeaderValue>,
    limits: Limits,
    agreement: Option<Agreement>,
}

impl Upgrade {
    /// Checks the handshake of a request, and takes the connection from it.
    pub fn of(request: &mut Parts) -> Result<Self, Refusal> {
        let accept = handshake::check(request)?;
        let connection = request.extensions.remove::<OnUpgrade>().ok_or(Refusal::Connection)?;
        let items = |name| handshake::items(&request.headers, &name).map(str::to_owned).collect();
        Ok(Self {
            connection,
            accept,
            offered_protocols: items(header::SEC_WEBSOCKET_PROTOCOL),
            offered_extensions: items(header::SEC_WEBSOCKET_EXTENSIONS),
            protocol: None,
            limits: Limits::default(),
            agreement: None,
        })
    }

    /// Answers with the first of these that the client offers, else with none.
    pub fn protocols(mut self, known: impl IntoIterator<Item = &'static str>) -> Self {
        let is_offered = |protocol: &&str| self.offered_protocols.iter().any(|offered| offered == protocol);
        self.protocol = known.into_iter().find(is_offered).map(HeaderValue::from_static);
        self
    }

    /// Bounds on what the client may send.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Agrees on permessage-deflate, if there are settings for it and the client offers it in a form that we can keep
    /// to. Without this call there is no compression.
    pub fn compression(mut self, deflate: Option<Deflate>) -> Self {
        let offers = self.offered_extensions.iter().map(String::as_str);
        self.agreement = deflate.and_then(|deflate| Agreement::reach(offers, deflate));
        self
    }

    /// Answers the request, and hands the socket to `converse`, which runs as a task of its own. When the client is
    /// gone before that, `converse` is dropped.
    pub fn on_upgrade<Conversing>(
        self,
        converse: impl FnOnce(WebSocket) -> Conversing + Send + 'static,
    ) -> Response
    where
        Conversing: Future<Output = ()> + Send + 'static,
    {
        let Self { connection, accept, protocol, limits, agreement, .. } = self;
        tokio::spawn(async move {
            if let Ok(upgraded) = connection.await {
                let (stream, unread) = Stream::of(upgraded);
                converse(WebSocket::new(stream, unread, limits, agreement)).await;
            }
        });
        let mut response = handshake::answer(accept);
        let extensions = agreement.and_then(|agreement| HeaderValue::try_from(agreement.answer()).ok());
        let headers = response.headers_mut();
        headers.extend(protocol.map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
        headers.extend(extensions.map(|extensions| (header::SEC_WEBSOCKET_EXTENSIONS, extensions)));
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Refusal;

    async fn from_request_parts(request: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        Self::of(request)
    }
}
