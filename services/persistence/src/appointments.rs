//! Appointments: made by flows, changed by people, told to everyone.

use std::{sync::Arc, time::Duration};

use chasqui_kit::{
    Platform, TraceContext,
    publish::{Fact, PublishError},
    serve::Responder,
};
use chasqui_proto::{
    service,
    subject::{self, NodeToken},
    v1,
};
use prost::Message;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    appointment::{self, Change, Status},
    call::{self, Booking},
    error::Error,
    meter, page,
    queries::{one_more, tenant},
    reference::{self, Reference},
    store::{
        appointments::{self as rows, Filter, Row},
        register,
    },
    telling::Teller,
};

/// Answers for appointments.
#[derive(Clone, Debug)]
pub(crate) struct Appointments {
    pool: PgPool,
    /// Told when one changed, so that others are told of it.
    changed: Arc<Notify>,
}

impl Appointments {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, changed: Arc::default() }
    }

    /// Answers requests about appointments.
    pub(crate) async fn answer(&self, responder: &Responder) -> Result<(), Error> {
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let appointments = self.clone();
                let answer = move |question, _: TraceContext| {
                    let appointments = appointments.clone();
                    async move { appointments.$method(question).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(APPOINTMENTS_BOOK, book);
        answer!(APPOINTMENTS_GET, get);
        answer!(APPOINTMENTS_LIST, list);
        answer!(APPOINTMENTS_CHANGE, change);
        Ok(())
    }

    /// Makes an appointment, or answers with the one that the same request has made.
    async fn book(&self, question: v1::FlowRequest) -> Result<v1::FlowAnswer, Error> {
        let booking = Booking::read(&question)?;
        let tenant = booking.tenant.as_str();
        if let Some(row) = rows::get(&self.pool, tenant, booking.request_id).await? {
            return Ok(booked(row));
        }
        let words = register::words(&self.pool, &booking).await?;
        if !words.patient {
            return Ok(call::not_found("patient"));
        }
        let Some(city) = &words.city else { return Ok(call::not_found("city")) };
        let Some(specialty) = &words.specialty else { return Ok(call::not_found("specialty")) };
        let place = reference::place(&self.pool, booking.tenant.clone(), &question.conversation).await?;
        if rows::insert(&self.pool, &place, &booking, city, specialty).await? {
            meter::appointment(Status::Pending.name());
            self.changed.notify_one();
        }
        let row = rows::get(&self.pool, tenant, booking.request_id).await?;
        row.map(booked).ok_or(Error::NotFound("appointment"))
    }

    async fn get(&self, question: v1::GetAppointment) -> Result<v1::Appointment, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, appointment::id(&question.id)?);
        let row = rows::get(&self.pool, tenant.as_str(), id).await?;
        row.map(Row::state).ok_or(Error::NotFound("appointment"))
    }

    async fn list(&self, question: v1::ListAppointments) -> Result<v1::AppointmentPage, Error> {
        let (tenant, limit) = (tenant(&question.tenant)?, page::limit(question.limit)?);
        let before = page::before(&question.cursor)?;
        let status = match question.status.as_str() {
            "" => None,
            name => Some(Status::read(name)?),
        };
        let conversation = match question.conversation.as_str() {
            "" => None,
            name => {
                let found = Reference::read(&tenant, name).find(&self.pool, &tenant).await?;
                Some(found.ok_or(Error::NotFound("conversation"))?)
            }
        };
        let filter = Filter { status, conversation };
        let found = rows::page(&self.pool, tenant.as_str(), filter, before, one_more(limit)).await?;
        let (found, left) = page::cut(found, limit, |row| row.clone().state().encoded_len());
        let next = found.last().filter(|_| left).map(|row| page::cursor_before(row.position));
        let appointments = found.into_iter().map(Row::state).collect();
        Ok(v1::AppointmentPage { appointments, next: next.unwrap_or_default() })
    }

    async fn change(&self, question: v1::ChangeAppointment) -> Result<v1::Appointment, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, appointment::id(&question.id)?);
        let change = Change::read(question)?;
        let mut transaction = self.pool.begin().await?;
        let locked = rows::lock(&mut transaction, tenant.as_str(), id).await?;
        let row = locked.ok_or(Error::NotFound("appointment"))?;
        let before = row.terms()?;
        let Some(after) = change.of(&before)? else { return Ok(row.state()) };
        rows::update(&mut transaction, tenant.as_str(), id, &after).await?;
        let row = rows::lock(&mut transaction, tenant.as_str(), id).await?;
        transaction.commit().await?;
        if after.status != before.status {
            meter::appointment(after.status.name());
        }
        self.changed.notify_one();
        row.map(Row::state).ok_or(Error::NotFound("appointment"))
    }
}

/// What the flow remembers of an appointment.
fn booked(row: Row) -> v1::FlowAnswer {
    let state = row.state();
    call::values([
        ("appointment", state.id),
        ("appointment_status", state.status),
        ("appointment_city", state.city),
        ("appointment_specialty", state.specialty),
    ])
}

impl Teller for Appointments {
    type State = Row;

    const NAME: &'static str = "appointments";

    fn changed(&self) -> &Notify {
        &self.changed
    }

    async fn take(&self, lease: Duration, limit: i64) -> sqlx::Result<Vec<Row>> {
        rows::take(&self.pool, lease, limit).await
    }

    /// Each time under an id of its own: where a state is told again, that is because another one may have come after
    /// it, and under the same id the stream would drop it.
    async fn publish(&self, platform: &Platform, row: Row) -> Result<(), PublishError> {
        let state = row.state();
        let tenant = state.tenant.parse().expect("it was parsed before it was stored");
        let name = subject::appointments_updated(&tenant, &NodeToken::new(&state.id));
        let (id, trace) = (Uuid::now_v7().to_string(), TraceContext::root());
        platform.bus.publish(Fact::new(name, &state, id, trace)).await.map(drop)
    }

    async fn mark(&self, told: &[&Row]) -> sqlx::Result<()> {
        rows::mark(&self.pool, told).await
    }

    async fn release(&self, left: &[&Row]) -> sqlx::Result<()> {
        rows::release(&self.pool, left).await
    }
}
