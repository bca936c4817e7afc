//! What Meta sends: Cloud API webhooks, as JSON.
//!
//! `from` and `recipient` are phone numbers (digits) or business-scoped user ids (`AR.1349…`), which Meta sends instead
//! where a contact hides its number.

mod sample;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use uuid::Uuid;

pub use sample::every_type;

/// The business account every number here belongs to.
pub const ACCOUNT_ID: &str = "100000000000000";
/// The number contacts write to, as people write it.
pub const DISPLAY_PHONE_NUMBER: &str = "5491100000099";

/// A new message id, as long as a real one.
pub fn wamid() -> String {
    format!("wamid.{}", Uuid::now_v7().simple().to_string().to_uppercase())
}

/// Now, as the Cloud API writes it: unix seconds in a string.
pub fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().to_string()
}

/// A text message.
pub fn text(from: &str, wamid: &str, body: &str) -> Value {
    message(from, wamid, "text", json!({ "text": { "body": body } }))
}

/// A message of any type: `members` are added to what all messages have.
pub fn message(from: &str, wamid: &str, r#type: &str, members: Value) -> Value {
    let mut message = Map::new();
    message.insert(if is_phone(from) { "from" } else { "from_user_id" }.to_owned(), from.into());
    message.insert("id".to_owned(), wamid.into());
    message.insert("timestamp".to_owned(), timestamp().into());
    message.insert("type".to_owned(), r#type.into());
    if let Value::Object(members) = members {
        message.extend(members);
    }
    Value::Object(message)
}

/// What became of a message that was sent: `sent`, `delivered`, `read`, `played` or `failed`.
pub fn status(wamid: &str, recipient: &str, status: &str) -> Value {
    let key = if is_phone(recipient) { "recipient_id" } else { "recipient_user_id" };
    let mut sent = json!({ "id": wamid, "status": status, "timestamp": timestamp(), key: recipient });
    if status == "failed" {
        sent["errors"] = json!([{
            "code": 131_026,
            "title": "Message undeliverable",
            "message": "Message undeliverable",
            "error_data": { "details": "Message Undeliverable." },
        }]);
    }
    sent
}

/// One webhook with these messages, and a contact for each sender.
pub fn webhook(phone_number_id: &str, messages: &[Value]) -> Value {
    let contacts = contacts(messages);
    change(phone_number_id, "messages", json!({ "contacts": contacts, "messages": messages }))
}

/// One webhook with these statuses.
pub fn status_webhook(phone_number_id: &str, statuses: &[Value]) -> Value {
    change(phone_number_id, "messages", json!({ "statuses": statuses }))
}

/// A webhook about anything: `members` are added to what every value has.
pub fn change(phone_number_id: &str, field: &str, members: Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": DISPLAY_PHONE_NUMBER, "phone_number_id": phone_number_id },
    });
    if let (Value::Object(value), Value::Object(members)) = (&mut value, members) {
        value.extend(members);
    }
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": ACCOUNT_ID, "changes": [{ "field": field, "value": value }] }],
    })
}

/// The name a contact gives itself.
pub fn name_of(contact: &str) -> String {
    let tail: String = contact.chars().rev().take(2).collect::<Vec<char>>().into_iter().rev().collect();
    format!("Contact {tail}")
}

fn contacts(messages: &[Value]) -> Vec<Value> {
    let mut contacts: Vec<Value> = Vec::new();
    for message in messages {
        let mut contact = Map::new();
        for (ours, theirs) in [("from_user_id", "user_id"), ("from", "wa_id")] {
            if let Some(address) = message[ours].as_str() {
                contact.insert("profile".to_owned(), json!({ "name": name_of(address) }));
                contact.insert(theirs.to_owned(), address.into());
            }
        }
        let contact = Value::Object(contact);
        if !contacts.contains(&contact) {
            contacts.push(contact);
        }
    }
    contacts
}

fn is_phone(address: &str) -> bool {
    !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_names_each_sender_once() {
        let (contact, hidden) = ("5491100000001", "AR.13491208655302741918");
        let messages = vec![text(contact, "a", "1"), text(hidden, "b", "2"), text(contact, "c", "3")];
        let webhook = webhook("100000000000001", &messages);
        let value = &webhook["entry"][0]["changes"][0]["value"];
        assert_eq!(value["messages"].as_array().unwrap().len(), 3);
        assert_eq!(
            value["contacts"],
            json!([
                { "profile": { "name": "Contact 01" }, "wa_id": contact },
                { "profile": { "name": "Contact 18" }, "user_id": hidden },
            ])
        );
        assert_eq!(value["messages"][1]["from_user_id"], hidden);
    }

    #[test]
    fn ids_differ_and_only_failures_carry_errors() {
        assert_ne!(wamid(), wamid());
        assert!(status("wamid.A", "5491100000001", "failed")["errors"][0]["code"].is_number());
        assert!(status("wamid.A", "5491100000001", "read")["errors"].is_null());
    }
}
