//! The hands on a linked phone: scan, write, log out.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chasqui_kit::{Coded, TraceContext};
use chasqui_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DeviceError, Devices, key};

/// The number of a phone that scans without saying which it is.
const PHONE: &str = "5491100000090";

#[derive(Debug, Deserialize)]
struct Scan {
    phone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Written {
    from: String,
    text: String,
}

pub(crate) fn routes(devices: Arc<Devices>) -> Router {
    Router::new()
        .route("/linked/{tenant}/{session}", get(show))
        .route("/linked/{tenant}/{session}/scan", post(scan))
        .route("/linked/{tenant}/{session}/messages", post(write))
        .route("/linked/{tenant}/{session}/logout", post(log_out))
        .with_state(devices)
}

type Named = Path<(String, String)>;

async fn show(State(devices): State<Arc<Devices>>, Path((tenant, session)): Named) -> Response {
    let shown = key(&tenant, &session)
        .map(|key| devices.accounts().get(&key).map(|account| account.state(&key)).unwrap_or_default());
    answer(shown.map(|state| view(&state)))
}

async fn scan(
    State(devices): State<Arc<Devices>>,
    Path((tenant, session)): Named,
    body: Option<Json<Scan>>,
) -> Response {
    let phone = body.and_then(|Json(scan)| scan.phone).unwrap_or_else(|| PHONE.to_owned());
    let scanned = async { devices.scan(&key(&tenant, &session)?, &phone).await }.await;
    answer(scanned.map(|state| view(&state)))
}

async fn write(
    State(devices): State<Arc<Devices>>,
    Path((tenant, session)): Named,
    body: Result<Json<Written>, JsonRejection>,
) -> Response {
    let written = async {
        let Json(written) = body.map_err(|error| DeviceError::Invalid(error.body_text()))?;
        devices.receive(&key(&tenant, &session)?, &written.from, written.text).await
    };
    answer(written.await.map(|message| json!({ "id": message.id })))
}

async fn log_out(State(devices): State<Arc<Devices>>, Path((tenant, session)): Named) -> Response {
    let closed = async { devices.log_out(&key(&tenant, &session)?, TraceContext::root()).await }.await;
    answer(closed.map(|state| view(&state)))
}

fn view(state: &v1::Session) -> Value {
    json!({ "status": state.status().name(), "qr": state.qr, "phone": state.phone })
}

fn answer(result: Result<Value, DeviceError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => {
            (error.code().http_status(), Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}
