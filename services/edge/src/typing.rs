//! Who types, told to the others of a conversation: not more often than they need it, and never left standing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chasqui_kit::clock::now_ms;
use chasqui_proto::{
    ConversationToken,
    subject::typing_changed,
    v1::{self, SenderType},
};
use prost::Message;

use crate::{auth::Identity, service::Edge};

/// The same state of one connection in one conversation is told at most once in so long.
const TELL_INTERVAL: Duration = Duration::from_millis(500);
/// Who does not say again within so long that it types does not type any more.
const TYPING_MAX: Duration = Duration::from_secs(6);
/// The most conversations one connection types in at once; with one more it has stopped in the oldest.
const CONVERSATIONS_MAX: usize = 8;

/// One connection's typing. Costs next to nothing until its client types; dropping it stops whatever it typed.
#[derive(Debug, Default)]
pub(crate) struct Typist(Option<Arc<Keyboard>>);

impl Typist {
    /// The client types in a conversation, or stopped.
    pub(crate) async fn press(
        &mut self,
        edge: &Arc<Edge>,
        identity: &Identity,
        conversation: &ConversationToken,
        (side, typing): (SenderType, bool),
    ) {
        let keyboard = self.0.get_or_insert_with(|| {
            let (edge, identity) = (edge.clone(), identity.clone());
            Arc::new(Keyboard { edge, identity, keys: Mutex::default() })
        });
        let tells = keyboard.keys().press(conversation, side, typing, Instant::now());
        if keyboard.keys().begin_watch() {
            edge.tasks.spawn(keyboard.clone().lift());
        }
        keyboard.tell(tells).await;
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let Some(keyboard) = self.0.take() else { return };
        let tells = keyboard.keys().lift_all();
        if !tells.is_empty() {
            let edge = keyboard.edge.clone();
            edge.tasks.spawn(async move { keyboard.tell(tells).await });
        }
    }
}

#[derive(Debug)]
struct Keyboard {
    edge: Arc<Edge>,
    identity: Identity,
    keys: Mutex<Keys>,
}

impl Keyboard {
    /// Stops what is not renewed, for as long as there is anything.
    async fn lift(self: Arc<Self>) {
        loop {
            let Some(until) = self.keys().next_end_or_rest() else { return };
            let wait = tokio::time::sleep_until(until.into());
            if self.edge.stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
            let tells = self.keys().lift(Instant::now());
            self.tell(tells).await;
        }
    }

    async fn tell(&self, tells: Vec<Tell>) {
        for Tell { conversation, side, typing } in tells {
            let subject = typing_changed(&self.identity.tenant, &conversation);
            let payload = v1::Typing {
                tenant: self.identity.tenant.to_string(),
                conversation: conversation.to_string(),
                user_id: self.identity.user.clone(),
                sender_type: side.into(),
                typing,
                at_ms: now_ms(),
                draft: None,
            };
            let payload = payload.encode_to_vec().into();
            if let Err(error) = self.edge.bus.client().publish(subject.as_str().to_owned(), payload).await {
                tracing::debug!(%error, "that somebody types is not told");
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something the others are told.
#[derive(Debug, PartialEq, Eq)]
struct Tell {
    conversation: ConversationToken,
    side: SenderType,
    typing: bool,
}

/// The conversations a connection types in, oldest first. Pure.
#[derive(Debug, Default)]
struct Keys {
    down: Vec<Key>,
    /// Somebody waits for the next of them to end.
    is_watched: bool,
}

#[derive(Debug)]
struct Key {
    conversation: ConversationToken,
    side: SenderType,
    told: Instant,
    renewed: Instant,
}

impl Key {
    fn lifted(self) -> Tell {
        Tell { conversation: self.conversation, side: self.side, typing: false }
    }
}

impl Keys {
    /// Whether somebody must begin to watch them.
    fn begin_watch(&mut self) -> bool {
        !self.down.is_empty() && !std::mem::replace(&mut self.is_watched, true)
    }

    fn press(
        &mut self,
        conversation: &ConversationToken,
        side: SenderType,
        typing: bool,
        now: Instant,
    ) -> Vec<Tell> {
        let known = self.down.iter().position(|key| key.conversation == *conversation);
        match (known, typing) {
            (None, false) => Vec::new(),
            (Some(index), false) => vec![self.down.remove(index).lifted()],
            (Some(index), true) => {
                let key = &mut self.down[index];
                key.renewed = now;
                if now.saturating_duration_since(key.told) < TELL_INTERVAL {
                    return Vec::new();
                }
                key.told = now;
                vec![Tell { conversation: conversation.clone(), side, typing }]
            }
            (None, true) => {
                let full = self.down.len() >= CONVERSATIONS_MAX;
                let mut tells: Vec<Tell> = full.then(|| self.down.remove(0).lifted()).into_iter().collect();
                self.down.push(Key { conversation: conversation.clone(), side, told: now, renewed: now });
                tells.push(Tell { conversation: conversation.clone(), side, typing });
                tells
            }
        }
    }

    /// When the next of them ends unless it is renewed. When there is none, whoever watches them rests.
    fn next_end_or_rest(&mut self) -> Option<Instant> {
        self.is_watched = !self.down.is_empty();
        self.down.iter().map(|key| key.renewed + TYPING_MAX).min()
    }

    fn lift(&mut self, now: Instant) -> Vec<Tell> {
        self.down.extract_if(.., |key| key.renewed + TYPING_MAX <= now).map(Key::lifted).collect()
    }

    fn lift_all(&mut self) -> Vec<Tell> {
        self.down.drain(..).map(Key::lifted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(index: usize) -> ConversationToken {
        format!("web_u{index}").parse().unwrap()
    }

    fn told(tells: &[Tell]) -> Vec<(&str, bool)> {
        tells.iter().map(|tell| (tell.conversation.as_str(), tell.typing)).collect()
    }

    #[test]
    fn ben_28_29_every_keystroke_says_it_and_few_are_told() {
        let (mut keys, begin) = (Keys::default(), Instant::now());
        let mut press = |typing: bool, after_ms: u64| {
            let now = begin + Duration::from_millis(after_ms);
            told(&keys.press(&conversation(1), SenderType::User, typing, now)).len()
        };
        assert_eq!((press(false, 0), press(true, 0), press(true, 100), press(true, 499)), (0, 1, 0, 0));
        assert_eq!((press(true, 500), press(true, 999), press(true, 1_000)), (1, 0, 1));
        assert_eq!((press(false, 1_001), press(false, 1_002), press(true, 1_003)), (1, 0, 1));
    }

    #[test]
    fn who_falls_silent_has_stopped_after_six_seconds() {
        let (mut keys, begin) = (Keys::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        keys.press(&conversation(1), SenderType::User, true, at(0));
        keys.press(&conversation(2), SenderType::Agent, true, at(0));
        keys.press(&conversation(2), SenderType::Agent, true, at(4));
        assert_eq!(keys.next_end_or_rest(), Some(at(6)));
        assert_eq!(told(&keys.lift(at(6))), [("web_u1", false)]);
        assert_eq!(told(&keys.lift(at(9))), []);
        assert_eq!(told(&keys.lift_all()), [("web_u2", false)]);
        assert_eq!(keys.next_end_or_rest(), None);
    }

    #[test]
    fn one_task_watches_however_often_somebody_starts_and_stops() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        let mut toggle = || {
            keys.press(&conversation(1), SenderType::User, true, now);
            let begun = keys.begin_watch();
            keys.press(&conversation(1), SenderType::User, false, now);
            begun
        };
        assert_eq!((toggle(), toggle(), toggle()), (true, false, false));
        assert_eq!(keys.next_end_or_rest(), None);
        keys.press(&conversation(1), SenderType::User, true, now);
        assert!(keys.begin_watch());
    }

    #[test]
    fn nobody_types_everywhere() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        for index in 0..CONVERSATIONS_MAX {
            assert_eq!(keys.press(&conversation(index), SenderType::Agent, true, now).len(), 1);
        }
        let tells = keys.press(&conversation(CONVERSATIONS_MAX), SenderType::Agent, true, now);
        assert_eq!(told(&tells), [("web_u0", false), ("web_u8", true)]);
    }
}
