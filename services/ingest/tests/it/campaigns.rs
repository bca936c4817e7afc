//! One message to many contacts.

mod creation;
mod files;
mod looking_after;
mod repeating;
mod results;
mod store;

use anyhow::Result;
use chasqui_proto::v1::SessionStatus;
use reqwest::{RequestBuilder, multipart};
use serde_json::{Value, json};

use crate::{
    whatsapp::Whatsapp,
    world::{API_KEY, NUMBER, World, answer},
};
use store::Store;

/// Ingest with a number that is connected and somebody who keeps campaigns.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) store: Store,
    whatsapp: Whatsapp,
}

impl Office {
    pub(crate) async fn open() -> Result<Self> {
        let world = World::start().await?;
        let whatsapp = Whatsapp::start(&world).await?;
        whatsapp.stands("default", "", NUMBER, SessionStatus::Connected);
        whatsapp.stands("default", "haby", "haby", SessionStatus::LoggedOut);
        let store = Store::start(&world).await?;
        Ok(Self { world, store, whatsapp })
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.store.stop().await;
        self.whatsapp.stop().await;
        self.world.stop().await
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.world.get(path).header("x-api-key", API_KEY)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.world.post(path).header("x-api-key", API_KEY)
    }

    /// A campaign with its recipients in the body.
    pub(crate) fn create(&self, body: &Value) -> RequestBuilder {
        self.post("/api/campaigns").json(body)
    }

    /// A campaign with its recipients in a file.
    pub(crate) fn upload(&self, definition: &Value, file: impl Into<Vec<u8>>) -> RequestBuilder {
        let file = multipart::Part::bytes(file.into()).file_name("contactos.csv");
        let form = multipart::Form::new().text("campaign", definition.to_string()).part("file", file);
        self.post("/api/campaigns").multipart(form)
    }

    /// The same, done.
    pub(crate) async fn uploaded(&self, definition: &Value, file: &str) -> Result<(u16, Value)> {
        answer(self.upload(definition, file).send().await?).await
    }
}

/// A campaign that greets its recipients by their names.
pub(crate) fn greeting() -> Value {
    json!({ "name": "saludo", "message": "Hola {{nombre}}" })
}

/// `more` beside what is there.
pub(crate) fn with(mut body: Value, more: &Value) -> Value {
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    body
}
