//! The bus as `AsyncAPI`: subjects and the types of their payloads, from the crate that declares them.

use chasqui_proto::{
    ConversationToken, DESCRIPTORS, Tenant,
    service::{self, Endpoint},
    stream,
    subject::{self, NodeToken, Subject},
};
use prost::Name;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::info;

/// The key that stands for the tenant in a subject.
const TENANT: &str = "tenant";

/// The bus, and room for what sockets carry.
pub(super) fn asyncapi() -> Value {
    let mut book = Book::default();
    book.facts();
    book.questions();
    json!({
        "asyncapi": "3.0.0",
        "info": info("Chasqui over sockets and the bus"),
        "servers": {
            "bus": {
                "host": "localhost:4222",
                "protocol": "nats",
                "description": "NATS with JetStream, between services; payloads are protobuf, shown here as JSON",
            },
        },
        "channels": book.channels,
        "operations": book.operations,
        "components": { "schemas": schemas() },
    })
}

#[derive(Default)]
struct Book {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
}

/// What goes over a subject.
struct Entry<'a> {
    address: &'a str,
    summary: &'a str,
    description: &'a str,
    payload: &'a str,
}

impl Book {
    fn facts(&mut self) {
        let tenant: Tenant = TENANT.parse().expect("it is a word");
        let conversation: ConversationToken = "conversation".parse().expect("it is a word");
        let name = NodeToken::new;
        self.fact(&subject::messages_in(&tenant, &conversation), "A message from the contact");
        self.fact(&subject::messages_out(&tenant, &conversation), "A message to the contact");
        self.fact(&subject::messages_status(&tenant, &conversation), "A step of a message on its way");
        self.fact(&subject::conversations_updated(&tenant, &conversation), "A conversation as it stands");
        self.fact(&subject::stats_updated(&tenant), "The counters of a tenant as they stand");
        self.fact(&subject::chats_updated(&tenant, &conversation), "A chat with an agent as it stands");
        self.fact(&subject::sessions_updated(&tenant, &name("session")), "A WhatsApp session as it stands");
        self.fact(&subject::bot_updated(&tenant), "The bot of a tenant as it stands");
        self.fact(&subject::bulk_progress(&tenant, &name("campaign")), "A campaign as it stands");
        self.fact(
            &subject::appointments_updated(&tenant, &name("appointment")),
            "An appointment as it stands",
        );
        self.fact(&subject::payments_updated(&tenant, &name("reference")), "A payment as it stands");
        self.fact(&subject::presence_changed(&tenant, &conversation), "A person's connections on one node");
        self.fact(
            &subject::presence_alive(&tenant, &name("node")),
            "A node that has people of the tenant lives",
        );
        self.fact(&subject::typing_changed(&tenant, &conversation), "Somebody types, or stopped");
        self.fact(&subject::announcements_made(&tenant), "Told to everyone of the tenant who is connected");
    }

    fn fact<P: Name>(&mut self, subject: &Subject<P>, summary: &str) {
        let name = subject.as_str();
        let stored = stream::ALL.iter().find(|stream| {
            let mut prefixes = stream.subjects.iter().map(|pattern| pattern.trim_end_matches('>'));
            prefixes.any(|prefix| name.starts_with(prefix))
        });
        let kept = match stored {
            Some(stream) => {
                format!("Stored in the stream {}, and repeated as live.{}", stream.name, address(name))
            }
            None => "Not stored".to_owned(),
        };
        self.channel(
            &Entry { address: &address(name), summary, description: &kept, payload: P::NAME },
            "receive",
        );
    }

    fn questions(&mut self) {
        self.question(&service::CONVERSATIONS_LIST, "Conversations of a tenant, newest first");
        self.question(&service::CONVERSATIONS_GET, "One conversation");
        self.question(&service::CONVERSATIONS_MARK_READ, "An agent has seen a conversation");
        self.question(&service::MESSAGES_LIST, "Messages of a conversation, newest first");
        self.question(
            &service::MESSAGES_UNDELIVERED,
            "What was written to a widget while nobody had it open",
        );
        self.question(&service::EVENTS_SINCE, "What a client missed");
        self.question(&service::STATS_GET, "The counters of a tenant");
        self.question(&service::CHATS_OPEN, "Opens the chat of a conversation");
        self.question(&service::CHATS_GET, "One chat");
        self.question(&service::CHATS_LIST, "Open chats, oldest first");
        self.question(&service::CHATS_CLOSE, "Closes a chat");
        self.question(&service::CHATS_ASSIGN, "Gives a chat to an agent, or back to the queue");
        self.question(&service::DIRECTORY_PUT, "Makes or replaces an entry of the directory");
        self.question(&service::DIRECTORY_GET, "One entry of the directory");
        self.question(&service::DIRECTORY_LIST, "Entries of a kind, by id");
        self.question(&service::DIRECTORY_REMOVE, "Removes an entry of the directory");
        self.question(&service::SESSIONS_OPEN, "Starts a WhatsApp session");
        self.question(&service::SESSIONS_CLOSE, "Logs a WhatsApp session out");
    }

    fn question<Q: Name, A: Name>(&mut self, endpoint: &Endpoint<Q, A>, summary: &str) {
        let answered = format!("Answered by the micro service {} with {}", endpoint.service, A::NAME);
        let address = endpoint.subject;
        self.channel(&Entry { address, summary, description: &answered, payload: Q::NAME }, "send");
        let id = id(address);
        self.channels[&id]["messages"][A::NAME] = message(A::NAME);
        self.operations[&id]["messages"] =
            json!([{ "$ref": format!("#/channels/{id}/messages/{}", Q::NAME) }]);
        self.operations[&id]["reply"] = json!({
            "channel": { "$ref": format!("#/channels/{id}") },
            "messages": [{ "$ref": format!("#/channels/{id}/messages/{}", A::NAME) }],
        });
    }

    fn channel(&mut self, entry: &Entry<'_>, action: &str) {
        let Entry { address, summary, description, payload } = *entry;
        let id = id(address);
        let parameters: Map<String, Value> = address
            .split('.')
            .filter_map(|token| token.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| (name.to_owned(), json!({})))
            .collect();
        let channel = json!({
            "address": address,
            "summary": summary,
            "description": description,
            "servers": [{ "$ref": "#/servers/bus" }],
            "parameters": parameters,
            "messages": { payload: message(payload) },
        });
        self.channels.insert(id.clone(), channel);
        let operation = json!({ "action": action, "summary": summary, "channel": { "$ref": format!("#/channels/{id}") } });
        self.operations.insert(id, operation);
    }
}

fn message(payload: &str) -> Value {
    json!({ "name": payload, "contentType": "application/protobuf",
        "payload": { "$ref": format!("#/components/schemas/chasqui.v1.{payload}") } })
}

/// A channel's name within the document.
fn id(address: &str) -> String {
    let words = address.split('.').filter(|token| !token.starts_with('{'));
    words.collect::<Vec<_>>().join("-")
}

/// The subject with its variable parts in braces: all that stands behind the fact's two words.
fn address(subject: &str) -> String {
    let parts = subject::parse(subject).expect("it was made by the crate that takes it apart");
    let key = if parts.key.is_empty() { String::new() } else { format!(".{{{}}}", parts.key) };
    format!("{}.{}.{{{}}}{key}", parts.noun, parts.fact, parts.tenant)
}

/// Every payload as JSON Schema, in the JSON form of protobuf.
fn schemas() -> Map<String, Value> {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the compiler of this build wrote it");
    let ours = pool.all_messages().filter(|message| message.package_name() == "chasqui.v1");
    ours.map(|message| (message.full_name().to_owned(), schema_of(&message))).collect()
}

fn schema_of(message: &MessageDescriptor) -> Value {
    let fields: Map<String, Value> =
        message.fields().map(|field| (field.json_name().to_owned(), schema_of_field(&field))).collect();
    json!({ "type": "object", "properties": fields })
}

fn schema_of_field(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::Double | Kind::Float => json!({ "type": "number" }),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
            json!({ "type": "string", "format": "int64" })
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
            json!({ "type": "integer" })
        }
        Kind::Enum(words) => {
            let words: Vec<String> = words.values().map(|word| word.name().to_owned()).collect();
            json!({ "type": "string", "enum": words })
        }
        Kind::Message(message) if message.package_name() == "chasqui.v1" => {
            json!({ "$ref": format!("#/components/schemas/{}", message.full_name()) })
        }
        Kind::Message(_) => json!({ "type": "object" }),
    };
    if field.is_list() { json!({ "type": "array", "items": one }) } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_has_its_address_its_payload_and_where_it_is_kept() {
        let document = asyncapi();
        let message = &document["channels"]["messages-in"];
        assert_eq!(message["address"], "messages.in.{tenant}.{conversation}");
        assert_eq!(message["messages"]["Message"]["name"], "Message");
        assert!(message["description"].as_str().unwrap().contains("stream MESSAGES"));
        assert!(document["channels"]["typing-changed"]["description"] == "Not stored");
        let schema = &document["components"]["schemas"]["chasqui.v1.Message"]["properties"];
        assert_eq!(schema["text"]["type"], "string");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, value: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        let pointer = to.strip_prefix('#').expect("references stay in the document");
                        assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
                    }
                    members.values().for_each(|member| check(document, member));
                }
                Value::Array(items) => items.iter().for_each(|item| check(document, item)),
                _ => {}
            }
        }
        let document = asyncapi();
        check(&document, &document);
    }
}
