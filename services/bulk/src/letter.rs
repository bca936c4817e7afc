//! From a recipient to its message: the same bytes, whoever makes it, however often. Pure.

use chasqui_campaign::{TEXT_LENGTH_MAX, Wording, WordingError};
use chasqui_proto::{
    ConversationToken, MessageId,
    id::fact_id,
    v1::{
        CampaignPlan, Contact, Direction, Message, MessageStatus, Priority, ProviderError, Recipient,
        SenderType, Status,
    },
};

use crate::key::CampaignKey;

/// When a message that must not be sent expires, unix milliseconds: long ago, by every clock.
const NEVER_SENT_MS: i64 = 1;
const MILLISECONDS_A_SECOND: i64 = 1_000;

/// A recipient that persistence gave, and to whom nothing can be addressed.
#[derive(Debug, thiserror::Error)]
#[error("the recipient in line {line} cannot be written to: {field} is none")]
pub(crate) struct Unaddressed {
    line: u32,
    field: &'static str,
}

/// What a campaign sends.
#[derive(Debug)]
pub(crate) struct Text {
    key: CampaignKey,
    plan: CampaignPlan,
    wording: Wording,
}

/// A message to a recipient, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) conversation: ConversationToken,
    pub(crate) message: Message,
    /// Why it is not sent, where it is not.
    pub(crate) refusal: Option<MessageStatus>,
}

impl Text {
    /// What a plan sends.
    pub(crate) fn read(key: &CampaignKey, plan: &CampaignPlan) -> Result<Self, WordingError> {
        let wording = Wording::read(&plan.message.clone().unwrap_or_default())?;
        Ok(Self { key: key.clone(), plan: plan.clone(), wording })
    }

    /// The message to a recipient. Where it cannot be made out, the letter says why, and is not sent.
    pub(crate) fn letter(&self, recipient: &Recipient) -> Result<Letter, Unaddressed> {
        match self.wording.render(&recipient.variables) {
            Ok(content) => {
                let ttl_ms = i64::from(self.plan.message_ttl_secs) * MILLISECONDS_A_SECOND;
                let expires_at_ms = if ttl_ms == 0 { 0 } else { recipient.queued_at_ms + ttl_ms };
                let (conversation, message) = self.addressed(recipient, content)?;
                Ok(Letter { conversation, message: Message { expires_at_ms, ..message }, refusal: None })
            }
            Err(error) => self.refused(recipient, "unreadable", &error.to_string()),
        }
    }

    /// A message that is not sent, for the reason given. It is stored all the same, since only what is stored can fail.
    pub(crate) fn refused(
        &self,
        recipient: &Recipient,
        title: &str,
        reason: &str,
    ) -> Result<Letter, Unaddressed> {
        let planned = self.plan.message.clone().unwrap_or_default();
        let content = Message {
            r#type: planned.r#type,
            text: planned.text.chars().take(TEXT_LENGTH_MAX).collect(),
            channel: planned.channel,
            ..Message::default()
        };
        let (conversation, message) = self.addressed(recipient, content)?;
        let message = Message { expires_at_ms: NEVER_SENT_MS, ..message };
        let refusal = refusal(&message, title, reason);
        Ok(Letter { conversation, message, refusal: Some(refusal) })
    }

    fn addressed(
        &self,
        recipient: &Recipient,
        content: Message,
    ) -> Result<(ConversationToken, Message), Unaddressed> {
        let unaddressed = |field| Unaddressed { line: recipient.line, field };
        let conversation: ConversationToken =
            recipient.conversation.parse().map_err(|_| unaddressed("conversation"))?;
        let id: MessageId = recipient.message_id.parse().map_err(|_| unaddressed("message_id"))?;
        let contact = Contact {
            aliases: recipient.contact.clone().into_iter().collect(),
            name: recipient.name.clone(),
            ..Contact::default()
        };
        let message = Message {
            id: id.to_string(),
            tenant: self.key.tenant.to_string(),
            conversation: conversation.to_string(),
            contact: Some(contact),
            direction: Direction::Out.into(),
            sender_type: SenderType::System.into(),
            sender_id: self.key.id.to_string(),
            priority: Priority::Campaign.into(),
            occurred_at_ms: recipient.queued_at_ms,
            received_at_ms: recipient.queued_at_ms,
            ..content
        };
        Ok((conversation, message))
    }
}

impl Letter {
    /// The same message, to expire instead of being sent. Where it was published before, that one counts.
    pub(crate) fn withheld(mut self) -> Self {
        self.message.expires_at_ms = NEVER_SENT_MS;
        self
    }
}

fn refusal(message: &Message, title: &str, reason: &str) -> MessageStatus {
    let error =
        ProviderError { title: title.to_owned(), message: reason.to_owned(), ..ProviderError::default() };
    MessageStatus {
        id: fact_id(&["bulk", &message.id, Status::Failed.name()]).to_string(),
        tenant: message.tenant.clone(),
        conversation: message.conversation.clone(),
        message_id: message.id.clone(),
        status: Status::Failed.into(),
        recipient: message.contact.as_ref().map_or_else(Vec::new, |contact| contact.aliases.clone()),
        channel: message.channel.clone(),
        errors: vec![error],
        occurred_at_ms: message.occurred_at_ms,
        received_at_ms: message.received_at_ms,
        ..MessageStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::{
        address,
        v1::{Channel, ChannelKind, MessageType},
    };
    use prost::Message as _;

    use super::*;

    const QUEUED_MS: i64 = 1_760_000_000_000;
    const ID: &str = "0d9a4a5e-0000-4000-8000-000000000006";

    fn text(said: &str, message_ttl_secs: u32) -> Text {
        let channel =
            Channel { kind: ChannelKind::WhatsappCloud.into(), id: "1".to_owned(), ..Channel::default() };
        let message = Message {
            r#type: MessageType::Text.into(),
            text: said.to_owned(),
            channel: Some(channel),
            ..Message::default()
        };
        let plan = CampaignPlan { message: Some(message), message_ttl_secs, ..CampaignPlan::default() };
        let id = "0d9a4a5e-0000-4000-8000-000000000005".parse().unwrap();
        Text::read(&CampaignKey { tenant: "default".parse().unwrap(), id }, &plan).unwrap()
    }

    fn recipient() -> Recipient {
        Recipient {
            line: 3,
            contact: Some(address::phone("5491100000001")),
            name: "Contact".to_owned(),
            variables: [("nombre".to_owned(), "Ñandú".to_owned())].into(),
            conversation: "5491100000001".to_owned(),
            message_id: ID.to_owned(),
            queued_at_ms: QUEUED_MS,
            ..Recipient::default()
        }
    }

    #[test]
    fn a_letter_is_made_out_to_its_recipient_and_says_which_campaign_wrote_it() {
        let Letter { conversation, message, refusal } =
            text("Hola {{nombre}}", 60).letter(&recipient()).unwrap();
        assert_eq!((message.text.as_str(), conversation.as_str()), ("Hola Ñandú", "5491100000001"));
        assert_eq!((message.id.as_str(), message.tenant.as_str()), (ID, "default"));
        assert_eq!(message.sender_id, "0d9a4a5e-0000-4000-8000-000000000005");
        assert_eq!((message.sender_type(), message.direction()), (SenderType::System, Direction::Out));
        assert_eq!((message.priority(), message.channel.unwrap().id.as_str()), (Priority::Campaign, "1"));
        assert_eq!(message.contact.unwrap().name, "Contact");
        assert_eq!((message.occurred_at_ms, message.expires_at_ms), (QUEUED_MS, QUEUED_MS + 60_000));
        assert_eq!(refusal, None);
        assert_eq!(text("Hola", 0).letter(&recipient()).unwrap().message.expires_at_ms, 0, "never");
    }

    #[test]
    fn a_letter_that_is_made_again_has_the_same_bytes() {
        for said in ["Hola {{nombre}}", "Hola {{monto}}"] {
            let (one, other) = (text(said, 60), text(said, 60));
            let (one, other) = (one.letter(&recipient()).unwrap(), other.letter(&recipient()).unwrap());
            assert_eq!(one.message.encode_to_vec(), other.message.encode_to_vec());
            assert_eq!(one.refusal, other.refusal);
        }
    }

    #[test]
    fn what_cannot_be_made_out_is_stored_and_fails_and_is_never_sent() {
        let letter = text("Hola {{monto}}", 60).letter(&recipient()).unwrap();
        assert_eq!((letter.message.expires_at_ms, letter.message.text.as_str()), (1, "Hola {{monto}}"));
        let refusal = letter.refusal.unwrap();
        assert_eq!((refusal.status(), refusal.message_id.as_str()), (Status::Failed, ID));
        assert_eq!(refusal.errors[0].title, "unreadable");
        assert_eq!(refusal.errors[0].message, "monto is needed: the message mentions it");
        assert!(refusal.id.parse::<uuid::Uuid>().is_ok());
    }

    #[test]
    fn a_withheld_letter_is_the_same_message_that_expires() {
        let letter = text("Hola {{nombre}}", 60).letter(&recipient()).unwrap();
        let withheld = letter.clone().withheld();
        assert_eq!((withheld.message.expires_at_ms, withheld.refusal), (1, None));
        assert_eq!(withheld.message.id, letter.message.id);
    }

    #[test]
    fn whom_nothing_can_be_addressed_to_is_named_by_its_line() {
        let check = |change: fn(&mut Recipient), expected: &str| {
            let mut recipient = recipient();
            change(&mut recipient);
            let error = text("Hola", 0).letter(&recipient).unwrap_err().to_string();
            assert!(error.contains("line 3") && error.contains(expected), "{error}");
        };
        check(|recipient| recipient.conversation = "a.b".to_owned(), "conversation");
        check(|recipient| recipient.message_id = "7".to_owned(), "message_id");
    }
}
