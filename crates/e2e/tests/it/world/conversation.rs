use async_nats::jetstream::{self, consumer::PullConsumer};
use chasqui_proto::{
    service::CHATS_GET,
    stream::{BOT_CONSUMER, MESSAGES},
    subject, v1,
};
use chasqui_testkit::wait_for;
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Cluster, DEADLINE, http};

/// Who answers a contact, as staff decides it at an edge. `contact` is any name of the conversation.
impl Cluster {
    /// Says how the bot behaves in a conversation.
    pub(crate) async fn steer(&self, contact: &str, how: Value) {
        self.asks_for(Method::PATCH, &format!("/api/conversations/{contact}"), how).await;
    }

    /// Gives a conversation to an agent.
    pub(crate) async fn take(&self, contact: &str, agent: &str) {
        self.asks_for(
            Method::POST,
            &format!("/api/conversations/{contact}/take"),
            json!({ "agent_id": agent }),
        )
        .await;
    }

    /// Gives a conversation back to the bot.
    pub(crate) async fn release(&self, contact: &str) {
        self.asks_for(Method::POST, &format!("/api/conversations/{contact}/release"), json!({})).await;
    }

    /// Waits until people have a chat with a contact; the chat.
    pub(crate) async fn chat_of(&self, contact: &str) -> v1::Chat {
        let nats = async_nats::connect(self.nats.url()).await.unwrap();
        let question = v1::GetChat { tenant: "default".to_owned(), chat: contact.to_owned() }.encode_to_vec();
        wait_for(DEADLINE, &format!("people have {contact}"), async || {
            let answer = nats.request(CHATS_GET.subject, question.clone().into()).await.ok()?;
            let chat = v1::Chat::decode(answer.payload).ok()?;
            matches!(chat.status(), v1::ChatStatus::Waiting | v1::ChatStatus::Assigned).then_some(chat)
        })
        .await
    }

    /// Waits until the bot has handled what a phone wrote so far, whether or not it answered.
    pub(crate) async fn bot_has_handled(&self, phone: &str) {
        let jetstream = jetstream::new(async_nats::connect(self.nats.url()).await.unwrap());
        let written = subject::messages_in(&"default".parse().unwrap(), &phone.parse().unwrap());
        let messages = jetstream.get_stream(MESSAGES.name).await.unwrap();
        let newest = messages.get_last_raw_message_by_subject(written.as_str()).await.unwrap().sequence;
        wait_for(DEADLINE, &format!("the bot has handled what {phone} wrote"), async || {
            let mut bot: PullConsumer = messages.get_consumer(BOT_CONSUMER).await.ok()?;
            (bot.info().await.ok()?.ack_floor.stream_sequence >= newest).then_some(())
        })
        .await;
    }

    async fn asks_for(&self, method: Method, path: &str, body: Value) {
        let request = http().request(method, self.edges[0].url(path)).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
    }
}
