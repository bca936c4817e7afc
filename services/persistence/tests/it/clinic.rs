//! A register, and what flows ask of it.

use anyhow::Result;
use chasqui_kit::request::RequestError;
use chasqui_proto::{
    address, service,
    service::Endpoint,
    subject::{self, NodeToken},
    v1::{Appointment, Contact, FlowAnswer, FlowRequest},
};
use chasqui_testkit::wait_for;
use uuid::Uuid;

use crate::world::{Replica, SOON, World, phone, tenant};

/// A running replica over a register.
pub(crate) struct Clinic {
    pub(crate) world: World,
    pub(crate) replica: Replica,
    pub(crate) patient: Uuid,
    pub(crate) city: Uuid,
    pub(crate) specialty: Uuid,
}

impl Clinic {
    pub(crate) async fn open() -> Result<Self> {
        let world = World::new().await?;
        let replica = world.replica().await?;
        Self::fill(world, replica).await
    }

    async fn fill(world: World, replica: Replica) -> Result<Self> {
        let patient = sqlx::query_scalar(
            "insert into patients (tenant, document, name) values ('default', '1234567K', 'Paciente de prueba')
             returning id",
        );
        let patient = patient.fetch_one(&world.pool).await?;
        let city = add_city(&world, "default", "Bogotá").await?;
        let specialty = add_specialty(&world, "default", city, "Cardiología").await?;
        Ok(Self { world, replica, patient, city, specialty })
    }

    /// What a flow asks to book.
    pub(crate) fn booking(&self, number: u32) -> FlowRequest {
        let (patient, city, specialty) =
            (self.patient.to_string(), self.city.to_string(), self.specialty.to_string());
        asked(
            number,
            &[
                ("patient", &patient),
                ("city", &city),
                ("specialty", &specialty),
                ("visit_type", "primera vez"),
                ("description", "dolor de pecho"),
            ],
        )
    }

    pub(crate) async fn book(&self, number: u32) -> Result<Appointment> {
        let request = self.booking(number);
        self.ask(service::APPOINTMENTS_BOOK, request.clone()).await?;
        Ok(self.get(&request.request_id).await?)
    }

    pub(crate) async fn ask(
        &self,
        endpoint: Endpoint<FlowRequest, FlowAnswer>,
        request: FlowRequest,
    ) -> Result<FlowAnswer, RequestError> {
        self.world.ask(endpoint, request).await
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Appointment, RequestError> {
        get(&self.world, id).await
    }
}

pub(crate) async fn add_city(world: &World, tenant: &str, name: &str) -> Result<Uuid> {
    let query = sqlx::query_scalar("insert into cities (tenant, name) values ($1, $2) returning id");
    Ok(query.bind(tenant).bind(name).fetch_one(&world.pool).await?)
}

pub(crate) async fn add_specialty(world: &World, tenant: &str, city: Uuid, name: &str) -> Result<Uuid> {
    let query = sqlx::query_scalar(
        "insert into specialties (tenant, city_id, name, description) values ($1, $2, $3, 'de ' || $3) returning id",
    );
    Ok(query.bind(tenant).bind(city).bind(name).fetch_one(&world.pool).await?)
}

/// What a flow asks in the conversation of a contact.
pub(crate) fn asked(number: u32, parameters: &[(&str, &str)]) -> FlowRequest {
    let alias = address::phone(&phone(number));
    FlowRequest {
        tenant: "default".to_owned(),
        conversation: phone(number),
        contact: Some(Contact { aliases: vec![alias], ..Contact::default() }),
        parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        request_id: Uuid::now_v7().to_string(),
        language: "es".to_owned(),
        ..FlowRequest::default()
    }
}

pub(crate) async fn get(world: &World, id: &str) -> Result<Appointment, RequestError> {
    let question = chasqui_proto::v1::GetAppointment { tenant: "default".to_owned(), id: id.to_owned() };
    world.ask(service::APPOINTMENTS_GET, question).await
}

pub(crate) fn subject_of(appointment: &Appointment) -> String {
    subject::appointments_updated(&tenant(), &NodeToken::new(&appointment.id)).as_str().to_owned()
}

/// Waits until others were told the appointment as it is stored.
pub(crate) async fn told(world: &World, appointment: &Appointment) {
    wait_for(SOON, "the newest state of the appointment is told", async || {
        let told: Appointment = world.last_state(&subject_of(appointment)).await?;
        (told == *appointment).then_some(())
    })
    .await;
}

pub(crate) fn labels(answer: &FlowAnswer) -> Vec<&str> {
    answer.options.iter().map(|option| option.label.as_str()).collect()
}

/// Which parameter nothing was found for.
pub(crate) fn not_found(answer: &FlowAnswer) -> &str {
    assert_eq!(answer.refused, "not_found");
    answer.values.get("parameter").map_or("", String::as_str)
}
