//! What a campaign is to be, as its maker hands it in. Pure.

use std::collections::HashMap;

use chasqui_campaign::{Quiet, TimeError, beginning, minute_of_day, zone};
use chasqui_proto::{
    Tenant,
    v1::{CampaignPlan, QuietHours, Ramp},
};
use serde_json::{Map, Value, value::RawValue};

use super::content::{self, Said};
use crate::{
    fields::{FieldError, Fields},
    sessions::{InvalidSession, SessionName},
};

/// The most bytes of a definition, its recipients left out: room for the longest content with every character escaped.
pub(super) const DEFINITION_BYTES_MAX: usize = 64 * 1024;
/// The longest name of a campaign, characters.
const NAME_LENGTH_MAX: usize = 200;
/// The longest name of a column, characters.
pub(super) const COLUMN_LENGTH_MAX: usize = chasqui_campaign::NAME_LENGTH_MAX;
/// The fastest a campaign can be told to be, messages a minute: the fastest number sends as many.
const RATE_PER_MINUTE_MAX: u32 = 60_000;
/// The longest a campaign takes to reach its rate, seconds: a day.
const RAMP_SECS_MAX: u32 = 86_400;
/// How long a message is worth sending where nothing else is said, seconds: what was meant for today is not sent tomorrow.
const EXPIRY_SECS_DEFAULT: u32 = 86_400;
/// The longest it can be told to be worth sending, seconds: as long as the stream keeps it.
const EXPIRY_SECS_MAX: u32 = 7 * 86_400;

/// A campaign without its recipients.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    /// Its message has no channel yet.
    pub(super) plan: CampaignPlan,
    pub(super) session: Option<SessionName>,
    /// It begins by itself, now or at its time.
    pub(super) start: bool,
    /// Nothing of it is kept.
    pub(super) dry_run: bool,
    /// The column of the file that the number stands in, where that is said.
    pub(super) phone_column: Option<String>,
}

impl Definition {
    /// Reads a definition without recipients.
    pub(super) fn read(body: &[u8], tenant: &Tenant, now_ms: i64) -> Result<Self, FieldError> {
        let (definition, recipients) = Self::read_with_recipients(body, tenant, now_ms)?;
        if recipients.is_some() {
            return Err(FieldError::new("recipients", "must be left out: the file has them"));
        }
        Ok(definition)
    }

    /// Reads a definition, and its recipients one by one as they stand.
    pub(super) fn read_with_recipients<'a>(
        body: &'a [u8],
        tenant: &Tenant,
        now_ms: i64,
    ) -> Result<(Self, Option<Vec<&'a RawValue>>), FieldError> {
        let (fields, recipients) = split(body)?;
        Ok((Self::of(fields, tenant, now_ms)?, recipients))
    }

    fn of(mut fields: Fields, tenant: &Tenant, now_ms: i64) -> Result<Self, FieldError> {
        let name = named(&fields.text("name")?.unwrap_or_default())?;
        let session = fields.text("session")?.map(|name| name.parse()).transpose();
        let session =
            session.map_err(|invalid: InvalidSession| FieldError::new("session", invalid.to_string()))?;
        let said = Said {
            message: fields.any("message"),
            template_variables: fields.texts("template_variables")?.unwrap_or_default(),
            fallback_template: fields.any("fallback_template").filter(|template| !template.is_null()),
        };
        let (plan, start) = timed(&mut fields, now_ms)?;
        let (dry_run, phone_column) = (fields.flag("dry_run")?, fields.text("phone_column")?);
        fields.end()?;
        let plan = CampaignPlan { message: Some(content::read(said, tenant)?), ..plan };
        Ok(Self { name, plan, session, start, dry_run, phone_column })
    }
}

/// The members of a body, of which only the recipients may be long. They are not made values of all at once: those take
/// thirty times as much memory as their text.
fn split(body: &[u8]) -> Result<(Fields, Option<Vec<&RawValue>>), FieldError> {
    let members: Result<HashMap<String, &RawValue>, _> = serde_json::from_slice(body);
    let mut members = members.map_err(|_| FieldError::new("body", "must be a JSON object"))?;
    let recipients = members.remove("recipients").filter(|recipients| recipients.get() != "null");
    let recipients = recipients.map(|raw| serde_json::from_str(raw.get())).transpose();
    let recipients = recipients.map_err(|_| FieldError::new("recipients", "must be a list"))?;
    let size: usize = members.iter().map(|(name, raw)| name.len() + raw.get().len()).sum();
    if size > DEFINITION_BYTES_MAX {
        let expected = format!("must not be larger than {DEFINITION_BYTES_MAX} bytes besides its recipients");
        return Err(FieldError::new("body", expected));
    }
    let value = |(name, raw): (String, &RawValue)| Ok((name, serde_json::from_str(raw.get())?));
    let values: Result<Map<String, Value>, serde_json::Error> = members.into_iter().map(value).collect();
    let values = values.map_err(|_| FieldError::new("body", "must be a JSON object"))?;
    Ok((Fields::of(values), recipients))
}

fn named(name: &str) -> Result<String, FieldError> {
    let name = name.trim();
    if !(1..=NAME_LENGTH_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(FieldError::new("name", format!("must have 1 to {NAME_LENGTH_MAX} characters")));
    }
    Ok(name.to_owned())
}

/// When and how fast, and whether it begins by itself.
fn timed(fields: &mut Fields, now_ms: i64) -> Result<(CampaignPlan, bool), FieldError> {
    let time_zone = fields.text("time_zone")?.unwrap_or_default();
    let scheduled_at_ms = match fields.text("scheduled_at")? {
        None => 0,
        Some(text) => schedule(&text, &time_zone, now_ms)?,
    };
    let start = fields.optional_flag("start")?;
    if start == Some(false) && scheduled_at_ms != 0 {
        return Err(FieldError::new(
            "scheduled_at",
            "must be left out where start is false: a draft is told its time when it is started",
        ));
    }
    let plan = CampaignPlan {
        scheduled_at_ms,
        time_zone,
        quiet_hours: quiet_hours(fields.any("quiet_hours"))?,
        rate_per_minute: bounded(fields, "rate_per_minute", RATE_PER_MINUTE_MAX)?.unwrap_or_default(),
        ramp: ramp(fields.any("ramp"))?,
        message_ttl_secs: bounded(fields, "expires_in_s", EXPIRY_SECS_MAX)?.unwrap_or(EXPIRY_SECS_DEFAULT),
        message: None,
    };
    if plan.ramp.is_some_and(|ramp| ramp.from_per_minute >= plan.rate_per_minute) {
        return Err(FieldError::new(
            "ramp.from_per_minute",
            "must be less than rate_per_minute, which it grows to",
        ));
    }
    Quiet::read(&plan).map_err(|error| FieldError::new(field_of(error), error.to_string()))?;
    Ok((plan, start.unwrap_or(scheduled_at_ms != 0)))
}

/// The field that what is wrong with the times of a plan stands in.
fn field_of(error: TimeError) -> &'static str {
    if error == TimeError::Zone { "time_zone" } else { "quiet_hours" }
}

/// The moment a campaign is to begin, as clocks of a zone show it.
pub(super) fn schedule(text: &str, time_zone: &str, now_ms: i64) -> Result<i64, FieldError> {
    let zone = zone(time_zone).map_err(|error| FieldError::new("time_zone", error.to_string()))?;
    beginning(text, &zone, now_ms).map_err(|error| FieldError::new("scheduled_at", error.to_string()))
}

fn quiet_hours(given: Option<Value>) -> Result<Option<QuietHours>, FieldError> {
    let Some(mut hours) = object("quiet_hours", given)? else { return Ok(None) };
    let mut clock = |name: &'static str, path: &'static str| {
        let text = hours.text(name).map_err(|error| within("quiet_hours", error))?.unwrap_or_default();
        minute_of_day(&text).map_err(|error| FieldError::new(path, error.to_string()))
    };
    let (from_minute, to_minute) = (clock("from", "quiet_hours.from")?, clock("to", "quiet_hours.to")?);
    hours.end().map_err(|error| within("quiet_hours", error))?;
    Ok(Some(QuietHours { from_minute, to_minute }))
}

fn ramp(given: Option<Value>) -> Result<Option<Ramp>, FieldError> {
    let Some(mut ramp) = object("ramp", given)? else { return Ok(None) };
    let mut needed = |name: &'static str, most: u32| {
        let number = bounded(&mut ramp, name, most).map_err(|error| within("ramp", error))?;
        number.ok_or_else(|| FieldError::new(format!("ramp.{name}"), "is needed"))
    };
    let (from_per_minute, over_secs) =
        (needed("from_per_minute", RATE_PER_MINUTE_MAX)?, needed("over_secs", RAMP_SECS_MAX)?);
    ramp.end().map_err(|error| within("ramp", error))?;
    Ok(Some(Ramp { from_per_minute, over_secs }))
}

fn object(name: &'static str, given: Option<Value>) -> Result<Option<Fields>, FieldError> {
    match given {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(Fields::of(members))),
        Some(_) => Err(FieldError::new(name, "must be an object")),
    }
}

/// A whole number from 1.
fn bounded(fields: &mut Fields, name: &'static str, most: u32) -> Result<Option<u32>, FieldError> {
    let Some(number) = fields.optional_number::<i64>(name)? else { return Ok(None) };
    let number = u32::try_from(number).ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| FieldError::new(name, format!("must be 1 to {most}")))
}

fn within(object: &str, error: FieldError) -> FieldError {
    FieldError { field: format!("{object}.{}", error.field).into(), ..error }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// 2026-11-23T12:00:00Z
    const NOW_MS: i64 = 1_795_435_200_000;

    fn tenant() -> Tenant {
        "acme".parse().unwrap()
    }

    /// A definition that is complete, with these members besides.
    fn with(members: &Value) -> Vec<u8> {
        let mut body = json!({ "name": "promo", "message": "Hola {{nombre}}" });
        let body = body.as_object_mut().unwrap();
        body.extend(members.as_object().unwrap().clone());
        serde_json::to_vec(body).unwrap()
    }

    fn read(members: &Value) -> Result<Definition, String> {
        Definition::read(&with(members), &tenant(), NOW_MS).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_and_a_message_are_enough_for_a_draft() {
        let definition = read(&json!({})).unwrap();
        assert_eq!((definition.name.as_str(), definition.start, definition.dry_run), ("promo", false, false));
        let plan = definition.plan;
        assert_eq!(plan.message.unwrap().text, "Hola {{nombre}}");
        assert_eq!((plan.scheduled_at_ms, plan.rate_per_minute, plan.message_ttl_secs), (0, 0, 86_400));
        assert_eq!((plan.quiet_hours, plan.ramp), (None, None));
    }

    #[test]
    fn crm_20_everything_that_is_said_of_when_and_how_fast_is_planned() {
        let definition = read(&json!({
            "session": "haby", "time_zone": "America/Argentina/Buenos_Aires", "scheduled_at": "2026-12-01T09:00",
            "quiet_hours": { "from": "21:00", "to": "09:00" }, "rate_per_minute": 600,
            "ramp": { "from_per_minute": 60, "over_secs": 300 }, "expires_in_s": 3_600, "dry_run": true,
            "phone_column": "celular", "fallback_template": null,
        }))
        .unwrap();
        assert!(definition.start, "who says when wants it to begin");
        assert!(definition.dry_run && definition.session.is_some());
        assert_eq!(definition.phone_column.as_deref(), Some("celular"));
        let plan = definition.plan;
        assert_eq!(plan.scheduled_at_ms, 1_796_126_400_000);
        assert_eq!(plan.quiet_hours, Some(QuietHours { from_minute: 1_260, to_minute: 540 }));
        assert_eq!(plan.ramp, Some(Ramp { from_per_minute: 60, over_secs: 300 }));
        assert_eq!((plan.rate_per_minute, plan.message_ttl_secs), (600, 3_600));
    }

    #[test]
    fn every_error_names_its_field_and_what_was_expected() {
        for (members, expected) in [
            (json!({ "name": " " }), "name: must have 1 to 200 characters"),
            (json!({ "name": "a\nb" }), "name: must have 1 to 200 characters"),
            (json!({ "name": 7 }), "name: must be text"),
            (json!({ "session": "a b" }), "session: must have 1 to 64 letters, digits and -"),
            (json!({ "time_zone": "Mars" }), "time_zone: must be a time zone such as"),
            (json!({ "scheduled_at": "tomorrow" }), "scheduled_at: must be a moment such as"),
            (
                json!({ "scheduled_at": "2025-12-01T09:00:00Z" }),
                "scheduled_at: must lie ahead, within a year",
            ),
            (
                json!({ "scheduled_at": "2028-12-01T09:00:00Z" }),
                "scheduled_at: must lie ahead, within a year",
            ),
            (
                json!({ "scheduled_at": "2026-12-01T09:00:00Z", "start": false }),
                "scheduled_at: must be left out where start is false",
            ),
            (json!({ "quiet_hours": "night" }), "quiet_hours: must be an object"),
            (json!({ "quiet_hours": { "from": "21:00" } }), "quiet_hours.to: must be a time of day"),
            (json!({ "quiet_hours": { "from": 21, "to": "09:00" } }), "quiet_hours.from: must be text"),
            (json!({ "quiet_hours": { "from": "09:00", "to": "09:00" } }), "quiet_hours: "),
            (json!({ "quiet_hours": { "from": "21:00", "to": "09:00", "a": 1 } }), "quiet_hours.a: there is"),
            (json!({ "rate_per_minute": 0 }), "rate_per_minute: must be 1 to 60000"),
            (json!({ "rate_per_minute": 60_001 }), "rate_per_minute: must be 1 to 60000"),
            (json!({ "rate_per_minute": "9" }), "rate_per_minute: must be a whole number"),
            (json!({ "ramp": { "over_secs": 60 } }), "ramp.from_per_minute: is needed"),
            (
                json!({ "ramp": { "from_per_minute": 60, "over_secs": 60 } }),
                "ramp.from_per_minute: must be less than rate_per_minute",
            ),
            (json!({ "expires_in_s": 604_801 }), "expires_in_s: must be 1 to 604800"),
            (json!({ "start": "yes" }), "start: must be true or false"),
            (json!({ "recipients": [] }), "recipients: must be left out: the file has them"),
            (json!({ "recipients": 7 }), "recipients: must be a list"),
            (json!({ "nombre": 1 }), "nombre: there is no such field"),
            (json!({ "message": "x".repeat(70_000) }), "body: must not be larger than 65536 bytes"),
        ] {
            let told = read(&members).unwrap_err();
            assert!(told.starts_with(expected), "{members}: {told}");
        }
        let told = Definition::read(b"[]", &tenant(), NOW_MS).unwrap_err();
        assert_eq!(told.to_string(), "body: must be a JSON object");
    }

    #[test]
    fn recipients_may_be_longer_than_everything_else() {
        let body = with(&json!({ "recipients": vec!["5491100000001"; 10_000] }));
        let (_, recipients) = Definition::read_with_recipients(&body, &tenant(), NOW_MS).unwrap();
        assert_eq!(recipients.unwrap().len(), 10_000);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in r#"[\[\]{}",:a-z0-9 ]{0,60}"#, text in ".*") {
            let _ = Definition::read(body.as_bytes(), &tenant(), NOW_MS);
            for name in ["name", "message", "session", "scheduled_at", "time_zone", "quiet_hours"] {
                let _ = Definition::read(&with(&json!({ name: text })), &tenant(), NOW_MS);
            }
        }
    }
}
