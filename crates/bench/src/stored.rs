//! Whether what was acknowledged is in the history.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{AUTHORIZATION, HOST},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    address::Address,
    http::Http,
    ledger::{Sent, acknowledged},
    letter::phone,
    marker,
    plan::Plan,
};

/// Messages on a page.
const PAGE: u32 = 100;
/// Pause before an incomplete conversation is read again.
const READ_AGAIN_PAUSE: Duration = Duration::from_millis(200);

/// What the history holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Acknowledged messages.
    pub expected: usize,
    /// Of these, found in the history.
    pub found: usize,
    /// Messages that stand in it more than once.
    pub twice: usize,
}

impl Stored {
    /// Whether every message is there, once.
    pub fn is_clean(self) -> bool {
        self.found == self.expected && self.twice == 0
    }
}

/// Reads the history of the run, through an edge.
#[derive(Debug)]
pub(crate) struct History<'a> {
    http: Http,
    host: String,
    token: String,
    run: &'a str,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Written>,
    next: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    text_content: String,
}

impl<'a> History<'a> {
    /// The history of a run as the edge tells it to whom the token names.
    pub(crate) fn new(edge: &Address, token: String, run: &'a str) -> Self {
        Self { http: Http::new(edge), host: edge.authority(), token, run }
    }

    /// Looks for every acknowledged message, and waits within bounds for those that are not stored yet.
    pub(crate) async fn verify(
        mut self,
        plan: &Plan,
        sent: &[Vec<Sent>],
        wait: Duration,
    ) -> anyhow::Result<Stored> {
        let mut expected: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for message in acknowledged(plan, sent) {
            expected.entry(plan.conversation_of(message)).or_default().insert(message);
        }
        // As long as conversations become complete, something is being stored.
        let mut deadline = Instant::now() + wait;
        let mut stored = Stored::default();
        for (conversation, expected) in expected {
            let found = self.wait_for(conversation, &expected, deadline).await?;
            let copies = found.len();
            let found: BTreeSet<u32> = found.into_iter().collect();
            if expected.is_subset(&found) {
                deadline = Instant::now() + wait;
            }
            stored.expected += expected.len();
            stored.found += found.intersection(&expected).count();
            stored.twice += copies - found.len();
        }
        Ok(stored)
    }

    async fn wait_for(
        &mut self,
        conversation: u32,
        expected: &BTreeSet<u32>,
        deadline: Instant,
    ) -> anyhow::Result<Vec<u32>> {
        loop {
            let found = self.read(conversation).await?;
            let complete = expected.is_subset(&found.iter().copied().collect());
            if complete || Instant::now() >= deadline {
                return Ok(found);
            }
            tokio::time::sleep(READ_AGAIN_PAUSE).await;
        }
    }

    /// The run's messages of a conversation: the newest pages, down to the first without one.
    async fn read(&mut self, conversation: u32) -> anyhow::Result<Vec<u32>> {
        let base = format!("/api/conversations/{}/messages?limit={PAGE}", phone(conversation));
        let mut path = base.clone();
        let mut found = Vec::new();
        loop {
            let Some(page) = self.page(&path).await? else { return Ok(found) };
            let before = found.len();
            found.extend(
                page.messages.iter().filter_map(|written| marker::find(self.run, &written.text_content)),
            );
            match page.next.as_ref().and_then(serde_json::Value::as_str) {
                Some(next) if found.len() > before => path = format!("{base}&cursor={}", escaped(next)),
                _ => return Ok(found),
            }
        }
    }

    /// A page; `None` while the conversation is not known yet.
    async fn page(&mut self, path: &str) -> anyhow::Result<Option<Page>> {
        let request = Request::get(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::<Bytes>::default())?;
        let (status, body) = self.http.ask(request).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        ensure!(status == StatusCode::OK, "the history answers {status}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).context("the history is not what was expected").map(Some)
    }
}

/// A cursor as it can stand in a query.
fn escaped(cursor: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    cursor
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_query() {
        assert_eq!(escaped("aZ9-_.~"), "aZ9-_.~");
        assert_eq!(escaped("a+b/c=&"), "a%2Bb%2Fc%3D%26");
    }
}
