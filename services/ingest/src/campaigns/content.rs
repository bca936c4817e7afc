//! What a campaign says: checked as any message that is handed in, with the places that recipients differ in. Pure.

use chasqui_proto::{
    Tenant,
    v1::{Message, MessageType},
};
use serde_json::{Map, Value, json};

use crate::{
    fields::FieldError,
    outgoing::{self, Outgoing},
};

/// What a place begins with.
const PLACE: &str = "{{";
/// What no content of a campaign has: it is to everybody, and in reply to nobody.
const SENSELESS: [(&str, &str); 3] = [
    ("to", "must be left out: recipients says whom it goes to"),
    ("recipient", "must be left out: recipients says whom it goes to"),
    ("context", "must be left out: a campaign answers no message"),
];

/// The content as it was handed in.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) message: Option<Value>,
    pub(super) template_variables: Vec<String>,
    pub(super) fallback_template: Option<Value>,
}

/// The message of a plan, without its channel.
pub(super) fn read(said: Said, tenant: &Tenant) -> Result<Message, FieldError> {
    let mut content = match said.message {
        Some(Value::Object(content)) => content,
        Some(Value::String(text)) => text_content(&text),
        None | Some(Value::Null) => return Err(FieldError::new("message", "is needed")),
        Some(_) => return Err(FieldError::new("message", "must be a text, or an object with a type")),
    };
    for (name, expected) in SENSELESS {
        if content.get(name).is_some_and(|value| !value.is_null()) {
            return Err(FieldError::new(format!("message.{name}"), expected));
        }
    }
    if let Some(data) = content.remove("callback_data") {
        content.insert("biz_opaque_callback_data".to_owned(), data);
    }
    if !said.template_variables.is_empty() {
        fill_template(&mut content, &said.template_variables)?;
    }
    let read = Outgoing::read(&content, tenant);
    let read = read.map_err(|error| FieldError::new("message", error.to_string()))?;
    if read.kind() == MessageType::Reaction {
        return Err(FieldError::new("message.type", "must not be reaction: a campaign is about no message"));
    }
    let fallback = said.fallback_template.map(|template| outgoing::fallback(template, tenant)).transpose()?;
    let message = read.fill(Message { fallback: fallback.unwrap_or_default(), ..Message::default() });
    check_places(&message)?;
    Ok(message)
}

fn text_content(text: &str) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), json!("text")), ("text".to_owned(), json!({ "body": text }))])
}

/// Gives a template a body whose parameters are these variables.
fn fill_template(content: &mut Map<String, Value>, variables: &[String]) -> Result<(), FieldError> {
    let wrong = |expected: &'static str| FieldError::new("template_variables", expected);
    let is_template = content.get("type").is_some_and(|kind| kind == "template");
    let template = content.get_mut("template").filter(|_| is_template).and_then(Value::as_object_mut);
    let template = template.ok_or_else(|| wrong("must stand with a message of type template"))?;
    let components = template.entry("components").or_insert_with(|| json!([]));
    if components.is_null() {
        *components = json!([]);
    }
    let Value::Array(components) = components else {
        return Err(FieldError::new("message", "template.components must be an array"));
    };
    let is_body =
        |component: &Value| component["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("body"));
    if components.iter().any(is_body) {
        return Err(wrong("must be left out where the template has a component of type body"));
    }
    let parameter = |name: &String| json!({ "type": "text", "text": format!("{{{{{name}}}}}") });
    let parameters: Vec<Value> = variables.iter().map(parameter).collect();
    components.push(json!({ "type": "body", "parameters": parameters }));
    Ok(())
}

/// Refuses places that would be sent as they stand: they are taken in texts, links and names of files, and in everything
/// that goes on as the JSON it is.
fn check_places(message: &Message) -> Result<(), FieldError> {
    let location = message.location.iter().flat_map(|place| [&place.name, &place.address]);
    let files = message.media.iter().map(|media| &media.id);
    if location.chain(files).any(|text| text.contains(PLACE)) {
        let kind = message.r#type().name();
        return Err(FieldError::new(
            "message",
            format!("{kind} takes {{{{…}}}} neither in a place's name and address nor in a file's id"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chasqui_campaign::Wording;

    use super::*;

    fn content(message: Value) -> Said {
        Said { message: Some(message), template_variables: Vec::new(), fallback_template: None }
    }

    fn told(said: Said) -> String {
        read(said, &"acme".parse().unwrap()).unwrap_err().to_string()
    }

    fn template(components: &Value) -> Value {
        let template = json!({ "name": "promo", "language": { "code": "es" }, "components": components });
        json!({ "type": "template", "template": template })
    }

    #[test]
    fn columns_become_the_parameters_of_a_templates_body() {
        for components in [json!(null), json!([]), json!([{ "type": "header", "parameters": [] }])] {
            let template_variables = vec!["nombre".to_owned(), "monto".to_owned()];
            let said = Said { template_variables, ..content(template(&components)) };
            let message = read(said, &"acme".parse().unwrap()).unwrap();
            let raw: Value = serde_json::from_slice(&message.raw).unwrap();
            let body = raw["template"]["components"].as_array().unwrap().last().unwrap();
            let expected = json!({ "type": "body", "parameters": [
                { "type": "text", "text": "{{nombre}}" }, { "type": "text", "text": "{{monto}}" },
            ] });
            assert_eq!(body, &expected);
            let wording = Wording::read(&message).unwrap();
            assert_eq!(wording.names().collect::<Vec<_>>(), ["monto", "nombre"]);
        }
    }

    #[test]
    fn shc_14_what_can_be_sent_to_one_can_be_sent_to_many() {
        let message = read(
            Said {
                fallback_template: Some(template(&json!([]))["template"].clone()),
                ..content(json!({
                    "type": "image", "image": { "link": "https://example.org/{{foto}}.png", "caption": "{{a}}" },
                    "callback_data": "pedido {{b}}",
                }))
            },
            &"acme".parse().unwrap(),
        )
        .unwrap();
        let wording = Wording::read(&message).unwrap();
        assert_eq!(wording.names().collect::<Vec<_>>(), ["a", "b", "foto"]);
        assert!(!message.fallback.is_empty());
    }

    #[test]
    fn what_makes_no_sense_to_many_is_refused_by_its_name() {
        let text = |more: Value| {
            let mut text = json!({ "type": "text", "text": { "body": "hola" } });
            text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            content(text)
        };
        let reaction = json!({ "type": "reaction", "reaction": { "message_id": "wamid.A", "emoji": "👍" } });
        let place =
            json!({ "type": "location", "location": { "latitude": 1, "longitude": 1, "name": "{{a}}" } });
        let variables = |message: Value| Said { template_variables: vec!["a".into()], ..content(message) };
        for (said, expected) in [
            (text(json!({ "context": { "message_id": "wamid.A" } })), "message.context: must be left out"),
            (text(json!({ "to": "5491100000001" })), "message.to: must be left out"),
            (content(reaction), "message.type: must not be reaction"),
            (content(place), "message: location takes {{…}} neither"),
            (
                content(json!({ "type": "image", "image": { "id": "{{a}}" } })),
                "message: image takes {{…}} neither",
            ),
            (content(json!(7)), "message: must be a text, or an object with a type"),
            (content(json!(null)), "message: is needed"),
            (content(json!({ "type": "text", "text": {} })), "message: text.body is needed"),
            (content(json!("")), "message: text.body is needed"),
            (content(json!({ "type": "sms" })), "message: type must be one of"),
            (variables(json!("hola")), "template_variables: must stand with a message of type template"),
            (variables(template(&json!([{ "type": "BODY" }]))), "template_variables: must be left out"),
            (variables(template(&json!(7))), "message: template.components must be an array"),
            (
                Said { fallback_template: Some(json!({ "name": "A" })), ..text(json!({})) },
                "fallback_template: template.name must be of a-z, 0-9 and _",
            ),
        ] {
            let told = told(said);
            assert!(told.starts_with(expected), "{told} should say {expected}");
        }
    }
}
