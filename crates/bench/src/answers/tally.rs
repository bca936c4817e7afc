//! What contacts wrote and how they were answered. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::script::{self, Kind};
use crate::{ledger::Outcome, quantiles::Quantiles};

/// Everything of a run. Times are microseconds on its clock.
#[derive(Debug)]
pub(super) struct Tally {
    contacts: Vec<Contact>,
    /// By number.
    written: Vec<Written>,
    /// The number of a message by the id that the deployment gave it.
    numbers: HashMap<String, u32>,
    appointments: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Contact {
    /// How many of its lines it has said.
    said: u32,
    /// The message whose answer it waits for.
    waits_for: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    conversation: u32,
    kind: Kind,
    ends_walk: bool,
    origin_us: u64,
    late_us: u64,
    webhook: Option<(Outcome, u64)>,
    stored_us: Option<u64>,
    decided_us: Option<u64>,
    /// How many replies answer it.
    replies: u32,
}

impl Written {
    /// The deployment has it, so it must answer it.
    fn is_due_an_answer(&self) -> bool {
        self.stored_us.is_some() || matches!(self.webhook, Some((Outcome::Acknowledged, _)))
    }
}

/// A message on its way to the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) number: u32,
    pub(super) text: String,
}

/// What became of the messages of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Messages that the deployment took.
    pub messages: u32,
    /// Those that one reply answers.
    pub once: u32,
    /// Those that more than one answers.
    pub twice: u32,
    /// Those that none answers.
    pub never: u32,
    /// From the message, as it was stored, until its first reply was stored.
    pub decided: Quantiles,
    /// The same from the webhook, or from when the message was due there, where the sender was over 2 ms late.
    pub from_webhook: Quantiles,
}

/// What the webhook said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Messages sent to it.
    pub sent: u32,
    /// Messages it took.
    pub acknowledged: u32,
    /// Refusals by HTTP status.
    pub refused: BTreeMap<u16, u32>,
    /// Messages without an answer of the webhook.
    pub failed: u32,
    /// From sending (or from when it was due) to its answer.
    pub acknowledgement: Quantiles,
    /// How late the sender was.
    pub lateness: Quantiles,
}

impl Tally {
    /// So many contacts that have said nothing yet.
    pub(super) fn new(conversations: u32) -> Self {
        Self {
            contacts: vec![Contact::default(); conversations as usize],
            written: Vec::new(),
            numbers: HashMap::new(),
            appointments: BTreeSet::new(),
        }
    }

    /// A contact that waits for nothing writes what comes next. `anything` is the text of a message with this number.
    pub(super) fn write(
        &mut self,
        conversation: u32,
        origin_us: u64,
        late_us: u64,
        anything: impl FnOnce(u32) -> String,
    ) -> Draft {
        let number = u32::try_from(self.written.len()).expect("the options bound the messages of a run");
        let contact = &mut self.contacts[conversation as usize];
        let line = script::line(conversation, contact.said, || anything(number));
        contact.said += 1;
        contact.waits_for = Some(number);
        self.written.push(Written {
            conversation,
            kind: line.kind,
            ends_walk: line.ends_walk,
            origin_us,
            late_us,
            webhook: None,
            stored_us: None,
            decided_us: None,
            replies: 0,
        });
        Draft { number, text: line.text }
    }

    /// The webhook has answered. Returns the contact that may write again, where the message was refused: it says it once
    /// more.
    pub(super) fn answered_by_webhook(&mut self, number: u32, outcome: Outcome, at_us: u64) -> Option<u32> {
        let written = &mut self.written[number as usize];
        written.webhook = Some((outcome, at_us));
        let conversation = written.conversation;
        let is_refused = matches!(outcome, Outcome::Refused(_)) && written.stored_us.is_none();
        (is_refused && self.frees(conversation, number)).then(|| {
            self.contacts[conversation as usize].said -= 1;
            conversation
        })
    }

    /// A message is stored under this id.
    pub(super) fn stored(&mut self, number: u32, id: &str, at_us: u64) {
        let Some(written) = self.written.get_mut(number as usize) else { return };
        written.stored_us.get_or_insert(at_us);
        self.numbers.insert(id.to_owned(), number);
    }

    /// A reply to the message with this id is stored. Returns the contact that may write again, with the first one.
    pub(super) fn replied(&mut self, id: &str, at_us: u64) -> Option<u32> {
        let number = *self.numbers.get(id)?;
        let written = &mut self.written[number as usize];
        written.replies += 1;
        written.decided_us.get_or_insert(at_us);
        let conversation = written.conversation;
        self.frees(conversation, number).then_some(conversation)
    }

    /// An appointment exists.
    pub(super) fn made(&mut self, appointment: &str) {
        self.appointments.insert(appointment.to_owned());
    }

    fn frees(&mut self, conversation: u32, number: u32) -> bool {
        self.contacts[conversation as usize].waits_for.take_if(|waits_for| *waits_for == number).is_some()
    }

    /// Whether the webhook has answered everything, and the bot what it must.
    pub(super) fn is_complete(&self) -> bool {
        let is_settled =
            |one: &Written| one.webhook.is_some() && (one.replies > 0 || !one.is_due_an_answer());
        self.written.iter().all(is_settled)
    }

    /// How many of the messages so far were stored, and how many were answered.
    pub(super) fn stored_and_answered(&self) -> (usize, usize) {
        let stored = self.written.iter().filter(|one| one.stored_us.is_some()).count();
        (stored, self.written.iter().filter(|one| one.replies > 0).count())
    }

    /// How many walks through the flow have come to their end, and how many appointments were made.
    pub(super) fn walks_and_appointments(&self) -> (usize, usize) {
        let walks = self.written.iter().filter(|one| one.ends_walk && one.replies > 0).count();
        (walks, self.appointments.len())
    }

    /// Whether there is an appointment for each walk.
    pub(super) fn has_all_appointments(&self) -> bool {
        let (walks, appointments) = self.walks_and_appointments();
        appointments >= walks
    }

    /// What became of the messages of some kinds. Those before `warm_us` are left out of the times.
    pub(super) fn answered(&self, kinds: &[Kind], warm_us: u64) -> Answered {
        let mut answered = Answered::default();
        let (mut decided, mut from_webhook) = (Vec::new(), Vec::new());
        for one in self.written.iter().filter(|one| kinds.contains(&one.kind) && one.is_due_an_answer()) {
            answered.messages += 1;
            match one.replies {
                0 => answered.never += 1,
                1 => answered.once += 1,
                _ => answered.twice += 1,
            }
            if let (Some(stored_us), Some(decided_us)) = (one.stored_us, one.decided_us)
                && one.origin_us >= warm_us
            {
                decided.push(decided_us.saturating_sub(stored_us));
                from_webhook.push(decided_us.saturating_sub(one.origin_us));
            }
        }
        answered.decided = Quantiles::of(decided);
        answered.from_webhook = Quantiles::of(from_webhook);
        answered
    }

    /// What the webhook said to all of them. Those before `warm_us` are left out of the times.
    pub(super) fn webhook(&self, warm_us: u64) -> Webhook {
        let mut webhook = Webhook::default();
        let (mut acknowledgement, mut lateness) = (Vec::new(), Vec::new());
        for one in &self.written {
            webhook.sent += 1;
            let is_warm = one.origin_us >= warm_us;
            match one.webhook {
                Some((Outcome::Acknowledged, at_us)) => {
                    webhook.acknowledged += 1;
                    acknowledgement.extend(is_warm.then(|| at_us.saturating_sub(one.origin_us)));
                }
                Some((Outcome::Refused(status), _)) => *webhook.refused.entry(status).or_default() += 1,
                Some((Outcome::Failed, _)) | None => webhook.failed += 1,
            }
            lateness.extend(is_warm.then_some(one.late_us));
        }
        webhook.acknowledgement = Quantiles::of(acknowledgement);
        webhook.lateness = Quantiles::of(lateness);
        webhook
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: [Kind; 2] = [Kind::Flow, Kind::Plain];

    /// Contacts that have said their opening.
    fn opened(conversations: u32) -> Tally {
        let mut tally = Tally::new(conversations);
        for conversation in 0..conversations {
            say(&mut tally, conversation, 0);
            tally.stored(conversation, &conversation.to_string(), 0);
            assert_eq!(tally.replied(&conversation.to_string(), 0), Some(conversation));
        }
        tally
    }

    fn say(tally: &mut Tally, conversation: u32, at_us: u64) -> u32 {
        let number = tally.write(conversation, at_us, 0, |number| number.to_string()).number;
        tally.answered_by_webhook(number, Outcome::Acknowledged, at_us + 500);
        number
    }

    #[test]
    fn an_answer_takes_from_the_stored_message_to_its_first_reply() {
        let mut tally = opened(2);
        let (walking, plain) = (say(&mut tally, 0, 1_000), say(&mut tally, 1, 2_000));
        tally.stored(walking, "a", 1_300);
        tally.stored(plain, "b", 2_200);
        assert_eq!(tally.replied("a", 5_300), Some(0));
        assert!(!tally.is_complete());
        assert_eq!(tally.replied("b", 4_200), Some(1));
        assert!(tally.is_complete());
        let of = |kinds: &[Kind]| tally.answered(kinds, 1);
        assert_eq!((of(&[Kind::Flow]).decided.max_us, of(&[Kind::Plain]).decided.max_us), (4_000, 2_000));
        assert_eq!((of(&FIGURES).once, of(&FIGURES).from_webhook.max_us), (2, 4_300));
        assert_eq!(tally.webhook(1).acknowledgement.max_us, 500);
    }

    #[test]
    fn a_second_reply_is_twice_and_frees_nobody() {
        let mut tally = opened(1);
        let number = say(&mut tally, 0, 1_000);
        tally.stored(number, "a", 1_300);
        assert_eq!((tally.replied("a", 2_000), tally.replied("a", 9_000)), (Some(0), None));
        let answered = tally.answered(&FIGURES, 1);
        assert_eq!((answered.once, answered.twice, answered.decided.max_us), (0, 1, 700));
        assert_eq!(tally.replied("of somebody else", 9_000), None);
    }

    #[test]
    fn what_was_taken_or_stored_and_not_answered_is_never() {
        let mut tally = opened(3);
        say(&mut tally, 0, 1_000);
        let unheard = tally.write(1, 1_000, 0, |_| String::new()).number;
        tally.answered_by_webhook(unheard, Outcome::Failed, 2_000);
        let stored = tally.write(2, 1_000, 0, |_| String::new()).number;
        tally.answered_by_webhook(stored, Outcome::Failed, 2_000);
        tally.stored(stored, "a", 1_500);
        let answered = tally.answered(&FIGURES, 0);
        assert_eq!((answered.messages, answered.never), (2, 2));
        assert_eq!(tally.webhook(0).failed, 2);
    }

    #[test]
    fn a_contact_says_again_what_was_refused() {
        let mut tally = opened(1);
        let refused = tally.write(0, 1_000, 0, |_| String::new());
        assert_eq!(tally.answered_by_webhook(refused.number, Outcome::Refused(503), 2_000), Some(0));
        assert!(tally.is_complete());
        assert_eq!(tally.write(0, 3_000, 0, |_| String::new()).text, refused.text);
        assert_eq!(tally.webhook(0).refused, BTreeMap::from([(503, 1)]));
        // It was stored all the same: its reply frees nobody who waits for another.
        tally.stored(refused.number, "a", 1_500);
        assert_eq!(tally.replied("a", 4_000), None);
    }

    #[test]
    fn the_warm_up_counts_for_the_account_and_not_for_the_times() {
        let mut tally = opened(1);
        let number = say(&mut tally, 0, 1_000);
        tally.stored(number, "a", 1_300);
        tally.replied("a", 2_000);
        let answered = tally.answered(&FIGURES, 1_001);
        assert_eq!((answered.once, answered.decided.count), (1, 0));
    }

    #[test]
    fn a_walk_ends_with_the_answer_to_its_last_message() {
        let mut tally = opened(1);
        for step in 1..=8 {
            assert_eq!(tally.walks_and_appointments().0, 0);
            let number = say(&mut tally, 0, step * 1_000);
            tally.stored(number, &format!("step {step}"), step * 1_000);
            tally.replied(&format!("step {step}"), step * 1_000 + 1);
        }
        tally.made("a");
        tally.made("a");
        assert_eq!(tally.walks_and_appointments(), (1, 1));
    }
}
