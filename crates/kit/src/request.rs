//! Asking another service over NATS.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    client::{Request, RequestErrorKind},
    service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE},
};
use chasqui_proto::{header, service::Endpoint};
use prost::Message;

use crate::{Bus, Code, TraceContext, error::Coded};

/// A request that was not answered, or answered with an error.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No instance of the service is connected.
    #[error("no {0} service is running")]
    NoResponders(String),
    /// It did not answer in time.
    #[error("{0} did not answer in time")]
    TimedOut(String),
    /// It answered with an error.
    #[error("{message}")]
    Refused {
        /// What kind.
        code: Code,
        /// What it said.
        message: String,
    },
    /// The connection failed.
    #[error("the message broker is away: {0}")]
    Away(String),
    /// The answer is not of the declared type.
    #[error("the answer of {0} cannot be read")]
    Unreadable(String),
}

impl Coded for RequestError {
    fn code(&self) -> Code {
        match self {
            Self::NoResponders(_) | Self::Away(_) => Code::Unavailable,
            Self::TimedOut(_) => Code::Timeout,
            Self::Refused { code, .. } => *code,
            Self::Unreadable(_) => Code::Internal,
        }
    }
}

impl Bus {
    /// Asks a service. Every failure of the service itself arrives as `Refused` with its code.
    pub async fn ask<Q: Message, A: Message + Default>(
        &self,
        endpoint: Endpoint<Q, A>,
        question: &Q,
        trace: TraceContext,
    ) -> Result<A, RequestError> {
        let wait = Duration::from_millis(self.config().request_wait_ms);
        self.ask_subject(endpoint.subject, question, trace, wait).await
    }

    /// Asks whoever listens on a subject, and takes the first answer.
    pub async fn ask_subject<Q: Message, A: Message + Default>(
        &self,
        subject: &str,
        question: &Q,
        trace: TraceContext,
        wait: Duration,
    ) -> Result<A, RequestError> {
        if !self.is_connected() {
            return Err(RequestError::Away("not connected".to_owned()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::TRACEPARENT, trace.to_header());
        let request =
            Request::new().payload(question.encode_to_vec().into()).headers(headers).timeout(Some(wait));
        let name = || subject.to_owned();
        let answer = self.client().send_request(subject.to_owned(), request).await.map_err(|error| {
            match error.kind() {
                RequestErrorKind::NoResponders => RequestError::NoResponders(name()),
                RequestErrorKind::TimedOut => RequestError::TimedOut(name()),
                _ => RequestError::Away(error.to_string()),
            }
        })?;
        // The client gives errors of services as plain answers; they are told apart by their headers.
        if let Some(headers) = &answer.headers
            && let Some(code) = headers.get(NATS_SERVICE_ERROR_CODE)
        {
            let message = headers.get(NATS_SERVICE_ERROR).map_or("", |text| text.as_str()).to_owned();
            return Err(RequestError::Refused {
                code: Code::of_status(code.as_str().parse().unwrap_or(500)),
                message,
            });
        }
        A::decode(answer.payload).map_err(|_| RequestError::Unreadable(name()))
    }
}
