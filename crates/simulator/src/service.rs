//! The life of the simulator, and its own HTTP interface.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chasqui_kit::{
    Bus,
    door::{Door, HttpConfig},
    health::Health,
    telemetry::Metrics,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    delivery::{Answer, Delivery},
    linked::{self, Devices},
    payload,
    phone::{self, PhoneError},
};

const NAME: &str = "simulator";

/// Binds `config.port` and plays the outside world until stopped. `metrics` are the process's, shown at its port too.
/// With a `bus` it plays linked devices as well.
pub async fn run(
    config: Config,
    metrics: Metrics,
    bus: Option<Bus>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let http = HttpConfig { port: config.port, host: config.host.clone(), further_ports: Vec::new() };
    let refused = |cause| Error::Listen { host: config.host.clone(), cause };
    let listeners = Door::bind(&http).map_err(refused)?;
    let delivery = Delivery::new(&config, stop.clone())?;
    let health = Health::default();
    let door = Door::new(&health, &metrics);
    let mut offered = routes(&config, delivery.clone());
    let mut responder = None;
    if let Some(bus) = bus {
        let devices = Devices::new(bus, format!("http://{}:{}", config.host, config.port));
        responder = Some(devices.answer(stop.clone()).await?);
        offered = offered.merge(linked::routes(devices));
    }
    let mounted = door.mount(NAME, offered);
    health.ready(NAME);
    tracing::info!(port = config.port, webhooks_to = config.webhook_url, "the simulator is ready");
    door.open(listeners, stop).await;
    drop(mounted);
    delivery.stopped().await;
    if let Some(responder) = responder {
        responder.stopped().await;
    }
    Ok(())
}

#[derive(Debug)]
struct World {
    phone_number_id: String,
    delivery: Delivery,
}

/// How a webhook is sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manner {
    /// Twice, as Meta now and then does.
    duplicate: bool,
}

type Body = Result<Json<Value>, JsonRejection>;

fn routes(config: &Config, delivery: Delivery) -> Router {
    let world = Arc::new(World { phone_number_id: config.phone_number_id.clone(), delivery });
    Router::new()
        .route("/", get(describe))
        .route("/phones/{contact}/messages", post(send_messages))
        .route("/phones/{contact}/statuses", post(send_statuses))
        .with_state(world)
}

async fn describe(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({
        "name": "chasqui simulator",
        "plays": "the WhatsApp Cloud API's webhooks",
        "phone_number_id": world.phone_number_id,
        "offers": {
            "POST /phones/{number}/messages": [
                { "text": "hola" },
                { "type": "image" },
                { "messages": [{ "type": "text", "text": { "body": "hola" } }] },
            ],
            "POST /phones/{number}/statuses": [{ "id": "wamid…", "status": "delivered" }],
            "?duplicate=true": "delivers the same webhook twice",
            "POST /linked/{tenant}/{session}/scan": [{ "phone": "5491100000090" }],
            "POST /linked/{tenant}/{session}/messages": [{ "from": "5491100000001", "text": "hola" }],
            "POST /linked/{tenant}/{session}/logout": [],
        },
    }))
}

async fn send_messages(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    Query(manner): Query<Manner>,
    body: Body,
) -> Response {
    let items = match wanted(body).and_then(|wanted| Ok(phone::messages(&contact, wanted)?)) {
        Ok(items) => items,
        Err(refused) => return refused.into_response(),
    };
    let ids = ids(&items);
    let webhook = payload::webhook(&world.phone_number_id, &items);
    deliver(&world, &manner, &webhook, ids).await
}

async fn send_statuses(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    Query(manner): Query<Manner>,
    body: Body,
) -> Response {
    let items = match wanted(body).and_then(|wanted| Ok(phone::statuses(&contact, wanted)?)) {
        Ok(items) => items,
        Err(refused) => return refused.into_response(),
    };
    let ids = ids(&items);
    let webhook = payload::status_webhook(&world.phone_number_id, &items);
    deliver(&world, &manner, &webhook, ids).await
}

async fn deliver(world: &World, manner: &Manner, webhook: &Value, ids: Vec<Value>) -> Response {
    let answer = world.delivery.send(webhook).await;
    if manner.duplicate {
        world.delivery.send(webhook).await;
    }
    let id = ids.first().cloned();
    Json(match answer {
        Answer::Status(status) => json!({ "id": id, "ids": ids, "webhook_status": status }),
        Answer::Unreachable(error) => json!({ "id": id, "ids": ids, "webhook_status": null, "error": error }),
    })
    .into_response()
}

fn ids(items: &[Value]) -> Vec<Value> {
    items.iter().map(|item| item["id"].clone()).collect()
}

/// A request that was not understood.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl From<PhoneError> for Refused {
    fn from(error: PhoneError) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

fn wanted(body: Body) -> Result<Value, Refused> {
    let Json(wanted) = body.map_err(|rejection| Refused(rejection.status(), rejection.body_text()))?;
    Ok(wanted)
}
