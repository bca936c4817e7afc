//! Answers to flows from the register: patients, cities, specialties.

use chasqui_kit::{TraceContext, serve::Responder};
use chasqui_proto::{service, v1};
use sqlx::PgPool;

use crate::{
    call::{self, Search},
    error::Error,
    queries::tenant,
    store::register as rows,
};

/// The most cities that are shown, in the order of their names.
const CITIES_MAX: i64 = 50;
/// The most specialties that a search finds: as many as a list on WhatsApp has rows.
const SPECIALTIES_MAX: i64 = 10;

/// Answers from the register.
#[derive(Clone, Debug)]
pub(crate) struct Register(pub(crate) PgPool);

impl Register {
    /// Answers what flows look up.
    pub(crate) async fn answer(&self, responder: &Responder) -> Result<(), Error> {
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let register = self.clone();
                let answer = move |question, _: TraceContext| {
                    let register = register.clone();
                    async move { register.$method(question).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(PATIENTS_FIND, find_patient);
        answer!(CITIES_LIST, list_cities);
        answer!(SPECIALTIES_SEARCH, search_specialties);
        Ok(())
    }

    async fn find_patient(&self, question: v1::FlowRequest) -> Result<v1::FlowAnswer, Error> {
        let tenant = tenant(&question.tenant)?;
        let Some(document) = call::document(&question)? else { return Ok(call::not_found("document")) };
        let found = rows::patient(&self.0, tenant.as_str(), &document).await?;
        let Some((id, name)) = found else { return Ok(call::not_found("document")) };
        let patient = [("patient", id.to_string()), ("patient_name", name), ("patient_document", document)];
        Ok(call::values(patient))
    }

    async fn list_cities(&self, question: v1::FlowRequest) -> Result<v1::FlowAnswer, Error> {
        let tenant = tenant(&question.tenant)?;
        let options = rows::cities(&self.0, tenant.as_str(), CITIES_MAX).await?;
        Ok(v1::FlowAnswer { options, ..v1::FlowAnswer::default() })
    }

    async fn search_specialties(&self, question: v1::FlowRequest) -> Result<v1::FlowAnswer, Error> {
        let search = Search::read(&question)?;
        let options = rows::specialties(&self.0, &search, SPECIALTIES_MAX).await?;
        if !options.is_empty() {
            return Ok(v1::FlowAnswer { options, ..v1::FlowAnswer::default() });
        }
        let has_city = rows::has_city(&self.0, search.tenant.as_str(), search.city).await?;
        Ok(call::not_found(if has_city { "text" } else { "city" }))
    }
}
