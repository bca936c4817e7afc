use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use chasqui_kit::clock;
use chasqui_media::{FileId, MediaError, bring};
use chasqui_proto::v1::StoredMedia;
use serde_json::{Value, json};

use super::{CloudDoor, DoorError, Files, MEDIA_PATH, OBJECT_PATH, Visitor, number, openapi, upload};

/// Upload a file
///
/// The file can then be sent by its id, through any number of the tenant.
#[utoipa::path(
    post, operation_id = "cloud_api_upload", path = MEDIA_PATH, tag = "cloud-api", security(("bearer" = [])),
    request_body(content = openapi::CloudUpload, content_type = "multipart/form-data"),
    params(
        ("version" = String, Path, description = "Any, such as `21.0`"),
        ("phone_number_id" = String, Path, description = "One of the tenant's numbers"),
    ),
    responses(
        (status = 200, description = "Kept", body = openapi::CloudId),
        (status = 400, description = "The form is wrong, the file too large (100), or the number unknown (100, subcode 33)", body = openapi::CloudError),
        (status = 401, description = "The key is missing or refused (190)", body = openapi::CloudError),
        (status = 403, description = "The key has no scope `send` (10)", body = openapi::CloudError),
        (status = 429, description = "Too fast (130429)", body = openapi::CloudError),
        (status = 503, description = "The store is away (2), or no files are kept here (131000)", body = openapi::CloudError),
    )
)]
pub(crate) async fn upload(
    State(door): State<Arc<CloudDoor>>,
    visitor: Visitor,
    request: Request,
) -> Response {
    let outcome = keep(&door, &visitor, request).await;
    visitor.answer(outcome)
}

async fn keep(door: &CloudDoor, visitor: &Visitor, request: Request) -> Result<Value, DoorError> {
    visitor.number(door).await?;
    let stored = upload::keep(door.files()?, visitor.tenant(), request).await?;
    tracing::info!(file = stored.id, size_bytes = stored.size_bytes, "a file was uploaded");
    Ok(json!({ "id": stored.id }))
}

/// Show a file or a number
#[utoipa::path(
    get, operation_id = "cloud_api_show", path = OBJECT_PATH, tag = "cloud-api", security(("bearer" = [])),
    params(
        ("version" = String, Path, description = "Any, such as `21.0`"),
        ("object_id" = String, Path, description = "A file that was uploaded or came with a message, or one of the tenant's numbers"),
    ),
    responses(
        (status = 200, description = "What is known of it; a file's `url` is good for a while", body = openapi::CloudObject),
        (status = 400, description = "The tenant has no such file or number (100, subcode 33)", body = openapi::CloudError),
        (status = 401, description = "The key is missing or refused (190)", body = openapi::CloudError),
        (status = 403, description = "The key has no scope `send` (10)", body = openapi::CloudError),
        (status = 429, description = "Too fast (130429)", body = openapi::CloudError),
        (status = 503, description = "The store, or whoever brings the file from WhatsApp, is away (2), or no files are kept here (131000)", body = openapi::CloudError),
    )
)]
pub(crate) async fn show(State(door): State<Arc<CloudDoor>>, visitor: Visitor) -> Response {
    let outcome = shown(&door, &visitor).await;
    visitor.answer(outcome)
}

async fn shown(door: &CloudDoor, visitor: &Visitor) -> Result<Value, DoorError> {
    let Ok(id) = file_id(visitor) else {
        return Ok(number::shown(&visitor.number(door).await?));
    };
    let files = door.files()?;
    let file = find_or_bring(door, visitor, id).await?;
    let url = files.urls.url(visitor.tenant(), id, clock::now_ms());
    Ok(json!({
        "messaging_product": "whatsapp",
        "url": url,
        "mime_type": file.mime_type,
        "sha256": file.sha256,
        "file_size": file.size_bytes,
        "id": file.id,
    }))
}

/// Delete a file
#[utoipa::path(
    delete, operation_id = "cloud_api_delete", path = OBJECT_PATH, tag = "cloud-api", security(("bearer" = [])),
    params(
        ("version" = String, Path, description = "Any, such as `21.0`"),
        ("object_id" = String, Path, description = "A file that was uploaded or came with a message"),
    ),
    responses(
        (status = 200, description = "It is gone", body = openapi::CloudSuccess),
        (status = 400, description = "The tenant has no such file (100, subcode 33)", body = openapi::CloudError),
        (status = 401, description = "The key is missing or refused (190)", body = openapi::CloudError),
        (status = 403, description = "The key has no scope `send` (10)", body = openapi::CloudError),
        (status = 429, description = "Too fast (130429)", body = openapi::CloudError),
        (status = 503, description = "The store is away (2), or no files are kept here (131000)", body = openapi::CloudError),
    )
)]
pub(crate) async fn remove(State(door): State<Arc<CloudDoor>>, visitor: Visitor) -> Response {
    let outcome = removed(&door, &visitor).await;
    visitor.answer(outcome)
}

async fn removed(door: &CloudDoor, visitor: &Visitor) -> Result<Value, DoorError> {
    let id = file_id(visitor)?;
    let files = door.files()?;
    find(files, visitor, id).await?;
    files.store.delete(visitor.tenant(), id).await?;
    Ok(json!({ "success": true }))
}

fn file_id(visitor: &Visitor) -> Result<FileId, DoorError> {
    visitor.object.parse().map_err(|_| visitor.unknown())
}

/// The file; one that a contact sent is brought from WhatsApp if need be.
async fn find_or_bring(door: &CloudDoor, visitor: &Visitor, id: FileId) -> Result<StoredMedia, DoorError> {
    let files = door.files()?;
    match files.store.head(visitor.tenant(), id).await {
        Err(MediaError::NotFound) => {}
        found => return Ok(found?),
    }
    match bring(door.publication.bus(), visitor.tenant(), id, visitor.trace).await {
        Err(MediaError::NotFound) => Err(visitor.unknown()),
        Err(error) => Err(error.into()),
        Ok(()) => find(files, visitor, id).await,
    }
}

async fn find(files: &Files, visitor: &Visitor, id: FileId) -> Result<StoredMedia, DoorError> {
    files.store.head(visitor.tenant(), id).await.map_err(|error| match error {
        MediaError::NotFound => visitor.unknown(),
        error => error.into(),
    })
}
