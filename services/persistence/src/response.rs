//! How long contacts wait for an answer: from the first unanswered message of the contact to what answers it.
//!
//! Messages may be stored out of order, since replicas work side by side. What comes in order is added up as it comes;
//! where one comes late, the stretch it falls into is added up again, without and with it.

use chasqui_proto::v1::Direction;

/// A message, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) seq: i64,
    pub(crate) direction: Direction,
    pub(crate) at_ms: i64,
}

/// The contact's first unanswered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) seq: i64,
    pub(crate) since_ms: i64,
}

/// Answers, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Responses {
    pub(crate) count: i64,
    pub(crate) sum_ms: i64,
    pub(crate) max_ms: i64,
}

/// Adds up turns in the order of their positions, from a state in which `waiting` was unanswered.
pub(crate) fn fold(mut waiting: Option<Waiting>, turns: &[Turn]) -> (Responses, Option<Waiting>) {
    let mut responses = Responses::default();
    for turn in turns {
        if turn.direction == Direction::In {
            if waiting.is_none_or(|first| turn.seq < first.seq) {
                waiting = Some(Waiting { seq: turn.seq, since_ms: turn.at_ms });
            }
        } else if let Some(first) = waiting.take() {
            // Clocks of two machines may disagree by a little.
            let waited_ms = (turn.at_ms - first.since_ms).max(0);
            responses.count += 1;
            responses.sum_ms += waited_ms;
            responses.max_ms = responses.max_ms.max(waited_ms);
        }
    }
    (responses, waiting)
}

/// Whether a new turn changes what was added up before: a message before the newest answer, or an answer before the
/// newest message.
pub(crate) fn is_late(turn: &Turn, last_seq: i64, last_out_seq: i64) -> bool {
    match turn.direction {
        Direction::In => turn.seq < last_out_seq,
        _ => turn.seq < last_seq,
    }
}

/// What late turns change, in the stretch from the answer before the first of them. `stretch` holds them already;
/// `new` tells which they are.
pub(crate) fn mend(stretch: &[Turn], new: impl Fn(i64) -> bool) -> (Responses, Option<Waiting>) {
    let before: Vec<Turn> = stretch.iter().filter(|turn| !new(turn.seq)).copied().collect();
    let ((without, _), (with, waiting)) = (fold(None, &before), fold(None, stretch));
    let change = Responses {
        count: with.count - without.count,
        sum_ms: with.sum_ms - without.sum_ms,
        max_ms: with.max_ms,
    };
    (change, waiting)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(text: &str) -> Vec<Turn> {
        let turn = |(at, c): (usize, char)| {
            let seq = i64::try_from(at).unwrap() + 1;
            let direction = if c == 'i' { Direction::In } else { Direction::Out };
            Turn { seq, direction, at_ms: seq * 10 }
        };
        text.chars().enumerate().map(turn).collect()
    }

    #[test]
    fn the_first_unanswered_message_counts() {
        let (responses, waiting) = fold(None, &turns("oiiooi"));
        assert_eq!(responses, Responses { count: 1, sum_ms: 20, max_ms: 20 });
        assert_eq!(waiting, Some(Waiting { seq: 6, since_ms: 60 }));
    }

    /// What the consumer does with one conversation, over any split into batches in any order.
    fn store(all: &[Turn], batches: &[Vec<Turn>]) -> (i64, i64, Option<Waiting>) {
        let (mut stored, mut waiting) = (Vec::<Turn>::new(), None);
        let (mut count, mut sum_ms) = (0, 0);
        for batch in batches {
            let last_seq = stored.iter().map(|turn| turn.seq).max().unwrap_or(0);
            let outs = stored.iter().filter(|turn| turn.direction == Direction::Out);
            let last_out_seq = outs.map(|turn| turn.seq).max().unwrap_or(0);
            stored.extend(batch);
            stored.sort_by_key(|turn| turn.seq);
            let late = batch.iter().any(|turn| is_late(turn, last_seq, last_out_seq));
            let (change, now) = if late {
                let first = batch[0].seq;
                let answer = |turn: &&Turn| turn.direction == Direction::Out && turn.seq < first;
                let from = stored.iter().filter(answer).map(|turn| turn.seq).max().unwrap_or(0);
                let stretch: Vec<Turn> = stored.iter().filter(|turn| turn.seq > from).copied().collect();
                mend(&stretch, |seq| batch.iter().any(|turn| turn.seq == seq))
            } else {
                fold(waiting, batch)
            };
            waiting = now;
            count += change.count;
            sum_ms += change.sum_ms;
        }
        assert_eq!(stored.len(), all.len());
        (count, sum_ms, waiting)
    }

    proptest! {
        #[test]
        fn every_order_of_batches_adds_up_to_the_same(text in "[io]{1,14}", lanes in prop::collection::vec(0..4usize, 14), order in Just([0, 1, 2, 3]).prop_shuffle()) {
            let all = turns(&text);
            let lane = |wanted: usize| all.iter().zip(&lanes).filter(|(_, lane)| **lane == wanted).map(|(turn, _)| *turn).collect::<Vec<_>>();
            let batches: Vec<Vec<Turn>> = order.into_iter().map(lane).filter(|batch| !batch.is_empty()).collect();
            let (responses, waiting) = fold(None, &all);
            prop_assert_eq!(store(&all, &batches), (responses.count, responses.sum_ms, waiting));
        }
    }
}
