//! The types of events, and which of them a client wants (CRM-12).

use chasqui_proto::v1::CampaignStatus;

use crate::event::Fact;

macro_rules! topics {
    ($($topic:ident = $name:literal),* $(,)?) => {
        /// The type of an event's frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Topic { $($topic),* }

        impl Topic {
            const ALL: &'static [Self] = &[$(Self::$topic),*];

            /// As frames say it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$topic => $name),* }
            }
        }
    };
}

topics! {
    NewMessage = "new_message",
    MessageStatusUpdated = "message_status_updated",
    ConversationUpdated = "conversation_updated",
    StatsUpdated = "stats_updated",
    BotStatusChanged = "bot_status_changed",
    WhatsappStatusChanged = "whatsapp_status_changed",
    BulkMessageProgress = "bulk_message_progress",
    BulkMessageCompleted = "bulk_message_completed",
    BulkMessageError = "bulk_message_error",
    ChatUpdated = "chat_updated",
    AppointmentUpdated = "appointment_updated",
    PaymentUpdated = "payment_updated",
    TypingChanged = "typing_changed",
    MessageDraft = "message_draft",
    PresenceChanged = "presence_changed",
    OnlineUsers = "online_users",
    Announcement = "announcement",
}

impl Topic {
    pub(crate) fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Message { .. } => Self::NewMessage,
            Fact::Status(_) => Self::MessageStatusUpdated,
            Fact::Conversation(_) => Self::ConversationUpdated,
            Fact::Stats(_) => Self::StatsUpdated,
            Fact::Chat(_) => Self::ChatUpdated,
            Fact::Session(_) => Self::WhatsappStatusChanged,
            Fact::Bot(_) => Self::BotStatusChanged,
            Fact::Bulk(progress) => match progress.status() {
                CampaignStatus::Completed | CampaignStatus::Cancelled => Self::BulkMessageCompleted,
                CampaignStatus::Failed => Self::BulkMessageError,
                CampaignStatus::Running
                | CampaignStatus::Paused
                | CampaignStatus::Scheduled
                | CampaignStatus::Draft
                | CampaignStatus::Uploading
                | CampaignStatus::Unspecified => Self::BulkMessageProgress,
            },
            Fact::Appointment(_) => Self::AppointmentUpdated,
            Fact::Payment(_) => Self::PaymentUpdated,
            Fact::Typing(_) => Self::TypingChanged,
            Fact::Draft(_) => Self::MessageDraft,
            Fact::Announcement(_) => Self::Announcement,
            Fact::Presence(_) => Self::PresenceChanged,
            Fact::Online(_) => Self::OnlineUsers,
        }
    }
}

/// A choice of topics, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topics(u32);

impl Topics {
    pub(crate) const ALL: Self = Self(u32::MAX);
    pub(super) const NONE: Self = Self(0);

    /// As kept in an atomic.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) fn contain(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u32) != 0
    }

    /// Adds the topic of this name; the error names those there are.
    pub(super) fn add(&mut self, name: &str) -> Result<(), String> {
        let topic = Topic::ALL.iter().find(|topic| topic.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.names();
            let name: String = name.chars().take(64).collect();
            format!("data.types: {name:?} is no type of events; expected some of {}", known.join(", "))
        })?;
        self.0 |= 1 << *topic as u32;
        Ok(())
    }

    /// Their names.
    pub(super) fn names(self) -> Vec<&'static str> {
        Topic::ALL.iter().filter(|topic| self.contain(**topic)).map(|topic| topic.name()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crm_12_a_choice_holds_what_was_named_and_nothing_else() {
        let mut topics = Topics::NONE;
        topics.add("new_message").unwrap();
        topics.add("announcement").unwrap();
        assert_eq!(topics.names(), ["new_message", "announcement"]);
        assert!(topics.contain(Topic::NewMessage) && !topics.contain(Topic::StatsUpdated));
        assert_eq!(Topics::of_bits(topics.bits()), topics);
        assert_eq!(Topics::ALL.names().len(), Topic::ALL.len());
        assert!(topics.add("dance").unwrap_err().contains("stats_updated"));
    }
}
