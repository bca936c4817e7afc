//! One client: the namespaces it has joined, and what its packets lead to.

use std::sync::Arc;

use chasqui_kit::Code;
use serde_json::{json, value::RawValue};
use tokio::time::Instant;

use super::packet::{Packet, Partial};
use super::{
    Ack, Application, ConnectRequest, DisconnectReason, Event, Recovery, Refusal, SocketIo, Welcome, encode,
};
use crate::close::CloseCode;
use crate::engineio::{self, EndReason, Handshake, Incoming, Protocol, Received, random_id};
use crate::limit::{Pace, Rate, Verdict};
use crate::outbox::{Frame, Outbox};

/// What one session speaks.
pub struct Conversation<A: Application> {
    application: Arc<A>,
    namespaces: Arc<[Arc<str>]>,
    handshake: Arc<Handshake>,
    outbox: Arc<Outbox>,
    joined: Vec<Joined<A::Session>>,
    /// A packet whose binary messages have not all arrived.
    partial: Option<Box<Partial>>,
    connecting: bool,
    /// Until when the first namespace must be joined.
    deadline: Option<Instant>,
    /// How fast packets may come, and what the client has used up.
    rate: Rate,
    pace: Pace,
}

struct Joined<S> {
    namespace: Arc<str>,
    /// Shared only with a call that runs.
    session: Arc<S>,
}

/// What a call to the application brings back.
pub enum Outcome<S> {
    /// `connect` has answered.
    Answered {
        /// The namespace asked for.
        namespace: Arc<str>,
        /// The id the client will be told.
        socket_id: Box<str>,
        /// The application's answer.
        answer: Result<Welcome<S>, Refusal>,
    },
    /// `event` or `disconnect` has returned.
    Returned,
}

impl<A: Application> Protocol for SocketIo<A> {
    type Conversation = Conversation<A>;

    fn open(&self, handshake: Arc<Handshake>, outbox: Arc<Outbox>) -> Conversation<A> {
        Conversation {
            application: Arc::clone(&self.application),
            namespaces: Arc::clone(&self.namespaces),
            handshake,
            outbox,
            joined: Vec::new(),
            partial: None,
            connecting: false,
            deadline: Some(Instant::now() + self.connect_timeout),
            rate: self.rate,
            pace: Pace::default(),
        }
    }
}

impl<A: Application> engineio::Conversation for Conversation<A> {
    type Outcome = Outcome<A::Session>;

    fn receive(&mut self, message: Incoming, replies: &mut Vec<Frame>) -> Received<Self::Outcome> {
        match (message, self.partial.take()) {
            (Incoming::Text(text), None) => match Packet::parse(text.get(1..).unwrap_or_default()) {
                Ok(packet) => self.assemble(Box::new(Partial { packet, attachments: Vec::new() }), replies),
                Err(_) => Received::Violation,
            },
            (Incoming::Binary(bytes), Some(mut partial)) => {
                partial.attachments.push(bytes);
                self.assemble(partial, replies)
            }
            (Incoming::Text(_), Some(_)) | (Incoming::Binary(_), None) => Received::Violation,
        }
    }

    fn complete(&mut self, outcome: Self::Outcome, replies: &mut Vec<Frame>) {
        let Outcome::Answered { namespace, socket_id, answer } = outcome else { return };
        self.connecting = false;
        match answer {
            Ok(Welcome { session, pid }) => {
                replies.push(encode::connected(&namespace, &socket_id, pid.as_ref()).into());
                self.joined.push(Joined { namespace, session: Arc::new(session) });
                self.deadline = None;
            }
            // A client that is refused does not come back by itself; one whose transport closes does.
            Err(_) if self.outbox.close_code().is_some_and(CloseCode::reconnect) => {}
            Err(refusal) => replies.push(encode::refused(&namespace, &refusal).into()),
        }
    }

    fn holds_outbox(&self) -> bool {
        self.connecting
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn confirmed(&self, position: u64) {
        for joined in &self.joined {
            self.application.confirmed(&joined.session, position);
        }
    }

    fn farewell(&mut self, code: CloseCode, replies: &mut Vec<Frame>) {
        // A client whose transport closes comes back by itself; one that is told to leave does not.
        if !code.reconnect() {
            replies.extend(self.joined.iter().map(|joined| encode::disconnected(&joined.namespace).into()));
        }
    }

    async fn end(self, reason: EndReason) {
        for joined in self.joined {
            self.application.disconnect(joined.into_session(), DisconnectReason::Ended(reason)).await;
        }
    }
}

impl<A: Application> Conversation<A> {
    fn assemble(&mut self, partial: Box<Partial>, replies: &mut Vec<Frame>) -> Received<Outcome<A::Session>> {
        if !partial.is_whole() {
            self.partial = Some(partial);
            return Received::Done;
        }
        let Partial { packet, attachments } = *partial;
        let too_fast = match self.pace.judge(self.rate, Instant::now().into_std()) {
            Verdict::Pass => None,
            Verdict::Refuse(why) => Some(why),
            Verdict::Close => {
                self.outbox.close(CloseCode::RATE_LIMITED);
                return Received::Done;
            }
        };
        match (packet, too_fast) {
            (Packet::Connect { namespace, .. }, Some(why)) => {
                let data = Some(json!({ "code": Code::RateLimited.as_str() }));
                replies.push(encode::refused(&namespace, &Refusal { message: why.to_owned(), data }).into());
                Received::Done
            }
            (Packet::Connect { namespace, auth }, None) => self.ask(&namespace, auth, replies),
            // Whoever leaves may always do so.
            (Packet::Disconnect { namespace }, _) => self.disconnect(&namespace),
            (Packet::Event { namespace, ack_id, name, arguments, .. }, too_fast) => {
                let Some(index) = self.position_of(&namespace) else { return Received::Violation };
                let namespace = Arc::clone(&self.joined[index].namespace);
                let ack = ack_id.map(|id| self.ack(&namespace, id));
                self.event(index, Event { namespace, name, arguments, attachments, ack }, too_fast)
            }
            (Packet::Ack { .. } | Packet::ConnectError, _) => Received::Done,
        }
    }

    fn ask(
        &mut self,
        namespace: &str,
        auth: Option<Box<RawValue>>,
        replies: &mut Vec<Frame>,
    ) -> Received<Outcome<A::Session>> {
        let Some(namespace) = self.namespaces.iter().find(|known| ***known == *namespace).cloned() else {
            replies.push(encode::refused(namespace, &Refusal::new("Invalid namespace")).into());
            return Received::Done;
        };
        if self.position_of(&namespace).is_some() {
            return Received::Violation;
        }
        let (socket_id, handshake) = (random_id().into_boxed_str(), Arc::clone(&self.handshake));
        let recovery = auth.as_deref().and_then(Recovery::of_auth);
        self.connect(ConnectRequest { namespace, socket_id, auth, recovery, handshake })
    }

    fn connect(&mut self, request: ConnectRequest) -> Received<Outcome<A::Session>> {
        self.connecting = true;
        let (application, outbox) = (Arc::clone(&self.application), Arc::clone(&self.outbox));
        Received::Call(Box::pin(async move {
            let (namespace, socket_id) = (Arc::clone(&request.namespace), request.socket_id.clone());
            let answer = application.connect(request, outbox).await;
            Outcome::Answered { namespace, socket_id, answer }
        }))
    }

    fn event(
        &mut self,
        index: usize,
        event: Event,
        too_fast: Option<&'static str>,
    ) -> Received<Outcome<A::Session>> {
        if let Some(why) = too_fast {
            self.application.refused(&self.joined[index].session, event, why);
            return Received::Done;
        }
        let application = Arc::clone(&self.application);
        let session = Arc::clone(&self.joined[index].session);
        Received::Call(Box::pin(async move {
            application.event(&session, event).await;
            Outcome::Returned
        }))
    }

    fn disconnect(&mut self, namespace: &str) -> Received<Outcome<A::Session>> {
        let Some(index) = self.position_of(namespace) else { return Received::Violation };
        let session = self.joined.swap_remove(index).into_session();
        let application = Arc::clone(&self.application);
        Received::Call(Box::pin(async move {
            application.disconnect(session, DisconnectReason::LeftNamespace).await;
            Outcome::Returned
        }))
    }

    fn ack(&self, namespace: &Arc<str>, id: u64) -> Ack {
        Ack { outbox: Arc::clone(&self.outbox), namespace: Arc::clone(namespace), id }
    }

    fn position_of(&self, namespace: &str) -> Option<usize> {
        self.joined.iter().position(|joined| *joined.namespace == *namespace)
    }
}

impl<S> Joined<S> {
    fn into_session(self) -> S {
        Arc::into_inner(self.session).expect("no call runs that could share it")
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::engineio::Conversation as _;

    /// Refuses everybody, once the outbox is closed with a code if there is one.
    struct Refusing(Option<CloseCode>);

    impl Application for Refusing {
        type Session = ();

        async fn connect(&self, _: ConnectRequest, outbox: Arc<Outbox>) -> Result<Welcome<()>, Refusal> {
            if let Some(code) = self.0 {
                outbox.close(code);
            }
            Err(Refusal::new("not now"))
        }

        async fn event(&self, (): &(), _: Event) {}

        fn refused(&self, (): &(), _: Event, _: &'static str) {}

        fn confirmed(&self, (): &(), _: u64) {}

        async fn disconnect(&self, (): (), _: DisconnectReason) {}
    }

    /// What a client that is refused is told.
    async fn told(code: Option<CloseCode>) -> Vec<Frame> {
        let (application, namespaces) =
            (Arc::new(Refusing(code)), Arc::from([Arc::from(crate::socketio::ROOT)]));
        let connect_timeout = std::time::Duration::from_secs(45);
        let protocol = SocketIo { application, namespaces, connect_timeout, rate: Pace::rate(50) };
        let request = Request::get("/socket.io/").body(()).unwrap().into_parts().0;
        let handshake = Arc::new(Handshake::new("sid", &request).unwrap());
        let mut conversation = protocol.open(handshake, Outbox::new(1_000));
        let mut replies = Vec::new();
        let Received::Call(call) = conversation.receive(Incoming::Text("40".into()), &mut replies) else {
            panic!("connecting takes time")
        };
        conversation.complete(call.await, &mut replies);
        replies
    }

    #[tokio::test]
    async fn who_may_come_back_is_not_told_a_refusal_that_would_keep_it_away() {
        assert!(told(Some(CloseCode::GOING_AWAY)).await.is_empty());
        for code in [None, Some(CloseCode::CONNECTION_LIMIT)] {
            assert_eq!(told(code).await, [Frame::from(r#"44{"message":"not now"}"#)]);
        }
    }
}
