//! Which conversation an address belongs to, where the address does not say it itself.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use async_nats::jetstream::kv::{EntryError, Store};
use chasqui_kit::{Bus, Code, Coded};
use chasqui_proto::{
    ConversationToken, Tenant, stream,
    v1::{Alias, AliasKind},
};
use tokio::sync::OnceCell;

/// How many found addresses are remembered; past it all are forgotten. About 300 bytes each.
const REMEMBERED_MAX: usize = 20_000;
/// How long an address is remembered: after this, a contact whose conversations were joined is found in the new one.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

/// The directory could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the directory of addresses cannot be read: {0}")]
pub(crate) struct AddressError(String);

impl Coded for AddressError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// The bucket that persistence fills, and what was found in it lately.
#[derive(Debug)]
pub(crate) struct Addresses {
    bus: Bus,
    bucket: OnceCell<Store>,
    /// By key. Addresses that are not in the directory are not remembered: they may be the next moment.
    remembered: Mutex<HashMap<String, (ConversationToken, Instant)>>,
}

impl Addresses {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, bucket: OnceCell::new(), remembered: Mutex::default() }
    }

    /// The conversation of an address: what the directory says, else the one the address itself names. A phone number
    /// always names its own.
    pub(crate) async fn conversation(
        &self,
        tenant: &Tenant,
        alias: &Alias,
    ) -> Result<ConversationToken, AddressError> {
        let own = ConversationToken::of(alias);
        if alias.kind() == AliasKind::Phone {
            return Ok(own);
        }
        let key = stream::directory_key(tenant, &own);
        if let Some(token) = self.recall(&key) {
            return Ok(token);
        }
        let Some(token) = self.look_up(&key).await? else {
            return Ok(own);
        };
        self.remember(key, token.clone());
        Ok(token)
    }

    async fn look_up(&self, key: &str) -> Result<Option<ConversationToken>, AddressError> {
        // Without a connection the request would only wait for its time-out.
        if !self.bus.is_connected() {
            return Err(AddressError("the message broker is away".to_owned()));
        }
        let open = || self.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET);
        let bucket = self.bucket.get_or_try_init(open).await;
        let bucket = bucket.map_err(|error| AddressError(error.to_string()))?;
        let value = bucket.get(key).await.map_err(|error: EntryError| AddressError(error.to_string()))?;
        let token = value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
        Ok(token)
    }

    fn recall(&self, key: &str) -> Option<ConversationToken> {
        let remembered = self.remembered.lock().expect("no holder of this lock panics");
        let (token, since) = remembered.get(key)?;
        (since.elapsed() < REMEMBERED_FOR).then(|| token.clone())
    }

    fn remember(&self, key: String, token: ConversationToken) {
        let mut remembered = self.remembered.lock().expect("no holder of this lock panics");
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(key, (token, Instant::now()));
    }
}
