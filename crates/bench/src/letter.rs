//! The requests by which messages enter.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::{
    Request,
    header::{CONTENT_TYPE, HOST},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::{address::Address, marker, plan::Plan};

/// Where messages enter, with the secret that the place asks for.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// The Cloud API webhook: messages from contacts, signed with the app secret.
    Webhook {
        /// The app secret.
        app_secret: SecretString,
    },
    /// The bot's reply: messages to contacts.
    BotReply {
        /// The API key.
        api_key: SecretString,
    },
}

/// Writes the request of each message.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    host: String,
    run: String,
    conversations: u32,
    text_bytes: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Entrance(Entrance),
    /// The text and nothing else, to a path of the bare server.
    Bare(&'static str),
}

impl Letter {
    /// Letters to an entrance of the deployment.
    pub(crate) fn new(to: &Address, plan: &Plan, text_bytes: usize, entrance: &Entrance) -> Self {
        Self::of(to, plan, text_bytes, Kind::Entrance(entrance.clone()))
    }

    /// Letters whose body is the text alone.
    pub(crate) fn bare(to: &Address, plan: &Plan, text_bytes: usize, path: &'static str) -> Self {
        Self::of(to, plan, text_bytes, Kind::Bare(path))
    }

    fn of(to: &Address, plan: &Plan, text_bytes: usize, kind: Kind) -> Self {
        let run = plan.run.clone();
        Self { host: to.authority(), run, conversations: plan.conversations, text_bytes, kind }
    }

    /// The request of one message.
    pub(crate) fn write(&self, message: u32) -> Request<Full<Bytes>> {
        let text = marker::text(&self.run, message, self.text_bytes);
        let number = phone(message % self.conversations);
        match &self.kind {
            Kind::Entrance(Entrance::Webhook { app_secret }) => {
                let id = format!("wamid.bench-{}-{message}", self.run);
                from_contact(&self.host, app_secret, &id, &number, &text)
            }
            Kind::Entrance(Entrance::BotReply { api_key }) => {
                let body = format!(r#"{{"targetUserWhatsAppNumber":"{number}","messageText":"{text}"}}"#);
                post(
                    &self.host,
                    "/api/bot-reply",
                    body,
                    Some(("x-api-key", api_key.expose_secret().to_owned())),
                )
            }
            Kind::Bare(path) => post(&self.host, path, text, None),
        }
    }
}

/// A webhook with one text message of a contact, signed. `id` is WhatsApp's of it.
pub(crate) fn from_contact(
    host: &str,
    app_secret: &SecretString,
    id: &str,
    number: &str,
    text: &str,
) -> Request<Full<Bytes>> {
    let body = webhook(id, number, text);
    let signature = ("x-hub-signature-256", signature(app_secret.expose_secret(), &body));
    post(host, "/webhooks/whatsapp", body, Some(signature))
}

fn post(host: &str, path: &str, body: String, proof: Option<(&str, String)>) -> Request<Full<Bytes>> {
    let request = Request::post(path).header(HOST, host).header(CONTENT_TYPE, "application/json");
    let request = match proof {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    request.body(Full::from(body)).expect("the options were checked to make valid headers")
}

/// The phone number of a conversation. These belong to nobody.
pub(crate) fn phone(conversation: u32) -> String {
    format!("54911{:08}", conversation + 1)
}

/// A webhook with one text message. Every part is ours, without anything to escape.
fn webhook(id: &str, number: &str, text: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!(
        concat!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"100000000000001","changes":[{{"field":"messages","#,
            r#""value":{{"messaging_product":"whatsapp","#,
            r#""metadata":{{"display_phone_number":"5491100000000","phone_number_id":"100000000000002"}},"#,
            r#""contacts":[{{"profile":{{"name":"Bench {number}"}},"wa_id":"{number}"}}],"#,
            r#""messages":[{{"from":"{number}","id":"{id}","timestamp":"{seconds}","#,
            r#""type":"text","text":{{"body":"{text}"}}}}]}}}}]}}]}}"#
        ),
        number = number,
        id = id,
        seconds = seconds,
        text = text,
    )
}

fn signature(app_secret: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_signature_is_the_one_that_meta_computes() {
        let body = r#"{"object":"whatsapp_business_account","entry":[]}"#;
        let expected = "sha256=d3e4f9da0ce6c71ab3dba55929b8eeeee2455349e534924ead19f98d143e904f";
        assert_eq!(signature("app-secret", body), expected);
    }

    #[test]
    fn a_webhook_is_json_with_the_mark_in_its_text() {
        let text = marker::text("3fa9c1d2", 7, 64);
        let body: Value = serde_json::from_str(&webhook("wamid.A", &phone(7), &text)).unwrap();
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(value["messages"][0]["from"], "5491100000008");
        assert_eq!(value["messages"][0]["id"], "wamid.A");
        assert_eq!(value["contacts"][0]["wa_id"], "5491100000008");
        assert_eq!(marker::find("3fa9c1d2", value["messages"][0]["text"]["body"].as_str().unwrap()), Some(7));
    }
}
