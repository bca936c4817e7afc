//! Answering other services: a NATS micro service, seen by `nats micro ls` and `nats micro stats`.

use std::{fmt, sync::Arc};

use async_nats::service::{self, Service, ServiceExt, endpoint, error::Error as ServiceError};
use chasqui_proto::service::Endpoint;
use futures::StreamExt;
use prost::Message;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Bus, Code, TraceContext, error::Coded};

/// How many requests of one endpoint are handled at once in one process; more wait in the subscription.
const CONCURRENT_REQUESTS_MAX: usize = 64;

/// A micro service that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the micro service {service}: {cause}")]
pub struct ServeError {
    service: &'static str,
    cause: String,
}

impl Coded for ServeError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// One instance of a micro service.
pub struct Responder {
    service: Service,
    name: &'static str,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Responder {
    /// Starts answering as `name`, in the queue group of all instances.
    pub async fn start(
        bus: &Bus,
        name: &'static str,
        description: &str,
        stop: CancellationToken,
    ) -> Result<Self, ServeError> {
        let started = bus.client().service_builder().description(description);
        let service = started
            .start(name, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(|error| ServeError { service: name, cause: error.to_string() })?;
        Ok(Self { service, name, tasks: TaskTracker::new(), stop })
    }

    /// Answers an endpoint with `answer`, many requests at once.
    pub async fn endpoint<Q, A, F, R, E>(&self, endpoint: Endpoint<Q, A>, answer: F) -> Result<(), ServeError>
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        F: Fn(Q, TraceContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A, E>> + Send + 'static,
        E: Coded + Send + 'static,
    {
        let added = self.service.endpoint_builder().name(endpoint.name()).add(endpoint.subject).await;
        let requests = added.map_err(|error| ServeError { service: self.name, cause: error.to_string() })?;
        let answers = Answers {
            subject: endpoint.subject,
            answer: Arc::new(answer),
            places: Arc::new(Semaphore::new(CONCURRENT_REQUESTS_MAX)),
            tasks: self.tasks.clone(),
        };
        self.tasks.spawn(answer_all(requests, answers, self.stop.clone()));
        Ok(())
    }

    /// Waits until it was told to stop and every request in hand is answered.
    pub async fn stopped(self) {
        self.stop.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.service.stop().await {
            tracing::debug!(%error, service = self.name, "the micro service was gone already");
        }
    }
}

struct Answers<F> {
    subject: &'static str,
    answer: Arc<F>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

async fn answer_all<Q, A, F, R, E>(
    mut requests: endpoint::Endpoint,
    answers: Answers<F>,
    stop: CancellationToken,
) where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: Fn(Q, TraceContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<A, E>> + Send + 'static,
    E: Coded + Send + 'static,
{
    while let Some(Some(request)) = stop.run_until_cancelled(requests.next()).await {
        let place = answers.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (answer, subject) = (answers.answer.clone(), answers.subject);
        answers.tasks.spawn(async move {
            answer_one(&request, &*answer, subject).await;
            drop(place);
        });
    }
    if let Err(error) = requests.stop().await {
        tracing::debug!(%error, subject = answers.subject, "the endpoint was gone already");
    }
}

async fn answer_one<Q, A, F, R, E>(request: &service::Request, answer: &F, subject: &'static str)
where
    Q: Message + Default,
    A: Message,
    F: Fn(Q, TraceContext) -> R,
    R: Future<Output = Result<A, E>>,
    E: Coded,
{
    let trace = TraceContext::of_nats(request.message.headers.as_ref());
    let response = match Q::decode(request.message.payload.clone()) {
        Ok(question) => answer(question, trace).await.map_err(|error| {
            if error.code() == Code::Internal {
                tracing::error!(%error, subject, trace = trace.trace_id(), "a request could not be answered");
            }
            refusal(error.code(), error.to_string())
        }),
        Err(error) => Err(refusal(Code::InvalidInput, format!("the request cannot be decoded: {error}"))),
    };
    if let Err(error) = request.respond(response.map(|answer| answer.encode_to_vec().into())).await {
        tracing::warn!(%error, subject, "an answer could not be sent");
    }
}

fn refusal(code: Code, status: String) -> ServiceError {
    ServiceError { code: usize::from(code.http_status().as_u16()), status }
}
