//! What was sent, what arrived, and what that amounts to. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::{MESSAGES_MAX, Plan};

/// How a message was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is durable: from here on it must arrive.
    Acknowledged,
    /// The other side said no, with this status.
    Refused(u16),
    /// There was no answer.
    Failed,
}

/// A message that was sent. Times are microseconds on the trial's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// From when its latency counts.
    pub(crate) origin_us: u64,
    /// How much later than due it was sent.
    pub(crate) late_us: u64,
    /// When the answer had come.
    pub(crate) answered_us: u64,
    /// The answer.
    pub(crate) outcome: Outcome,
}

/// What one socket has heard. Only the first copy of a message is kept, so it never holds more than was sent.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// The only conversation that may arrive here; `None` where all do.
    conversation: Option<u32>,
    conversations: u32,
    /// One bit a message.
    seen: Vec<u64>,
    /// Number and time of each first copy.
    arrivals: Vec<(u32, u64)>,
    /// The highest number heard of each conversation.
    newest: Vec<Option<u32>>,
    duplicated: u32,
    out_of_order: u32,
    misdelivered: u32,
    /// The other side ended the connection during the trial.
    pub(crate) closed_early: bool,
}

impl Inbox {
    /// An empty one, for a socket that shows one conversation of `conversations`, or all.
    pub(crate) fn new(conversation: Option<u32>, conversations: u32) -> Self {
        Self {
            conversation,
            conversations,
            seen: Vec::new(),
            arrivals: Vec::new(),
            newest: vec![None; conversations as usize],
            duplicated: 0,
            out_of_order: 0,
            misdelivered: 0,
            closed_early: false,
        }
    }

    /// Notes that a message came; true when it is the first copy of one that should have come here.
    pub(crate) fn hear(&mut self, message: u32, at_us: u64) -> bool {
        if message >= MESSAGES_MAX {
            return false;
        }
        if !self.awaits(message) {
            self.misdelivered += 1;
            return false;
        }
        if !self.mark(message) {
            self.duplicated += 1;
            return false;
        }
        let newest = &mut self.newest[(message % self.conversations) as usize];
        if newest.is_some_and(|newest| message < newest) {
            self.out_of_order += 1;
        }
        *newest = (*newest).max(Some(message));
        self.arrivals.push((message, at_us));
        true
    }

    /// Whether anything came twice, out of order, or to the wrong socket.
    pub(crate) fn is_disordered(&self) -> bool {
        self.duplicated + self.out_of_order + self.misdelivered > 0
    }

    /// Whether a message should come here.
    fn awaits(&self, message: u32) -> bool {
        self.conversation.is_none_or(|conversation| message % self.conversations == conversation)
    }

    fn has(&self, message: u32) -> bool {
        self.seen.get((message / 64) as usize).is_some_and(|bits| bits & (1 << (message % 64)) != 0)
    }

    fn mark(&mut self, message: u32) -> bool {
        let first = !self.has(message);
        let word = (message / 64) as usize;
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << (message % 64);
        first
    }
}

/// What became of the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Messages sent.
    pub sent: u32,
    /// Messages that were acknowledged: durable, so they must arrive.
    pub acknowledged: u32,
    /// Refusals by HTTP status.
    pub refused: BTreeMap<u16, u32>,
    /// Messages without an answer.
    pub failed: u32,
    /// Copies that must arrive: the acknowledged messages, once for each socket that shows them.
    pub expected: u32,
    /// Expected copies that arrived.
    pub delivered: u32,
    /// Expected copies that did not.
    pub lost: u32,
    /// Copies that arrived again at the same socket.
    pub duplicated: u32,
    /// Copies that arrived after a later message of the same conversation.
    pub out_of_order: u32,
    /// Copies that arrived at a socket of another contact.
    pub misdelivered: u32,
    /// Copies that arrived although the message was never acknowledged. No fault: the answer was lost, not the message.
    pub unacknowledged: u32,
    /// Sockets that the other side closed during the trial.
    pub closed_early: u32,
}

impl Account {
    /// Whether everything that was promised arrived, once, in order, and nowhere else.
    pub fn is_clean(&self) -> bool {
        [self.lost, self.duplicated, self.out_of_order, self.misdelivered].iter().all(|&faults| faults == 0)
    }
}

/// The times that were measured, microseconds.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the origin of a message to a socket, one for each copy.
    pub(crate) delivery: Vec<u64>,
    /// From sending to the answer.
    pub(crate) answer: Vec<u64>,
    /// From when a message was due to when it was sent.
    pub(crate) late: Vec<u64>,
    /// From the first message to the last answer.
    pub(crate) sending: u64,
    /// From the first message to the last arrival.
    pub(crate) delivering: u64,
}

/// Holds what was sent, lane by lane, against what arrived. Messages before `warm_us` are left out of the times.
pub(crate) fn settle(plan: &Plan, sent: &[Vec<Sent>], inboxes: &[Inbox], warm_us: u64) -> (Account, Times) {
    let mut account = Account::default();
    let mut times = Times::default();
    let began = sent.iter().flatten().map(|sent| sent.origin_us).min().unwrap_or(0);
    for sent in sent.iter().flatten() {
        count(&mut account, sent.outcome);
        times.sending = times.sending.max(sent.answered_us - began);
        if sent.origin_us >= warm_us {
            times.answer.push(sent.answered_us - sent.origin_us);
            times.late.push(sent.late_us);
        }
    }
    account.expected = expected(plan, sent, inboxes.iter().map(|inbox| inbox.conversation));
    for inbox in inboxes {
        account.duplicated += inbox.duplicated;
        account.out_of_order += inbox.out_of_order;
        account.misdelivered += inbox.misdelivered;
        account.closed_early += u32::from(inbox.closed_early);
        for &(message, at_us) in &inbox.arrivals {
            let (lane, place) = plan.place_of(message);
            // A mark of this run that was never sent: a broken copy, which is then missed under its own number.
            let Some(sent) = sent.get(lane).and_then(|lane| lane.get(place)) else { continue };
            match sent.outcome {
                Outcome::Acknowledged => account.delivered += 1,
                Outcome::Refused(_) | Outcome::Failed => account.unacknowledged += 1,
            }
            times.delivering = times.delivering.max(at_us.saturating_sub(began));
            if sent.origin_us >= warm_us {
                times.delivery.push(at_us.saturating_sub(sent.origin_us));
            }
        }
    }
    account.lost = account.expected - account.delivered;
    (account, times)
}

/// The numbers of the messages that were acknowledged.
pub(crate) fn acknowledged(plan: &Plan, sent: &[Vec<Sent>]) -> impl Iterator<Item = u32> {
    (0..).zip(sent).flat_map(move |(lane, sent)| {
        plan.messages_of(lane)
            .zip(sent)
            .filter(|(_, sent)| sent.outcome == Outcome::Acknowledged)
            .map(|(message, _)| message)
    })
}

/// How many copies of the acknowledged messages must arrive at sockets that each show one conversation, or all.
pub(crate) fn expected(plan: &Plan, sent: &[Vec<Sent>], shown: impl Iterator<Item = Option<u32>>) -> u32 {
    let mut by_conversation = vec![0; plan.conversations as usize];
    for message in acknowledged(plan, sent) {
        by_conversation[plan.conversation_of(message) as usize] += 1;
    }
    let all: u32 = by_conversation.iter().sum();
    shown.map(|conversation| conversation.map_or(all, |one| by_conversation[one as usize])).sum()
}

fn count(account: &mut Account, outcome: Outcome) {
    account.sent += 1;
    match outcome {
        Outcome::Acknowledged => account.acknowledged += 1,
        Outcome::Refused(status) => *account.refused.entry(status).or_default() += 1,
        Outcome::Failed => account.failed += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pace;

    /// Two lanes, four conversations; message n is sent at n milliseconds and answered 300 µs later.
    fn sent(plan: &Plan, messages: u32) -> Vec<Vec<Sent>> {
        let record = |message: u32| {
            let origin_us = u64::from(message) * 1_000;
            Sent { origin_us, late_us: 5, answered_us: origin_us + 300, outcome: Outcome::Acknowledged }
        };
        let lane = |lane| plan.messages_of(lane).filter(|&message| message < messages).map(record).collect();
        (0..plan.lanes).map(lane).collect()
    }

    fn plan() -> Plan {
        Plan::new(Pace::Closed, 1, 2, 4)
    }

    fn inbox(conversation: Option<u32>, heard: &[u32]) -> Inbox {
        let mut inbox = Inbox::new(conversation, 4);
        for &message in heard {
            inbox.hear(message, u64::from(message) * 1_000 + 700);
        }
        inbox
    }

    #[test]
    fn everything_once_in_order_is_clean_and_timed_from_its_origin() {
        let inboxes = [inbox(None, &[1, 0, 2, 3, 5, 4]), inbox(None, &[0, 1, 2, 3, 4, 5])];
        let (account, times) = settle(&plan(), &sent(&plan(), 6), &inboxes, 0);
        assert!(account.is_clean(), "{account:?}");
        assert_eq!((account.sent, account.acknowledged, account.expected, account.delivered), (6, 6, 12, 12));
        assert_eq!(times.delivery, vec![700; 12]);
        assert_eq!(times.answer, vec![300; 6]);
        assert_eq!((times.sending, times.delivering), (5_300, 5_700));
    }

    #[test]
    fn a_missing_copy_is_lost_at_that_socket_only() {
        let inboxes = [inbox(None, &[0, 1, 3]), inbox(None, &[0, 1, 2, 3])];
        let (account, _) = settle(&plan(), &sent(&plan(), 4), &inboxes, 0);
        assert_eq!((account.expected, account.delivered, account.lost), (8, 7, 1));
        assert!(!account.is_clean());
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_hides_no_loss() {
        let (account, times) = settle(&plan(), &sent(&plan(), 4), &[inbox(None, &[0, 1, 1, 3])], 0);
        assert_eq!((account.duplicated, account.lost, account.delivered), (1, 1, 3));
        assert_eq!(times.delivery.len(), 3);
    }

    #[test]
    fn order_is_asked_within_a_conversation_only() {
        let across = settle(&plan(), &sent(&plan(), 4), &[inbox(None, &[3, 2, 1, 0])], 0).0;
        assert_eq!(across.out_of_order, 0);
        let within = settle(&plan(), &sent(&plan(), 8), &[inbox(None, &[4, 0, 1, 2, 3, 5, 6, 7])], 0).0;
        assert_eq!(within.out_of_order, 1);
    }

    #[test]
    fn a_contacts_socket_awaits_its_own_conversation_and_nothing_else() {
        let (account, _) = settle(&plan(), &sent(&plan(), 8), &[inbox(Some(1), &[1, 5, 2])], 0);
        assert_eq!((account.expected, account.delivered, account.misdelivered), (2, 2, 1));
    }

    #[test]
    fn what_was_not_acknowledged_may_arrive_or_not() {
        let mut sent = sent(&plan(), 4);
        sent[0][0].outcome = Outcome::Failed;
        sent[1][0].outcome = Outcome::Refused(503);
        let (account, _) = settle(&plan(), &sent, &[inbox(None, &[0, 2, 3])], 0);
        assert!(account.is_clean(), "{account:?}");
        assert_eq!((account.failed, account.unacknowledged, account.expected), (1, 1, 2));
        assert_eq!(account.refused, BTreeMap::from([(503, 1)]));
    }

    #[test]
    fn the_warm_up_counts_for_the_account_and_not_for_the_times() {
        let (account, times) = settle(&plan(), &sent(&plan(), 4), &[inbox(None, &[0, 1, 2, 3])], 2_000);
        assert_eq!(account.delivered, 4);
        assert_eq!((times.delivery.len(), times.answer.len()), (2, 2));
    }

    #[test]
    fn a_mark_that_nobody_sent_is_no_delivery() {
        let (account, _) = settle(&plan(), &sent(&plan(), 2), &[inbox(None, &[0, 1, 4_000])], 0);
        assert_eq!((account.delivered, account.lost), (2, 0));
    }
}
