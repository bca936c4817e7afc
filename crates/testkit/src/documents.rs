//! Whether what a service says of its API is so.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is wrong with the documents of a door: paths that are mounted and not documented, and references that lead
/// nowhere. `door` is its `Debug` text, the only place where a router names its paths.
pub fn faults(door: &str, openapi: &Value, asyncapi: &Value) -> Vec<String> {
    let mounted = mounted_paths(door);
    if mounted.is_empty() {
        return vec!["the router's Debug text names no paths any more".to_owned()];
    }
    let mut documented: BTreeSet<String> = keys(&openapi["paths"]);
    let channels = asyncapi["channels"].as_object().into_iter().flatten();
    let addresses = channels.filter_map(|(_, channel)| channel["address"].as_str());
    documented.extend(addresses.map(|address| address.split('?').next().unwrap_or_default().to_owned()));
    let is_documented = |path: &String| documented.contains(path) || documented.contains(&format!("{path}/"));
    let missing =
        mounted.iter().filter(|path| !is_documented(path)).map(|path| format!("{path} is mounted only"));
    let mut faults: Vec<String> = missing.collect();
    for document in [openapi, asyncapi] {
        dangling(document, document, &mut faults);
    }
    let mut ids = BTreeSet::new();
    for (path, verb, operation) in operations(openapi) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        if !id.is_empty() && !ids.insert(id.clone()) {
            faults.push(format!("{verb} {path}: operationId {id} is another's"));
        }
        if keys(&operation["responses"]).is_empty()
            || operation["summary"].as_str().unwrap_or_default().is_empty()
        {
            faults.push(format!("{verb} {path} has no summary or no responses"));
        }
    }
    faults
}

/// Every operation of a document: path, method, and what is said of it.
pub fn operations(openapi: &Value) -> Vec<(String, String, Value)> {
    let paths = openapi["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.map(|(verb, operation)| (path.clone(), verb.clone(), operation.clone()))
        })
        .collect()
}

fn mounted_paths(door: &str) -> BTreeSet<String> {
    let texts = door.split('"').skip(1).step_by(2);
    // Every router has `/` and a path of its own for what nothing answers.
    texts
        .filter(|text| text.starts_with('/') && text.len() > 1 && !text.contains("private"))
        .map(str::to_owned)
        .collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn dangling(document: &Value, value: &Value, faults: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(to)) = members.get("$ref")
                && to.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none()
            {
                faults.push(format!("{to} leads nowhere"));
            }
            members.values().for_each(|member| dangling(document, member, faults));
        }
        Value::Array(items) => items.iter().for_each(|item| dangling(document, item, faults)),
        _ => {}
    }
}
