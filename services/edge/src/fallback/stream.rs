//! Frames as `text/event-stream`. Pure.

use chasqui_websocket::Text;

use crate::{close::CloseCode, dialect::crm, hub::Cursor};

/// What ends an event.
pub(super) const END: &str = "\n\n";

/// What stands before a frame: its event's name, and the cursor where it has one. A frame holds no line break, so it is
/// one line of data.
pub(super) fn opening(frame: &str, cursor: Option<&Cursor>) -> String {
    let name = name_of(frame);
    match cursor {
        Some(cursor) => format!("event: {name}\nid: {cursor}\ndata: "),
        None => format!("event: {name}\ndata: "),
    }
}

/// A whole event.
pub(super) fn event(frame: &str, cursor: Option<&Cursor>) -> String {
    opening(frame, cursor) + frame + END
}

/// A sign of life that scripts do not see; where everything up to a position was sent, the client's cursor moves there.
pub(super) fn heartbeat(cursor: Option<&Cursor>) -> String {
    match cursor {
        Some(cursor) => format!(": heartbeat\nid: {cursor}{END}"),
        None => format!(": heartbeat{END}"),
    }
}

/// How long the client is to wait before it comes back.
pub(super) fn retry(after_ms: u64) -> String {
    format!("retry: {after_ms}\n")
}

/// The last event: why the stream ends, and whether to come back.
pub(super) fn closing(code: CloseCode) -> String {
    let data = serde_json::json!({ "code": code.code, "reason": code.reason, "reconnect": code.reconnect() });
    event(&format!(r#"{{"type":"closing","data":{data}}}"#), None)
}

/// The token ends then, unix milliseconds.
pub(super) fn token_expiring(expires_at_ms: i64) -> Text {
    event(&crm::token_expiring(expires_at_ms), None).into()
}

/// The type of a frame of dialect `crm`: its first member, always.
fn name_of(frame: &str) -> &str {
    let name = frame.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split_once('"'));
    name.map_or("message", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_name_of_its_frame_and_the_cursor_as_its_id() {
        let frame = crm::heartbeat(7);
        assert_eq!(
            event(&frame, Some(&Cursor { epoch: "18a".to_owned(), seq: 7 })),
            "event: heartbeat\nid: 18a.7\ndata: {\"type\":\"heartbeat\",\"data\":{},\"seq\":7}\n\n"
        );
        assert!(token_expiring(0).starts_with("event: token_expiring\ndata: {"));
    }

    #[test]
    fn a_heartbeat_moves_the_cursor_and_shows_nothing() {
        assert_eq!(
            heartbeat(Some(&Cursor { epoch: "18a".to_owned(), seq: 9 })),
            ": heartbeat\nid: 18a.9\n\n"
        );
        assert_eq!(heartbeat(None), ": heartbeat\n\n");
    }

    #[test]
    fn the_last_event_tells_whether_to_come_back() {
        assert!(closing(CloseCode::GOING_AWAY).starts_with("event: closing\ndata: {"));
        assert!(closing(CloseCode::GOING_AWAY).contains(r#""reconnect":true"#));
        assert!(closing(CloseCode::CONNECTION_LIMIT).contains(r#""reconnect":false"#));
    }
}
