use async_nats::jetstream::{self, consumer::PullConsumer, stream::Stream};
use chasqui_proto::{
    ConversationToken, Subject, Tenant, stream,
    subject::{chats_updated, conversations_updated, messages_in},
    v1::{Chat, ChatStatus, Conversation},
};
use chasqui_testkit::wait_for;
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Cluster, DEADLINE, http};

/// Who answers a contact, as staff decides it at an edge. What is decided counts once everyone is told of it.
impl Cluster {
    /// Says how the bot behaves in a conversation.
    pub(crate) async fn steer(&self, phone: &str, how: Value) {
        self.asks_for(Method::PATCH, &format!("/api/conversations/{phone}"), &how).await;
        let is_so = |said: &Value, is: bool| said.as_bool().is_none_or(|said| said == is);
        let is_told = |it: &Conversation| {
            is_so(&how["ai_active"], it.ai_active) && is_so(&how["no_ac_ai"], it.no_ac_ai)
        };
        self.told(conversations_updated(&tenant(), &contact(phone)), is_told).await;
    }

    /// Gives a conversation to an agent.
    pub(crate) async fn take(&self, phone: &str, agent: &str) {
        let path = format!("/api/conversations/{phone}/take");
        self.asks_for(Method::POST, &path, &json!({ "agent_id": agent })).await;
        let is_told = |chat: &Chat| chat.status() == ChatStatus::Assigned && chat.agent_id == agent;
        self.told(chats_updated(&tenant(), &contact(phone)), is_told).await;
    }

    /// Gives a conversation back to the bot.
    pub(crate) async fn release(&self, phone: &str) {
        self.asks_for(Method::POST, &format!("/api/conversations/{phone}/release"), &json!({})).await;
        let is_told = |chat: &Chat| chat.status() == ChatStatus::Closed;
        self.told(chats_updated(&tenant(), &contact(phone)), is_told).await;
    }

    /// Waits until people have a chat with a contact; the chat.
    pub(crate) async fn chat_of(&self, phone: &str) -> Chat {
        let is_open = |chat: &Chat| [ChatStatus::Waiting, ChatStatus::Assigned].contains(&chat.status());
        self.told(chats_updated(&tenant(), &contact(phone)), is_open).await
    }

    /// Waits until the bot has handled what a phone wrote so far, whether or not it answered.
    pub(crate) async fn bot_has_handled(&self, phone: &str) {
        let written = messages_in(&tenant(), &contact(phone));
        let messages = self.stream(stream::MESSAGES.name).await;
        let newest = messages.get_last_raw_message_by_subject(written.as_str()).await.unwrap().sequence;
        wait_for(DEADLINE, &format!("the bot has handled what {phone} wrote"), async || {
            let mut bot: PullConsumer = messages.get_consumer(stream::BOT_CONSUMER).await.ok()?;
            (bot.info().await.ok()?.ack_floor.stream_sequence >= newest).then_some(())
        })
        .await;
    }

    /// Waits until the newest state is one that fits.
    async fn told<P: Message + Default>(&self, subject: Subject<P>, fits: impl Fn(&P) -> bool) -> P {
        let states = self.stream(stream::STATE.name).await;
        wait_for(DEADLINE, &format!("{} is told", subject.as_str()), async || {
            let newest = states.direct_get_last_for_subject(subject.as_str()).await.ok()?;
            P::decode(newest.payload).ok().filter(&fits)
        })
        .await
    }

    async fn stream(&self, name: &str) -> Stream {
        let nats = async_nats::connect(self.nats.url()).await.unwrap();
        jetstream::new(nats).get_stream(name).await.unwrap()
    }

    async fn asks_for(&self, method: Method, path: &str, body: &Value) {
        let request = http().request(method, self.edges[0].url(path)).bearer_auth(&self.token).json(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
    }
}

fn tenant() -> Tenant {
    "default".parse().unwrap()
}

fn contact(phone: &str) -> ConversationToken {
    phone.parse().unwrap()
}
