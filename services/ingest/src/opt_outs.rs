//! `/api/opt-outs`: contacts who get no campaigns, as operators see and change them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use chasqui_directory::Scope;
use chasqui_kit::TraceContext;
use chasqui_proto::{
    ConversationToken, address, service,
    v1::{Alias, AliasKind, ListOptOuts, OptOut, PutOptOut, RemoveOptOut},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    admission::Caller,
    fields::FieldError,
    machine::{MachineError, Machines, answer},
    openapi::{MachineRefusals, OptOutBody, OptOutPage, Removed},
    query::{self, Page},
};

pub(crate) fn routes(machines: Arc<Machines>) -> Router {
    Router::new()
        .route("/api/opt-outs", get(list))
        .route("/api/opt-outs/{contact}", put(store).delete(remove))
        .with_state(machines)
}

/// Contacts who get no campaigns, newest first
#[utoipa::path(
    get, operation_id = "list_opt_outs", path = "/api/opt-outs", tag = "campaigns",
    security(("key" = []), ("bearer" = [])), params(Page),
    responses((status = 200, description = "A page of them", body = OptOutPage), MachineRefusals)
)]
pub(crate) async fn list(
    State(machines): State<Arc<Machines>>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = operator(&machines, &headers).await?;
        let Page { limit, cursor } = query::read(page)?;
        let question = ListOptOuts { tenant: caller.tenant.to_string(), cursor, limit };
        let found = machines.bus.ask(service::OPT_OUTS_LIST, &question, trace).await?;
        let opt_outs: Vec<Value> = found.opt_outs.iter().map(shown).collect();
        let next = Some(found.next).filter(|next| !next.is_empty());
        Ok(Json(json!({ "success": true, "opt_outs": opt_outs, "next": next })).into_response())
    })
    .await
}

/// Keeps campaigns from a contact
///
/// It stands until the contact asks for campaigns, or it is removed. The same again changes nothing.
#[utoipa::path(
    put, operation_id = "put_opt_out", path = "/api/opt-outs/{contact}", tag = "campaigns",
    security(("key" = []), ("bearer" = [])),
    params(("contact" = String, Path, description = "A phone number with its country code, in every usual spelling; a linked id (`…@lid`); a business-scoped id")),
    responses((status = 200, description = "The opt-out that stands", body = OptOutBody), MachineRefusals)
)]
pub(crate) async fn store(
    State(machines): State<Arc<Machines>>,
    Path(contact): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = operator(&machines, &headers).await?;
        let (tenant, conversation) = (caller.tenant.to_string(), conversation(&contact)?);
        let opt_out =
            machines.bus.ask(service::OPT_OUTS_PUT, &PutOptOut { tenant, conversation }, trace).await?;
        tracing::info!(tenant = %caller.tenant, contact = address::masked(&contact), "a contact was opted out");
        Ok(Json(json!({ "success": true, "opt_out": shown(&opt_out) })).into_response())
    })
    .await
}

/// Lets campaigns reach a contact again
///
/// It stands until the contact opts out again.
#[utoipa::path(
    delete, operation_id = "remove_opt_out", path = "/api/opt-outs/{contact}", tag = "campaigns",
    security(("key" = []), ("bearer" = [])),
    params(("contact" = String, Path, description = "As in PUT")),
    responses((status = 200, description = "The contact is not opted out now", body = Removed), MachineRefusals)
)]
pub(crate) async fn remove(
    State(machines): State<Arc<Machines>>,
    Path(contact): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = operator(&machines, &headers).await?;
        let (tenant, conversation) = (caller.tenant.to_string(), conversation(&contact)?);
        let gone =
            machines.bus.ask(service::OPT_OUTS_REMOVE, &RemoveOptOut { tenant, conversation }, trace).await?;
        tracing::info!(
            tenant = %caller.tenant,
            contact = address::masked(&contact),
            removed = gone.removed,
            "an opt-out was removed"
        );
        Ok(Json(json!({ "success": true, "removed": gone.removed })).into_response())
    })
    .await
}

/// Who may write to contacts may say which of them get no campaigns.
async fn operator(machines: &Machines, headers: &HeaderMap) -> Result<(Caller, TraceContext), MachineError> {
    let caller = machines.caller(headers, &[Scope::Send]).await?;
    Ok((caller, TraceContext::of_http(headers)))
}

/// The conversation of a contact that campaigns may reach.
fn conversation(contact: &str) -> Result<String, FieldError> {
    let alias = address::parse_address(contact)
        .ok()
        .filter(|alias| matches!(alias.kind(), AliasKind::Phone | AliasKind::Lid | AliasKind::Bsuid));
    let must = "must be a phone number with its country code, such as 5491100000001, a linked id or a business-scoped id";
    alias
        .map(|alias| ConversationToken::of(&alias).to_string())
        .ok_or_else(|| FieldError::new("contact", must))
}

fn shown(opt_out: &OptOut) -> Value {
    let contact = opt_out.conversation.parse().map(|token: ConversationToken| written(&token.alias()));
    json!({
        "contact": contact.unwrap_or_default(),
        "source": opt_out.source,
        "since": iso(opt_out.since_ms),
    })
}

/// An address as it is read again: a phone number by its digits.
fn written(alias: &Alias) -> String {
    match alias.kind() {
        AliasKind::Phone => alias.value.clone(),
        _ => address::external_id(alias),
    }
}

/// A time as ISO 8601, to the millisecond.
fn iso(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_number_is_one_contact() {
        for text in
            ["5491100000001", "+54 911 0000-0001", "5491100000001@c.us", "5491100000001@s.whatsapp.net"]
        {
            assert_eq!(conversation(text).as_deref(), Ok("5491100000001"), "{text:?}");
        }
        for text in ["", " ", "12345", "visitor-7", "5491100000001x"] {
            let error = conversation(text).unwrap_err().to_string();
            assert!(error.starts_with("contact: must be a phone number"), "{error}");
        }
    }

    #[test]
    fn an_opt_out_is_shown_under_an_address_that_can_be_used_again() {
        for contact in ["5491100000001", "123456789@lid", "AR.13491208655302741918"] {
            let opt_out = OptOut {
                tenant: "default".into(),
                conversation: conversation(contact).unwrap(),
                source: "keyword".into(),
                since_ms: 1_760_000_000_123,
            };
            let expected =
                json!({ "contact": contact, "source": "keyword", "since": "2025-10-09T08:53:20.123Z" });
            assert_eq!(shown(&opt_out), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_shown_as_something_that_is_taken(text in "\\PC{0,40}") {
            if let Ok(token) = conversation(&text) {
                let alias = token.parse::<ConversationToken>().unwrap().alias();
                prop_assert_eq!(conversation(&written(&alias)), Ok(token));
            }
        }
    }
}
