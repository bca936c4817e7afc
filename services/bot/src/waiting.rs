//! What a contact wrote and is answered later, together. Pure.

use chasqui_proto::v1::{Heard, Message, Waiting};

/// The most messages that are answered together; older ones are left out, and stand in the history.
const HEARD_MAX: usize = 20;
/// How much of a message is kept until it is answered, characters: the longest that WhatsApp carries.
const TEXT_CHARACTERS_MAX: usize = 4_096;
/// How many pauses a contact that goes on writing can put an answer off.
const PAUSES_MAX: i64 = 10;

/// How long something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// So long after the first message, milliseconds.
    Delay(i64),
    /// Until the contact was silent for so long, milliseconds.
    Silence(i64),
}

/// A message that waits.
pub(crate) fn heard(message: &Message, seq: u64, text: &str, at_ms: i64) -> Heard {
    let text = text.chars().take(TEXT_CHARACTERS_MAX).collect();
    Heard { message_id: message.id.clone(), seq, text, at_ms }
}

/// The first message that waits for a rule, or for the language model where `rule` is empty.
pub(crate) fn begin(rule: &str, heard: Vec<Heard>, pause: Pause, now_ms: i64) -> Waiting {
    let (Pause::Delay(pause_ms) | Pause::Silence(pause_ms)) = pause;
    Waiting { heard, rule: rule.to_owned(), due_at_ms: now_ms.saturating_add(pause_ms), ..Waiting::default() }
}

/// One more message that is answered with those that wait.
pub(crate) fn join(waiting: &mut Waiting, heard: Heard, pause: Pause, now_ms: i64) {
    waiting.heard.push(heard);
    if waiting.heard.len() > HEARD_MAX {
        // The first one says since when the contact waits.
        waiting.heard.remove(1);
    }
    if let (Pause::Silence(pause_ms), false) = (pause, is_held(waiting, now_ms)) {
        let first_at_ms = waiting.heard.first().map_or(now_ms, |heard| heard.at_ms);
        let latest = first_at_ms.saturating_add(pause_ms.saturating_mul(PAUSES_MAX));
        waiting.due_at_ms = now_ms.saturating_add(pause_ms).min(latest).max(waiting.due_at_ms);
    }
}

/// Whether somebody works on the answer.
pub(crate) fn is_held(waiting: &Waiting, now_ms: i64) -> bool {
    !waiting.holder.is_empty() && waiting.held_until_ms > now_ms
}

/// Whether the message at a position of the stream is among those that wait.
pub(crate) fn contains(waiting: Option<&Waiting>, seq: u64) -> bool {
    waiting.is_some_and(|waiting| waiting.heard.iter().any(|heard| heard.seq == seq))
}

/// What is left when some of it was answered; none where that was all. It is answered at once.
pub(crate) fn without(waiting: Waiting, answered: &[Heard], now_ms: i64) -> Option<Waiting> {
    let is_left = |heard: &Heard| answered.iter().all(|answered| answered.message_id != heard.message_id);
    let left: Vec<Heard> = waiting.heard.into_iter().filter(is_left).collect();
    (!left.is_empty()).then(|| begin(&waiting.rule, left, Pause::Delay(0), now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64, at_ms: i64) -> Heard {
        heard(&Message { id: seq.to_string(), ..Message::default() }, seq, "hola", at_ms)
    }

    #[test]
    fn who_goes_on_writing_is_answered_when_it_stops_and_not_much_later() {
        let pause = Pause::Silence(1_000);
        let mut waiting = begin("all", vec![at(1, 0)], pause, 0);
        assert_eq!(waiting.due_at_ms, 1_000);
        join(&mut waiting, at(2, 900), pause, 900);
        assert_eq!(waiting.due_at_ms, 1_900);
        for seq in 3..30 {
            join(
                &mut waiting,
                at(seq, i64::try_from(seq).unwrap() * 900),
                pause,
                i64::try_from(seq).unwrap() * 900,
            );
        }
        assert_eq!(waiting.due_at_ms, 10_000);
        assert!(contains(Some(&waiting), 29) && !contains(Some(&waiting), 30) && !contains(None, 1));
    }

    #[test]
    fn a_delay_counts_from_the_first_message() {
        let mut waiting = begin("price", vec![at(1, 0)], Pause::Delay(1_000), 0);
        join(&mut waiting, at(2, 900), Pause::Delay(1_000), 900);
        assert_eq!((waiting.due_at_ms, waiting.heard.len()), (1_000, 2));
    }

    #[test]
    fn what_came_while_the_model_wrote_is_answered_next() {
        let mut waiting = begin("", vec![at(1, 0)], Pause::Silence(0), 0);
        (waiting.holder, waiting.held_until_ms) = ("node".to_owned(), 60_000);
        assert!(is_held(&waiting, 59_999) && !is_held(&waiting, 60_000));
        join(&mut waiting, at(2, 500), Pause::Silence(1_000), 500);
        assert_eq!(waiting.due_at_ms, 0, "who is at it is not put off");
        let left = without(waiting.clone(), &[at(1, 0)], 900).unwrap();
        assert_eq!((left.heard, left.holder.as_str(), left.due_at_ms), (vec![at(2, 500)], "", 900));
        assert_eq!(without(waiting, &[at(1, 0), at(2, 500)], 900), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = begin("", vec![at(0, 0)], Pause::Silence(1), 0);
        for seq in 1..1_000 {
            join(&mut waiting, at(seq, 0), Pause::Silence(1), 0);
        }
        let (first, second) = (waiting.heard[0].seq, waiting.heard[1].seq);
        assert_eq!((waiting.heard.len(), first, second), (HEARD_MAX, 0, 981));
        let long = heard(&Message::default(), 1, &"ñ".repeat(5_000), 0);
        assert_eq!(long.text.chars().count(), TEXT_CHARACTERS_MAX);
    }
}
