//! What the language model was asked, and what it is going to say.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use chasqui_kit::clock::now_ms;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    fault::{Fault, Faults},
    settings::Settings,
};
use crate::Config;

/// How many requests are kept to be shown.
const REQUESTS_MAX: usize = 1_000;

/// The language model.
#[derive(Debug)]
pub(crate) struct Model {
    key: SecretString,
    /// Ends what would never end.
    pub(super) stop: CancellationToken,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    count: u64,
    requests: VecDeque<Value>,
    said: usize,
}

impl Model {
    pub(crate) fn new(config: &Config, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { key: config.openai_api_key.clone(), stop, book: Mutex::default() })
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no holder of this lock panics")
    }

    /// Whether this is the key that requests must carry.
    pub(super) fn is_key(&self, key: &str) -> bool {
        chasqui_kit::secret::matches(&self.key, key)
    }
}

impl Book {
    /// Records a request, whatever comes of it.
    pub(super) fn record(&mut self, is_authorized: bool, body: &Value) {
        self.count += 1;
        if self.requests.len() == REQUESTS_MAX {
            self.requests.pop_front();
        }
        let request =
            json!({ "seq": self.count, "time_ms": now_ms(), "authorized": is_authorized, "body": body });
        self.requests.push_back(request);
    }

    /// What is said to a request, and what goes wrong with it.
    pub(super) fn next(&mut self, body: &Value) -> (String, Option<Fault>) {
        let answers = &self.settings.answers;
        let answer = match answers.len() {
            0 => format!("Dijiste: {}", heard(body)),
            count => answers[self.said % count].clone(),
        };
        self.said += 1;
        (answer, self.faults.befall())
    }

    pub(super) fn requests(&self) -> Value {
        json!({ "count": self.count, "requests": self.requests })
    }

    /// Forgets what was asked and said; returns how much was asked.
    pub(super) fn clear(&mut self) -> u64 {
        self.requests.clear();
        self.said = 0;
        std::mem::take(&mut self.count)
    }
}

/// What the newest message of a request says.
fn heard(body: &Value) -> &str {
    let newest = body["messages"].as_array().and_then(|messages| messages.last());
    newest.and_then(|message| message["content"].as_str()).unwrap_or_default()
}
