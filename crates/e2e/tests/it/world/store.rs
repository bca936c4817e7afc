use chasqui_testkit::wait_for;
use serde_json::Value;

use super::{Cluster, DEADLINE, Texts, http};

/// The largest page there is.
const PAGE_ITEMS: usize = 200;

/// What PostgreSQL has, as front ends read it at an edge.
impl Cluster {
    /// Every conversation, the newest first.
    pub(crate) async fn conversations(&self, edge: usize) -> Vec<Value> {
        self.pages(edge, "/api/conversations", "conversations").await
    }

    /// Every message of a conversation, the oldest first. `conversation` is any of its names.
    pub(crate) async fn messages(&self, edge: usize, conversation: &str) -> Vec<Value> {
        let path = format!("/api/conversations/{conversation}/messages");
        let mut messages = self.pages(edge, &path, "messages").await;
        messages.reverse();
        messages
    }

    /// Every appointment, the newest first.
    pub(crate) async fn appointments(&self, edge: usize) -> Vec<Value> {
        self.pages(edge, "/api/appointments", "appointments").await
    }

    /// Waits until so many messages of a conversation are stored; all of them, the oldest first.
    pub(crate) async fn stored(&self, edge: usize, conversation: &str, count: usize) -> Vec<Value> {
        wait_for(DEADLINE, &format!("{count} messages of {conversation} are stored"), async || {
            let messages = self.messages(edge, conversation).await;
            (messages.len() >= count).then_some(messages)
        })
        .await
    }

    /// Waits until as many texts of each contact are stored as there are in `expected`; what is stored of them.
    pub(crate) async fn stored_texts(&self, edge: usize, expected: &Texts) -> Texts {
        let mut texts = Texts::new();
        for (phone, expected) in expected {
            let messages = self.stored(edge, phone, expected.len()).await;
            texts.insert(phone.clone(), messages.iter().map(text).collect());
        }
        texts
    }

    /// Nothing where the edge cannot answer right now or does not know of it yet.
    async fn pages(&self, edge: usize, path: &str, items: &str) -> Vec<Value> {
        let client = http();
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let url = self.edges[edge].url(&format!("{path}?limit={PAGE_ITEMS}&cursor={cursor}"));
            let Ok(answer) = client.get(url).bearer_auth(&self.token).send().await else { return Vec::new() };
            if !answer.status().is_success() {
                return Vec::new();
            }
            let mut page: Value = answer.json().await.unwrap();
            let Value::Array(found) = page[items].take() else { panic!("{path}: {page} has no {items}") };
            all.extend(found);
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return all,
            }
        }
    }
}

fn text(message: &Value) -> String {
    message["text_content"].as_str().expect("a message has a text").to_owned()
}
