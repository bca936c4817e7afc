//! Telling everybody what became of a message.

use chasqui_kit::{
    Bus, TraceContext, clock,
    publish::{Fact, PublishError},
};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, id, subject,
    v1::{Channel, Message, MessageStatus, ProviderError, Status},
};

/// A step of a message, as the owner of its number sees it.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) message: &'a Message,
    pub(crate) id: MessageId,
    pub(crate) channel: Option<Channel>,
    pub(crate) status: Status,
    /// Which attempt it is about: a message may become uncertain more than once.
    pub(crate) attempt: u32,
    pub(crate) provider_id: String,
    pub(crate) errors: Vec<ProviderError>,
}

/// Publishes a step. Whoever repeats it, in whatever process, publishes the same fact.
pub(crate) async fn status(
    bus: &Bus,
    (tenant, conversation): (&Tenant, &ConversationToken),
    told: Told<'_>,
    trace: TraceContext,
) -> Result<(), PublishError> {
    let (message_id, attempt) = (told.id.to_string(), told.attempt.to_string());
    let fact = id::fact_id(&["send", &message_id, told.status.name(), &attempt]).to_string();
    let now_ms = clock::now_ms();
    let status = MessageStatus {
        id: fact.clone(),
        tenant: tenant.to_string(),
        conversation: conversation.to_string(),
        message_id,
        provider_message_id: told.provider_id,
        status: told.status.into(),
        recipient: told.message.contact.as_ref().map_or_else(Vec::new, |contact| contact.aliases.clone()),
        channel: told.channel,
        errors: told.errors,
        occurred_at_ms: now_ms,
        received_at_ms: now_ms,
        callback_data: told.message.callback_data.clone(),
        ..MessageStatus::default()
    };
    bus.publish(Fact::new(subject::messages_status(tenant, conversation), &status, fact, trace)).await?;
    Ok(())
}
