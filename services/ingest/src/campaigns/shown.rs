//! Campaigns and their recipients as JSON. Pure.

use chasqui_campaign::{iso, results::reason};
use chasqui_proto::v1::{
    Campaign, CampaignPlan, CampaignReport, FailureCount, Media, Message, MessageType, Recipient,
    RecipientCounts, RowProblem,
};
use serde_json::{Map, Value, json};

/// A campaign, without what was found when its recipients were read.
pub(super) fn campaign(campaign: &Campaign) -> Value {
    let failure = |failure: &FailureCount| json!({ "code": failure.code, "title": failure.title, "count": failure.count });
    json!({
        "id": campaign.id,
        "name": campaign.name,
        "status": campaign.status().name(),
        "counts": counts(campaign.counts.as_ref()),
        "failures": campaign.failures.iter().map(failure).collect::<Vec<_>>(),
        "error": said(&campaign.error),
        "plan": campaign.plan.as_ref().map(plan),
        "created_by": said(&campaign.created_by),
        "created_at": iso(campaign.created_at_ms),
        "started_at": iso(campaign.started_at_ms),
        "ended_at": iso(campaign.ended_at_ms),
        "updated_at": iso(campaign.updated_at_ms),
    })
}

/// What was found.
pub(super) fn report(report: &CampaignReport) -> Value {
    let problem = |problem: &RowProblem| json!({ "line": problem.line, "kind": problem.kind, "field": problem.field, "problem": problem.problem });
    json!({
        "rows": report.rows,
        "accepted": report.accepted,
        "invalid": report.invalid,
        "duplicates": report.duplicates,
        "opted_out": report.opted_out,
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

/// A recipient and what became of its message: the members are the columns of the results.
pub(super) fn recipient(recipient: &Recipient) -> Value {
    let error = recipient.error.as_ref();
    json!({
        "line": recipient.line,
        "to": recipient.contact.as_ref().map(|contact| &contact.value),
        "name": said(&recipient.name),
        "state": recipient.state().name(),
        "message_id": said(&recipient.message_id),
        "attempt": recipient.attempt,
        "error_code": error.map(|error| error.code),
        "error": error.map(reason),
        "queued_at": iso(recipient.queued_at_ms),
        "updated_at": iso(recipient.updated_at_ms),
    })
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn counts(counts: Option<&RecipientCounts>) -> Value {
    let counts = counts.copied().unwrap_or_default();
    json!({
        "total": counts.total,
        "pending": counts.pending,
        "queued": counts.queued,
        "sent": counts.sent,
        "delivered": counts.delivered,
        "read": counts.read,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "cancelled": counts.cancelled,
    })
}

/// A plan as its maker wrote it.
fn plan(plan: &CampaignPlan) -> Value {
    let message = plan.message.clone().unwrap_or_default();
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    json!({
        "message": content(&message),
        "session": message.channel.map(|channel| channel.id),
        "fallback_template": json_of(&message.fallback),
        "scheduled_at": iso(plan.scheduled_at_ms),
        "time_zone": said(&plan.time_zone),
        "quiet_hours": plan.quiet_hours.map(|quiet| {
            json!({ "from": clock(quiet.from_minute), "to": clock(quiet.to_minute) })
        }),
        "rate_per_minute": Some(plan.rate_per_minute).filter(|rate| *rate != 0),
        "ramp": plan.ramp.map(|ramp| {
            json!({ "from_per_minute": ramp.from_per_minute, "over_secs": ramp.over_secs })
        }),
        "expires_in_s": Some(plan.message_ttl_secs).filter(|secs| *secs != 0),
    })
}

/// The content as the Cloud API has it.
fn content(message: &Message) -> Value {
    let kind = message.r#type();
    let mut content = json_of(&message.raw).unwrap_or_else(|| {
        let value = match kind {
            MessageType::Text => json!({ "body": message.text }),
            MessageType::Location => {
                let place = message.location.clone().unwrap_or_default();
                json!({
                    "latitude": place.latitude, "longitude": place.longitude,
                    "name": said(&place.name), "address": said(&place.address),
                })
            }
            _ => file(message.media.as_ref(), &message.text),
        };
        Value::Object(Map::from_iter([
            ("type".to_owned(), json!(kind.name())),
            (kind.name().to_owned(), value),
        ]))
    });
    if !message.callback_data.is_empty() {
        content["callback_data"] = json!(message.callback_data);
    }
    content
}

fn file(media: Option<&Media>, caption: &str) -> Value {
    let Some(media) = media else { return json!({}) };
    let mut file = Map::new();
    for (name, text) in
        [("id", media.id.as_str()), ("link", &media.url), ("caption", caption), ("filename", &media.filename)]
    {
        if !text.is_empty() {
            file.insert(name.to_owned(), json!(text));
        }
    }
    if media.voice {
        file.insert("voice".to_owned(), json!(true));
    }
    Value::Object(file)
}

fn json_of(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{QuietHours, Ramp};

    use super::*;
    use crate::outgoing::Outgoing;

    fn check(message: &Value) {
        let given = message.as_object().expect("an object");
        let read = Outgoing::read(given, &"acme".parse().unwrap()).unwrap();
        assert_eq!(content(&read.fill(Message::default())), *message);
    }

    #[test]
    fn a_message_is_shown_as_it_was_handed_in() {
        check(&json!({ "type": "text", "text": { "body": "hola {{a}}" } }));
        check(&json!({ "type": "text", "text": { "body": "hola", "preview_url": true } }));
        check(&json!({ "type": "image", "image": { "link": "https://example.org/a.png", "caption": "a" } }));
        check(&json!({ "type": "audio", "audio": { "id": "7", "voice": true } }));
        check(&json!({ "type": "location", "location": {
            "latitude": 1.5, "longitude": -2.5, "name": "casa", "address": "aqui" } }));
        check(&json!({ "type": "template", "template": { "name": "promo", "language": { "code": "es" } } }));
    }

    #[test]
    fn a_plan_is_shown_as_it_was_handed_in() {
        let planned = CampaignPlan {
            scheduled_at_ms: 1_796_126_400_000,
            time_zone: "UTC".to_owned(),
            quiet_hours: Some(QuietHours { from_minute: 1_260, to_minute: 545 }),
            ramp: Some(Ramp { from_per_minute: 60, over_secs: 300 }),
            ..CampaignPlan::default()
        };
        let shown = plan(&planned);
        assert_eq!(shown["scheduled_at"], "2026-12-01T12:00:00.000Z");
        assert_eq!(shown["quiet_hours"], json!({ "from": "21:00", "to": "09:05" }));
        assert_eq!(shown["ramp"], json!({ "from_per_minute": 60, "over_secs": 300 }));
        assert_eq!((&shown["rate_per_minute"], &shown["session"]), (&Value::Null, &Value::Null));
    }
}
