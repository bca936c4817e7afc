//! What a flow asks, and how it is answered. Pure.

use chasqui_proto::{
    ConversationToken, Tenant,
    v1::{AliasKind, FlowAnswer, FlowRequest},
};
use uuid::Uuid;

use crate::{appointment::DESCRIPTION_LENGTH_MAX, error::Error, fact, queries};

/// The longest kind of visit, characters.
const VISIT_TYPE_LENGTH_MAX: usize = 64;
/// The longest text that anything is searched by, characters: as long as the longest name that there is.
const SEARCHED_LENGTH_MAX: usize = 128;
/// The longest document of a patient.
const DOCUMENT_LENGTH_MAX: usize = 32;

/// What answers say when there is no such thing.
const NOT_FOUND: &str = "not_found";
/// The value that says of what there is none.
const PARAMETER: &str = "parameter";

/// An appointment that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) tenant: Tenant,
    /// The appointment's id.
    pub(crate) request_id: Uuid,
    /// The contact's id as its front end knows it, or its phone number.
    pub(crate) user_id: String,
    pub(crate) patient: Uuid,
    pub(crate) city: Uuid,
    pub(crate) specialty: Uuid,
    pub(crate) visit_type: String,
    pub(crate) description: String,
}

impl Booking {
    pub(crate) fn read(asked: &FlowRequest) -> Result<Self, Error> {
        let request_id = asked.request_id.parse().map_err(|_| invalid("request_id", "must be a UUID"))?;
        Ok(Self {
            tenant: queries::tenant(&asked.tenant)?,
            request_id,
            user_id: user_id(asked),
            patient: id(asked, "patient")?,
            city: id(asked, "city")?,
            specialty: id(asked, "specialty")?,
            visit_type: text(asked, "visit_type", VISIT_TYPE_LENGTH_MAX)?,
            description: text(asked, "description", DESCRIPTION_LENGTH_MAX)?,
        })
    }
}

/// What specialties are searched by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) tenant: Tenant,
    pub(crate) city: Uuid,
    pub(crate) text: String,
}

impl Search {
    /// A contact may write what it likes: of what is longer than any name, the beginning is searched by.
    pub(crate) fn read(asked: &FlowRequest) -> Result<Self, Error> {
        let written = fact::text(parameter(asked, "text")?).unwrap_or_default();
        let text = written.chars().take(SEARCHED_LENGTH_MAX).collect();
        Ok(Self { tenant: queries::tenant(&asked.tenant)?, city: id(asked, "city")?, text })
    }
}

/// A patient's document as it is stored, whichever way it is written: `1.234.567-k` is `1234567K`. None for what is no
/// document.
pub(crate) fn document(asked: &FlowRequest) -> Result<Option<String>, Error> {
    let written = parameter(asked, "document")?;
    let kept = written.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | '-'));
    let document: String = kept.take(DOCUMENT_LENGTH_MAX + 1).collect::<String>().to_uppercase();
    let is_document = (1..=DOCUMENT_LENGTH_MAX).contains(&document.len())
        && document.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Ok(is_document.then_some(document))
}

/// There is nothing that this parameter could mean: an answer, not a failure.
pub(crate) fn not_found(parameter: &'static str) -> FlowAnswer {
    FlowAnswer {
        refused: NOT_FOUND.to_owned(),
        values: [(PARAMETER.to_owned(), parameter.to_owned())].into(),
        ..FlowAnswer::default()
    }
}

/// What the flow is to remember.
pub(crate) fn values<const N: usize>(values: [(&str, String); N]) -> FlowAnswer {
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    FlowAnswer { values, ..FlowAnswer::default() }
}

fn parameter<'a>(asked: &'a FlowRequest, name: &'static str) -> Result<&'a str, Error> {
    asked.parameters.get(name).map(String::as_str).ok_or_else(|| invalid(name, "must be given"))
}

fn id(asked: &FlowRequest, name: &'static str) -> Result<Uuid, Error> {
    parameter(asked, name)?.parse().map_err(|_| invalid(name, "must be the UUID that it was found with"))
}

fn text(asked: &FlowRequest, name: &'static str, characters_max: usize) -> Result<String, Error> {
    let written = parameter(asked, name)?;
    if written.chars().count() > characters_max {
        return Err(invalid(name, &format!("must have at most {characters_max} characters")));
    }
    Ok(fact::text(written).unwrap_or_default())
}

fn user_id(asked: &FlowRequest) -> String {
    let aliases = asked.contact.iter().flat_map(|contact| &contact.aliases);
    let of_kind = |kind| aliases.clone().find(|alias| alias.kind() == kind);
    let alias = of_kind(AliasKind::Web).or_else(|| of_kind(AliasKind::Phone)).cloned();
    let named = || asked.conversation.parse().ok().map(|token: ConversationToken| token.alias());
    let alias = alias.or_else(named).unwrap_or_default();
    fact::text(&alias.value).unwrap_or_default()
}

fn invalid(field: &'static str, expected: &str) -> Error {
    Error::Invalid { field, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Alias, Contact};
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "56a2b77e-dc42-55f1-9338-79d2a4e6ee83";

    fn asked(parameters: &[(&str, &str)]) -> FlowRequest {
        FlowRequest {
            tenant: "acme".to_owned(),
            conversation: "5491100000001".to_owned(),
            request_id: ID.to_owned(),
            parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..FlowRequest::default()
        }
    }

    fn booking(change: &[(&str, &str)]) -> FlowRequest {
        let usual = [
            ("patient", ID),
            ("city", ID),
            ("specialty", ID),
            ("visit_type", "control"),
            ("description", "dolor"),
        ];
        let all: Vec<_> = usual.iter().chain(change).copied().collect();
        asked(&all)
    }

    #[test]
    fn ben_36_a_document_is_the_same_however_it_is_written() {
        let check = |written: &str, expected: Option<&str>| {
            let read = document(&asked(&[("document", written)])).unwrap();
            assert_eq!(read.as_deref(), expected, "{written:?}");
        };
        for written in ["1234567K", " 1.234.567-k ", "1 234\u{a0}567 K\n"] {
            check(written, Some("1234567K"));
        }
        for written in ["", " .-", "12/34", "12\0", "ñ", &"1".repeat(33), &"1".repeat(100_000)] {
            check(written, None);
        }
        assert!(document(&asked(&[])).unwrap_err().to_string().starts_with("document: must "));
    }

    #[test]
    fn what_is_wrong_with_a_booking_is_named() {
        assert!(Booking::read(&booking(&[])).is_ok());
        let long = "é".repeat(DESCRIPTION_LENGTH_MAX + 1);
        for (name, bad) in [
            ("patient", "1"),
            ("city", "Bogotá"),
            ("specialty", ""),
            ("visit_type", &*"x".repeat(VISIT_TYPE_LENGTH_MAX + 1)),
            ("description", &*long),
        ] {
            let told = Booking::read(&booking(&[(name, bad)])).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{name}: must ")), "{told}");
        }
        let absent = FlowRequest { request_id: "x".to_owned(), ..booking(&[]) };
        assert!(Booking::read(&absent).unwrap_err().to_string().starts_with("request_id: must "));
    }

    #[test]
    fn a_booking_is_of_the_user_or_the_phone() {
        let alias = |kind: AliasKind, value: &str| Alias { kind: kind.into(), value: value.to_owned() };
        let (lid, phone) = (alias(AliasKind::Lid, "7"), alias(AliasKind::Phone, "5491100000002"));
        let web = alias(AliasKind::Web, "u1");
        let check = |aliases: Vec<Alias>, expected: &str| {
            let contact = Some(Contact { aliases, ..Contact::default() });
            let read = Booking::read(&FlowRequest { contact, ..booking(&[]) }).unwrap();
            assert_eq!(read.user_id, expected);
        };
        check(vec![lid.clone(), phone.clone(), web], "u1");
        check(vec![lid.clone(), phone], "5491100000002");
        check(vec![lid], "5491100000001");
    }

    proptest! {
        #[test]
        fn whatever_a_contact_writes_is_a_document_or_none(written in ".{0,60}") {
            if let Some(document) = document(&asked(&[("document", &written)])).unwrap() {
                prop_assert!(document.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()));
                prop_assert!((1..=DOCUMENT_LENGTH_MAX).contains(&document.len()));
            }
        }

        #[test]
        fn whatever_a_contact_writes_can_be_searched_by(written in "[\\PC\0]{0,200}") {
            let search = Search::read(&asked(&[("city", ID), ("text", &written)])).unwrap();
            prop_assert!(!search.text.contains('\0'));
            prop_assert!(search.text.chars().count() <= SEARCHED_LENGTH_MAX);
        }
    }
}
