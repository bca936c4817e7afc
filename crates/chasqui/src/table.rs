//! What the tools show in columns.

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What stands first, in this order; the rest follows by name.
const FIRST: [&str; 4] = ["tenant", "id", "user_id", "name"];

/// A line of names, then a line an entry: every member of the first one.
pub(crate) fn lines(entries: &[Value]) -> Vec<String> {
    let Some(Value::Object(first)) = entries.first() else { return Vec::new() };
    let mut names: Vec<&str> = first.keys().map(String::as_str).collect();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    columns(&names, entries)
}

/// A line of these names, then a line an entry.
pub(crate) fn columns(names: &[&str], entries: &[Value]) -> Vec<String> {
    let mut rows = vec![names.iter().map(|name| name.trim_end_matches("_ms").to_owned()).collect::<Vec<_>>()];
    rows.extend(entries.iter().map(|entry| names.iter().map(|name| cell(name, &entry[name])).collect()));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    rows.iter().map(|row| padded(row, &widths)).collect()
}

fn padded(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Number(ms) if name.ends_with("_at_ms") => {
            ms.as_i64().and_then(moment).unwrap_or_else(|| "-".to_owned())
        }
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A moment as people and programs read it; `None` where there is none.
pub(crate) fn moment(ms: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(ms / 1_000).ok().filter(|_| ms != 0)?;
    moment.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_their_names() {
        let entry = |id: &str, at_ms: i64| json!({ "id": id, "a": ["b", "c"], "z_at_ms": at_ms });
        let entries = [entry("año", 0), entry("longer", 1_760_000_000_000)];
        let all = ["id      a    z_at", "año     b,c  -", "longer  b,c  2025-10-09T08:53:20Z"];
        assert_eq!(lines(&entries), all);
        assert_eq!(columns(&["a", "id"], &entries), ["a    id", "b,c  año", "b,c  longer"]);
    }
}
