//! A linked device: its connector is a process of its own that speaks only NATS.

mod files;

use std::time::Duration;

use chasqui_kit::{Bus, TraceContext, request::RequestError};
use chasqui_proto::{
    Tenant,
    service::LINKS_START,
    subject::{self, NodeToken},
    v1::{
        FetchMedia, LinkAnswer, LinkCommand, LinkDisconnected, LinkEvent, LinkStarted, LogOutLink, Media,
        PingLink, ProviderError, ReadMessage, StartLink, StopLink, link_command::What, link_event,
    },
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, ConnectorError, Fetched, Outcome, Outgoing};
pub(crate) use files::Files;

/// How often a connector is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How long it may take to answer that, and to let a session go.
const PING_WAIT: Duration = Duration::from_secs(2);
/// How many pings in a row may stay unanswered before the connector counts as gone. That nobody listens is known at once.
const PINGS_UNANSWERED_MAX: u32 = 2;
/// How long a connector may take to say that it takes a session.
const START_WAIT: Duration = Duration::from_secs(10);

/// One linked session under one ownership.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) bus: Bus,
    pub(crate) tenant: Tenant,
    pub(crate) session: NodeToken,
    /// A connector that has seen a higher one does not obey.
    pub(crate) ownership: u64,
    /// How long it may take to send or to fetch.
    pub(crate) answer_wait: Duration,
    /// The tenant's files, as connectors can open them.
    pub(crate) files: Files,
}

impl Remote {
    /// Lets the session go without logging it out. A connector that is gone has let it go.
    pub(crate) async fn let_go(&self) {
        if let Err(error) = self.tell(What::Stop(StopLink {}), PING_WAIT).await {
            tracing::debug!(%error, session = %self.session, "no connector let the session go");
        }
    }

    /// Returns when the connector is gone, or refuses the session; says why.
    async fn keep(&self) -> String {
        let start = StartLink {
            tenant: self.tenant.to_string(),
            session: self.session.to_string(),
            ownership: self.ownership,
        };
        let started: Result<LinkStarted, _> =
            self.bus.ask_subject(LINKS_START.subject, &start, TraceContext::root(), START_WAIT).await;
        let connector = match started {
            Ok(started) => started.connector,
            Err(RequestError::NoResponders(_)) => return "no_connector".to_owned(),
            Err(error) => return format!("the connector did not start: {error}"),
        };
        tracing::info!(
            tenant = %self.tenant, session = %self.session, connector,
            "connector {connector} has session {}", self.session
        );
        let mut unanswered = 0;
        while unanswered < PINGS_UNANSWERED_MAX {
            tokio::time::sleep(PING_EVERY).await;
            match self.tell(What::Ping(PingLink {}), PING_WAIT).await {
                Ok(LinkAnswer { error: None, .. }) => unanswered = 0,
                Ok(LinkAnswer { error: Some(error), .. }) => {
                    return format!("the connector gave the session up: {}", error.message);
                }
                Err(RequestError::NoResponders(_)) => return "connector_gone".to_owned(),
                Err(_) => unanswered += 1,
            }
        }
        "connector_gone".to_owned()
    }

    async fn tell(&self, what: What, wait: Duration) -> Result<LinkAnswer, RequestError> {
        let subject = subject::linked_commands(&self.tenant, &self.session);
        let command = LinkCommand { ownership: self.ownership, what: Some(what) };
        self.bus.ask_subject(subject.as_str(), &command, TraceContext::root(), wait).await
    }

    /// Tells what is not sending, and waits until it is done.
    async fn done(&self, what: What) -> Result<LinkAnswer, ConnectorError> {
        let answer = self.tell(what, self.answer_wait).await;
        let mut answer = answer.map_err(|error| ConnectorError::Away(error.to_string()))?;
        match answer.error.take() {
            Some(error) => Err(ConnectorError::Refused(error)),
            None => Ok(answer),
        }
    }
}

impl Connector for Remote {
    fn run(&self, events: mpsc::Sender<LinkEvent>, stop: CancellationToken) -> BoxFuture<'_, ()> {
        async move {
            let Some(reason) = stop.run_until_cancelled(self.keep()).await else { return };
            tracing::warn!(
                tenant = %self.tenant, session = %self.session, reason,
                "session {} has no connector: {reason}", self.session
            );
            let what = Some(link_event::What::Disconnected(LinkDisconnected { reason }));
            // Nobody listens any more where the session has lost its owner.
            let _ = events.send(LinkEvent { what, ownership: self.ownership }).await;
        }
        .boxed()
    }

    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Outcome> {
        async move {
            if outgoing.instead.is_some() {
                return refused("linked devices send no templates");
            }
            if !self.bus.is_connected() {
                return Outcome::NotWritten("no connection to NATS".to_owned());
            }
            let mut message = outgoing.message.clone();
            if let Some(answers) = &outgoing.answers {
                message.context.get_or_insert_default().provider_message_id.clone_from(answers);
            }
            if let Some(media) = &mut message.media
                && let Err(unsent) = self.files.address(&self.tenant, media).await
            {
                return unsent;
            }
            outcome(self.tell(What::Send(message), self.answer_wait).await)
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        provider_message_id: &'a str,
        typing: bool,
    ) -> BoxFuture<'a, Result<(), ConnectorError>> {
        let read = ReadMessage {
            tenant: self.tenant.to_string(),
            session: self.session.to_string(),
            provider_message_id: provider_message_id.to_owned(),
            typing,
        };
        async move { self.done(What::Read(read)).await.map(drop) }.boxed()
    }

    fn fetch<'a>(&'a self, media: &'a Media) -> BoxFuture<'a, Result<Fetched, ConnectorError>> {
        let fetch = FetchMedia {
            tenant: self.tenant.to_string(),
            session: self.session.to_string(),
            message_id: String::new(),
            media: Some(media.clone()),
        };
        async move {
            let answer = self.done(What::Fetch(fetch)).await?;
            Ok(Fetched { mime_type: answer.mime_type, content: stream::iter([Ok(answer.content)]).boxed() })
        }
        .boxed()
    }

    fn log_out(&self) -> BoxFuture<'_, Result<(), ConnectorError>> {
        async move { self.done(What::LogOut(LogOutLink {})).await.map(drop) }.boxed()
    }
}

/// What an answer to a message means.
fn outcome(answer: Result<LinkAnswer, RequestError>) -> Outcome {
    match answer {
        Ok(LinkAnswer { error: Some(error), .. }) => {
            Outcome::Refused { error, http_status: 0, retry_after: None }
        }
        Ok(answer) if answer.provider_id.is_empty() => {
            Outcome::Unknown("the connector's answer names no message".to_owned())
        }
        Ok(answer) => Outcome::Accepted { provider_id: answer.provider_id },
        Err(error @ RequestError::NoResponders(_)) => Outcome::NotWritten(error.to_string()),
        Err(RequestError::Refused { message, .. }) => refused(&message),
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}

fn refused(message: &str) -> Outcome {
    let error = ProviderError { message: message.to_owned(), ..ProviderError::default() };
    Outcome::Refused { error, http_status: 0, retry_after: None }
}

#[cfg(test)]
mod tests {
    use chasqui_kit::Code;

    use super::*;

    #[test]
    fn what_nobody_got_may_be_sent_again_and_what_nobody_answered_may_not() {
        let name = || "linked.commands.default.main".to_owned();
        assert!(matches!(outcome(Err(RequestError::NoResponders(name()))), Outcome::NotWritten(_)));
        for error in
            [RequestError::TimedOut(name()), RequestError::Away(name()), RequestError::Unreadable(name())]
        {
            assert!(matches!(outcome(Err(error)), Outcome::Unknown(_)));
        }
        let refusal = RequestError::Refused { code: Code::Conflict, message: "not connected".to_owned() };
        assert_eq!(outcome(Err(refusal)), refused("not connected"));
        assert!(matches!(outcome(Ok(LinkAnswer::default())), Outcome::Unknown(_)));
        let taken = LinkAnswer { provider_id: "3EB0".to_owned(), ..LinkAnswer::default() };
        assert_eq!(outcome(Ok(taken)), Outcome::Accepted { provider_id: "3EB0".to_owned() });
    }
}
