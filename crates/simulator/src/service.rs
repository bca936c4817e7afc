//! The life of the simulator.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use chasqui_kit::{
    Bus,
    door::{Door, HttpConfig},
    health::Health,
    telemetry::Metrics,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    delivery::Delivery,
    graph,
    linked::{self, Devices},
    openai, phone,
    world::World,
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
    let world = World::new(&config, Delivery::new(&config, stop.clone())?, stop.clone());
    let health = Health::default();
    let door = Door::new(&health, &metrics);
    let model = openai::Model::new(&config, stop.clone());
    let mut offered = routes(&world).merge(openai::routes(model));
    let mut linked = None;
    if let Some(bus) = bus {
        let devices = Devices::new(bus, &config, world.clone());
        linked = Some((devices.answer().await?, devices.clone()));
        offered = offered.merge(linked::routes(devices));
    }
    let mounted = door.mount(NAME, offered);
    let telling = tokio::spawn(graph::tell_statuses(world.clone()));
    health.ready(NAME);
    tracing::info!(port = config.port, webhooks_to = config.webhook_url, "the simulator is ready");
    door.open(listeners, stop).await;
    drop(mounted);
    telling.await.expect("telling statuses does not panic");
    world.delivery.stopped().await;
    if let Some((responder, devices)) = linked {
        responder.stopped().await;
        devices.stopped().await;
    }
    Ok(())
}

fn routes(world: &Arc<World>) -> Router {
    Router::new()
        .route("/", get(describe))
        .with_state(world.clone())
        .merge(phone::routes(world.clone()))
        .merge(graph::control_routes(world.clone()))
        .merge(graph::routes(world.clone()))
}

async fn describe(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({
        "name": "chasqui simulator",
        "plays": "WhatsApp, for local work and tests: its Graph API, its webhooks, the phones of contacts, linked devices; \
            and a language model",
        "phone_number_id": &*world.default_number,
        "offers": {
            "POST /phones/{number}/messages": [
                { "text": "hola" },
                { "type": "image" },
                { "messages": [{ "type": "text", "text": { "body": "hola" } }] },
            ],
            "GET /phones/{number}/messages?after=&wait_ms=": [],
            "POST /phones/{number}/read": [{}, { "id": "wamid…" }],
            "POST /phones/{number}/media": "a file as the body",
            "POST /phones/{number}/statuses": [{ "id": "wamid…", "status": "delivered" }],
            "?duplicate=true": "delivers the same webhook twice",
            "?phone_number_id=": "speaks to another number",
            "POST /v23.0/{phone_number_id}/messages": "the Graph API, with simulator.access_token",
            "GET /graph/messages?to=&number=&after=&limit=": [],
            "GET /graph/stats": [],
            "POST /graph/faults": [{ "match": { "to": "5491100000001", "nth": 1 }, "then": { "code": 131_056 } }],
            "PUT /graph/settings": [{ "window": "off" }],
            "GET /linked/{tenant}/{session}": [],
            "POST /linked/{tenant}/{session}/scan": [{ "phone": "5491100000090" }],
            "POST /linked/{tenant}/{session}/messages": [{ "from": "5491100000001", "text": "hola" }],
            "POST /linked/{tenant}/{session}/disconnect": [{ "for_ms": 1_000 }],
            "POST /linked/{tenant}/{session}/logout": [],
            "POST /v1/chat/completions": "a language model that streams, with simulator.openai_api_key",
            "PUT /openai/settings": [{ "answers": ["Hola."] }],
            "POST /openai/faults": [{ "then": "cut", "times": 1 }],
            "GET /openai/requests": [],
        },
    }))
}
