//! An appointment: its states, and what people change about it. Pure.

use chasqui_proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{error::Error, fact};

/// The longest description, characters: a message's text may be longer, what a receptionist reads is not.
pub(crate) const DESCRIPTION_LENGTH_MAX: usize = 2_000;
/// The earliest moment, unix milliseconds: the beginning of the year 2000. What is below was most likely meant as seconds.
const SCHEDULED_AT_MS_MIN: i64 = 946_684_800_000;
/// The last moment that has a date everywhere, unix milliseconds: the end of the year 9999.
const SCHEDULED_AT_MS_MAX: i64 = 253_402_300_799_999;

/// Where an appointment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Asked for; nobody has agreed yet.
    Pending,
    Confirmed,
    Cancelled,
    Done,
}

impl Status {
    const ALL: [Self; 4] = [Self::Pending, Self::Confirmed, Self::Cancelled, Self::Done];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The status that a request names.
    pub(crate) fn read(name: &str) -> Result<Self, Error> {
        Self::of_name(name).ok_or_else(|| Error::Invalid {
            field: "status",
            expected: format!("must be {}", Self::ALL.map(Self::name).join(", ")),
        })
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }

    fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Confirmed | Self::Cancelled),
            Self::Confirmed => matches!(next, Self::Done | Self::Cancelled),
            Self::Cancelled | Self::Done => false,
        }
    }
}

/// What people change about an appointment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) status: Status,
    /// None until somebody says when.
    pub(crate) scheduled_at: Option<OffsetDateTime>,
    pub(crate) description: String,
}

/// A change; what is absent stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    status: Option<Status>,
    /// 0 takes the time away.
    scheduled_at_ms: Option<i64>,
    description: Option<String>,
}

impl Change {
    /// Reads what is asked for.
    pub(crate) fn read(question: v1::ChangeAppointment) -> Result<Self, Error> {
        let status = question.status.as_deref().map(Status::read).transpose()?;
        let is_moment =
            |at_ms: i64| at_ms == 0 || (SCHEDULED_AT_MS_MIN..=SCHEDULED_AT_MS_MAX).contains(&at_ms);
        if !question.scheduled_at_ms.is_none_or(is_moment) {
            return Err(Error::Invalid {
                field: "scheduled_at",
                expected: "must be a moment of the years 2000 to 9999, or absent".to_owned(),
            });
        }
        if let Some(description) = &question.description {
            let fits = description.chars().count() <= DESCRIPTION_LENGTH_MAX && !description.contains('\0');
            if !fits {
                return Err(Error::Invalid {
                    field: "description",
                    expected: format!(
                        "must have at most {DESCRIPTION_LENGTH_MAX} characters, without the character NUL"
                    ),
                });
            }
        }
        Ok(Self { status, scheduled_at_ms: question.scheduled_at_ms, description: question.description })
    }

    /// The terms after the change; none where it changes nothing.
    pub(crate) fn of(self, before: &Terms) -> Result<Option<Terms>, Error> {
        let after = Terms {
            status: self.status.unwrap_or(before.status),
            scheduled_at: match self.scheduled_at_ms {
                None => before.scheduled_at,
                Some(0) => None,
                Some(at_ms) => Some(fact::moment(at_ms)),
            },
            description: self.description.unwrap_or_else(|| before.description.clone()),
        };
        if after == *before {
            return Ok(None);
        }
        let conflict = |problem| Err(Error::Conflict { field: "status", problem });
        if before.status.is_final() {
            return conflict("an appointment that is cancelled or done does not change any more");
        }
        if after.status != before.status && !before.status.may_become(after.status) {
            return conflict(
                "pending becomes confirmed or cancelled, and confirmed becomes done or cancelled",
            );
        }
        Ok(Some(after))
    }
}

/// The id of an appointment in a request.
pub(crate) fn id(text: &str) -> Result<Uuid, Error> {
    let expected = || "must be the UUID of an appointment".to_owned();
    text.parse().map_err(|_| Error::Invalid { field: "id", expected: expected() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(status: Status) -> Terms {
        Terms { status, scheduled_at: None, description: "dolor".to_owned() }
    }

    fn asked() -> v1::ChangeAppointment {
        v1::ChangeAppointment::default()
    }

    fn refused(question: v1::ChangeAppointment, field: &str) {
        let told = Change::read(question).expect_err(field).to_string();
        assert!(told.starts_with(&format!("{field}: must ")), "{told}");
    }

    #[test]
    fn ben_41_an_appointment_goes_forward_only_and_ends_once() {
        use Status::{Cancelled, Confirmed, Done, Pending};
        let allowed = [(Pending, Confirmed), (Pending, Cancelled), (Confirmed, Done), (Confirmed, Cancelled)];
        for before in Status::ALL {
            for after in Status::ALL {
                let change =
                    Change::read(v1::ChangeAppointment { status: Some(after.name().to_owned()), ..asked() });
                let outcome = change.unwrap().of(&terms(before));
                if before == after {
                    assert_eq!(outcome.unwrap(), None, "twice is once");
                } else if allowed.contains(&(before, after)) {
                    assert_eq!(outcome.unwrap(), Some(terms(after)));
                } else {
                    assert!(outcome.unwrap_err().to_string().starts_with("status:"), "{before:?} {after:?}");
                }
            }
        }
    }

    #[test]
    fn what_has_ended_changes_in_nothing() {
        for status in [Status::Cancelled, Status::Done] {
            let change = v1::ChangeAppointment { description: Some("otra".to_owned()), ..asked() };
            assert!(Change::read(change).unwrap().of(&terms(status)).is_err());
            let same = v1::ChangeAppointment { description: Some("dolor".to_owned()), ..asked() };
            assert_eq!(Change::read(same).unwrap().of(&terms(status)).unwrap(), None);
        }
    }

    #[test]
    fn a_time_is_set_and_taken_away() {
        let at = |ms| v1::ChangeAppointment { scheduled_at_ms: Some(ms), ..asked() };
        let after =
            Change::read(at(1_760_000_000_000)).unwrap().of(&terms(Status::Pending)).unwrap().unwrap();
        assert_eq!(after.scheduled_at, Some(fact::moment(1_760_000_000_000)));
        assert_eq!(Change::read(at(0)).unwrap().of(&after).unwrap(), Some(terms(Status::Pending)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(v1::ChangeAppointment { status: Some("gone".to_owned()), ..asked() }, "status");
        for at_ms in [-1, 1, 1_760_000_000, SCHEDULED_AT_MS_MAX + 1, i64::MIN, i64::MAX] {
            refused(v1::ChangeAppointment { scheduled_at_ms: Some(at_ms), ..asked() }, "scheduled_at");
        }
        for description in ["é".repeat(DESCRIPTION_LENGTH_MAX + 1), "a\0".to_owned()] {
            refused(v1::ChangeAppointment { description: Some(description), ..asked() }, "description");
        }
        let longest = Some("é".repeat(DESCRIPTION_LENGTH_MAX));
        assert!(Change::read(v1::ChangeAppointment { description: longest, ..asked() }).is_ok());
        assert!(id("7").unwrap_err().to_string().starts_with("id: must "));
    }
}
