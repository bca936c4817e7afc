//! `POST /api/media`: front ends bring files, to attach them to messages.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{FromRequest, Multipart, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chasqui_media::Properties;
use chasqui_proto::{Tenant, v1::StoredMedia};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    dialect::attachment::{is_mime_type, type_of_name},
    error::Error,
    rest,
    service::Edge,
};

/// The part of a form that holds the file.
const PART: &str = "file";
/// What a file is called whose type nobody says.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What is said of a file that is the whole body.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Named {
    /// What the file is called; a form says it itself.
    filename: Option<String>,
}

/// A file that was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Uploaded {
    success: bool,
    /// What an attachment names: `{"id":…}`.
    id: String,
    /// Where it is shown, for a while.
    url: String,
    mime_type: String,
    filename: String,
    /// Bytes.
    size: u64,
}

/// Bring a file
#[utoipa::path(
    post, operation_id = "upload_media", path = "/api/media", tag = "media", security(("token" = [])), params(Named),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The file itself with its type in Content-Type, or multipart/form-data with one part `file`"),
    responses(
        (status = 201, description = "It is kept", body = Uploaded),
        (status = 400, description = "There is no file in it", body = rest::Refusal),
        (status = 401, description = "The token is missing or refused", body = rest::Refusal),
        (status = 403, description = "The token is a contact's, or its user is not staff", body = rest::Refusal),
        (status = 413, description = "The file is larger than files of its type may be", body = rest::Refusal),
        (status = 503, description = "Too many at once, or the store is away; try again", body = rest::Refusal),
    )
)]
pub(crate) async fn upload(
    State(edge): State<Arc<Edge>>,
    Query(named): Query<Named>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let taken = async {
        let identity = rest::staff(&edge, &headers).await?;
        take(&edge, &identity.tenant, named, request).await
    };
    rest::answer(taken.await)
}

/// Takes a file in for a tenant.
pub(crate) async fn take(
    edge: &Edge,
    tenant: &Tenant,
    named: Named,
    request: Request,
) -> Result<Response, Error> {
    let _place = edge.files.place()?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let file = if content_type.is_some_and(|given| given.starts_with("multipart/form-data")) {
        of_form(edge, tenant, request).await?
    } else {
        let filename = named.filename.unwrap_or_default();
        let properties = properties(content_type.unwrap_or_default(), filename);
        let body: Body = request.into_body();
        edge.files.keep(tenant, properties, body.into_data_stream()).await?
    };
    let id = file.id.parse().expect("the store names its files by their ids");
    let uploaded = Uploaded {
        success: true,
        url: edge.files.addresses.of_file(tenant, id).unwrap_or_default(),
        id: file.id,
        mime_type: file.mime_type,
        filename: file.filename,
        size: file.size_bytes,
    };
    Ok((StatusCode::CREATED, Json(uploaded)).into_response())
}

async fn of_form(edge: &Edge, tenant: &Tenant, request: Request) -> Result<StoredMedia, Error> {
    let unreadable =
        |error: &dyn std::fmt::Display| Error::Invalid(format!("the form cannot be read: {error}"));
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| unreadable(&error))?;
    while let Some(part) = form.next_field().await.map_err(|error| unreadable(&error))? {
        if part.name() == Some(PART) {
            let filename = part.file_name().unwrap_or_default().to_owned();
            let properties = properties(part.content_type().unwrap_or_default(), filename);
            return edge.files.keep(tenant, properties, part).await;
        }
    }
    Err(Error::Invalid(format!("the form has no part {PART:?}")))
}

fn properties(content_type: &str, filename: String) -> Properties {
    let given = Some(content_type).filter(|given| is_mime_type(given) && *given != UNKNOWN_TYPE);
    let named = Some(type_of_name(&filename)).filter(|named| !named.is_empty());
    let mime_type = given.or(named).unwrap_or(UNKNOWN_TYPE).to_owned();
    Properties { mime_type, filename }
}
