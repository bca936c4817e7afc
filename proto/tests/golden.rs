//! Version 1 of the wire is frozen: what was once written is read the same for ever.
//!
//! `golden/v1/<name>.bin` is one encoded payload, `<name>.json` the same for people, with its type. A field added
//! later gets a sample of its own at the end of `golden/samples.rs`; `CHASQUI_GOLDEN=write cargo test -p chasqui-proto
//! --test golden` then writes the files that are missing. It never touches one that exists.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::Once,
};

use chasqui_proto::DESCRIPTORS;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions, Value,
};
use serde_json::json;

#[path = "golden/samples.rs"]
mod samples;

const WRITE_SWITCH: &str = "CHASQUI_GOLDEN";

#[test]
fn what_was_written_once_is_read_the_same_for_ever() {
    for sample in frozen() {
        let bytes = fs::read(file(sample.file, "bin")).unwrap_or_else(|error| missing(sample.file, &error));
        assert_eq!(bytes, sample.bytes, "{}: the encoding has changed", sample.file);
    }
}

#[test]
fn every_golden_file_means_what_the_text_beside_it_says() {
    let samples = frozen().len();
    let names = golden_names();
    assert!(names.len() >= samples, "golden files are missing");
    for name in names {
        let text = fs::read_to_string(file(&name, "json")).unwrap_or_else(|error| missing(&name, &error));
        let text: serde_json::Value = serde_json::from_str(&text).unwrap();
        let bytes = fs::read(file(&name, "bin")).unwrap();
        let message = decode(text["type"].as_str().unwrap(), &bytes);
        assert_eq!(text["payload"], readable(&message), "{name}: a field has another name or meaning");
        assert_eq!(message.encode_to_vec(), bytes, "{name}: it is not encoded again as it was");
        assert_no_unknown(&message, &name);
    }
}

#[test]
fn every_field_of_every_payload_stands_in_a_golden_file() {
    let mut seen = BTreeSet::new();
    for sample in frozen() {
        collect_set_fields(&decode(&sample.type_name, &sample.bytes), &mut seen);
    }
    let declared: BTreeSet<String> = pool()
        .all_messages()
        .filter(|message| !message.is_map_entry())
        .flat_map(|message| message.fields().map(|field| field.full_name().to_owned()).collect::<Vec<_>>())
        .collect();
    let frozen_not: Vec<_> = declared.difference(&seen).collect();
    assert!(frozen_not.is_empty(), "add a sample for: {frozen_not:?}");
}

#[test]
fn every_payload_has_a_golden_file() {
    let sampled: BTreeSet<String> = frozen().into_iter().map(|sample| sample.type_name).collect();
    // Parts of other payloads, never sent alone.
    let parts = [
        "AgentEntry",
        "Alias",
        "ApiKeyEntry",
        "BridgeFrame",
        "BridgeSegment",
        "CampaignPlan",
        "CampaignReport",
        "Channel",
        "Choice",
        "CloseOwned",
        "Connection",
        "Contact",
        "Context",
        "Count",
        "Draft",
        "DueCampaign",
        "DuplicateRow",
        "FailureCount",
        "FlowOption",
        "FlowState",
        "Forgotten",
        "ForwardRequest",
        "HaltOwned",
        "Heard",
        "LinkConnected",
        "LinkDisconnected",
        "LinkEvent",
        "LinkLoggedOut",
        "LinkQr",
        "ListenerEntry",
        "Location",
        "LogOutLink",
        "LoggedDelivery",
        "Media",
        "NumberEntry",
        "OpenOwned",
        "PingLink",
        "ProviderError",
        "QuietHours",
        "Ramp",
        "RecipientCounts",
        "RowProblem",
        "StopLink",
        "StoredEvent",
        "TenantEntry",
        "UserEntry",
        "Waiting",
    ];
    for message in pool().all_messages().filter(|message| !message.is_map_entry()) {
        let alone = !parts.contains(&message.name());
        assert_eq!(sampled.contains(message.full_name()), alone, "{}", message.full_name());
    }
}

/// The samples, once the missing files are written where that was asked for.
fn frozen() -> Vec<samples::Sample> {
    static WRITTEN: Once = Once::new();
    WRITTEN.call_once(|| samples::all().iter().for_each(write_if_missing));
    samples::all()
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).expect("the descriptors are compiled in")
}

fn decode(type_name: &str, bytes: &[u8]) -> DynamicMessage {
    let descriptor: MessageDescriptor =
        pool().get_message_by_name(type_name).unwrap_or_else(|| panic!("{type_name} is gone"));
    DynamicMessage::decode(descriptor, bytes).expect("a golden file decodes")
}

fn readable(message: &DynamicMessage) -> serde_json::Value {
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("a payload can be shown as JSON")
}

fn assert_no_unknown(message: &DynamicMessage, name: &str) {
    assert_eq!(message.unknown_fields().count(), 0, "{name}: {} lost a field", message.descriptor().name());
    for (_, value) in message.fields() {
        for part in parts_of(value) {
            assert_no_unknown(part, name);
        }
    }
}

fn collect_set_fields(message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        seen.insert(field.full_name().to_owned());
        for part in parts_of(value) {
            collect_set_fields(part, seen);
        }
    }
}

fn parts_of(value: &Value) -> Vec<&DynamicMessage> {
    match value {
        Value::Message(part) => vec![part],
        Value::List(values) => values.iter().flat_map(parts_of).collect(),
        _ => Vec::new(),
    }
}

fn write_if_missing(sample: &samples::Sample) {
    if std::env::var(WRITE_SWITCH).as_deref() != Ok("write") {
        return;
    }
    let payload = readable(&decode(&sample.type_name, &sample.bytes));
    let text = json!({ "type": sample.type_name, "payload": payload });
    let text = format!("{}\n", serde_json::to_string_pretty(&text).expect("JSON is written"));
    for (extension, content) in [("bin", sample.bytes.as_slice()), ("json", text.as_bytes())] {
        // `create_new` refuses a file that exists: a golden file is never overwritten.
        if let Ok(mut file) = File::create_new(file(sample.file, extension)) {
            file.write_all(content).expect("the golden file is written");
        }
    }
}

fn golden_names() -> BTreeSet<String> {
    let files = fs::read_dir(directory()).expect("the golden files are there").flatten();
    files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

fn file(name: &str, extension: &str) -> PathBuf {
    directory().join(format!("{name}.{extension}"))
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn missing<T>(name: &str, error: &std::io::Error) -> T {
    panic!("{name}: {error}; {WRITE_SWITCH}=write writes missing golden files")
}
