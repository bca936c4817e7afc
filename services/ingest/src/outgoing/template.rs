use chasqui_proto::v1::MessageType;
use serde_json::Value;

use super::{Outgoing, OutgoingError, media, part::Part};

/// The longest name of a template, characters.
const NAME_LENGTH_MAX: usize = 512;
/// The longest code of a language, characters: `zh_Hant_HK`.
const LANGUAGE_LENGTH_MAX: usize = 10;
/// The most components of a template, and the most parameters of one.
const COMPONENTS_MAX: usize = 100;
/// The longest parameter, characters: the body of a template has no more.
const PARAMETER_LENGTH_MAX: usize = 32_768;

pub(super) fn read(given: &Part<'_>) -> Result<Outgoing, OutgoingError> {
    let name = given.text("name", 1..=NAME_LENGTH_MAX)?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(given.value_of("name", "be of a-z, 0-9 and _"));
    }
    let language = given.object("language")?;
    if !is_language(language.text("code", 1..=LANGUAGE_LENGTH_MAX)?) {
        return Err(language.value_of("code", "be a language such as es or es_AR"));
    }
    if language.optional_text("policy", 1..=64)?.is_some_and(|policy| policy != "deterministic") {
        return Err(language.value_of("policy", "be deterministic"));
    }
    for component in given.optional_objects("components", COMPONENTS_MAX)? {
        read_component(&component)?;
    }
    let text = format!("[template: {name}]");
    Ok(Outgoing::verbatim(MessageType::Template, "template", &given.value(), text))
}

/// Types of components and parameters that are not known here are WhatsApp's to judge: it invents new ones.
fn read_component(component: &Part<'_>) -> Result<(), OutgoingError> {
    if component.text("type", 1..=64)?.eq_ignore_ascii_case("button") {
        component.text("sub_type", 1..=64)?;
        let index = component.get("index").ok_or_else(|| component.missing("index"))?;
        if !is_index(index) {
            return Err(component.value_of("index", "be the position of the button, from 0"));
        }
    }
    for parameter in component.optional_objects("parameters", COMPONENTS_MAX)? {
        match parameter.text("type", 1..=64)? {
            "text" => parameter.text("text", 1..=PARAMETER_LENGTH_MAX).map(drop),
            "payload" => parameter.text("payload", 1..=PARAMETER_LENGTH_MAX).map(drop),
            "currency" => {
                parameter.object("currency")?.text("fallback_value", 1..=PARAMETER_LENGTH_MAX).map(drop)
            }
            "date_time" => {
                parameter.object("date_time")?.text("fallback_value", 1..=PARAMETER_LENGTH_MAX).map(drop)
            }
            kind @ ("image" | "video" | "document") => media::file(&parameter.object(kind)?).map(drop),
            _ => Ok(()),
        }?;
    }
    Ok(())
}

/// Two or three small letters, and after `_` the country or the script.
fn is_language(code: &str) -> bool {
    let mut parts = code.split('_');
    let language = parts.next().unwrap_or_default();
    matches!(language.len(), 2 | 3)
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts
            .all(|part| matches!(part.len(), 2..=4) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Clients write it as a number or as a string.
fn is_index(index: &Value) -> bool {
    match index {
        Value::Number(number) => number.as_u64().is_some(),
        Value::String(text) => text.parse::<u8>().is_ok(),
        _ => false,
    }
}
