//! An appointment as front ends see it, in every dialect and over HTTP alike.

use chasqui_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dialect::view::{chat_id, conversation_number, iso_unless_zero};

/// An appointment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppointmentView<'a> {
    id: &'a str,
    /// Of the conversation that it was made in: its number.
    conversation_id: u64,
    /// The UUID of the same conversation, which is the id of its chat.
    chat_id: String,
    user_id: &'a str,
    /// `pending`, `confirmed`, `cancelled` or `done`.
    status: &'a str,
    city: &'a str,
    specialty: &'a str,
    visit_type: &'a str,
    description: &'a str,
    patient_document: &'a str,
    patient_name: &'a str,
    /// ISO 8601; `null` until somebody sets it.
    scheduled_at: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl<'a> AppointmentView<'a> {
    pub(crate) fn new(appointment: &'a v1::Appointment) -> Self {
        Self {
            id: &appointment.id,
            conversation_id: conversation_number(&appointment.tenant, &appointment.conversation),
            chat_id: chat_id(&appointment.tenant, &appointment.conversation),
            user_id: &appointment.user_id,
            status: &appointment.status,
            city: &appointment.city,
            specialty: &appointment.specialty,
            visit_type: &appointment.visit_type,
            description: &appointment.description,
            patient_document: &appointment.patient_document,
            patient_name: &appointment.patient_name,
            scheduled_at: iso_unless_zero(appointment.scheduled_at_ms),
            created_at: iso_unless_zero(appointment.created_at_ms),
            updated_at: iso_unless_zero(appointment.updated_at_ms),
        }
    }
}
