//! The documents as a page: no script, nothing loaded from anywhere.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;\
color:#1c2430;background:#fff}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid #d6dae0}\
code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:#f4f6f8;padding:.8rem;overflow:auto;max-height:24rem}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;\
border-bottom:1px solid #e6e9ed}th{font-weight:600;color:#556}details{margin:.3rem 0;border:1px solid #e0e4e9;\
border-radius:6px;padding:.4rem .8rem}summary{cursor:pointer}.verb{display:inline-block;min-width:4.6rem;font-weight:700;\
color:#0b6bcb}.about{color:#556;margin-left:.6rem}nav a{margin-right:1rem}small{color:#556}";

/// The page of both documents.
pub(super) fn render(openapi: &Value, asyncapi: &Value) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Chasqui: the API</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style><h1>Chasqui {}</h1>\
         <p>What this process answers. For programs: <a href=\"/docs/openapi.json\">openapi.json</a>, \
         <a href=\"/docs/asyncapi.json\">asyncapi.json</a>.</p><nav><a href=\"#http\">HTTP</a>\
         <a href=\"#sockets\">Sockets</a><a href=\"#bus\">Bus</a><a href=\"#schemas\">Schemas</a></nav>",
        text(&openapi["info"]["version"])
    );
    page += "<h2 id=\"http\">HTTP</h2>";
    for (path, item) in members(&openapi["paths"]) {
        for (verb, operation) in members(item) {
            page += &operation_of(path, verb, operation);
        }
    }
    let (bus, sockets): (Vec<_>, Vec<_>) = members(&asyncapi["channels"])
        .partition(|(_, channel)| channel["servers"][0]["$ref"] == "#/servers/bus");
    page += "<h2 id=\"sockets\">Sockets</h2>";
    if sockets.is_empty() {
        page += "<p>None in this process.</p>";
    }
    for (_, channel) in sockets {
        page += &socket(channel);
    }
    page += "<h2 id=\"bus\">Bus</h2><table><tr><th>Subject<th>Payload<th>What it is</tr>";
    for (_, channel) in bus {
        let payloads: Vec<String> =
            members(&channel["messages"]).map(|(name, _)| schema_link(name)).collect();
        let (address, summary) = (text(&channel["address"]), text(&channel["summary"]));
        let description = text(&channel["description"]);
        let payloads = payloads.join(", ");
        let _ = write!(
            page,
            "<tr><td><code>{address}</code><td>{payloads}<td>{summary}.<br><small>{description}.</small></tr>"
        );
    }
    page += "</table><h2 id=\"schemas\">Schemas</h2>";
    for document in [openapi, asyncapi] {
        for (name, schema) in members(&document["components"]["schemas"]) {
            let short = escape(name.rsplit('.').next().unwrap_or(name));
            let _ = write!(
                page,
                "<details id=\"schema-{short}\"><summary><code>{}</code></summary>{}</details>",
                escape(name),
                pretty(schema)
            );
        }
    }
    page + "</html>"
}

fn operation_of(path: &str, verb: &str, operation: &Value) -> String {
    let mut shown = format!(
        "<details><summary><span class=\"verb\">{}</span><code>{}</code><span class=\"about\">{}</span></summary>",
        escape(&verb.to_uppercase()),
        escape(path),
        text(&operation["summary"]),
    );
    if !operation["description"].is_null() {
        let _ = write!(shown, "<p>{}</p>", text(&operation["description"]));
    }
    if let Some(parameters) = operation["parameters"].as_array().filter(|all| !all.is_empty()) {
        shown += "<table><tr><th>Parameter<th>In<th>What it is</tr>";
        for parameter in parameters {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let _ = write!(
                shown,
                "<tr><td><code>{name}</code><td>{place}<td>{}</tr>",
                text(&parameter["description"])
            );
        }
        shown += "</table>";
    }
    if !operation["requestBody"].is_null() {
        let _ = write!(shown, "<p>Body</p>{}", pretty(&operation["requestBody"]["content"]));
    }
    shown += "<table><tr><th>Status<th>When<th>Body</tr>";
    for (status, response) in members(&operation["responses"]) {
        let kinds: Vec<String> =
            members(&response["content"]).map(|(kind, media)| media_of(kind, media)).collect();
        let (status, kinds) = (escape(status), kinds.join(", "));
        let _ = write!(shown, "<tr><td>{status}<td>{}<td>{kinds}</tr>", text(&response["description"]));
    }
    shown + "</table></details>"
}

fn media_of(kind: &str, media: &Value) -> String {
    let schema = media["schema"]["$ref"].as_str().and_then(|to| to.rsplit('/').next());
    schema.map_or_else(|| escape(kind), schema_link)
}

fn socket(channel: &Value) -> String {
    let mut shown = format!(
        "<details><summary><code>{}</code><span class=\"about\">{}</span></summary><p>{}</p>\
         <table><tr><th>Message<th>Says<th>What it is</tr>",
        text(&channel["address"]),
        text(&channel["summary"]),
        text(&channel["description"]),
    );
    for (name, message) in members(&channel["messages"]) {
        let (name, who) = (escape(name), text(&message["x-said-by"]));
        let _ = write!(
            shown,
            "<tr><td><code>{name}</code><td>{who}<td>{}{}</tr>",
            text(&message["summary"]),
            pretty(&message["payload"])
        );
    }
    shown + "</table></details>"
}

fn schema_link(name: &str) -> String {
    let name = escape(name.rsplit('.').next().unwrap_or(name));
    format!("<a href=\"#schema-{name}\">{name}</a>")
}

fn pretty(value: &Value) -> String {
    let shown = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("<pre>{}</pre>", escape(&shown))
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_is_text_and_no_markup() {
        let operation =
            json!({ "summary": "<script>x</script>", "responses": { "200": { "description": "a & b" } } });
        let openapi = json!({ "paths": { "/a<b>": { "get": operation } } });
        let page = render(&openapi, &json!({}));
        assert!(
            page.contains("&lt;script&gt;") && page.contains("/a&lt;b&gt;") && page.contains("a &amp; b")
        );
        assert!(!page.contains("<script"));
    }
}
