//! The API of whatever is mounted behind a door: `/docs` for people, `OpenAPI` and `AsyncAPI` for programs.
//!
//! Each service says what its routes are when it mounts them; what it does not mount is not shown.

mod bus;
mod page;

use std::{fmt, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};

/// The page runs no script and loads nothing.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// Documents about a service's routes, or about everything behind a door.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// An `OpenAPI` document with `paths` and `components`.
    pub openapi: Value,
    /// An `AsyncAPI` document with the `channels`, `operations` and `components` of sockets.
    pub asyncapi: Value,
}

/// How a service describes its routes. Written anew whenever somebody asks: the documents are megabytes in memory, and
/// hardly ever read.
#[derive(Clone)]
pub struct Documentation(Arc<dyn Fn() -> Documents + Send + Sync>);

impl Documentation {
    /// What `write` says.
    pub fn new(write: impl Fn() -> Documents + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl Default for Documentation {
    fn default() -> Self {
        Self::new(Documents::default)
    }
}

impl fmt::Debug for Documentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documentation").finish_non_exhaustive()
    }
}

impl Documents {
    /// The documents of the probes and the bus, and of every part.
    fn of(parts: &[Documentation]) -> Self {
        let mut whole = Self { openapi: probes(), asyncapi: bus::asyncapi() };
        for Documentation(write) in parts {
            let part = write();
            merge(&mut whole.openapi, &part.openapi);
            merge(&mut whole.asyncapi, &part.asyncapi);
        }
        whole
    }
}

/// The routes of the documents.
pub(crate) fn routes(parts: Vec<Documentation>) -> Router {
    Router::new()
        .route("/docs", get(show_page))
        .route("/docs/openapi.json", get(async |State(parts): Parts| Json(Documents::of(&parts).openapi)))
        .route("/docs/asyncapi.json", get(async |State(parts): Parts| Json(Documents::of(&parts).asyncapi)))
        .with_state(parts.into())
}

type Parts = State<Arc<[Documentation]>>;

async fn show_page(State(parts): Parts) -> Response {
    let Documents { openapi, asyncapi } = Documents::of(&parts);
    let page = Html(page::render(&openapi, &asyncapi));
    ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], page).into_response()
}

/// Adds a document to another: what both have as objects is joined, else the first one's stays.
fn merge(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (name, value) in from {
        match into.get_mut(name) {
            Some(known) => merge(known, value),
            None => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

/// What every process answers.
fn probes() -> Value {
    let mut paths = Map::new();
    for (path, summary, kind, not_ready) in [
        ("/healthz", "Whether the process lives", "text/plain", false),
        ("/readyz", "Whether every service in it is ready, and why not", "application/json", true),
        ("/metrics", "Metrics in the text format of Prometheus", "text/plain", false),
        ("/docs", "This page", "text/html", false),
        ("/docs/openapi.json", "What is answered over HTTP, as OpenAPI 3.1", "application/json", false),
        (
            "/docs/asyncapi.json",
            "What goes over sockets and the bus, as AsyncAPI 3.0",
            "application/json",
            false,
        ),
    ] {
        let content = json!({ kind: { "schema": {} } });
        let mut responses = json!({ "200": { "description": "Yes", "content": content } });
        if not_ready {
            responses["503"] = json!({ "description": "Not ready", "content": content });
        }
        let operation = json!({ "tags": ["process"], "summary": summary, "responses": responses });
        paths.insert(path.to_owned(), json!({ "get": operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": info("Chasqui over HTTP"),
        "paths": paths,
        "components": {},
    })
}

/// Who the documents speak for.
fn info(title: &str) -> Value {
    json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": env!("CARGO_PKG_LICENSE") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_services_say_is_joined_and_nobody_overwrites_another() {
        let part = |paths: Value| {
            let openapi = json!({ "info": "x", "paths": paths });
            Documentation::new(move || Documents { openapi: openapi.clone(), ..Documents::default() })
        };
        let parts =
            [part(json!({ "/a": { "get": 1 } })), part(json!({ "/a": { "get": 2, "post": 3 }, "/b": {} }))];
        let Documents { openapi, .. } = Documents::of(&parts);
        assert_eq!(openapi["paths"]["/a"], json!({ "get": 1, "post": 3 }));
        assert!(openapi["paths"]["/b"].is_object() && openapi["paths"]["/healthz"].is_object());
        assert_eq!(openapi["info"]["title"], "Chasqui over HTTP");
    }
}
