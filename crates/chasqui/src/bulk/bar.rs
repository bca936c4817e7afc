//! One line that says how far a campaign is. Pure.

use chasqui_proto::v1::{BulkProgress, CampaignStatus};

use super::shown::{one_line, said_of};

/// The widest the bar is drawn, and the narrowest, characters.
const BAR_WIDTH_MAX: usize = 30;
const BAR_WIDTH_MIN: usize = 10;
/// How much of a campaign's name is shown, characters.
const NAME_LENGTH_MAX: usize = 20;
/// How much of the reason why a campaign stopped is shown, characters.
const ERROR_LENGTH_MAX: usize = 120;
const GAP: &str = "  ";

/// For a terminal that is so many characters wide: with a bar, and without what does not fit behind it.
pub(super) fn bar(progress: &BulkProgress, full: bool, now_ms: i64, width: usize) -> String {
    let mut parts = parts(progress, full, now_ms);
    let name = short(&progress.name, NAME_LENGTH_MAX);
    let of = |parts: &[String]| {
        [std::slice::from_ref(&name), parts].concat().join(GAP).chars().count() + GAP.len()
    };
    let frame = "[]".len();
    // The share and the count always stay, so that there is something to see.
    while parts.len() > 2 && of(&parts) + frame + BAR_WIDTH_MIN > width {
        parts.pop();
    }
    let room = width.saturating_sub(of(&parts) + frame).clamp(BAR_WIDTH_MIN, BAR_WIDTH_MAX);
    let filled = room * usize::try_from(percent(progress)).unwrap_or(0) / 100;
    let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(room - filled));
    let line = [&[name, bar][..], &parts].concat().join(GAP);
    line.chars().take(width).collect()
}

/// For a file or another program: everything, without a bar.
pub(super) fn plain(progress: &BulkProgress, full: bool, now_ms: i64) -> String {
    let name = short(&progress.name, NAME_LENGTH_MAX);
    let mut head = vec![progress.campaign.clone(), name];
    // Any other status is said behind the share.
    if progress.status() == CampaignStatus::Running {
        head.push(progress.status().name().to_owned());
    }
    [head, parts(progress, full, now_ms)].concat().join(GAP)
}

/// What is said behind the bar, the most important first.
fn parts(progress: &BulkProgress, full: bool, now_ms: i64) -> Vec<String> {
    let mut parts = vec![format!("{}%", percent(progress)), format!("{}/{}", done(progress), progress.total)];
    parts.extend(standing(progress, now_ms));
    for (count, what) in [
        (progress.sent, "sent"),
        (progress.delivered, "delivered"),
        (progress.read, "read"),
        (progress.failed, "failed"),
        (progress.skipped, "skipped"),
    ] {
        if count > 0 || what == "sent" {
            parts.push(format!("{count} {what}"));
        }
    }
    if progress.status() == CampaignStatus::Running && progress.waits_for.is_empty() {
        parts.push(format!("{:.0}/s", progress.rate_per_second));
        parts.extend(progress.remaining_secs.map(|secs| format!("{} left", span(secs.into()))));
        if !progress.current_conversation.is_empty() {
            parts.push(said_of(&progress.current_conversation, full));
        }
    }
    parts
}

/// What keeps it from sending.
fn standing(progress: &BulkProgress, now_ms: i64) -> Option<String> {
    let until = |what: &str| match progress.waits_until_ms {
        0 => what.to_owned(),
        until_ms => format!("{what} for {}", span((until_ms - now_ms).max(0) / 1_000)),
    };
    match (progress.status(), progress.waits_for.as_str()) {
        (CampaignStatus::Running, "") => None,
        (CampaignStatus::Running, "quiet_hours") => Some(until("quiet hours")),
        (CampaignStatus::Running, "number") => Some(until("its number is away")),
        (CampaignStatus::Running, other) => Some(until(&one_line(other))),
        (status, _) if progress.error.is_empty() => Some(status.name().to_owned()),
        (status, _) => Some(format!("{}: {}", status.name(), short(&progress.error, ERROR_LENGTH_MAX))),
    }
}

/// Recipients whose turn is over.
fn done(progress: &BulkProgress) -> u32 {
    progress.sent.saturating_add(progress.failed).saturating_add(progress.skipped)
}

/// Of 100, rounded down: at 100 nobody is left.
fn percent(progress: &BulkProgress) -> u64 {
    let total = u64::from(progress.total.max(1));
    (u64::from(done(progress)) * 100 / total).min(100)
}

/// In its two largest units: `45s`, `1m 05s`, `2h 00m`, `3d 04h`.
fn span(secs: i64) -> String {
    match secs {
        ..60 => format!("{secs}s"),
        60..3_600 => format!("{}m {:02}s", secs / 60, secs % 60),
        3_600..86_400 => format!("{}h {:02}m", secs / 3_600, secs / 60 % 60),
        86_400.. => format!("{}d {:02}h", secs / 86_400, secs / 3_600 % 24),
    }
}

fn short(text: &str, length_max: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= length_max {
        return text;
    }
    let beginning: String = text.chars().take(length_max - 1).collect();
    format!("{}…", beginning.trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_760_000_000_000;

    fn progress() -> BulkProgress {
        BulkProgress {
            campaign: "0d9a4d5e-0000-7000-8000-000000000001".to_owned(),
            name: "Octubre".to_owned(),
            status: CampaignStatus::Running.into(),
            total: 10_000,
            sent: 5_990,
            delivered: 5_400,
            read: 1_200,
            failed: 10,
            rate_per_second: 79.6,
            remaining_secs: Some(65),
            current_conversation: "5491100000001".to_owned(),
            ..BulkProgress::default()
        }
    }

    fn check(progress: &BulkProgress, width: usize, line: &str) {
        assert_eq!(bar(progress, false, NOW_MS, width), line);
    }

    #[test]
    fn a_bar_says_how_far_a_campaign_is() {
        let wide = "Octubre  [##################------------]  60%  6000/10000  5990 sent  5400 delivered  1200 read  \
                    10 failed  80/s  1m 05s left  5491******001";
        check(&progress(), 200, wide);
        check(&progress(), wide.chars().count(), wide);
        assert!(bar(&progress(), true, NOW_MS, 200).ends_with("5491100000001"));
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_its_end() {
        let middle = "Octubre  [########------]  60%  6000/10000  5990 sent  5400 delivered  1200 read";
        check(&progress(), 80, middle);
        check(&progress(), 45, "Octubre  [##########-------]  60%  6000/10000");
        check(&progress(), 20, "Octubre  [######----");
    }

    #[test]
    fn who_waits_says_for_what_and_how_long() {
        let quiet = BulkProgress {
            waits_for: "quiet_hours".to_owned(),
            waits_until_ms: NOW_MS + 11_520_000,
            ..progress()
        };
        let line = "Octubre  [##################------------]  60%  6000/10000  quiet hours for 3h 12m  5990 sent  \
                    5400 delivered  1200 read  10 failed";
        check(&quiet, 200, line);
        let away = BulkProgress { waits_for: "number".to_owned(), ..progress() };
        assert!(bar(&away, false, NOW_MS, 200).contains("6000/10000  its number is away  5990 sent"));
    }

    #[test]
    fn who_is_over_says_how() {
        let completed = BulkProgress {
            status: CampaignStatus::Completed.into(),
            sent: 9_000,
            failed: 400,
            skipped: 600,
            ..progress()
        };
        let line = "Octubre  [##############################]  100%  10000/10000  completed  9000 sent  5400 delivered  \
                    1200 read  400 failed  600 skipped";
        check(&completed, 200, line);
        let failed = BulkProgress {
            status: CampaignStatus::Failed.into(),
            error: "131048: spam rate limit\n\u{1b}[2J".to_owned(),
            ..progress()
        };
        let line = bar(&failed, false, NOW_MS, 200);
        assert!(line.contains("6000/10000  failed: 131048: spam rate limit [2J  5990 sent"), "{line}");
    }

    #[test]
    fn a_line_for_other_programs_has_everything() {
        let line = "0d9a4d5e-0000-7000-8000-000000000001  Octubre  running  60%  6000/10000  5990 sent  5400 delivered  \
                    1200 read  10 failed  80/s  1m 05s left  5491******001";
        assert_eq!(plain(&progress(), false, NOW_MS), line);
        let draft = BulkProgress {
            status: CampaignStatus::Draft.into(),
            name: "A campaign with a long name".to_owned(),
            total: 3,
            ..BulkProgress::default()
        };
        assert_eq!(plain(&draft, false, NOW_MS), "  A campaign with a l…  0%  0/3  draft  0 sent");
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (secs, told) in [(0, "0s"), (59, "59s"), (65, "1m 05s"), (7_200, "2h 00m"), (273_600, "3d 04h")] {
            assert_eq!(span(secs), told);
        }
    }

    proptest! {
        #[test]
        fn a_bar_never_leaves_its_line(
            width in 0_usize..300,
            (name, error) in (".*", ".*"),
            (total, sent, failed) in (any::<u32>(), any::<u32>(), any::<u32>()),
            (status, until_ms) in (0..9, any::<u32>()),
        ) {
            let waits_until_ms = i64::from(until_ms);
            let progress =
                BulkProgress { name, error, total, sent, failed, status, waits_until_ms, ..progress() };
            let line = bar(&progress, false, NOW_MS, width);
            prop_assert!(line.chars().count() <= width && !line.contains(char::is_control), "{line:?}");
        }
    }
}
