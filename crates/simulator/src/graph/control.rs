//! The hands on the Graph API: faults, settings, and what it was sent.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{delete, get},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    answer::{Body, Refused, wanted},
    history::{Direction, Wanted},
    world::World,
};

/// How many messages an answer has at most.
const MESSAGES_MAX: usize = 10_000;
const MESSAGES_DEFAULT: usize = 1_000;

/// Which messages are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    to: Option<String>,
    number: Option<String>,
    after: u64,
    limit: Option<usize>,
}

pub(crate) fn routes(world: Arc<World>) -> Router {
    Router::new()
        .route("/graph/messages", get(messages).delete(clear))
        .route("/graph/stats", get(stats))
        .route("/graph/faults", get(faults).post(add_fault).delete(remove_faults))
        .route("/graph/faults/{id}", delete(remove_fault))
        .route("/graph/settings", get(settings).put(change))
        .with_state(world)
}

async fn messages(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Json<Vec<Box<RawValue>>> {
    let wanted = Wanted {
        contact: filter.to,
        number: filter.number,
        direction: Some(Direction::Received),
        after: filter.after,
        most: filter.limit.unwrap_or(MESSAGES_DEFAULT).min(MESSAGES_MAX),
    };
    Json(world.book().history.show(&wanted))
}

async fn clear(State(world): State<Arc<World>>) -> Json<Value> {
    let mut book = world.book();
    book.stats = super::Stats::default();
    book.limits.forget_busiest();
    Json(json!({ "removed": book.history.clear() }))
}

async fn stats(State(world): State<Arc<World>>) -> Json<Value> {
    let book = world.book();
    Json(book.stats.view(&book.limits))
}

async fn faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({ "faults": world.book().faults.view() }))
}

async fn add_fault(State(world): State<Arc<World>>, body: Body) -> Result<Json<Value>, Refused> {
    let wanted = wanted(body)?;
    world.book().faults.add(&wanted).map(Json).map_err(Refused::bad)
}

async fn remove_faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({ "removed": world.book().faults.remove(None) }))
}

async fn remove_fault(State(world): State<Arc<World>>, Path(id): Path<u64>) -> Json<Value> {
    Json(json!({ "removed": world.book().faults.remove(Some(id)) }))
}

async fn settings(State(world): State<Arc<World>>) -> Json<super::GraphConfig> {
    Json(world.book().settings.clone())
}

async fn change(State(world): State<Arc<World>>, body: Body) -> Result<Json<super::GraphConfig>, Refused> {
    let changes = wanted(body)?;
    let mut book = world.book();
    book.settings = book.settings.changed(changes).map_err(Refused::bad)?;
    Ok(Json(book.settings.clone()))
}
