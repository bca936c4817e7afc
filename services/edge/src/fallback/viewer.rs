//! Who is shown events without a socket, and which.

use axum::http::HeaderMap;
use chasqui_proto::v1::{self, Status};
use chasqui_websocket::Text;
use serde::Serialize;

use crate::{
    auth::{Identity, bearer},
    dialect::{Dialect, view::MessageView},
    error::Error,
    event::{Event, Fact},
    scope::Scope,
    service::Edge,
};

/// Whose eyes events are shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    /// Staff of the tenant: everything the dialect shows.
    Staff,
    /// The contact of one conversation: its messages and what becomes of them, nothing of how its tenant works.
    Contact,
}

/// A message as its contact is shown it: without the state of the conversation, which is for staff.
#[derive(Serialize)]
struct NewMessage<'a> {
    r#type: &'static str,
    data: Data<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

#[derive(Serialize)]
struct Data<'a> {
    message: MessageView<'a>,
}

impl Viewer {
    /// The frame of an event; `None` for what this viewer is not shown.
    pub(super) fn frame(self, event: &Event) -> Option<Text> {
        if self == Self::Staff {
            return event.frame(Dialect::Crm).and_then(|frame| frame.as_text().cloned());
        }
        match &event.fact {
            Fact::Message { message, status } if !event.is_step_back => {
                Some(message_alone(message, *status, event.seq))
            }
            Fact::Status(_) | Fact::Announcement(_) | Fact::Draft(_) => {
                event.frame(Dialect::Crm).and_then(|frame| frame.as_text().cloned())
            }
            _ => None,
        }
    }
}

fn message_alone(message: &v1::Message, status: Status, seq: Option<u64>) -> Text {
    let data = Data { message: MessageView::new(message, status) };
    let frame = NewMessage { r#type: "new_message", data, seq };
    serde_json::to_string(&frame).expect("views have no maps with keys that are not text").into()
}

/// Who was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) identity: Identity,
    pub(super) scope: Scope,
    pub(super) viewer: Viewer,
}

/// Lets in whoever brings a token, in the header or else in the query: browsers' `EventSource` sets no headers.
pub(super) async fn admit(
    edge: &Edge,
    headers: &HeaderMap,
    in_query: Option<&str>,
) -> Result<Admitted, Error> {
    let token = bearer(headers)
        .or(in_query)
        .ok_or(Error::Unauthorized("a token is needed: `Authorization: Bearer <token>` or ?token=<token>"))?;
    let identity = edge.gate.identify(token.trim()).await?;
    let tenant = identity.tenant.clone();
    if identity.is_user() {
        edge.admits_staff(&identity)?;
        return Ok(Admitted { identity, scope: Scope::Tenant(tenant), viewer: Viewer::Staff });
    }
    let scope = Scope::Contact(tenant, identity.person.clone());
    Ok(Admitted { identity, scope, viewer: Viewer::Contact })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn message() -> Event {
        let fact = Fact::Message { message: Box::default(), status: Status::Unspecified };
        Event::of_store("", 7, fact)
    }

    #[test]
    fn a_contact_is_shown_messages_and_statuses_and_nothing_of_how_its_tenant_works() {
        let shown: Value = serde_json::from_str(&Viewer::Contact.frame(&message()).unwrap()).unwrap();
        assert_eq!((&shown["type"], &shown["seq"]), (&"new_message".into(), &7.into()));
        assert!(shown["data"]["conversation"].is_null() && shown["data"]["message"].is_object());
        let status = Event::of_store("", 8, Fact::Status(Box::default()));
        assert!(Viewer::Contact.frame(&status).is_some());
        let draft = v1::Typing { draft: Some(v1::Draft::default()), ..v1::Typing::default() };
        assert!(Viewer::Contact.frame(&Event::of_state(Fact::Draft(Box::new(draft)))).is_some());
        for fact in [
            Fact::Typing(Box::default()),
            Fact::Appointment(Box::default()),
            Fact::Bot(Box::default()),
            Fact::Conversation(Box::default()),
            Fact::Stats(Box::default()),
            Fact::Chat(Box::default()),
            Fact::Online(Box::new(["agent".to_owned()])),
        ] {
            assert_eq!(Viewer::Contact.frame(&Event::of_state(fact)), None);
        }
        let mut late = message();
        late.is_step_back = true;
        assert_eq!((Viewer::Contact.frame(&late), Viewer::Staff.frame(&late)), (None, None));
    }

    #[test]
    fn staff_is_shown_the_frames_of_the_sockets() {
        let event = message();
        let shown = event.frame(Dialect::Crm).and_then(crate::outbox::Frame::as_text);
        assert_eq!(Viewer::Staff.frame(&event).as_ref(), shown);
    }
}
