//! What the widget shows: the member that its feed delivers to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    close::CloseCode,
    dialect::{Dialect, widget},
    event::{Event, Fact},
    feed::{Greeting, Member},
    history::is_for_widget,
    hub::Cursor,
    outbox::{Delivery, Outbox},
    roster::Stay,
    socketio::{Pid, with_offset},
    verdict::Ticket,
};

/// The most messages of one socket that wait for its confirmation; a client that confirms nothing is closed as slow
/// long before, by the bytes in its outbox.
const UNCONFIRMED_MAX: usize = 4_096;

/// The member of one widget.
#[derive(Debug)]
pub(super) struct Screen {
    outbox: Arc<Outbox>,
    /// Whom the client comes back as.
    session: Ticket,
    /// What it was greeted with.
    greeting: OnceLock<Greeting>,
    /// Messages that left and are not confirmed yet, with their place in the outbox.
    unconfirmed: Mutex<VecDeque<(u64, String)>>,
}

impl Member for Screen {
    fn greet(&self, greeting: &Greeting) {
        let _ = self.greeting.set(greeting.clone());
        let _ = self.outbox.push(widget::session(greeting, &self.session.to_string()), Delivery::Reply);
    }

    fn deliver(&self, event: &Arc<Event>) {
        let Some(frame) = event.frame(Dialect::Widget) else { return };
        let Fact::Message { message, .. } = &event.fact else {
            // A draft has no place that a client could come back to.
            let _ = self.outbox.push(frame.clone(), event.delivery());
            return;
        };
        let Some(greeting) = self.greeting.get() else { return };
        let frame = match (event.seq, frame.as_text()) {
            (Some(seq), Some(text)) => {
                with_offset(text, &Cursor { epoch: greeting.epoch.clone(), seq }.to_string()).into()
            }
            _ => frame.clone(),
        };
        // Before the frame can leave: its confirmation must not come first.
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        // A full outbox closes itself: the client comes back and is shown what it did not confirm.
        let Ok(position) = self.outbox.push(frame, Delivery::Durable) else { return };
        if is_for_widget(message) {
            unconfirmed.push_back((position, message.id.clone()));
            if unconfirmed.len() > UNCONFIRMED_MAX {
                self.outbox.close(CloseCode::SLOW_CONSUMER);
            }
        }
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

impl Screen {
    pub(super) fn new(outbox: Arc<Outbox>, stay: &Stay) -> Arc<Self> {
        let (greeting, unconfirmed) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { outbox, session: stay.ticket(), greeting, unconfirmed })
    }

    /// The pid for the client: the one it brought, if it is of this session and everything it missed follows.
    pub(super) fn pid(&self, brought: Option<Pid>) -> Pid {
        let recovered = self.greeting.get().is_some_and(|greeting| greeting.recovered);
        let same = brought.filter(|pid| recovered && Ticket::parse(pid.session()) == Some(self.session));
        same.unwrap_or_else(|| Pid::of_session(&self.session.to_string()))
    }

    /// The messages that have certainly arrived with everything up to this position of the outbox.
    pub(super) fn take_confirmed(&self, position: u64) -> Vec<String> {
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unconfirmed.iter().take_while(|(at, _)| *at <= position).count();
        let confirmed = unconfirmed.drain(..count).map(|(_, message)| message).collect();
        if unconfirmed.is_empty() {
            unconfirmed.shrink_to_fit();
        }
        confirmed
    }
}
