//! The hands on a linked phone: scan, write, break the connection, log out.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chasqui_kit::Coded;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DeviceError, Devices, Key, account::Account, key, receiving::Said};
use crate::history::Wanted;

/// The number of a phone that scans without saying which it is.
const PHONE: &str = "5491100000090";
/// How long a connection is broken when nobody says how long, milliseconds.
const BREAK_MS: i64 = 1_000;
/// How many messages are shown at most.
const SHOWN_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
struct Scan {
    phone: Option<String>,
}

/// How long the connection is broken; `null` is until an owner starts the session again.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Break {
    for_ms: Option<i64>,
}

impl Default for Break {
    fn default() -> Self {
        Self { for_ms: Some(BREAK_MS) }
    }
}

pub(crate) fn routes(devices: Arc<Devices>) -> Router {
    Router::new()
        .route("/linked/{tenant}/{session}", get(show))
        .route("/linked/{tenant}/{session}/scan", post(scan))
        .route("/linked/{tenant}/{session}/messages", post(write))
        .route("/linked/{tenant}/{session}/disconnect", post(disconnect))
        .route("/linked/{tenant}/{session}/logout", post(log_out))
        .with_state(devices)
}

type Named = Path<(String, String)>;

async fn show(State(devices): State<Arc<Devices>>, Path((tenant, session)): Named) -> Response {
    answer(key(&tenant, &session).map(|key| devices.view(&key)))
}

async fn scan(
    State(devices): State<Arc<Devices>>,
    Path((tenant, session)): Named,
    body: Option<Json<Scan>>,
) -> Response {
    let phone = body.and_then(|Json(scan)| scan.phone).unwrap_or_else(|| PHONE.to_owned());
    if !(6..=15).contains(&phone.len()) || !phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return answer(Err(DeviceError::Invalid("phone: expected 6 to 15 digits".to_owned())));
    }
    let done = |key: &Key| devices.change(key, |account, now| account.scan(&phone, now));
    answer(devices.act(&tenant, &session, "waiting for a scan", done))
}

async fn write(
    State(devices): State<Arc<Devices>>,
    Path((tenant, session)): Named,
    body: Result<Json<Said>, JsonRejection>,
) -> Response {
    let written = async {
        let Json(said) = body.map_err(|error| DeviceError::Invalid(error.body_text()))?;
        devices.receive(&key(&tenant, &session)?, said).await
    };
    answer(written.await)
}

async fn disconnect(
    State(devices): State<Arc<Devices>>,
    Path((tenant, session)): Named,
    body: Option<Json<Break>>,
) -> Response {
    let Json(wanted) = body.unwrap_or_default();
    let done = |key: &Key| devices.change(key, |account, now| account.disconnect(wanted.for_ms, now));
    answer(devices.act(&tenant, &session, "connected", done))
}

async fn log_out(State(devices): State<Arc<Devices>>, Path((tenant, session)): Named) -> Response {
    let done = |key: &Key| {
        devices.change(key, |account, _| {
            let was_paired = !account.phone().is_empty();
            account.log_out_by_phone();
            was_paired
        })
    };
    answer(devices.act(&tenant, &session, "paired", done))
}

impl Devices {
    /// Does something to a session; it must be as `expected` says.
    fn act(
        &self,
        tenant: &str,
        session: &str,
        expected: &'static str,
        act: impl FnOnce(&Key) -> Option<bool>,
    ) -> Result<Value, DeviceError> {
        let key = key(tenant, session)?;
        match act(&key) {
            Some(true) => Ok(self.view(&key)),
            _ => Err(DeviceError::WrongState(session.to_owned(), expected)),
        }
    }

    fn view(&self, key: &Key) -> Value {
        let mut view = {
            let (devices, nobody) = (self.known(), Account::default());
            let account = devices.get(key).map_or(&nobody, |device| &device.account);
            let (qr, expires_at_ms) = account.qr();
            json!({
                "status": account.status().name(),
                "qr": qr,
                "qr_expires_at_ms": expires_at_ms,
                "phone": account.phone(),
                "ownership": account.ownership(),
                "told": account.news().is_none(),
            })
        };
        let wanted = Wanted { number: Some(key.number()), most: SHOWN_MAX, ..Wanted::default() };
        view["messages"] = json!(self.world.book().history.show(&wanted));
        view
    }
}

fn answer(result: Result<Value, DeviceError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => {
            (error.code().http_status(), Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}
