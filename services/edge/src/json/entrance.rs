//! Where a JSON WebSocket is asked for, and in which dialect.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::{HeaderMap, header},
    response::Response,
};
use chasqui_websocket::Upgrade;
use serde::Deserialize;

use super::{Chat, Crm, Earlier, open::open};
use crate::{cursor::CursorError, hub::Cursor, service::Edge};

/// Chooses dialect `crm` where `chat` is the usual one.
const CRM_SUBPROTOCOL: &str = "chasqui";
/// BEN-02: chooses dialect `chat`.
const CHAT_SUBPROTOCOL: &str = "echo-protocol";
/// Subprotocols a client may ask for beside its token; the first of them is answered, the token never (BEN-03).
pub(super) const SUBPROTOCOLS: [&str; 2] = [CRM_SUBPROTOCOL, CHAT_SUBPROTOCOL];

/// What a client may say in the URL.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    token: Option<String>,
    dialect: Option<DialectName>,
    epoch: Option<String>,
    since: Option<Since>,
    session: Option<String>,
}

/// A cursor as one text, or its number alone beside `epoch`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Since {
    Seq(u64),
    Cursor(Cursor),
}

impl TryFrom<String> for Since {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(seq) => Ok(Self::Seq(seq)),
            Err(_) => text.parse().map(Self::Cursor).map_err(|error: CursorError| format!("since: {error}")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DialectName {
    Crm,
    Chat,
}

/// Who asks, and for what.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) token: Option<String>,
    pub(super) earlier: Earlier,
}

impl Asked {
    fn new(parameters: Parameters, headers: &HeaderMap) -> Self {
        let token = parameters.token.or_else(|| token_of_subprotocols(headers));
        let cursor = match (parameters.epoch, parameters.since) {
            (Some(epoch), Some(Since::Seq(seq))) => Some(Cursor { epoch, seq }),
            (_, Some(Since::Cursor(cursor))) => Some(cursor),
            _ => None,
        };
        Self { token, earlier: Earlier { cursor, session: parameters.session } }
    }
}

/// `GET /ws`
pub(crate) async fn at_ws(
    State(edge): State<Arc<Edge>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let offered = if offers(&headers, CHAT_SUBPROTOCOL) { DialectName::Chat } else { DialectName::Crm };
    enter(edge, parameters, offered, &headers, upgrade).await
}

/// `GET /`
pub(crate) async fn at_root(
    State(edge): State<Arc<Edge>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let offered = if offers(&headers, CRM_SUBPROTOCOL) { DialectName::Crm } else { DialectName::Chat };
    enter(edge, parameters, offered, &headers, upgrade).await
}

async fn enter(
    edge: Arc<Edge>,
    parameters: Parameters,
    offered: DialectName,
    headers: &HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let dialect = parameters.dialect.unwrap_or(offered);
    let asked = Asked::new(parameters, headers);
    match dialect {
        DialectName::Crm => open::<Crm>(edge, asked, headers, upgrade).await,
        DialectName::Chat => open::<Chat>(edge, asked, headers, upgrade).await,
    }
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    offered(headers).any(|item| item == subprotocol)
}

/// BEN-02: the token stands beside the subprotocol, or alone.
fn token_of_subprotocols(headers: &HeaderMap) -> Option<String> {
    offered(headers).find(|item| !item.is_empty() && !SUBPROTOCOLS.contains(item)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value.parse().unwrap());
        token_of_subprotocols(&headers)
    }

    #[test]
    fn a_cursor_stands_in_the_url_as_one_text_or_as_two() {
        let read = |text: &str| Since::try_from(text.to_owned());
        assert_eq!(read("7"), Ok(Since::Seq(7)));
        assert_eq!(read("18a.7"), Ok(Since::Cursor(Cursor { epoch: "18a".to_owned(), seq: 7 })));
        assert!(read("18a").unwrap_err().contains("since"));
    }

    #[test]
    fn ben_02_the_token_is_the_second_item_or_the_only_one() {
        assert_eq!(token("echo-protocol, a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token("chasqui,a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token("a.b.c").as_deref(), Some("a.b.c"));
        for nothing in ["echo-protocol", "echo-protocol, chasqui", "", ","] {
            assert_eq!(token(nothing), None, "{nothing:?}");
        }
    }
}
