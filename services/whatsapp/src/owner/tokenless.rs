//! A number of the Cloud API for which nobody configured an access token.

use chasqui_proto::v1::{LinkEvent, LinkLoggedOut, Media, link_event::What};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, ConnectorError, Fetched, Outcome, Outgoing};

/// Why such a number has failed, for people and programs.
const REASON: &str = "no_token";

/// Stands where the connector would.
#[derive(Debug)]
pub(super) struct Tokenless;

fn away() -> ConnectorError {
    ConnectorError::Away(
        "the number has no access token: set whatsapp.access_token or whatsapp.tokens".to_owned(),
    )
}

impl Connector for Tokenless {
    fn run(&self, events: mpsc::Sender<LinkEvent>, stop: CancellationToken) -> BoxFuture<'_, ()> {
        async move {
            let what = Some(What::LoggedOut(LinkLoggedOut { reason: REASON.to_owned() }));
            // Nobody listens any more where the session has lost its owner.
            let _ = events.send(LinkEvent { what, ..LinkEvent::default() }).await;
            // There is nothing to try again: configuration is read once.
            stop.cancelled().await;
        }
        .boxed()
    }

    fn send<'a>(&'a self, _: &'a Outgoing) -> BoxFuture<'a, Outcome> {
        async { Outcome::NotWritten(away().to_string()) }.boxed()
    }

    fn read<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<(), ConnectorError>> {
        async { Err(away()) }.boxed()
    }

    fn fetch<'a>(&'a self, _: &'a Media) -> BoxFuture<'a, Result<Fetched, ConnectorError>> {
        async { Err(away()) }.boxed()
    }

    fn log_out(&self) -> BoxFuture<'_, Result<(), ConnectorError>> {
        async { Err(away()) }.boxed()
    }
}
