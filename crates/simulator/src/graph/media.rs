//! Files of the Graph API: up, described, down, removed.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Multipart, Path, Query, State, multipart::MultipartRejection},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Response},
};
use chasqui_kit::clock::now_ms;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    error::{GraphError, MISSING, PARAMETER},
    routes::{Allowed, Object},
};
use crate::{
    files::{File, Files},
    world::World,
};

/// The largest upload with what surrounds it: documents have 100 MB.
pub(super) const BODY_BYTES_MAX: usize = 101 * 1024 * 1024;
/// How long an address of a file is good, milliseconds.
const URL_LIFETIME_MS: i64 = 5 * 60 * 1_000;
/// The most bytes of a file of each kind.
const SIZES: [(&str, usize); 3] =
    [("image/", 5 * 1024 * 1024), ("audio/", 16 * 1024 * 1024), ("video/", 16 * 1024 * 1024)];
const DOCUMENT_BYTES_MAX: usize = 100 * 1024 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Until {
    expires: i64,
}

pub(super) async fn upload(
    _: Allowed,
    _: Object,
    State(world): State<Arc<World>>,
    parts: Result<Multipart, MultipartRejection>,
) -> Result<Json<Value>, GraphError> {
    let parts = parts.map_err(|rejection| GraphError::new(PARAMETER, rejection.body_text()))?;
    let (file, is_whatsapp) = gather(parts).await?;
    if !is_whatsapp {
        return Err(GraphError::new(PARAMETER, "The parameter messaging_product is required."));
    }
    let file = file.ok_or_else(|| GraphError::new(MISSING, "The parameter file is required."))?;
    let size = SIZES.into_iter().find(|(kind, _)| file.mime_type.starts_with(kind));
    let most = size.map_or(DOCUMENT_BYTES_MAX, |(_, most)| most);
    if file.content.len() > most {
        let details = format!("A file of type {} has at most {most} bytes", file.mime_type);
        return Err(GraphError::new(PARAMETER, details));
    }
    Ok(Json(json!({ "id": world.files.add(file) })))
}

async fn gather(mut parts: Multipart) -> Result<(Option<File>, bool), GraphError> {
    let unreadable = |error: axum::extract::multipart::MultipartError| {
        GraphError::new(PARAMETER, format!("The form cannot be read: {}", error.body_text()))
    };
    let (mut file, mut named_type, mut is_whatsapp) = (None, None, false);
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        match part.name().unwrap_or_default() {
            "messaging_product" => is_whatsapp = part.text().await.map_err(unreadable)? == "whatsapp",
            "type" => named_type = Some(part.text().await.map_err(unreadable)?),
            "file" => {
                let mime_type = part.content_type().unwrap_or("application/octet-stream").to_owned();
                let filename = part.file_name().map(str::to_owned);
                file = Some(File { mime_type, filename, content: part.bytes().await.map_err(unreadable)? });
            }
            _ => {}
        }
    }
    if let (Some(file), Some(mime_type)) = (&mut file, named_type)
        && file.mime_type == "application/octet-stream"
    {
        file.mime_type = mime_type;
    }
    Ok((file, is_whatsapp))
}

/// A file as it is described; its address leads back to whom the caller asked.
pub(super) fn view(id: &str, file: &File, headers: &HeaderMap) -> Value {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    json!({
        "messaging_product": "whatsapp",
        "url": format!("http://{host}/graph/files/{id}?expires={}", now_ms() + URL_LIFETIME_MS),
        "mime_type": file.mime_type,
        "sha256": hex::encode(Sha256::digest(&file.content)),
        "file_size": file.content.len(),
        "id": id,
    })
}

pub(super) async fn download(
    _: Allowed,
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    Query(until): Query<Until>,
) -> Response {
    match world.files.get(&id).filter(|_| now_ms() < until.expires) {
        Some(file) => ([(CONTENT_TYPE, file.mime_type)], file.content).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) async fn remove(
    _: Allowed,
    object: Object,
    State(world): State<Arc<World>>,
) -> Result<Json<Value>, GraphError> {
    if Files::is_file_id(&object.id) && world.files.remove(&object.id) {
        Ok(Json(json!({ "success": true })))
    } else {
        Err(GraphError::no_object(&object.id))
    }
}
