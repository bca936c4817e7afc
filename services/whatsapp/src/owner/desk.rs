//! Where the owner of a session is asked.

use std::sync::Arc;

use async_nats::{
    HeaderMap, Message, Subscriber,
    service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE},
};
use bytes::Bytes;
use chasqui_kit::Coded;
use chasqui_proto::{
    subject,
    v1::{
        HaltOwned, HaltTaken, LinkEvent, LinkTaken, MessageRead, OwnerRequest, Session, owner_request::What,
    },
};
use futures::StreamExt;
use prost::Message as _;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{
    Error,
    line::{Halt, Line},
    media::Fetcher,
};

/// How many requests of one session are handled at once; more are refused.
const REQUESTS_MAX: usize = 64;
/// The longest text of a refusal, bytes.
const REFUSAL_BYTES_MAX: usize = 500;

/// What changes the state of the session, for its tenure.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) what: Change,
    /// How the session stands afterwards.
    pub(super) answer: oneshot::Sender<Result<Session, Error>>,
}

#[derive(Debug)]
pub(super) enum Change {
    Open,
    Close,
    Link(LinkEvent),
}

/// One session's desk.
#[derive(Debug)]
pub(super) struct Desk {
    line: Line,
    fetcher: Fetcher,
    requests: Subscriber,
    orders: mpsc::Sender<Order>,
    /// To the sending side, which does what a refusal of the whole number asks.
    halts: mpsc::Sender<Halt>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Desk {
    /// Listens from now on.
    pub(super) async fn open(
        line: &Line,
        fetcher: &Fetcher,
        (orders, halts): (mpsc::Sender<Order>, mpsc::Sender<Halt>),
    ) -> Result<Self, Error> {
        let subject = subject::whatsapp_owner(&line.tenant, &line.session);
        let subscribed = line.bus.client().subscribe(subject.as_str().to_owned()).await;
        let requests = subscribed.map_err(|error| Error::Away(error.to_string()))?;
        let places = Arc::new(Semaphore::new(REQUESTS_MAX));
        let (line, fetcher, tasks) = (line.clone(), fetcher.clone(), TaskTracker::new());
        Ok(Self { line, fetcher, requests, orders, halts, places, tasks })
    }

    /// Answers until the session is not owned here any more.
    pub(super) async fn serve(mut self) {
        let stop = self.line.stop.clone();
        while let Some(Some(request)) = stop.run_until_cancelled(self.requests.next()).await {
            let (line, fetcher) = (self.line.clone(), self.fetcher.clone());
            let (orders, halts) = (self.orders.clone(), self.halts.clone());
            let place = self.places.clone().try_acquire_owned();
            self.tasks.spawn(async move {
                let answer = match place {
                    Ok(_place) => {
                        let answer = answer(&line, &fetcher, (&orders, &halts), &request);
                        let answer = line.stop.run_until_cancelled(answer).await;
                        answer.unwrap_or_else(|| Err(changing_owner()))
                    }
                    Err(_) => Err(Error::Away("too many requests for this session".to_owned())),
                };
                respond(&line, &request, answer).await;
            });
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn answer(
    line: &Line,
    fetcher: &Fetcher,
    (orders, halts): (&mpsc::Sender<Order>, &mpsc::Sender<Halt>),
    request: &Message,
) -> Result<Bytes, Error> {
    let decoded = OwnerRequest::decode(request.payload.clone())
        .map_err(|error| Error::Invalid(format!("the request cannot be decoded: {error}")))?;
    let encoded = match decoded.what {
        Some(What::Open(_)) => order(orders, Change::Open).await?.encode_to_vec(),
        Some(What::Close(_)) => order(orders, Change::Close).await?.encode_to_vec(),
        Some(What::Link(event)) => {
            is_meant_for(line, &event)?;
            order(orders, Change::Link(event)).await?;
            LinkTaken {}.encode_to_vec()
        }
        Some(What::Read(read)) => {
            if read.provider_message_id.is_empty() {
                return Err(Error::Invalid("provider_message_id: expected the provider's id".to_owned()));
            }
            line.connector.read(&read.provider_message_id, read.typing).await?;
            MessageRead {}.encode_to_vec()
        }
        Some(What::Halt(HaltOwned { campaigns, reason })) => {
            let halt = if campaigns { Halt::Campaigns { reason } } else { Halt::Number { reason } };
            // A full channel holds as much already.
            let _ = halts.try_send(halt);
            HaltTaken {}.encode_to_vec()
        }
        Some(What::Fetch(fetch)) => fetcher.fetch(line, &fetch).await?.encode_to_vec(),
        None => return Err(Error::Invalid("what: expected one of the requests".to_owned())),
    };
    Ok(encoded.into())
}

/// A connector that has not heard of this owner yet may tell what was true before.
fn is_meant_for(line: &Line, event: &LinkEvent) -> Result<(), Error> {
    if event.ownership >= line.ownership {
        return Ok(());
    }
    Err(Error::Superseded { expected: line.ownership, got: event.ownership })
}

async fn order(orders: &mpsc::Sender<Order>, what: Change) -> Result<Session, Error> {
    let (answer, answered) = oneshot::channel();
    orders.send(Order { what, answer }).await.map_err(|_| changing_owner())?;
    answered.await.map_err(|_| changing_owner())?
}

fn changing_owner() -> Error {
    Error::Away("the session is changing its owner; try again".to_owned())
}

async fn respond(line: &Line, request: &Message, answer: Result<Bytes, Error>) {
    let Some(reply) = request.reply.clone() else { return };
    let mut headers = HeaderMap::new();
    let payload = answer.unwrap_or_else(|error| {
        let text: String = error.to_string().chars().filter(|c| !c.is_control()).collect();
        let end = text.floor_char_boundary(REFUSAL_BYTES_MAX);
        headers.insert(NATS_SERVICE_ERROR, &text[..end]);
        headers.insert(NATS_SERVICE_ERROR_CODE, error.code().http_status().as_str());
        Bytes::new()
    });
    let sent = line.bus.client().publish_with_headers(reply, headers, payload).await;
    if let Err(error) = sent {
        tracing::warn!(%error, session = %line.session, "an answer could not be sent");
    }
}
