//! `GET /media/{tenant}/{id}`: files, to whoever has their address.

mod answer;
mod query;
mod range;

use std::{fmt, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
    routing::get,
};
use chasqui_kit::{Coded, clock};
use chasqui_proto::{Tenant, v1::StoredMedia};
use futures::future::BoxFuture;
use serde_json::json;

use crate::{FileId, MediaError, MediaStore, MediaUrls};
use answer::Answer;
use query::Query;

/// Brings a file that is not there yet; when it says so, the store is looked at once more. Its waiting must be bounded.
#[derive(Clone)]
pub struct OnMissing(Arc<Bring>);

type Bring = dyn Fn(Tenant, FileId) -> BoxFuture<'static, Result<(), MediaError>> + Send + Sync;

impl OnMissing {
    /// `bring` fails with [`MediaError::NotFound`] or [`MediaError::NotBrought`].
    pub fn new(
        bring: impl Fn(Tenant, FileId) -> BoxFuture<'static, Result<(), MediaError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(bring))
    }

    /// Nobody can bring it.
    pub fn nobody() -> Self {
        Self::new(|_, _| Box::pin(async { Err(MediaError::NotFound) }))
    }
}

impl fmt::Debug for OnMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnMissing")
    }
}

/// What answers need.
#[derive(Clone, Debug)]
struct Shown {
    store: MediaStore,
    urls: MediaUrls,
    on_missing: OnMissing,
}

/// The routes under which files are shown.
pub fn routes(store: MediaStore, urls: MediaUrls, on_missing: OnMissing) -> Router {
    Router::new().route("/media/{tenant}/{id}", get(show)).with_state(Shown { store, urls, on_missing })
}

async fn show(
    State(shown): State<Shown>,
    Path((tenant, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let answered =
        shown.answer(&tenant, &id, query.as_deref().unwrap_or_default(), (&method, &headers)).await;
    let response = answered.unwrap_or_else(|error| {
        if error.code() != chasqui_kit::Code::NotFound && error.code() != chasqui_kit::Code::Forbidden {
            tracing::warn!(%error, tenant, id, "a file could not be shown");
        }
        (error.code().http_status(), Json(json!({ "error": error.to_string() }))).into_response()
    });
    let status = response.status().as_u16().to_string();
    metrics::counter!("chasqui_media_requests_total", "status" => status).increment(1);
    response
}

impl Shown {
    async fn answer(
        &self,
        tenant: &str,
        id: &str,
        query: &str,
        (method, headers): (&Method, &HeaderMap),
    ) -> Result<Response, MediaError> {
        // What we never made an address of is as forged as a wrong signature.
        let tenant: Tenant = tenant.parse().map_err(|_| MediaError::Forged)?;
        let id: FileId = id.parse().map_err(|_| MediaError::Forged)?;
        let query = Query::read(query).ok_or(MediaError::Forged)?;
        let now_ms = clock::now_ms();
        self.urls.verify(&tenant, id, (query.expires, query.signature), now_ms)?;
        let file = self.find(&tenant, id).await?;
        let answer = Answer::to(headers, &file);
        let fresh_secs = query.expires - now_ms.div_euclid(1_000);
        let content = match answer.range(file.size_bytes) {
            Some(range) if method == Method::GET => Some(self.store.content(&tenant, id, range).await?),
            _ => None,
        };
        Ok(answer.render(&file, fresh_secs, content))
    }

    /// The file, brought if need be.
    async fn find(&self, tenant: &Tenant, id: FileId) -> Result<StoredMedia, MediaError> {
        match self.store.head(tenant, id).await {
            Err(MediaError::NotFound) => {}
            found => return found,
        }
        (self.on_missing.0)(tenant.clone(), id).await?;
        self.store.head(tenant, id).await
    }
}
