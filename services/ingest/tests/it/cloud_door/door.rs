use anyhow::{Context as _, Result};
use chasqui_directory::{NewKey, key_of};
use chasqui_ingest::Config;
use chasqui_proto::{
    stream,
    v1::{ApiKeyEntry, DirectoryEntry, Message, NumberEntry, directory_entry::Entry},
};
use chasqui_testkit::{NatsOptions, wait_for};
use prost::Message as _;
use reqwest::{RequestBuilder, multipart::Form};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{API_KEY, CONTACT, NUMBER, SOON, Stored, World, answer, config};

pub(super) const ACME_NUMBER: &str = "100000000000002";
pub(super) const OTHER_NUMBER: &str = "100000000000003";
pub(super) const MEDIA_BASE_URL: &str = "https://chat.example.com";

/// Ingest with a place for files, and keys of two tenants.
pub(super) struct Door {
    pub(super) world: World,
    pub(super) files: TempDir,
    pub(super) acme: NewKey,
    pub(super) other: NewKey,
}

impl Door {
    pub(super) async fn start() -> Result<Self> {
        Self::start_with(|config| config).await
    }

    pub(super) async fn start_with(change: impl FnOnce(Config) -> Config) -> Result<Self> {
        let files = TempDir::new()?;
        let config = Config { media: media(&files), phone_number_id: Some(NUMBER.into()), ..config() };
        let world = World::start_with(change(config), NatsOptions::default()).await?;
        let door = Self { world, files, acme: NewKey::generate(), other: NewKey::generate() };
        for (key, tenant, number) in [(&door.acme, "acme", ACME_NUMBER), (&door.other, "other", OTHER_NUMBER)]
        {
            door.tell(key_entry(key, tenant, "send")).await?;
            let display_phone_number = "+54 911 0000-0099".to_owned();
            let (tenant, id) = (tenant.to_owned(), number.to_owned());
            door.tell(Entry::Number(NumberEntry {
                tenant,
                id,
                display_phone_number,
                ..NumberEntry::default()
            }))
            .await?;
        }
        let is_known = async || {
            let shown = door.get(OTHER_NUMBER, &door.other).send().await.ok()?;
            shown.status().is_success().then_some(())
        };
        wait_for(SOON, "the directory knows keys and numbers", is_known).await;
        Ok(door)
    }

    /// Puts an entry where persistence would.
    pub(super) async fn tell(&self, entry: Entry) -> Result<()> {
        let entry = DirectoryEntry { entry: Some(entry) };
        let jetstream = async_nats::jetstream::new(self.world.nats_client().await?);
        let bucket = jetstream.get_key_value(stream::DIRECTORY_BUCKET).await?;
        bucket.put(key_of(&entry).context("a whole entry")?, entry.encode_to_vec().into()).await?;
        Ok(())
    }

    pub(super) fn post(&self, path: &str, key: &str) -> RequestBuilder {
        self.world.post(path).bearer_auth(key)
    }

    pub(super) fn get(&self, object: &str, key: &NewKey) -> RequestBuilder {
        self.world.get(&format!("/v21.0/{object}")).bearer_auth(key.secret.expose_secret())
    }

    pub(super) fn delete(&self, object: &str, key: &NewKey) -> RequestBuilder {
        let url = self.get(object, key).build().expect("a request").url().clone();
        self.world.client.delete(url).bearer_auth(key.secret.expose_secret())
    }

    /// A message of the default tenant.
    pub(super) fn message(&self, body: &Value) -> RequestBuilder {
        self.post(&format!("/v21.0/{NUMBER}/messages"), API_KEY).json(body)
    }

    pub(super) fn upload(&self, form: Form) -> RequestBuilder {
        let path = format!("/v21.0/{ACME_NUMBER}/media");
        self.post(&path, self.acme.secret.expose_secret()).multipart(form)
    }

    /// The messages that are stored, oldest first.
    pub(super) async fn sent(&self) -> Result<Vec<Message>> {
        self.world.stored().await?.iter().map(Stored::decode).collect()
    }

    /// Status, code, subcode and details of a refusal, whose shape is checked.
    pub(super) async fn refusal(request: RequestBuilder) -> Result<(u16, i64, Option<i64>, String)> {
        let (status, body) = answer(request.send().await?).await?;
        let error = &body["error"];
        let kind = if error["error_subcode"].is_null() { "OAuthException" } else { "GraphMethodException" };
        assert_eq!(error["type"], kind, "{body}");
        assert_eq!(error["error_data"]["messaging_product"], "whatsapp", "{body}");
        assert_eq!(error["fbtrace_id"].as_str().map(str::len), Some(32), "{body}");
        assert_eq!(error["is_transient"] == true, status == 503, "{body}");
        let code = error["code"].as_i64().context("a code")?;
        let message = error["message"].as_str().context("a message")?;
        let is_named = message.starts_with(&format!("(#{code}) ")) || code == 190 || kind != "OAuthException";
        assert!(is_named, "{body}");
        let details = error["error_data"]["details"].as_str().context("details")?.to_owned();
        Ok((status, code, error["error_subcode"].as_i64(), details))
    }
}

pub(super) fn media(files: &TempDir) -> chasqui_media::Config {
    chasqui_media::Config {
        store: files.path().display().to_string(),
        url_key: Some("key-of-the-addresses".into()),
        base_url: MEDIA_BASE_URL.to_owned(),
        image_bytes_max: 64 * 1024,
        sticker_bytes_max: 64 * 1024,
        ..chasqui_media::Config::default()
    }
}

pub(super) fn key_entry(key: &NewKey, tenant: &str, scope: &str) -> Entry {
    let (tenant, id, sha256) = (tenant.into(), format!("{tenant}-{scope}"), key.sha256.clone());
    Entry::ApiKey(ApiKeyEntry { tenant, id, sha256, scopes: vec![scope.into()], ..ApiKeyEntry::default() })
}

/// A whole body of a message of this type.
pub(super) fn body(kind: &str, content: &Value) -> Value {
    json!({ "messaging_product": "whatsapp", "recipient_type": "individual", "to": CONTACT, "type": kind, kind: content })
}

pub(super) fn text(text: &str) -> Value {
    body("text", &json!({ "body": text }))
}
