//! `/api/admin/*`: who belongs to the tenants, for programs. What is stored and read is persistence's to say; here is
//! only decided who may.

pub(crate) mod announcement;
mod entry;
mod error;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chasqui_directory::shown;
use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{
    Tenant, service,
    v1::{DirectoryEntry, EntryKind, GetEntry, ListEntries, PutEntry, RemoveEntry, directory_entry::Entry},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::{
    admission::{Administrator, Admission},
    fields::Fields,
    openapi::AdminRefusals,
    request_body,
};
use error::{AdminError, wrong};

/// Room for an entry whose every field is as long as it may be, escaped.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) admission: Admission,
    pub(crate) bus: Bus,
}

pub(crate) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/api/admin/announcements", post(announcement::receive))
        .route("/api/admin/{collection}", get(list).post(create))
        .route("/api/admin/{collection}/{id}", get(show).put(replace).delete(remove))
        .with_state(Arc::new(admin))
}

/// What may stand in the query.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Whose entries. Default: the key's own tenant, else the default one.
    tenant: Option<String>,
    /// How many entries a page has, for lists.
    limit: u32,
    /// `next` of the page before, for lists.
    cursor: String,
}

type AskedQuery = Result<Query<Asked>, QueryRejection>;

/// A request that may be answered: what it is about, and for which tenant.
struct Admitted<'a> {
    admin: &'a Admin,
    caller: Administrator,
    kind: EntryKind,
    asked: Asked,
    trace: TraceContext,
}

/// Entries of a collection, by id
#[utoipa::path(
    get, operation_id = "list_entries", path = "/api/admin/{collection}", tag = "administration", security(("key" = [])),
    params(("collection" = String, Path, description = "tenants, users, agents, keys or numbers"), Asked),
    responses(
        (status = 200, description = "A page of them, under the collection's name, and `next`", body = Object),
        AdminRefusals,
    )
)]
pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    Path(collection): Path<String>,
    query: AskedQuery,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let admitted = Admitted::new(&admin, &collection, query, &headers)?;
        if let (EntryKind::Tenant, Administrator::Of(own)) = (admitted.kind, &admitted.caller) {
            // A tenant sees itself, if it has an entry at all.
            let own = own.to_string();
            let found = admitted.get(own.clone(), own).await;
            let found: Vec<Entry> = found.into_iter().collect();
            return Ok(admitted.page(&found, ""));
        }
        let question = ListEntries {
            kind: admitted.kind.into(),
            tenant: admitted.tenant(None)?.to_string(),
            cursor: admitted.asked.cursor.clone(),
            limit: admitted.asked.limit,
        };
        let page = admin.bus.ask(service::DIRECTORY_LIST, &question, admitted.trace).await?;
        let entries: Vec<Entry> = page.entries.into_iter().filter_map(|entry| entry.entry).collect();
        Ok(admitted.page(&entries, &page.next))
    })
    .await
}

/// One entry
#[utoipa::path(
    get, operation_id = "show_entry", path = "/api/admin/{collection}/{id}", tag = "administration", security(("key" = [])),
    params(("collection" = String, Path, description = "tenants, users, agents, keys or numbers"), ("id" = String, Path, description = "The entry's id"), Asked),
    responses(
        (status = 200, description = "It, under the name of its kind", body = Object),
        AdminRefusals,
    )
)]
pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path((collection, id)): Path<(String, String)>,
    query: AskedQuery,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let admitted = Admitted::new(&admin, &collection, query, &headers)?;
        let tenant = admitted.tenant_of_entry(None, &id)?.to_string();
        let entry = admitted.get(tenant, id).await?;
        Ok(admitted.one(&entry))
    })
    .await
}

/// Makes or replaces an entry
#[utoipa::path(
    put, operation_id = "put_entry", path = "/api/admin/{collection}/{id}", tag = "administration", security(("key" = [])),
    params(("collection" = String, Path, description = "tenants, users, agents, keys or numbers"), ("id" = String, Path, description = "The entry's id"), Asked),
    request_body(content = Object, description = "Its fields; those left out are empty"),
    responses(
        (status = 200, description = "It, as it is stored", body = Object),
        AdminRefusals,
    )
)]
pub(crate) async fn replace(
    State(admin): State<Arc<Admin>>,
    Path((collection, id)): Path<(String, String)>,
    query: AskedQuery,
    request: Request,
) -> Response {
    answer(async {
        let admitted = Admitted::new(&admin, &collection, query, request.headers())?;
        admitted.may_change()?;
        let mut fields = Fields::read(&request_body::read(request.into_body(), BODY_BYTES_MAX).await?)?;
        let named = fields.text("tenant")?;
        let tenant = admitted.tenant_of_entry(named.as_deref(), &id)?.to_string();
        let before = match admitted.kind {
            // Its secret stays: only its hash is known.
            EntryKind::ApiKey => Some(admitted.get(tenant.clone(), id.clone()).await?),
            _ => None,
        };
        let entry = entry::read(admitted.kind, tenant, id, before, fields)?;
        let stored = admitted.put(entry).await?;
        Ok(admitted.one(&stored))
    })
    .await
}

/// Removes an entry
#[utoipa::path(
    delete, operation_id = "remove_entry", path = "/api/admin/{collection}/{id}", tag = "administration", security(("key" = [])),
    params(("collection" = String, Path, description = "tenants, users, agents, keys or numbers"), ("id" = String, Path, description = "The entry's id"), Asked),
    responses(
        (status = 200, description = "It is gone", body = Object),
        AdminRefusals,
    )
)]
pub(crate) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path((collection, id)): Path<(String, String)>,
    query: AskedQuery,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let admitted = Admitted::new(&admin, &collection, query, &headers)?;
        admitted.may_change()?;
        let tenant = admitted.tenant_of_entry(None, &id)?.to_string();
        let question = RemoveEntry { kind: admitted.kind.into(), tenant, id };
        let gone = admin.bus.ask(service::DIRECTORY_REMOVE, &question, admitted.trace).await?;
        if !gone.removed {
            return Err(AdminError::NoEntry(admitted.kind.name()));
        }
        Ok(Json(json!({ "success": true, "removed": true })).into_response())
    })
    .await
}

/// Makes a key
///
/// Keys only: whoever makes one is told its secret, this once.
#[utoipa::path(
    post, operation_id = "make_key", path = "/api/admin/{collection}", tag = "administration", security(("key" = [])),
    params(("collection" = String, Path, description = "tenants, users, agents, keys or numbers"), Asked),
    request_body(content = Object, description = "`name`, `scopes`, `expires_at_ms`, `tenant`"),
    responses(
        (status = 201, description = "The key and its secret, which is never told again", body = Object),
        AdminRefusals,
    )
)]
pub(crate) async fn create(
    State(admin): State<Arc<Admin>>,
    Path(collection): Path<String>,
    query: AskedQuery,
    request: Request,
) -> Response {
    answer(async {
        let admitted = Admitted::new(&admin, &collection, query, request.headers())?;
        if admitted.kind != EntryKind::ApiKey {
            return Err(AdminError::OnlyKeysAreMade);
        }
        let mut fields = Fields::read(&request_body::read(request.into_body(), BODY_BYTES_MAX).await?)?;
        let named = fields.text("tenant")?;
        let (secret, entry) = entry::new_key(admitted.tenant(named.as_deref())?.to_string(), fields)?;
        let stored = admitted.put(entry).await?;
        let body = json!({ "success": true, "key": shown(&stored), "secret": secret.expose_secret() });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    })
    .await
}

impl<'a> Admitted<'a> {
    fn new(
        admin: &'a Admin,
        collection: &str,
        query: AskedQuery,
        headers: &HeaderMap,
    ) -> Result<Self, AdminError> {
        let trace = TraceContext::of_http(headers);
        let caller = admin.admission.administrator(headers)?;
        let kind = kind_of(collection).ok_or(AdminError::NoCollection)?;
        let Query(asked) = query.map_err(|rejection| AdminError::query(&rejection))?;
        Ok(Self { admin, caller, kind, asked, trace })
    }

    /// The tenant that the body or the query names, else the caller's own, else the default one.
    fn tenant(&self, named: Option<&str>) -> Result<Tenant, AdminError> {
        let named = named.or(self.asked.tenant.as_deref());
        self.admin.tenant(&self.caller, named)
    }

    /// The tenant of an entry; that of a tenant is the tenant itself.
    fn tenant_of_entry(&self, named: Option<&str>, id: &str) -> Result<Tenant, AdminError> {
        if self.kind != EntryKind::Tenant {
            return self.tenant(named);
        }
        if named.is_some_and(|named| named != id) {
            return Err(wrong("tenant", "must be as in the path"));
        }
        self.tenant(Some(id))
    }

    /// A tenant does not decide whether it is suspended.
    fn may_change(&self) -> Result<(), AdminError> {
        if self.kind == EntryKind::Tenant && self.caller != Administrator::Deployment {
            return Err(AdminError::TenantsAreTheDeployments);
        }
        Ok(())
    }

    async fn get(&self, tenant: String, id: String) -> Result<Entry, AdminError> {
        let question = GetEntry { kind: self.kind.into(), tenant, id };
        let found = self.admin.bus.ask(service::DIRECTORY_GET, &question, self.trace).await?;
        found.entry.ok_or(AdminError::NoEntry(self.kind.name()))
    }

    async fn put(&self, entry: Entry) -> Result<Entry, AdminError> {
        let question = PutEntry { entry: Some(DirectoryEntry { entry: Some(entry) }), ..PutEntry::default() };
        let stored = self.admin.bus.ask(service::DIRECTORY_PUT, &question, self.trace).await?;
        stored.entry.ok_or(AdminError::NoEntry(self.kind.name()))
    }

    fn one(&self, entry: &Entry) -> Response {
        let (singular, _) = names(self.kind);
        Json(json!({ "success": true, singular: shown(entry) })).into_response()
    }

    fn page(&self, entries: &[Entry], next: &str) -> Response {
        let (_, plural) = names(self.kind);
        let entries: Vec<Value> = entries.iter().map(shown).collect();
        let next = Some(next).filter(|next| !next.is_empty());
        Json(json!({ "success": true, plural: entries, "next": next })).into_response()
    }
}

impl Admin {
    /// The tenant that a caller means, where it may.
    fn tenant(&self, caller: &Administrator, named: Option<&str>) -> Result<Tenant, AdminError> {
        let named: Option<Tenant> =
            named.map(str::parse).transpose().map_err(|invalid| AdminError::tenant(&invalid))?;
        match (caller, named) {
            (Administrator::Deployment, named) => {
                Ok(named.unwrap_or_else(|| self.admission.default_tenant.clone()))
            }
            (Administrator::Of(own), Some(named)) if named != *own => Err(AdminError::OtherTenant),
            (Administrator::Of(own), _) => Ok(own.clone()),
        }
    }
}

/// What one and many of a kind are called in JSON and in paths.
fn names(kind: EntryKind) -> (&'static str, &'static str) {
    match kind {
        EntryKind::Tenant => ("tenant", "tenants"),
        EntryKind::User => ("user", "users"),
        EntryKind::Agent => ("agent", "agents"),
        EntryKind::ApiKey => ("key", "keys"),
        EntryKind::Number => ("number", "numbers"),
        EntryKind::Listener | EntryKind::Unspecified => ("", ""),
    }
}

fn kind_of(collection: &str) -> Option<EntryKind> {
    let kinds = [EntryKind::Tenant, EntryKind::User, EntryKind::Agent, EntryKind::ApiKey, EntryKind::Number];
    kinds.into_iter().find(|kind| names(*kind).1 == collection)
}

async fn answer(outcome: impl Future<Output = Result<Response, AdminError>>) -> Response {
    outcome.await.unwrap_or_else(|error| error.told())
}
