//! How far a campaign is, for everybody who watches, and when there is something new to tell. Pure.

use chasqui_proto::v1::{BulkProgress, Campaign, CampaignStatus, RecipientCounts};

use crate::{obstacle::Obstacle, rate::Rate};

/// The shortest time between two words of one campaign, milliseconds: five a second.
const SPACING_MS: i64 = 200;
/// The shortest time between two words of which only the estimates differ, milliseconds.
const ESTIMATES_SPACING_MS: i64 = 2_000;

/// What is known of a campaign beside its state.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// How many the provider took, lately.
    pub(crate) taken: Rate,
    /// How many left the queue of the number, lately: taken or failed.
    pub(crate) settled: Rate,
    pub(crate) obstacle: Option<Obstacle>,
    /// The token of the contact that was written to last.
    pub(crate) current: String,
}

impl View {
    /// So it stands now.
    pub(crate) fn note(&mut self, counts: &RecipientCounts, now_ms: i64) {
        let taken = taken(counts);
        self.taken.note(taken, now_ms);
        self.settled.note(taken + counts.failed, now_ms);
    }
}

/// Whether a campaign sends nothing more unless somebody makes it.
pub(crate) fn has_ended(status: CampaignStatus) -> bool {
    matches!(status, CampaignStatus::Completed | CampaignStatus::Cancelled | CampaignStatus::Failed)
}

/// Messages that the provider took.
fn taken(counts: &RecipientCounts) -> u32 {
    counts.sent + counts.delivered + counts.read
}

/// How far a campaign is.
pub(crate) fn progress(
    campaign: &Campaign,
    view: &View,
    told: Option<&BulkProgress>,
    now_ms: i64,
) -> BulkProgress {
    let counts = campaign.counts.unwrap_or_default();
    let is_running = campaign.status() == CampaignStatus::Running;
    let obstacle = view.obstacle.filter(|_| is_running);
    let sends = is_running && obstacle.is_none();
    let left = counts.pending + counts.queued;
    BulkProgress {
        tenant: campaign.tenant.clone(),
        campaign: campaign.id.clone(),
        status: campaign.status,
        sent: taken(&counts),
        total: counts.total,
        failed: counts.failed,
        current_conversation: view.current.clone(),
        error: campaign.error.clone(),
        updated_at_ms: now_ms,
        name: campaign.name.clone(),
        delivered: counts.delivered + counts.read,
        read: counts.read,
        skipped: counts.skipped + counts.cancelled,
        queued: counts.queued,
        failures: campaign.failures.clone(),
        rate_per_second: if is_running { tenths(view.taken.per_second()) } else { 0.0 },
        remaining_secs: if sends { view.settled.remaining_secs(left) } else { None },
        waits_for: obstacle.map_or_else(String::new, |obstacle| obstacle.name().to_owned()),
        waits_until_ms: obstacle.map_or(0, Obstacle::until_ms),
        version: campaign.version,
        after_end: has_ended(campaign.status()) && told.is_some_and(|told| is_same_end(told, campaign)),
        started_at_ms: campaign.started_at_ms,
        ended_at_ms: campaign.ended_at_ms,
        // Known where it is told.
        end_seq: 0,
    }
}

/// Whether it was told that the campaign has ended, and it was not started again since.
fn is_same_end(told: &BulkProgress, campaign: &Campaign) -> bool {
    told.status == campaign.status
        && (told.started_at_ms, told.ended_at_ms) == (campaign.started_at_ms, campaign.ended_at_ms)
}

fn tenths(per_second: f64) -> f64 {
    (per_second * 10.0).round() / 10.0
}

/// Whether `next` is told now, after `told`.
pub(crate) fn is_due(told: Option<&BulkProgress>, next: &BulkProgress) -> bool {
    let Some(told) = told else { return true };
    // A clock that was put back delays nothing.
    let passed_ms = next.updated_at_ms - told.updated_at_ms;
    if (0..SPACING_MS).contains(&passed_ms) || next.version < told.version {
        return false;
    }
    if next.version > told.version {
        return true;
    }
    // Of one version there is one word alone once nothing runs, whoever says it.
    if next.status() != CampaignStatus::Running {
        return false;
    }
    let are_late = !(0..ESTIMATES_SPACING_MS).contains(&passed_ms);
    are_late && estimates(told) != estimates(next) || without_estimates(told) != without_estimates(next)
}

fn without_estimates(progress: &BulkProgress) -> BulkProgress {
    BulkProgress { rate_per_second: 0.0, remaining_secs: None, updated_at_ms: 0, ..progress.clone() }
}

/// The rate in tenths, and the remaining time.
fn estimates(progress: &BulkProgress) -> (i64, Option<u32>) {
    #[expect(clippy::cast_possible_truncation, reason = "no rate is near the bounds of a number")]
    let tenths = (progress.rate_per_second * 10.0).round() as i64;
    (tenths, progress.remaining_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_760_000_000_000;

    fn campaign(status: CampaignStatus, version: u64) -> Campaign {
        let counts = RecipientCounts {
            total: 25,
            pending: 5,
            queued: 4,
            sent: 3,
            delivered: 6,
            read: 2,
            failed: 3,
            skipped: 1,
            cancelled: 1,
        };
        Campaign {
            id: "0d9a4a5e-0000-4000-8000-000000000005".to_owned(),
            status: status.into(),
            counts: Some(counts),
            started_at_ms: NOW_MS - 60_000,
            version,
            ..Campaign::default()
        }
    }

    fn of(campaign: &Campaign, told: Option<&BulkProgress>, now_ms: i64) -> BulkProgress {
        progress(campaign, &View::default(), told, now_ms)
    }

    /// A view in which eight a second are taken, and two fail.
    fn view() -> View {
        let mut view = View::default();
        for second in 0..6 {
            let counts =
                RecipientCounts { sent: second * 8, failed: second * 2, ..RecipientCounts::default() };
            view.note(&counts, NOW_MS + i64::from(second) * 1_000);
        }
        view
    }

    #[test]
    fn who_has_read_has_got_it_and_who_has_got_it_was_sent_it() {
        let told = of(&campaign(CampaignStatus::Running, 7), None, NOW_MS);
        assert_eq!((told.sent, told.delivered, told.read), (11, 8, 2));
        assert_eq!((told.failed, told.skipped, told.queued, told.total), (3, 2, 4, 25));
        assert_eq!((told.version, told.after_end, told.remaining_secs), (7, false, None));
    }

    #[test]
    fn the_rate_is_what_was_taken_and_failures_count_for_the_time_that_is_left() {
        let told = progress(&campaign(CampaignStatus::Running, 7), &view(), None, NOW_MS);
        assert!((told.rate_per_second - 8.0).abs() < 0.01, "{told:?}");
        assert_eq!(told.remaining_secs, Some(1), "nine are left, at ten a second");
        let told = progress(&campaign(CampaignStatus::Completed, 7), &view(), None, NOW_MS);
        assert_eq!((told.rate_per_second.to_bits(), told.remaining_secs), (0, None));
    }

    #[test]
    fn what_it_waits_for_is_told_while_it_runs() {
        let until_ms = NOW_MS + 9;
        let view = View { obstacle: Some(Obstacle::QuietHours { until_ms }), ..view() };
        let told = progress(&campaign(CampaignStatus::Running, 7), &view, None, NOW_MS);
        assert_eq!((told.waits_for.as_str(), told.waits_until_ms), ("quiet_hours", until_ms));
        assert_eq!(told.remaining_secs, None);
        let told = progress(&campaign(CampaignStatus::Paused, 8), &view, None, NOW_MS);
        assert_eq!((told.waits_for.as_str(), told.waits_until_ms), ("", 0));
    }

    #[test]
    fn an_end_is_told_once_until_it_is_started_again() {
        let completed = Campaign { ended_at_ms: NOW_MS, ..campaign(CampaignStatus::Completed, 8) };
        let running = of(&campaign(CampaignStatus::Running, 7), None, NOW_MS);
        let end = of(&completed, Some(&running), NOW_MS);
        assert!(!end.after_end);
        let read = Campaign { version: 9, ..completed.clone() };
        let after = of(&read, Some(&end), NOW_MS);
        assert!(
            after.after_end && is_due(Some(&end), &BulkProgress { updated_at_ms: NOW_MS + 200, ..after })
        );
        let again = of(&campaign(CampaignStatus::Running, 10), Some(&end), NOW_MS);
        assert!(!again.after_end);
        // Nobody may have been told that it ran meanwhile.
        let ended_again = Campaign { ended_at_ms: NOW_MS + 5, version: 12, ..completed };
        assert!(!of(&ended_again, Some(&end), NOW_MS).after_end);
    }

    #[test]
    fn news_is_told_five_times_a_second_and_estimates_every_other_second() {
        let running = campaign(CampaignStatus::Running, 7);
        let first = of(&running, None, NOW_MS);
        assert!(is_due(None, &first));
        let check = |next: BulkProgress, after_ms: i64, expected: bool| {
            let next = BulkProgress { updated_at_ms: NOW_MS + after_ms, ..next };
            assert_eq!(is_due(Some(&first), &next), expected, "{after_ms}: {next:?}");
        };
        let newer = BulkProgress { version: 8, ..first.clone() };
        check(newer.clone(), 199, false);
        check(newer.clone(), 200, true);
        check(newer, -1, true);
        check(BulkProgress { version: 6, ..first.clone() }, 10_000, false);
        check(first.clone(), 10_000, false);
        let waiting = BulkProgress { waits_for: "number".to_owned(), ..first.clone() };
        check(waiting.clone(), 200, true);
        check(BulkProgress { status: CampaignStatus::Paused.into(), ..waiting }, 10_000, false);
        let faster = BulkProgress { rate_per_second: 3.0, ..first.clone() };
        check(faster.clone(), 1_999, false);
        check(faster, 2_000, true);
    }
}
