//! A recipient of a campaign: its states, and how campaigns count them. Pure.

use std::collections::BTreeMap;

use chasqui_proto::v1::{ProviderError, RecipientState, Status};
use uuid::Uuid;

use crate::fact;

/// Every state, in the order of the columns that count them.
pub(crate) const STATES: [RecipientState; 8] = [
    RecipientState::Pending,
    RecipientState::Queued,
    RecipientState::Sent,
    RecipientState::Delivered,
    RecipientState::Read,
    RecipientState::Failed,
    RecipientState::Skipped,
    RecipientState::Cancelled,
];

/// The longest title of an error that is kept, characters: failures are counted by it.
const TITLE_LENGTH_MAX: usize = 256;
/// The longest of the other texts of an error that is kept, characters.
const TEXT_LENGTH_MAX: usize = 1_024;

/// Where a recipient stands whose newest message has this status. Whoever has the message has it, whatever was said of
/// the recipient meanwhile.
pub(crate) fn moved(state: RecipientState, message: Status) -> RecipientState {
    use RecipientState::{Delivered, Failed, Queued, Read, Sent};
    match message {
        Status::Read | Status::Played => Read,
        Status::Delivered if state != Read => Delivered,
        Status::Failed if matches!(state, Queued | Sent) => Failed,
        Status::Accepted | Status::Sent if state == Queued => Sent,
        _ => state,
    }
}

/// An error as it is kept.
pub(crate) fn kept(error: &ProviderError) -> ProviderError {
    let text = |given: &str, length_max| {
        let cut: String = given.chars().take(length_max).collect();
        fact::text(&cut).unwrap_or_default()
    };
    ProviderError {
        code: error.code,
        title: text(&error.title, TITLE_LENGTH_MAX),
        message: text(&error.message, TEXT_LENGTH_MAX),
        details: text(&error.details, TEXT_LENGTH_MAX),
    }
}

/// How the counts of campaigns change, in the order in which their rows are taken.
pub(crate) type Changes = BTreeMap<Uuid, Change>;

/// How the counts of a campaign change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// In the order of `STATES`.
    pub(crate) counts: [i32; STATES.len()],
    /// Recipients that are failed now, by code and title.
    pub(crate) reasons: BTreeMap<(i64, String), i32>,
}

impl Change {
    /// Recipients that are new in a state.
    pub(crate) fn add(&mut self, state: RecipientState, count: i32) {
        if let Some(place) = STATES.iter().position(|counted| *counted == state) {
            self.counts[place] += count;
        }
    }

    /// Recipients that go from one state to another.
    pub(crate) fn move_from(&mut self, from: RecipientState, to: RecipientState, count: i32) {
        self.add(from, -count);
        self.add(to, count);
    }

    /// Recipients that failed for a reason; fewer than none where they did not after all.
    pub(crate) fn reason(&mut self, code: i64, title: &str, count: i32) {
        *self.reasons.entry((code, title.to_owned())).or_default() += count;
    }

    /// By how many recipients a state grows.
    pub(crate) fn of(&self, state: RecipientState) -> i32 {
        let place = STATES.iter().position(|counted| *counted == state);
        place.map_or(0, |place| self.counts[place])
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use RecipientState::{Cancelled, Delivered, Failed, Pending, Queued, Read, Sent, Skipped};

    use super::*;

    const STATUSES: [Status; 10] = [
        Status::Unspecified,
        Status::Queued,
        Status::Sending,
        Status::Uncertain,
        Status::Accepted,
        Status::Sent,
        Status::Failed,
        Status::Delivered,
        Status::Read,
        Status::Played,
    ];

    #[test]
    fn every_state_moves_by_every_status_to_what_is_known_best() {
        let check = |state: RecipientState, expected: [RecipientState; 5]| {
            for (place, status) in STATUSES.into_iter().enumerate() {
                let after = match place {
                    0..4 => expected[0],
                    4..6 => expected[1],
                    6 => expected[2],
                    7 => expected[3],
                    _ => expected[4],
                };
                assert_eq!(moved(state, status), after, "{state:?} {status:?}");
            }
        };
        check(Queued, [Queued, Sent, Failed, Delivered, Read]);
        check(Sent, [Sent, Sent, Failed, Delivered, Read]);
        check(Failed, [Failed, Failed, Failed, Delivered, Read]);
        check(Delivered, [Delivered, Delivered, Delivered, Delivered, Read]);
        check(Read, [Read; 5]);
        // Of an earlier message: it failed, was to be sent again, and had arrived after all.
        for state in [Pending, Cancelled, Skipped] {
            check(state, [state, state, state, Delivered, Read]);
        }
    }

    #[test]
    fn counts_add_up() {
        let mut change = Change::default();
        assert!(change.is_nothing());
        change.add(Pending, 5);
        change.move_from(Pending, Queued, 2);
        assert_eq!((change.of(Pending), change.of(Queued), change.of(Sent)), (3, 2, 0));
        change.move_from(Queued, Failed, 1);
        change.reason(131_026, "Undeliverable", 1);
        change.reason(131_026, "Undeliverable", 1);
        assert_eq!(change.reasons[&(131_026, "Undeliverable".to_owned())], 2);
        assert_eq!(change.counts.iter().sum::<i32>(), 5);
    }

    #[test]
    fn an_error_is_kept_in_bounds_and_without_nul() {
        let long = "é\0".repeat(2_000);
        let error = ProviderError { code: 7, title: long.clone(), message: long.clone(), details: long };
        let kept = kept(&error);
        assert_eq!((kept.title.chars().count(), kept.details.chars().count()), (256, 1_024));
        assert!(!kept.message.contains('\0'));
    }
}
