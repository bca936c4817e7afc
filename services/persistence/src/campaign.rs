//! A campaign: its states, and what is done to it. Pure.

use chasqui_proto::v1::{CampaignAction, CampaignStatus};
use uuid::Uuid;

use crate::error::Error;

/// What becomes of a campaign of this status when this is done to it; the same status where that has happened already.
/// `later` is to start at a time that has not come.
pub(crate) fn turn(
    status: CampaignStatus,
    action: CampaignAction,
    later: bool,
) -> Result<CampaignStatus, Error> {
    use CampaignAction::{Cancel, Pause, Resume, Retry, Start, Stop};
    use CampaignStatus::{Cancelled, Completed, Draft, Failed, Paused, Running, Scheduled};
    let (next, from): (CampaignStatus, &[CampaignStatus]) = match action {
        Start if later => (Scheduled, &[Draft, Scheduled]),
        Start => (Running, &[Draft, Scheduled, Running]),
        Pause => (Paused, &[Running, Paused]),
        Resume => (Running, &[Scheduled, Paused, Failed, Running]),
        Cancel => (Cancelled, &[Draft, Scheduled, Running, Paused, Failed, Cancelled]),
        Retry => (Running, &[Paused, Completed, Cancelled, Failed, Running]),
        Stop => (Failed, &[Running, Failed]),
        CampaignAction::Unspecified => (status, &[]),
    };
    if from.contains(&status) {
        return Ok(next);
    }
    Err(Error::Transition { status: status_words(status), action: action_words(action) })
}

/// What a campaign is when its last recipient was read.
pub(crate) fn sealed(start: bool, later: bool) -> CampaignStatus {
    match (start, later) {
        (false, _) => CampaignStatus::Draft,
        (true, true) => CampaignStatus::Scheduled,
        (true, false) => CampaignStatus::Running,
    }
}

/// The id of a campaign in a request.
pub(crate) fn id(text: &str) -> Result<Uuid, Error> {
    uuid("id", text, "must be the UUID of a campaign")
}

/// The id of an upload in a request.
pub(crate) fn upload(text: &str) -> Result<Uuid, Error> {
    uuid("upload", text, "must be the UUID of an upload")
}

fn uuid(field: &'static str, text: &str, expected: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::Invalid { field, expected: expected.to_owned() })
}

fn status_words(status: CampaignStatus) -> &'static str {
    match status {
        CampaignStatus::Uploading => "whose recipients are still being read",
        CampaignStatus::Draft => "that was not started",
        CampaignStatus::Scheduled => "that waits for its time",
        CampaignStatus::Running => "that is running",
        CampaignStatus::Paused => "that is paused",
        CampaignStatus::Completed => "that is completed",
        CampaignStatus::Cancelled => "that is cancelled",
        CampaignStatus::Failed => "that stopped by itself",
        CampaignStatus::Unspecified => "of an unknown status",
    }
}

fn action_words(action: CampaignAction) -> &'static str {
    match action {
        CampaignAction::Start => "started",
        CampaignAction::Pause => "paused",
        CampaignAction::Resume => "resumed",
        CampaignAction::Cancel => "cancelled",
        CampaignAction::Retry => "tried again",
        CampaignAction::Stop => "stopped",
        CampaignAction::Unspecified => "changed",
    }
}

#[cfg(test)]
mod tests {
    use CampaignAction::{Cancel, Pause, Resume, Retry, Start, Stop};
    use CampaignStatus::{Cancelled, Completed, Draft, Failed, Paused, Running, Scheduled, Uploading};

    use super::*;

    const STATUSES: [CampaignStatus; 8] =
        [Uploading, Draft, Scheduled, Running, Paused, Completed, Cancelled, Failed];

    fn check(action: CampaignAction, later: bool, becomes: &[(CampaignStatus, CampaignStatus)]) {
        for status in STATUSES {
            let expected = becomes.iter().find(|(before, _)| *before == status).map(|(_, after)| *after);
            let outcome = turn(status, action, later);
            assert_eq!(outcome.as_ref().ok().copied(), expected, "{status:?} {action:?}");
            if let Err(refused) = outcome {
                assert!(refused.to_string().starts_with("status: a campaign "), "{refused}");
            }
        }
    }

    #[test]
    fn each_action_has_its_statuses_and_twice_is_once() {
        check(Start, false, &[(Draft, Running), (Scheduled, Running), (Running, Running)]);
        check(Start, true, &[(Draft, Scheduled), (Scheduled, Scheduled)]);
        check(Pause, false, &[(Running, Paused), (Paused, Paused)]);
        check(Resume, false, &[Paused, Failed, Scheduled, Running].map(|status| (status, Running)));
        let open = [Draft, Scheduled, Running, Paused, Failed, Cancelled];
        check(Cancel, false, &open.map(|status| (status, Cancelled)));
        let begun = [Completed, Cancelled, Failed, Paused, Running];
        check(Retry, false, &begun.map(|status| (status, Running)));
        check(Stop, false, &[(Running, Failed), (Failed, Failed)]);
        check(CampaignAction::Unspecified, false, &[]);
    }

    #[test]
    fn what_is_refused_says_how_the_campaign_stands() {
        let told = |status, action| turn(status, action, false).unwrap_err().to_string();
        assert_eq!(told(Completed, Cancel), "status: a campaign that is completed cannot be cancelled");
        assert_eq!(told(Draft, Retry), "status: a campaign that was not started cannot be tried again");
    }

    #[test]
    fn a_sealed_campaign_begins_when_it_was_told_to() {
        assert_eq!(sealed(false, true), Draft);
        assert_eq!(sealed(true, true), Scheduled);
        assert_eq!(sealed(true, false), Running);
    }

    #[test]
    fn an_id_that_is_none_is_named() {
        assert!(id("7").unwrap_err().to_string().starts_with("id: must "));
        assert!(upload("").unwrap_err().to_string().starts_with("upload: must "));
    }
}
