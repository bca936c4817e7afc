//! Ids. Whatever can be derived is derived, so that a repeated delivery makes the same id on every node.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::{ConversationToken, Tenant};

/// Name spaces of our version 5 UUIDs: fixed for ever, since ids in databases depend on them.
const MESSAGE_NAMESPACE: Uuid = Uuid::from_u128(0x7c1d_6f0e_52a4_4b8e_9d31_0b6a_4f2e_9a01);
const CONVERSATION_NAMESPACE: Uuid = Uuid::from_u128(0x7c1d_6f0e_52a4_4b8e_9d31_0b6a_4f2e_9a02);
const FACT_NAMESPACE: Uuid = Uuid::from_u128(0x7c1d_6f0e_52a4_4b8e_9d31_0b6a_4f2e_9a03);
const LISTENER_NAMESPACE: Uuid = Uuid::from_u128(0x7c1d_6f0e_52a4_4b8e_9d31_0b6a_4f2e_9a04);

/// What ids begin with that clients of the Cloud API are told. WhatsApp's own have base64 after `wamid.`, which has no `_`.
const WAMID_PREFIX: &str = "wamid.chasqui_";

/// JavaScript holds integers exactly up to 2^53.
const NUMBER_BITS: u32 = 53;

/// The id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub Uuid);

impl MessageId {
    /// The id of a message that its provider named: the same for every delivery of it.
    pub fn of_provider(tenant: &Tenant, provider_id: &str) -> Self {
        Self(Uuid::new_v5(&MESSAGE_NAMESPACE, format!("{tenant}/{provider_id}").as_bytes()))
    }

    /// The id of a campaign's message to a contact; `attempt` counts them from 1.
    pub fn of_campaign(campaign: Uuid, contact: &ConversationToken, attempt: u32) -> Self {
        Self(fact_id(&["campaign", &campaign.to_string(), contact.as_str(), &attempt.to_string()]))
    }

    /// The id as clients of the Cloud API are told it, since WhatsApp's own is not known when they are answered.
    pub fn to_wamid(self) -> String {
        format!("{WAMID_PREFIX}{}", self.0.simple())
    }

    /// The message that a client of the Cloud API means, where it was told our id of it.
    pub fn of_wamid(wamid: &str) -> Option<Self> {
        wamid.strip_prefix(WAMID_PREFIX)?.parse().ok().map(Self)
    }

    /// The id of a message that begins here; ordered by time.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

/// The id of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(pub Uuid);

impl ConversationId {
    /// The id of the conversation with this token.
    pub fn of(tenant: &Tenant, token: &ConversationToken) -> Self {
        Self(Uuid::new_v5(&CONVERSATION_NAMESPACE, format!("{tenant}/{token}").as_bytes()))
    }

    /// The id as a number, for front ends whose conversations are numbered: its top 53 bits. Two conversations of one
    /// tenant share a number with a probability of one in a hundred thousand at half a million conversations; the
    /// database refuses the second.
    pub fn number(self) -> u64 {
        let (high, _) = self.0.as_u64_pair();
        high >> (u64::BITS - NUMBER_BITS)
    }
}

/// The id of a fact that has no id of its own, from what makes it unique.
pub fn fact_id(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&FACT_NAMESPACE, parts.join("\u{1f}").as_bytes())
}

/// The id of the listener at a URL: who registers again means the same one. The URL counts as it is written.
pub fn listener_id(tenant: &Tenant, url: &str) -> Uuid {
    Uuid::new_v5(&LISTENER_NAMESPACE, format!("{tenant}/{url}").as_bytes())
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

text_form!(MessageId, ConversationId);

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are in databases: a changed derivation would give every contact a second conversation.
    #[test]
    fn derived_ids_never_change() {
        let tenant: Tenant = "default".parse().unwrap();
        let token: ConversationToken = "5491100000001".parse().unwrap();
        let conversation = ConversationId::of(&tenant, &token);
        assert_eq!(conversation.to_string(), "2ae0196f-15cf-5517-a33e-8d03afa6cbbe");
        assert_eq!(conversation.number(), 1_508_543_608_044_010);
        assert_eq!(
            MessageId::of_provider(&tenant, "wamid.A").to_string(),
            "e53cc160-2dac-516e-8075-0e1dfd1ae3e6"
        );
        assert_eq!(fact_id(&["a", "b"]).to_string(), "0ccc3c6c-0d67-578e-ba28-43109c020d32");
        let message = MessageId::of_campaign(Uuid::nil(), &token, 1);
        assert_eq!(message.to_string(), "bb546885-ac53-5a74-9874-21a589139ff4");
        assert_ne!(message, MessageId::of_campaign(Uuid::nil(), &token, 2));
        let listener = listener_id(&tenant, "http://127.0.0.1:3013/api/message-received");
        assert_eq!(listener.to_string(), "56a2b77e-dc42-55f1-9338-79d2a4e6ee83");
    }

    #[test]
    fn a_client_of_the_cloud_api_names_our_message_by_what_it_was_told() {
        let id = MessageId::now();
        assert_eq!(MessageId::of_wamid(&id.to_wamid()), Some(id));
        assert_eq!(MessageId::of_wamid("wamid.HBgNNTQ5MTEwMDAwMDAwMRUCABIYFDNBMzQ="), None);
        assert_eq!(MessageId::of_wamid("wamid.chasqui_"), None);
    }

    #[test]
    fn tenants_do_not_share_conversations() {
        let token: ConversationToken = "5491100000001".parse().unwrap();
        let of = |tenant: &str| ConversationId::of(&tenant.parse().unwrap(), &token);
        assert_ne!(of("a"), of("b"));
    }
}
