use bytes::Bytes;
use chasqui_proto::{
    ConversationToken, Tenant, id,
    v1::{Alias, AliasKind, Message, MessageStatus, ProviderError, ProviderNotice},
};

/// One thing a webhook tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// A message, from the contact or to it.
    Message(Box<Message>),
    /// How far a message got.
    Status(Box<MessageStatus>),
    /// Everything else.
    Notice(Box<ProviderNotice>),
}

impl Fact {
    /// The address whose conversation has to be looked up: a contact that WhatsApp gives no phone number of may be
    /// known by one.
    pub(crate) fn unnamed(&self) -> Option<&Alias> {
        let canonical = match self {
            Self::Message(message) => message.contact.as_ref()?.aliases.first(),
            Self::Status(status) => status.recipient.first(),
            Self::Notice(_) => None,
        };
        canonical.filter(|alias| alias.kind() != AliasKind::Phone)
    }

    /// Whose it is.
    pub(crate) fn tenant(&self) -> Tenant {
        let name = match self {
            Self::Message(message) => &message.tenant,
            Self::Status(status) => &status.tenant,
            Self::Notice(notice) => &notice.tenant,
        };
        name.parse().expect("facts carry the name of a tenant")
    }

    /// Puts the fact into a conversation.
    pub(crate) fn assign(&mut self, token: &ConversationToken) {
        match self {
            Self::Message(message) => token.as_str().clone_into(&mut message.conversation),
            Self::Status(status) => token.as_str().clone_into(&mut status.conversation),
            Self::Notice(_) => {}
        }
    }

    /// What it is, as metrics count it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Message(message) => {
                message.r#type().as_str_name().trim_start_matches("MESSAGE_TYPE_").to_ascii_lowercase()
            }
            Self::Status(_) => "status".to_owned(),
            Self::Notice(_) => "notice".to_owned(),
        }
    }

    /// The same fact without WhatsApp's own JSON, with a note that says so.
    pub(crate) fn without_raw(mut self) -> Self {
        let (raw, errors) = match &mut self {
            Self::Message(message) => (&mut message.raw, &mut message.errors),
            Self::Status(status) => (&mut status.raw, &mut status.errors),
            Self::Notice(notice) => (&mut notice.raw, &mut notice.errors),
        };
        errors.push(ProviderError {
            title: "raw left out".to_owned(),
            message: format!("its {} bytes were more than the broker accepts", raw.len()),
            ..ProviderError::default()
        });
        raw.clear();
        self
    }

    /// What is left to tell of a fact that is too large even without its JSON.
    pub(crate) fn mention(&self) -> Self {
        let (id, tenant, channel, received_at_ms) = match self {
            Self::Message(message) => {
                (&message.id, &message.tenant, &message.channel, message.received_at_ms)
            }
            Self::Status(status) => (&status.id, &status.tenant, &status.channel, status.received_at_ms),
            Self::Notice(notice) => (&notice.id, &notice.tenant, &notice.channel, notice.received_at_ms),
        };
        let error = ProviderError {
            title: "too large".to_owned(),
            message: format!("{} {id} is larger than the broker accepts", self.label()),
            ..ProviderError::default()
        };
        Self::Notice(Box::new(ProviderNotice {
            id: id::fact_id(&["too large", tenant, id]).to_string(),
            tenant: tenant.clone(),
            channel: channel.clone(),
            field: "too_large".to_owned(),
            errors: vec![error],
            raw: Bytes::new(),
            received_at_ms,
        }))
    }
}
