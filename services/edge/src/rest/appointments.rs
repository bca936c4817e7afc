//! Appointments over HTTP (BEN-41): staff sees and changes those of its tenant; a user of the tenant's front end sees its
//! own, and may cancel them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{
    ConversationId,
    service::{APPOINTMENTS_CHANGE, APPOINTMENTS_GET, APPOINTMENTS_LIST},
    v1,
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::{IntoParams, ToSchema};

use super::{
    Refusal, Refusals, answer,
    body::{Body, Fields},
    identified, items, next,
};
use crate::{auth::Identity, dialect::appointment::AppointmentView, error::Error, service::Edge};

/// What an appointment may be.
const STATUSES: [&str; 4] = ["pending", "confirmed", "cancelled", "done"];
/// What a user may make of its own.
const CANCELLED: &str = "cancelled";
/// The longest description, characters.
const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// The longest name of a conversation, characters.
const CONVERSATION_CHARS_MAX: usize = 128;

/// Which appointments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only those that are `pending`, `confirmed`, `cancelled` or `done`.
    status: Option<String>,
    /// Only those made in this conversation: its number, its UUID, the phone number or the `external_id`.
    conversation: Option<String>,
    /// How many, 1 to 200. Default 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

type Asked = Result<Query<Wanted>, QueryRejection>;

/// What is to change of an appointment; what is absent stays as it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read field by field")]
pub(crate) struct AppointmentChange {
    /// `pending`, `confirmed`, `cancelled` or `done`.
    #[schema(nullable = false)]
    status: Option<String>,
    /// ISO 8601 with its zone; `null` takes the time away.
    scheduled_at: Option<String>,
    /// At most 2,000 characters.
    #[schema(nullable = false)]
    description: Option<String>,
}

/// A page of appointments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppointmentList<'a> {
    success: bool,
    /// Newest first.
    appointments: Vec<AppointmentView<'a>>,
    /// The `cursor` of the next page, if there is one.
    next: Option<&'a str>,
}

/// An appointment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppointmentAnswer<'a> {
    success: bool,
    appointment: AppointmentView<'a>,
}

/// Appointments: of the tenant, or of the user who asks
#[utoipa::path(
    get, operation_id = "list_appointments", path = "/api/appointments", tag = "appointments", security(("token" = [])), params(Wanted),
    responses(
        (status = 200, description = "A page of them", body = AppointmentList),
        (status = 400, description = "A parameter is wrong", body = Refusal),
        (status = 403, description = "The token is a contact's, or a user asks for somebody else's", body = Refusal),
        (status = 404, description = "The tenant has no such conversation", body = Refusal),
        Refusals,
    )
)]
pub(crate) async fn list(State(edge): State<Arc<Edge>>, headers: HeaderMap, wanted: Asked) -> Response {
    answer(list_appointments(&edge, &headers, wanted).await)
}

/// An appointment
#[utoipa::path(
    get, operation_id = "get_appointment", path = "/api/appointments/{id}", tag = "appointments", security(("token" = [])),
    params(("id" = String, Path, description = "Its UUID")),
    responses(
        (status = 200, description = "As it stands", body = AppointmentAnswer),
        (status = 400, description = "The id is no UUID", body = Refusal),
        (status = 403, description = "The token is a contact's", body = Refusal),
        (status = 404, description = "There is no such appointment, or it is not the user's", body = Refusal),
        Refusals,
    )
)]
pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(show_appointment(&edge, &headers, id).await)
}

/// Change an appointment
#[utoipa::path(
    patch, operation_id = "change_appointment", path = "/api/appointments/{id}", tag = "appointments", security(("token" = [])),
    params(("id" = String, Path, description = "Its UUID")),
    request_body = AppointmentChange,
    responses(
        (status = 200, description = "As it stands after it; the user and staff are told", body = AppointmentAnswer),
        (status = 400, description = "A field is unknown or wrong, or there is none", body = Refusal),
        (status = 403, description = "The token is a contact's, or a user wants more than to cancel", body = Refusal),
        (status = 404, description = "There is no such appointment, or it is not the user's", body = Refusal),
        (status = 409, description = "An appointment that stands so cannot become that", body = Refusal),
        (status = 413, description = "The body is too large", body = Refusal),
        Refusals,
    )
)]
pub(crate) async fn change(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(change_appointment(&edge, &headers, id, body).await)
}

/// Who asks.
struct Caller {
    identity: Identity,
    /// It sees all of its tenant; anybody else its own.
    is_staff: bool,
}

impl Caller {
    async fn of(edge: &Edge, headers: &HeaderMap) -> Result<Self, Error> {
        let identity = identified(edge, headers).await?;
        match edge.admits_staff(&identity) {
            Ok(()) => Ok(Self { identity, is_staff: true }),
            Err(_) if identity.is_user() => Ok(Self { identity, is_staff: false }),
            Err(refusal) => Err(refusal),
        }
    }

    fn tenant(&self) -> String {
        self.identity.tenant.to_string()
    }

    /// Of whose conversation appointments are listed; empty for all.
    fn conversation(&self, wanted: Option<String>) -> Result<String, Error> {
        if self.is_staff {
            return Ok(wanted.unwrap_or_default());
        }
        let Identity { user, tenant, person, .. } = &self.identity;
        // Every other name may also be somebody else's number, or what another contact is known by.
        let id = ConversationId::of(tenant, person).to_string();
        let own = [user.as_str(), person.as_str(), &id];
        if wanted.is_some_and(|wanted| !own.contains(&wanted.as_str())) {
            return Err(Error::Forbidden("conversation: a user sees its own appointments only"));
        }
        Ok(id)
    }

    /// One appointment. A user is told the same of somebody else's as of one that nobody has.
    async fn find(&self, edge: &Edge, id: String, trace: TraceContext) -> Result<v1::Appointment, Error> {
        let question = v1::GetAppointment { tenant: self.tenant(), id };
        let found = edge.bus.ask(APPOINTMENTS_GET, &question, trace).await?;
        let is_own = found.conversation == self.identity.person.as_str();
        (self.is_staff || is_own).then_some(found).ok_or(Error::NotFound("appointment"))
    }

    fn may(&self, change: &v1::ChangeAppointment) -> Result<(), Error> {
        let is_cancelling = change.status.as_deref() == Some(CANCELLED)
            && change.scheduled_at_ms.is_none()
            && change.description.is_none();
        (self.is_staff || is_cancelling)
            .then_some(())
            .ok_or(Error::Forbidden("a user may cancel its own appointments and change nothing else of them"))
    }
}

async fn list_appointments(edge: &Edge, headers: &HeaderMap, wanted: Asked) -> Result<Response, Error> {
    let caller = Caller::of(edge, headers).await?;
    let Query(wanted) = wanted.map_err(|error| {
        Error::Invalid(format!("status, conversation, limit, cursor: {}", error.body_text()))
    })?;
    let status = wanted.status.unwrap_or_default();
    if !status.is_empty() && !STATUSES.contains(&status.as_str()) {
        return Err(Error::Invalid(format!("status must be one of {}", STATUSES.join(", "))));
    }
    if wanted.conversation.as_ref().is_some_and(|name| name.chars().count() > CONVERSATION_CHARS_MAX) {
        let message = format!("conversation must have at most {CONVERSATION_CHARS_MAX} characters");
        return Err(Error::Invalid(message));
    }
    let question = v1::ListAppointments {
        tenant: caller.tenant(),
        status,
        conversation: caller.conversation(wanted.conversation)?,
        limit: items(wanted.limit)?,
        cursor: wanted.cursor.unwrap_or_default(),
    };
    let page = match edge.bus.ask(APPOINTMENTS_LIST, &question, TraceContext::of_http(headers)).await {
        // A user that never wrote has no conversation yet, and no appointments.
        Err(error) if error.code() == Code::NotFound && !caller.is_staff => v1::AppointmentPage::default(),
        asked => asked?,
    };
    let appointments = page.appointments.iter().map(AppointmentView::new).collect();
    Ok(Json(AppointmentList { success: true, appointments, next: next(&page.next) }).into_response())
}

async fn show_appointment(edge: &Edge, headers: &HeaderMap, id: String) -> Result<Response, Error> {
    let caller = Caller::of(edge, headers).await?;
    let found = caller.find(edge, id, TraceContext::of_http(headers)).await?;
    Ok(shown(&found))
}

async fn change_appointment(
    edge: &Edge,
    headers: &HeaderMap,
    id: String,
    body: Body,
) -> Result<Response, Error> {
    let (caller, trace) = (Caller::of(edge, headers).await?, TraceContext::of_http(headers));
    let change = read(body)?;
    caller.may(&change)?;
    if !caller.is_staff {
        caller.find(edge, id.clone(), trace).await?;
    }
    let question = v1::ChangeAppointment { tenant: caller.tenant(), id, ..change };
    let changed = edge.bus.ask(APPOINTMENTS_CHANGE, &question, trace).await?;
    Ok(shown(&changed))
}

fn shown(appointment: &v1::Appointment) -> Response {
    let appointment = AppointmentView::new(appointment);
    Json(AppointmentAnswer { success: true, appointment }).into_response()
}

/// What a body asks for, of no appointment yet.
fn read(body: Body) -> Result<v1::ChangeAppointment, Error> {
    let fields = Fields::of_change(body, &["status", "scheduled_at", "description"])?;
    let statuses = format!("one of {}", STATUSES.join(", "));
    let status = |text: &str| STATUSES.contains(&text).then(|| text.to_owned());
    let moment = "a moment such as \"2026-11-25T10:30:00-03:00\", of the years 2000 to 9999, or null";
    let description = format!("a text of at most {DESCRIPTION_CHARS_MAX} characters");
    let fitting = |text: &str| (text.chars().count() <= DESCRIPTION_CHARS_MAX).then(|| text.to_owned());
    Ok(v1::ChangeAppointment {
        status: fields.text("status", &statuses, status)?,
        scheduled_at_ms: fields.text_or_null("scheduled_at", moment, milliseconds, 0)?,
        description: fields.text("description", &description, fitting)?,
        ..v1::ChangeAppointment::default()
    })
}

/// A moment in unix milliseconds. 0 and less is none: that is how its absence is told.
fn milliseconds(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().filter(|at_ms| *at_ms > 0)
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<v1::ChangeAppointment, String> {
        read(Ok(Bytes::copy_from_slice(text.as_bytes()))).map_err(|error| error.to_string())
    }

    #[test]
    fn ben_41_a_change_says_what_is_to_be_and_leaves_the_rest() {
        let nothing = v1::ChangeAppointment::default;
        for (body, change) in [
            (
                r#"{"status":"confirmed"}"#,
                v1::ChangeAppointment { status: Some("confirmed".to_owned()), ..nothing() },
            ),
            (
                r#"{"scheduled_at":"2023-11-14T19:13:20.123-03:00"}"#,
                v1::ChangeAppointment { scheduled_at_ms: Some(1_700_000_000_123), ..nothing() },
            ),
            (
                r#"{"scheduled_at":null,"description":""}"#,
                v1::ChangeAppointment {
                    scheduled_at_ms: Some(0),
                    description: Some(String::new()),
                    ..nothing()
                },
            ),
        ] {
            assert_eq!(parsed(body), Ok(change), "{body}");
        }
    }

    #[test]
    fn ben_41_what_is_wrong_is_named_with_what_was_expected() {
        for (body, told) in [
            (r#"{"status":"lost"}"#, "status must be one of pending, confirmed, cancelled, done"),
            (r#"{"status":null}"#, "status must be one of pending, confirmed, cancelled, done"),
            (r#"{"scheduled_at":"tomorrow"}"#, "scheduled_at must be a moment such as"),
            (r#"{"scheduled_at":"2023-11-14T22:13:20"}"#, "scheduled_at must be a moment such as"),
            (r#"{"scheduled_at":"1970-01-01T00:00:00Z"}"#, "scheduled_at must be a moment such as"),
            (r#"{"scheduled_at":1700000000000}"#, "scheduled_at must be a moment such as"),
            (r#"{"description":7}"#, "description must be a text"),
            (r#"{"city":"Bogotá"}"#, "\"city\" is no field of it"),
            ("{}", "the body must have at least one of status, scheduled_at, description"),
        ] {
            let refusal = parsed(body).unwrap_err();
            assert!(refusal.starts_with(told), "{body}: {refusal}");
        }
        let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(DESCRIPTION_CHARS_MAX + 1));
        assert!(parsed(&long).unwrap_err().starts_with("description must be"));
    }

    proptest! {
        #[test]
        fn a_moment_is_read_or_refused(text in ".{0,40}") {
            let _ = milliseconds(&text);
        }
    }
}
