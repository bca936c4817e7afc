//! What a contact is told first.

use crate::fields::{Fields, Found};
use crate::language::Text;

/// The shortest time between two greetings, seconds.
const EVERY_SECS_MIN: u64 = 60;
/// The longest time between two greetings, seconds: as long as the bot remembers a conversation.
const EVERY_SECS_MAX: u64 = 30 * 24 * 3600;
/// The time between two greetings where the file says nothing, seconds.
const EVERY_SECS: u64 = 24 * 3600;

/// What a contact is told first, now and then.
#[derive(Debug)]
pub(super) struct Greeting {
    text: Text,
    every_ms: i64,
}

impl Greeting {
    /// The table `greeting`.
    pub(super) fn read<'t>(mut table: Fields<'t>, found: &mut Found<'t>) -> Option<Self> {
        let text = table.need::<Text>(found, "text");
        let every_secs = table.number(found, "every_secs", EVERY_SECS_MIN..=EVERY_SECS_MAX);
        table.finish(found);
        let every_secs = every_secs.map_or(EVERY_SECS, |every| every.value);
        let every_ms = i64::try_from(every_secs * 1_000).unwrap_or(i64::MAX);
        Some(Self { text: text?.value, every_ms })
    }

    /// The text, if it is time for it again.
    pub(super) fn due(&self, greeted_at_ms: i64, now_ms: i64) -> Option<&Text> {
        let is_due = greeted_at_ms == 0 || now_ms.saturating_sub(greeted_at_ms) >= self.every_ms;
        is_due.then_some(&self.text)
    }
}
