//! The listeners at the deployment: registered before, removed after.

use std::sync::Mutex;

use anyhow::Context;
use secrecy::SecretString;
use serde_json::json;

use crate::{address::Address, api::Api};

/// How many requests are made at once; the deployment lets few through.
const LANES: usize = 4;

/// The listeners of a run, by their addresses.
#[derive(Debug)]
pub(super) struct Registry {
    ingest: Address,
    key: SecretString,
    urls: Vec<String>,
}

impl Registry {
    /// Listeners that are not registered yet.
    pub(super) fn new(ingest: &Address, key: &SecretString, urls: Vec<String>) -> Self {
        Self { ingest: ingest.clone(), key: key.clone(), urls }
    }

    /// Registers all of them for messages of contacts, in the flat form; gives up with the first that fails.
    pub(super) async fn register(&self) -> anyhow::Result<()> {
        let body = |url: &String| json!({ "url": url, "events": ["message.received"], "format": "client", "description": "bench" });
        self.each(async |api, url| api.done("/api/whatsapp/register-listener", &body(url)).await)
            .await
            .context("listeners cannot be registered")
    }

    /// Removes all of them, also those that were not reached, as many as can be.
    pub(super) async fn unregister(&self) -> anyhow::Result<()> {
        let failed = Mutex::new(None);
        let remove = async |api: &mut Api, url: &String| {
            if let Err(error) = api.done("/api/whatsapp/unregister-listener", &json!({ "url": url })).await {
                failed.lock().expect("nobody panics with it").get_or_insert(error);
            }
            anyhow::Ok(())
        };
        self.each(remove).await?;
        let failed = failed.into_inner().expect("nobody panics with it");
        failed.map_or(Ok(()), |error| Err(error.context("listeners cannot be removed")))
    }

    async fn each(&self, ask: impl AsyncFn(&mut Api, &String) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let share = self.urls.len().div_ceil(LANES).max(1);
        let lanes = self.urls.chunks(share).map(|urls| {
            let (mut api, ask) = (Api::new(&self.ingest, &self.key), &ask);
            async move {
                for url in urls {
                    ask(&mut api, url).await?;
                }
                anyhow::Ok(())
            }
        });
        futures::future::try_join_all(lanes).await.map(drop)
    }
}
