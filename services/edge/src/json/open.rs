//! From a request to a session: the checks before the upgrade, then who the client is.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded};
use chasqui_websocket::{Deflate, Limits, Message, Upgrade, WebSocket};
use serde_json::json;
use tokio::time::timeout;

use super::{
    Earlier, Entry, Introduction, JsonDialect, Seat,
    entrance::{Asked, SUBPROTOCOLS},
    session::{Joined, Session, WRITE_WAIT},
};
use crate::{
    auth::Identity, close::CloseCode, error::Error, hub::Wish, outbox::Outbox, roster::Person, service::Edge,
    sockets::SocketPlace, verdict::Claim,
};

/// How long the client may take to answer our close frame.
const LINGER_WAIT: Duration = Duration::from_secs(2);

/// Who a client is, as far as that is known before its first frame.
enum Known {
    Proved(Box<Identity>),
    Claimed(Option<String>),
}

/// Upgrades the request, unless it may not be.
pub(super) async fn open<D: JsonDialect>(
    edge: Arc<Edge>,
    asked: Asked,
    headers: &HeaderMap,
    upgrade: Upgrade,
) -> Response {
    if !edge.admits_origin(headers) {
        return (StatusCode::FORBIDDEN, "this origin may not connect\n").into_response();
    }
    let place = match edge.sockets.take_place() {
        Ok(place) => place,
        Err(reason) => {
            let retry = [(header::RETRY_AFTER, "5")];
            return (StatusCode::SERVICE_UNAVAILABLE, retry, format!("{reason}\n")).into_response();
        }
    };
    let Asked { token, earlier } = asked;
    let known = if D::REFUSES_BEFORE_UPGRADE {
        match prove::<D>(&edge, token).await {
            Ok(identity) => Known::Proved(Box::new(identity)),
            Err(error) => return refused(&error),
        }
    } else {
        Known::Claimed(token)
    };
    upgrade
        .protocols(SUBPROTOCOLS)
        .limits(Limits::of(edge.config.frame_bytes_max))
        .compression(edge.config.compression.then(Deflate::default))
        .on_upgrade(move |socket| {
            // The task that answered the request ends here; this one is the socket's.
            let tasks = edge.tasks.clone();
            let socket = Box::pin(converse::<D>(edge, socket, known, earlier, place));
            tasks.track_future(socket)
        })
}

/// BEN-04, BEN-05, BEN-06: who asks must be known, and may come in.
async fn prove<D: JsonDialect>(edge: &Edge, token: Option<String>) -> Result<Identity, Error> {
    let token = token.ok_or(Error::Unauthorized(
        "a token is needed: Sec-WebSocket-Protocol: echo-protocol, <token> or ?token=<token>",
    ))?;
    let identity = edge.gate.identify(&token).await?;
    D::admit(edge, &identity)?;
    Ok(identity)
}

fn refused(error: &Error) -> Response {
    let body = Json(json!({ "error": error.to_string(), "code": error.code().as_str() }));
    (error.code().http_status(), body).into_response()
}

#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps room for its arguments twice, for as long as the socket is open"
)]
fn converse<D: JsonDialect>(
    edge: Arc<Edge>,
    mut socket: WebSocket,
    known: Known,
    earlier: Earlier,
    place: SocketPlace,
) -> impl Future<Output = ()> + Send {
    async move {
        let code = match Box::pin(introduce::<D>(&edge, &mut socket, known, earlier)).await {
            Ok(Some((identity, earlier))) => {
                attend::<D>(&edge, &mut socket, Arc::new(identity), earlier, &place).await
            }
            Ok(None) => CloseCode::CLIENT_LEFT,
            Err(code) => code,
        };
        metrics::counter!("chasqui_edge_closes_total", "dialect" => D::NAME, "reason" => code.reason)
            .increment(1);
        drop(timeout(WRITE_WAIT, socket.close(code.code, code.words())).await);
        Box::pin(socket.linger(LINGER_WAIT)).await;
    }
}

/// Learns who the client is; `None` when it left meanwhile.
async fn introduce<D: JsonDialect>(
    edge: &Arc<Edge>,
    socket: &mut WebSocket,
    known: Known,
    earlier: Earlier,
) -> Result<Option<(Identity, Earlier)>, CloseCode> {
    let (token, earlier) = match known {
        Known::Proved(identity) => return Ok(Some((*identity, earlier))),
        Known::Claimed(Some(token)) => (token, earlier),
        Known::Claimed(None) => {
            let first = timeout(edge.config.connect_wait(), first_frame::<D>(socket));
            match edge.stop.run_until_cancelled(first).await {
                Some(Ok(Some(Ok(Introduction { token, earlier: said })))) => (token, said.or(earlier)),
                Some(Ok(Some(Err(problem)))) => {
                    return Err(refuse::<D>(socket, &Error::Invalid(problem)).await);
                }
                Some(Ok(None)) => return Ok(None),
                Some(Err(_)) => return Err(CloseCode::HANDSHAKE_TIMEOUT),
                None => return Err(CloseCode::GOING_AWAY),
            }
        }
    };
    match edge.gate.identify(&token).await {
        Ok(identity) => Ok(Some((identity, earlier))),
        Err(error) => Err(refuse::<D>(socket, &error).await),
    }
}

async fn first_frame<D: JsonDialect>(socket: &mut WebSocket) -> Option<Result<Introduction, String>> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Text(text) => return Some(D::introduction(&text)),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) => return Some(Err("frames must be text".to_owned())),
            Message::Close(_) => return None,
        }
    }
}

/// Lets the client into its feed and serves it until it leaves; the code to close with.
async fn attend<D: JsonDialect>(
    edge: &Arc<Edge>,
    socket: &mut WebSocket,
    identity: Arc<Identity>,
    earlier: Earlier,
    place: &SocketPlace,
) -> CloseCode {
    let Entry { scope, wish } = match D::admit(edge, &identity) {
        Ok(entry) => entry,
        Err(error) => return Box::pin(refuse::<D>(socket, &error)).await,
    };
    let Earlier { cursor, session } = earlier;
    let outbox = Outbox::new(edge.config.outbox_bytes_max);
    let person = Person { kind: D::kind(&identity), ..Person::from(&*identity) };
    let claim = session.as_deref().and_then(Claim::of_ticket);
    let stay = match edge.roster.enter(person, claim, outbox.clone()) {
        Ok(stay) => stay,
        Err(code) => return Box::pin(limited::<D>(socket, code)).await,
    };
    place.attach(&identity, &outbox);
    let session = stay.ticket().to_string().into();
    let mut dialect =
        D::open(Seat { edge: edge.clone(), identity: identity.clone(), outbox: outbox.clone(), session });
    let wish = cursor.map_or(wish, Wish::Since);
    let code = match Box::pin(edge.hub.join(&scope, dialect.member(), &wish)).await {
        Ok(membership) => {
            let joined = Joined { identity, outbox, membership };
            let mut session = Session::new(edge, socket, &mut dialect, joined);
            session.run().await
        }
        Err(error) => {
            tracing::warn!(%error, "a client could not be let in");
            let error = Error::ReadStream("the node cannot reach it; try again".to_owned());
            Box::pin(refuse::<D>(socket, &error)).await
        }
    };
    dialect.leave().await;
    code
}

/// WAB-30: the person has as many connections as it may have.
async fn limited<D: JsonDialect>(socket: &mut WebSocket, code: CloseCode) -> CloseCode {
    let frame =
        D::error(Code::RateLimited.as_str(), "this user has too many open connections; close one first");
    drop(timeout(WRITE_WAIT, socket.send(frame)).await);
    code
}

/// Says why in the client's dialect, before the close code says it to its library.
async fn refuse<D: JsonDialect>(socket: &mut WebSocket, error: &Error) -> CloseCode {
    let frame = D::error(error.code().as_str(), &error.to_string());
    drop(timeout(WRITE_WAIT, socket.send(frame)).await);
    match error.code() {
        Code::Unauthorized | Code::Forbidden => CloseCode::UNAUTHORIZED,
        Code::InvalidInput => CloseCode::PROTOCOL_ERROR,
        _ => CloseCode::INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Chat, Crm};

    /// What an idle socket costs beside its outbox and its place in the feed; 10,000 of them stand open on a node.
    const TASK_BYTES_MAX: usize = 1_900;

    fn size_of_future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_socket_s_task_is_small() {
        let crm = size_of_future(|(edge, socket, known, earlier, place)| {
            converse::<Crm>(edge, socket, known, earlier, place)
        });
        let chat = size_of_future(|(edge, socket, known, earlier, place)| {
            converse::<Chat>(edge, socket, known, earlier, place)
        });
        assert!(crm <= TASK_BYTES_MAX && chat <= TASK_BYTES_MAX, "crm {crm} and chat {chat} bytes");
    }
}
