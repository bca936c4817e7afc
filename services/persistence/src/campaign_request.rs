//! What is asked of campaigns, read and bounded. Pure.

use chasqui_campaign::{Quiet, TimeError, Wording};
use chasqui_proto::{
    ConversationToken, Tenant, address,
    v1::{self, AliasKind},
};
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{campaign, error::Error, fact, queries};

/// How many recipients one answer lists at most.
pub(crate) const RECIPIENTS_LISTED_MAX: u32 = 1_000;
/// How many recipients one request queues at most.
pub(crate) const QUEUED_MAX: u32 = 5_000;
/// How many recipients one request brings.
const APPENDED_MAX: usize = 5_000;
/// How much they weigh together, bytes: well below what the broker takes.
const APPENDED_BYTES_MAX: usize = 512 * 1024;
/// The heaviest plan, bytes. With the report it fits into one answer.
const PLAN_BYTES_MAX: usize = 256 * 1024;
/// The heaviest report, bytes.
const REPORT_BYTES_MAX: usize = 512 * 1024;
/// The longest name of a campaign, and of a recipient, characters.
const NAME_LENGTH_MAX: usize = 256;
/// The longest id of who made a campaign, characters.
const CREATED_BY_LENGTH_MAX: usize = 256;
/// The longest reason that a campaign stopped for, characters. What is longer is cut.
const ERROR_LENGTH_MAX: usize = 1_024;
/// The last moment that has a date everywhere, unix milliseconds: the end of the year 9999.
const MOMENT_MS_MAX: i64 = 253_402_300_799_999;

/// A campaign that is to take recipients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Creation {
    pub(crate) tenant: Tenant,
    pub(crate) id: Uuid,
    pub(crate) upload: Uuid,
    pub(crate) name: String,
    pub(crate) created_by: String,
    pub(crate) scheduled_at: Option<OffsetDateTime>,
    /// The plan as it is stored.
    pub(crate) plan: Vec<u8>,
}

impl Creation {
    pub(crate) fn read(asked: v1::CreateCampaign) -> Result<Self, Error> {
        let plan = asked.plan.ok_or_else(|| invalid("plan", "must be given"))?;
        let message = plan.message.as_ref().ok_or_else(|| invalid("plan.message", "must be given"))?;
        Wording::read(message).map_err(|error| invalid("plan.message", error.to_string()))?;
        Quiet::read(&plan).map_err(|error| {
            let field = if error == TimeError::Zone { "plan.time_zone" } else { "plan.quiet_hours" };
            invalid(field, error.to_string())
        })?;
        let bytes = plan.encode_to_vec();
        if bytes.len() > PLAN_BYTES_MAX {
            return Err(invalid("plan", format!("must have at most {PLAN_BYTES_MAX} bytes")));
        }
        let (length, length_max) = (asked.name.chars().count(), NAME_LENGTH_MAX);
        if !(1..=length_max).contains(&length) || asked.name.contains('\0') {
            return Err(invalid("name", format!("must have 1 to {length_max} characters, without NUL")));
        }
        let cut: String = asked.created_by.chars().take(CREATED_BY_LENGTH_MAX).collect();
        Ok(Self {
            tenant: queries::tenant(&asked.tenant)?,
            id: campaign::id(&asked.id)?,
            upload: campaign::upload(&asked.upload)?,
            name: asked.name,
            created_by: fact::text(&cut).unwrap_or_default(),
            scheduled_at: scheduled_at(plan.scheduled_at_ms)?,
            plan: bytes,
        })
    }
}

/// A recipient that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) line: i32,
    /// The conversation, as far as the address alone tells.
    pub(crate) token: ConversationToken,
    /// The address as a token: the same as the conversation's unless that one is known under another address.
    pub(crate) contact: ConversationToken,
    pub(crate) name: String,
    /// The variables as they are stored.
    pub(crate) variables: Vec<u8>,
}

impl Given {
    fn read(recipient: v1::Recipient) -> Result<Self, Error> {
        let line = i32::try_from(recipient.line).ok().filter(|line| *line > 0);
        let line = line.ok_or_else(|| invalid("recipients.line", "must be 1 to 2147483647"))?;
        let alias = recipient.contact.filter(|alias| !alias.value.is_empty());
        let alias = alias.filter(|alias| alias.value.len() <= address::ADDRESS_LENGTH_MAX);
        let contact = alias.map(|alias| ConversationToken::of(&alias)).ok_or_else(|| {
            let longest = address::ADDRESS_LENGTH_MAX;
            invalid("recipients.contact", format!("line {line}: must have 1 to {longest} characters"))
        })?;
        let cut: String = recipient.name.chars().take(NAME_LENGTH_MAX).collect();
        let variables = v1::Recipient { variables: recipient.variables, ..v1::Recipient::default() };
        Ok(Self {
            line,
            token: contact.clone(),
            contact,
            name: fact::text(&cut).unwrap_or_default(),
            variables: variables.encode_to_vec(),
        })
    }

    /// Whether another address may have given the contact its conversation. A phone number always names its own.
    pub(crate) fn is_known_otherwise(&self) -> bool {
        self.contact.alias().kind() != AliasKind::Phone
    }
}

/// The recipients of a request, in order of their lines.
pub(crate) fn recipients(asked: v1::AppendRecipients) -> Result<Vec<Given>, Error> {
    if asked.recipients.len() > APPENDED_MAX {
        return Err(invalid("recipients", format!("must be at most {APPENDED_MAX}")));
    }
    if asked.encoded_len() > APPENDED_BYTES_MAX {
        return Err(invalid("recipients", format!("must have at most {APPENDED_BYTES_MAX} bytes")));
    }
    let mut given = asked.recipients.into_iter().map(Given::read).collect::<Result<Vec<Given>, Error>>()?;
    given.sort_by_key(|recipient| recipient.line);
    match given.windows(2).find(|pair| pair[0].line == pair[1].line) {
        Some(pair) => {
            Err(invalid("recipients.line", format!("line {}: must be there only once", pair[0].line)))
        }
        None => Ok(given),
    }
}

/// A report as it is stored.
pub(crate) fn report(asked: Option<v1::CampaignReport>) -> Result<Vec<u8>, Error> {
    let bytes = asked.unwrap_or_default().encode_to_vec();
    if bytes.len() > REPORT_BYTES_MAX {
        return Err(invalid("report", format!("must have at most {REPORT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// When something is to begin; none is now.
pub(crate) fn scheduled_at(at_ms: i64) -> Result<Option<OffsetDateTime>, Error> {
    match at_ms {
        0 => Ok(None),
        1..=MOMENT_MS_MAX => Ok(Some(fact::moment(at_ms))),
        _ => Err(invalid("scheduled_at", "must be a moment up to the year 9999, or absent")),
    }
}

/// Why a campaign stopped, as it is stored.
pub(crate) fn reason(given: &str) -> String {
    let cut: String = given.chars().take(ERROR_LENGTH_MAX).collect();
    fact::text(&cut).unwrap_or_default()
}

/// The number of an owner, or of a version.
pub(crate) fn number(field: &'static str, given: u64) -> Result<i64, Error> {
    i64::try_from(given).map_err(|_| invalid(field, "must be below 2^63"))
}

fn invalid(field: &'static str, expected: impl Into<String>) -> Error {
    Error::Invalid { field, expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Alias, CampaignPlan, QuietHours};
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "56a2b77e-dc42-55f1-9338-79d2a4e6ee83";

    fn creation() -> v1::CreateCampaign {
        let message = v1::Message { text: "hola {{nombre}}".to_owned(), ..v1::Message::default() };
        v1::CreateCampaign {
            tenant: "default".to_owned(),
            id: ID.to_owned(),
            name: "Invierno".to_owned(),
            plan: Some(CampaignPlan { message: Some(message), ..CampaignPlan::default() }),
            created_by: "key".to_owned(),
            upload: ID.to_owned(),
        }
    }

    fn with_plan(change: impl FnOnce(&mut CampaignPlan)) -> v1::CreateCampaign {
        let mut creation = creation();
        creation.plan.as_mut().map(change).expect("it has a plan");
        creation
    }

    fn recipient(line: u32, phone: &str) -> v1::Recipient {
        v1::Recipient { line, contact: Some(address::phone(phone)), ..v1::Recipient::default() }
    }

    fn append(recipients: Vec<v1::Recipient>) -> v1::AppendRecipients {
        v1::AppendRecipients { recipients, ..v1::AppendRecipients::default() }
    }

    #[test]
    fn what_is_wrong_with_a_campaign_is_named() {
        assert!(Creation::read(creation()).is_ok());
        let check = |asked: v1::CreateCampaign, field: &str| {
            let told = Creation::read(asked).expect_err(field).to_string();
            assert!(told.starts_with(&format!("{field}: ")), "{told}");
        };
        check(v1::CreateCampaign { plan: None, ..creation() }, "plan");
        check(with_plan(|plan| plan.message = None), "plan.message");
        let place = |plan: &mut CampaignPlan| {
            plan.message.as_mut().expect("it has one").text = "hola {{}}".to_owned();
        };
        check(with_plan(place), "plan.message");
        check(with_plan(|plan| plan.time_zone = "Marte/Base".to_owned()), "plan.time_zone");
        let hours = QuietHours { from_minute: 60, to_minute: 24 * 60 };
        check(with_plan(|plan| plan.quiet_hours = Some(hours)), "plan.quiet_hours");
        check(with_plan(|plan| plan.scheduled_at_ms = -1), "scheduled_at");
        let heavy = |plan: &mut CampaignPlan| {
            plan.message.as_mut().expect("it has one").callback_data = "x".repeat(PLAN_BYTES_MAX);
        };
        check(with_plan(heavy), "plan");
        for name in [String::new(), "x".repeat(NAME_LENGTH_MAX + 1), "a\0".to_owned()] {
            check(v1::CreateCampaign { name, ..creation() }, "name");
        }
        check(v1::CreateCampaign { tenant: "a b".to_owned(), ..creation() }, "tenant");
        check(v1::CreateCampaign { id: "7".to_owned(), ..creation() }, "id");
        check(v1::CreateCampaign { upload: "7".to_owned(), ..creation() }, "upload");
    }

    #[test]
    fn what_is_wrong_with_recipients_is_named() {
        let check = |asked: Vec<v1::Recipient>, field: &str| {
            let told = recipients(append(asked)).expect_err(field).to_string();
            assert!(told.starts_with(&format!("{field}: ")), "{told}");
        };
        check(vec![recipient(0, "5491100000001")], "recipients.line");
        check(vec![recipient(u32::MAX, "5491100000001")], "recipients.line");
        check(vec![recipient(2, "5491100000001"), recipient(2, "5491100000002")], "recipients.line");
        check(vec![recipient(1, "")], "recipients.contact");
        check(vec![recipient(1, &"5".repeat(address::ADDRESS_LENGTH_MAX + 1))], "recipients.contact");
        check(vec![v1::Recipient { line: 1, ..v1::Recipient::default() }], "recipients.contact");
        let many = (1..=5_001).map(|line| recipient(line, &line.to_string())).collect();
        check(many, "recipients");
        let heavy = v1::Recipient { name: "x".repeat(APPENDED_BYTES_MAX), ..recipient(1, "5491100000001") };
        check(vec![heavy], "recipients");
    }

    #[test]
    fn recipients_are_taken_in_order_of_their_lines() {
        let asked = append(vec![recipient(3, "5491100000003"), recipient(2, "5491100000002")]);
        let given = recipients(asked).unwrap();
        assert_eq!(given.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((given[0].token.as_str(), given[0].is_known_otherwise()), ("5491100000002", false));
    }

    #[test]
    fn a_moment_is_in_the_calendar() {
        assert_eq!(scheduled_at(0).unwrap(), None);
        assert!(scheduled_at(MOMENT_MS_MAX).unwrap().is_some());
        assert!(scheduled_at(MOMENT_MS_MAX + 1).is_err());
        assert!(number("ownership", u64::MAX).unwrap_err().to_string().starts_with("ownership: must "));
        assert_eq!(reason(&"é\0".repeat(1_000)).chars().count(), ERROR_LENGTH_MAX);
    }

    proptest! {
        #[test]
        fn whatever_is_given_is_read_or_refused(line: u32, kind in -1..6, value in ".{0,140}", name in ".{0,300}") {
            let contact = Some(Alias { kind, value });
            if let Ok(given) = recipients(append(vec![v1::Recipient { line, contact, name, ..v1::Recipient::default() }])) {
                prop_assert!(given[0].line > 0 && !given[0].name.contains('\0'));
                prop_assert!(!given[0].token.as_str().contains('\0'));
            }
        }
    }
}
