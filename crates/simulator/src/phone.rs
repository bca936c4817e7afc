//! Simulated phones: what a caller wants a contact to say, as the messages Meta would send.

mod routes;

use serde_json::{Map, Value};

use crate::payload;
pub(crate) use routes::routes;

/// The most messages or statuses of one request.
const ITEMS_MAX: usize = 1_000;
/// The longest address of a contact.
const ADDRESS_LENGTH_MAX: usize = 128;

/// A request that says nothing a phone could do.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
enum PhoneError {
    /// The address.
    #[error("a contact is 6 to 15 digits, or a business-scoped user id such as AR.1349")]
    Contact,
    /// The body.
    #[error("the body must be a JSON object, or hold 1 to {ITEMS_MAX} objects under {0:?}")]
    Body(&'static str),
}

/// The messages that `contact` sends, as `wanted` describes them: `{"text":"…"}`, `{"type":"image",…}`, or several
/// under `messages`.
fn messages(contact: &str, wanted: Value) -> Result<Vec<Value>, PhoneError> {
    let messages = items(contact, wanted, "messages")?;
    Ok(messages.into_iter().map(|wanted| message(contact, wanted)).collect())
}

/// The statuses of messages to `contact`: `{"id":"wamid…","status":"read"}`, or several under `statuses`.
fn statuses(contact: &str, wanted: Value) -> Result<Vec<Value>, PhoneError> {
    let statuses = items(contact, wanted, "statuses")?;
    Ok(statuses.into_iter().map(|wanted| status(contact, wanted)).collect())
}

fn items(contact: &str, wanted: Value, key: &'static str) -> Result<Vec<Map<String, Value>>, PhoneError> {
    if !is_contact(contact) {
        return Err(PhoneError::Contact);
    }
    let Value::Object(mut object) = wanted else {
        return Err(PhoneError::Body(key));
    };
    let items = match object.remove(key) {
        None => return Ok(vec![object]),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(PhoneError::Body(key)),
    };
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(PhoneError::Body(key));
    }
    let object = |item| match item {
        Value::Object(object) => Ok(object),
        _ => Err(PhoneError::Body(key)),
    };
    items.into_iter().map(object).collect()
}

/// What is not said is filled in: id, time, sender, and the body of a type from its sample.
fn message(contact: &str, mut wanted: Map<String, Value>) -> Value {
    if let Some(Value::String(body)) = wanted.get("text") {
        let body = serde_json::json!({ "body": body });
        wanted.insert("text".to_owned(), body);
    }
    let r#type = wanted.get("type").and_then(Value::as_str).unwrap_or("text").to_owned();
    let mut whole = if wanted.contains_key(&r#type) {
        payload::message(contact, &payload::wamid(), &r#type, Value::Null)
    } else {
        let mut samples = payload::every_type(contact).into_iter().map(|(_, sample)| sample);
        let sample = samples.find(|sample| sample["type"] == r#type.as_str());
        sample.unwrap_or_else(|| payload::message(contact, &payload::wamid(), &r#type, Value::Null))
    };
    whole.as_object_mut().expect("a message is an object").extend(wanted);
    whole
}

fn status(contact: &str, wanted: Map<String, Value>) -> Value {
    let text = |key: &str| wanted.get(key).and_then(Value::as_str);
    let wamid = text("id").map_or_else(payload::wamid, str::to_owned);
    let mut whole = payload::status(&wamid, contact, text("status").unwrap_or("delivered"));
    whole.as_object_mut().expect("a status is an object").extend(wanted);
    whole
}

fn is_contact(contact: &str) -> bool {
    let digits = contact.bytes().all(|byte| byte.is_ascii_digit());
    let user_id = contact.as_bytes().get(2) == Some(&b'.') && contact.is_ascii();
    (digits && (6..=15).contains(&contact.len())) || (user_id && contact.len() <= ADDRESS_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CONTACT: &str = "5491100000001";

    fn one(wanted: Value) -> Value {
        messages(CONTACT, wanted).unwrap().remove(0)
    }

    #[test]
    fn a_text_is_enough() {
        let message = one(json!({ "text": "hola" }));
        assert_eq!((&message["type"], &message["text"]["body"]), (&json!("text"), &json!("hola")));
        assert_eq!(message["from"], CONTACT);
    }

    #[test]
    fn a_type_brings_its_sample_and_what_is_said_wins() {
        assert_eq!(one(json!({ "type": "image" }))["image"]["mime_type"], "image/jpeg");
        let image = one(json!({ "type": "image", "image": { "id": "7" }, "id": "wamid.A" }));
        assert_eq!((&image["image"], &image["id"]), (&json!({ "id": "7" }), &json!("wamid.A")));
        assert_eq!(one(json!({ "type": "new" }))["type"], "new");
    }

    #[test]
    fn what_no_phone_does_is_refused() {
        assert_eq!(messages("12", json!({ "text": "x" })), Err(PhoneError::Contact));
        for body in
            [json!([]), json!({ "messages": [] }), json!({ "messages": [1] }), json!({ "messages": {} })]
        {
            assert_eq!(messages(CONTACT, body), Err(PhoneError::Body("messages")));
        }
        assert_eq!(statuses("AR.7", json!({ "status": "read" })).unwrap()[0]["recipient_user_id"], "AR.7");
    }
}
