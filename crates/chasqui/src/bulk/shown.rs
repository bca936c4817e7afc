//! Campaigns and recipients as people and their programs read them. Pure.

use chasqui_campaign::results::reason;
use chasqui_proto::{
    address::masked,
    v1::{
        BulkProgress, Campaign, CampaignPlan, CampaignReport, FailureCount, OptOut, Recipient,
        RecipientCounts, RowProblem,
    },
};
use serde_json::{Value, json};

use crate::table::moment;

/// The columns of a list of campaigns.
pub(super) const CAMPAIGN_COLUMNS: [&str; 11] = [
    "id",
    "name",
    "status",
    "total",
    "pending",
    "sent",
    "delivered",
    "read",
    "failed",
    "skipped",
    "created_at",
];
/// The columns of a list of recipients.
pub(super) const RECIPIENT_COLUMNS: [&str; 8] =
    ["line", "to", "name", "state", "attempt", "error_code", "error", "updated_at"];
/// The columns of a list of contacts who want no campaigns.
pub(super) const OPT_OUT_COLUMNS: [&str; 3] = ["contact", "source", "since"];
/// The columns of a list of problems.
pub(super) const PROBLEM_COLUMNS: [&str; 4] = ["line", "kind", "field", "problem"];

/// A campaign, in the names that its HTTP interface has.
pub(super) fn campaign(campaign: &Campaign) -> Value {
    json!({
        "id": campaign.id,
        "name": campaign.name,
        "status": campaign.status().name(),
        "counts": campaign.counts.as_ref().map(counts),
        "failures": campaign.failures.iter().map(failure).collect::<Vec<_>>(),
        "error": campaign.error,
        "plan": campaign.plan.as_ref().map(plan),
        "report": campaign.report.as_ref().map(report),
        "created_by": campaign.created_by,
        "created_at": moment(campaign.created_at_ms),
        "started_at": moment(campaign.started_at_ms),
        "ended_at": moment(campaign.ended_at_ms),
        "updated_at": moment(campaign.updated_at_ms),
    })
}

/// A campaign in one row.
pub(super) fn campaign_row(campaign: &Campaign) -> Value {
    let counts = campaign.counts.unwrap_or_default();
    json!({
        "id": campaign.id,
        "name": one_line(&campaign.name),
        "status": campaign.status().name(),
        "total": counts.total,
        "pending": counts.pending + counts.queued,
        "sent": counts.sent + counts.delivered + counts.read,
        "delivered": counts.delivered + counts.read,
        "read": counts.read,
        "failed": counts.failed,
        "skipped": counts.skipped + counts.cancelled,
        "created_at": moment(campaign.created_at_ms),
    })
}

/// A campaign in lines of its own.
pub(super) fn campaign_lines(campaign: &Campaign) -> Vec<String> {
    let plan = campaign.plan.clone().unwrap_or_default();
    let message = plan.message.clone().unwrap_or_default();
    let kind = message.r#type().name();
    let pace = match plan.rate_per_minute {
        0 => "as fast as its number sends".to_owned(),
        rate => format!("at most {rate} a minute"),
    };
    let ramp = plan
        .ramp
        .map(|ramp| format!(", from {} a minute within {} s", ramp.from_per_minute, ramp.over_secs))
        .unwrap_or_default();
    let zone = if plan.time_zone.is_empty() { "UTC" } else { &plan.time_zone };
    let quiet = plan
        .quiet_hours
        .map(|quiet| format!("{}-{} {zone}", clock(quiet.from_minute), clock(quiet.to_minute)));
    let facts = [
        ("id", Some(campaign.id.clone())),
        ("name", Some(campaign.name.clone())),
        ("status", Some(campaign.status().name().to_owned())),
        ("error", Some(campaign.error.clone())),
        ("message", Some(format!("{kind}: {}", message.text))),
        ("pace", Some(pace + &ramp)),
        ("quiet hours", quiet),
        ("scheduled", moment(plan.scheduled_at_ms)),
        ("created", moment(campaign.created_at_ms)),
        ("created by", Some(campaign.created_by.clone())),
        ("started", moment(campaign.started_at_ms)),
        ("ended", moment(campaign.ended_at_ms)),
    ];
    let told =
        facts.into_iter().filter_map(|(name, fact)| Some((name, fact.filter(|fact| !fact.is_empty())?)));
    let mut lines: Vec<String> = told.map(|(name, fact)| format!("{name:<12} {}", one_line(&fact))).collect();
    let counts = campaign.counts.unwrap_or_default();
    let states = named_counts(&counts).into_iter().filter(|(name, count)| *count > 0 || *name == "total");
    let states: Vec<String> = states.map(|(name, count)| format!("{count} {name}")).collect();
    lines.push(format!("{:<12} {}", "recipients", states.join(", ")));
    lines.extend(campaign.failures.iter().map(|failure| {
        let FailureCount { code, title, count } = failure;
        format!("{:<12} {count} × {code} {}", "failed", one_line(title))
    }));
    lines
}

/// A recipient. What its variables say is left out: they are what was uploaded.
pub(super) fn recipient(recipient: &Recipient, full: bool) -> Value {
    let error = recipient.error.as_ref();
    json!({
        "line": recipient.line,
        "to": said_of(recipient.contact.as_ref().map_or("", |contact| &contact.value), full),
        "name": one_line(&recipient.name),
        "state": recipient.state().name(),
        "message_id": recipient.message_id,
        "attempt": recipient.attempt,
        "error_code": error.map(|error| error.code),
        "error": error.map(|error| one_line(reason(error))),
        "queued_at": moment(recipient.queued_at_ms),
        "updated_at": moment(recipient.updated_at_ms),
    })
}

/// A contact who wants no campaigns.
pub(super) fn opt_out(opt_out: &OptOut, full: bool) -> Value {
    json!({
        "contact": said_of(&opt_out.conversation, full),
        "source": opt_out.source,
        "since": moment(opt_out.since_ms),
    })
}

/// How far a campaign is.
pub(super) fn progress(progress: &BulkProgress, full: bool) -> Value {
    json!({
        "id": progress.campaign,
        "name": progress.name,
        "status": progress.status().name(),
        "total": progress.total,
        "queued": progress.queued,
        "sent": progress.sent,
        "delivered": progress.delivered,
        "read": progress.read,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "failures": progress.failures.iter().map(failure).collect::<Vec<_>>(),
        "rate_per_second": progress.rate_per_second,
        "remaining_secs": progress.remaining_secs,
        "current": said_of(&progress.current_conversation, full),
        "waits_for": progress.waits_for,
        "waits_until": moment(progress.waits_until_ms),
        "error": progress.error,
        "started_at": moment(progress.started_at_ms),
        "ended_at": moment(progress.ended_at_ms),
        "updated_at": moment(progress.updated_at_ms),
    })
}

/// An address as it is said: masked unless it is wanted whole.
pub(super) fn said_of(address: &str, full: bool) -> String {
    if full { address.to_owned() } else { masked(address) }
}

/// What others wrote, without what moves a terminal's cursor.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.split(|c: char| c.is_control()).filter(|piece| !piece.is_empty());
    spaced.collect::<Vec<_>>().join(" ")
}

/// A problem of a row.
pub(super) fn problem(problem: &RowProblem) -> Value {
    json!({ "line": problem.line, "kind": problem.kind, "field": problem.field, "problem": problem.problem })
}

fn report(report: &CampaignReport) -> Value {
    json!({
        "rows": report.rows,
        "accepted": report.accepted,
        "invalid": report.invalid,
        "duplicates": report.duplicates,
        "opted_out": report.opted_out,
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn plan(plan: &CampaignPlan) -> Value {
    let message = plan.message.clone().unwrap_or_default();
    json!({
        "type": message.r#type().name(),
        "text": message.text,
        "scheduled_at": moment(plan.scheduled_at_ms),
        "time_zone": plan.time_zone,
        "quiet_hours": plan.quiet_hours.map(|quiet| {
            json!({ "from": clock(quiet.from_minute), "to": clock(quiet.to_minute) })
        }),
        "rate_per_minute": plan.rate_per_minute,
        "ramp": plan.ramp.map(|ramp| {
            json!({ "from_per_minute": ramp.from_per_minute, "over_secs": ramp.over_secs })
        }),
        "expires_in_s": plan.message_ttl_secs,
    })
}

fn counts(counts: &RecipientCounts) -> Value {
    named_counts(counts).into_iter().map(|(name, count)| (name.to_owned(), Value::from(count))).collect()
}

fn named_counts(counts: &RecipientCounts) -> [(&'static str, u32); 9] {
    [
        ("total", counts.total),
        ("pending", counts.pending),
        ("queued", counts.queued),
        ("sent", counts.sent),
        ("delivered", counts.delivered),
        ("read", counts.read),
        ("failed", counts.failed),
        ("skipped", counts.skipped),
        ("cancelled", counts.cancelled),
    ]
}

fn failure(failure: &FailureCount) -> Value {
    json!({ "code": failure.code, "title": failure.title, "count": failure.count })
}

/// `21:00`
fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use chasqui_proto::{
        address::phone,
        v1::{CampaignStatus, Message, MessageType, ProviderError, QuietHours, Ramp, RecipientState},
    };

    use super::*;

    #[test]
    fn a_campaign_is_shown_in_lines_without_what_it_does_not_have() {
        let message = Message {
            r#type: MessageType::Text.into(),
            text: "Hola\n{{nombre}}".to_owned(),
            ..Message::default()
        };
        let plan = CampaignPlan {
            message: Some(message),
            time_zone: "Europe/Madrid".to_owned(),
            quiet_hours: Some(QuietHours { from_minute: 1_260, to_minute: 545 }),
            rate_per_minute: 600,
            ramp: Some(Ramp { from_per_minute: 60, over_secs: 900 }),
            ..CampaignPlan::default()
        };
        let campaign = Campaign {
            id: "c-1".to_owned(),
            name: "Octubre".to_owned(),
            status: CampaignStatus::Failed.into(),
            error: "the number is logged out".to_owned(),
            plan: Some(plan),
            counts: Some(RecipientCounts {
                total: 3,
                sent: 1,
                read: 1,
                failed: 1,
                ..RecipientCounts::default()
            }),
            failures: vec![FailureCount { code: 131_026, title: "Undeliverable".to_owned(), count: 1 }],
            created_at_ms: 1_760_000_000_000,
            ..Campaign::default()
        };
        let lines = [
            "id           c-1",
            "name         Octubre",
            "status       failed",
            "error        the number is logged out",
            "message      text: Hola {{nombre}}",
            "pace         at most 600 a minute, from 60 a minute within 900 s",
            "quiet hours  21:00-09:05 Europe/Madrid",
            "created      2025-10-09T08:53:20Z",
            "recipients   3 total, 1 sent, 1 read, 1 failed",
            "failed       1 × 131026 Undeliverable",
        ];
        assert_eq!(campaign_lines(&campaign), lines);
        let row = campaign_row(&campaign);
        assert_eq!((&row["sent"], &row["delivered"], &row["read"]), (&json!(2), &json!(1), &json!(1)));
    }

    #[test]
    fn a_number_is_masked_unless_it_is_wanted_whole() {
        let row = Recipient {
            line: 2,
            contact: Some(phone("5491100000001")),
            state: RecipientState::Failed.into(),
            error: Some(ProviderError {
                code: 131_026,
                message: "no".to_owned(),
                ..ProviderError::default()
            }),
            ..Recipient::default()
        };
        assert_eq!(recipient(&row, false)["to"], "5491******001");
        assert_eq!(recipient(&row, true)["to"], "5491100000001");
        assert_eq!(
            (&recipient(&row, false)["error_code"], &recipient(&row, false)["error"]),
            (&json!(131_026), &json!("no"))
        );
    }
}
