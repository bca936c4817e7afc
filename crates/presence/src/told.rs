//! What a node told, read from the wire and checked.

use chasqui_proto::{ConversationToken, subject::NodeToken, v1};

use crate::person::{CONNECTIONS_OF_PERSON_MAX, Connection, ID_BYTES_MAX, Who};

/// A payload that says something impossible; names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is invalid")]
pub struct Unreadable(pub &'static str);

/// Something a node told about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Who told it.
    pub node: NodeToken,
    /// In which of its lives.
    pub incarnation: i64,
    /// What.
    pub word: Word,
}

/// What a node can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A person's connections on the node changed.
    Changed(Listed),
    /// The node lives, and this is its newest change.
    Alive {
        /// The number of the change.
        version: u64,
    },
    /// The node has nobody any more and never will in this life.
    Left,
    /// A part of who is there.
    Page(Page),
}

/// A person's connections on a node as of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The person's token.
    pub person: ConversationToken,
    /// The change they are of.
    pub version: u64,
    /// Who that is.
    pub who: Who,
    /// None when the person left.
    pub connections: Vec<Connection>,
}

/// Everyone on a node between two persons, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Begins after this person; with the first when there is none.
    pub after: Option<ConversationToken>,
    /// The node's newest change when the page was made.
    pub version: u64,
    /// Everyone of that part.
    pub people: Vec<Listed>,
    /// Ends with this person; with the last when there is none.
    pub next: Option<ConversationToken>,
}

impl Told {
    /// Reads a change.
    pub fn of_change(change: &v1::Presence) -> Result<Self, Unreadable> {
        Ok(Self {
            node: node(&change.node)?,
            incarnation: change.incarnation,
            word: Word::Changed(listed(change)?),
        })
    }

    /// Reads a beat.
    pub fn of_beat(beat: &v1::PresenceBeat) -> Result<Self, Unreadable> {
        let word = if beat.leaving { Word::Left } else { Word::Alive { version: beat.version } };
        Ok(Self { node: node(&beat.node)?, incarnation: beat.incarnation, word })
    }

    /// Reads a page that was asked for with `after`.
    pub fn of_page(after: Option<ConversationToken>, page: &v1::PresencePage) -> Result<Self, Unreadable> {
        let people = page.people.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        let next = position(&page.next).map_err(|_| Unreadable("next"))?;
        let page_of = Page { after, version: page.version, people, next };
        page_of.check()?;
        Ok(Self { node: node(&page.node)?, incarnation: page.incarnation, word: Word::Page(page_of) })
    }
}

impl Page {
    /// In order, within its bounds, and going on.
    fn check(&self) -> Result<(), Unreadable> {
        let mut last = self.after.as_ref();
        for listed in &self.people {
            if last.is_some_and(|last| *last >= listed.person) || listed.version > self.version {
                return Err(Unreadable("people"));
            }
            last = Some(&listed.person);
        }
        let goes_on = self.next.is_none() || (!self.people.is_empty() && self.next.as_ref() == last);
        goes_on.then_some(()).ok_or(Unreadable("next"))
    }
}

/// Where a page begins or ends: a person's token, or nothing.
pub(crate) fn position(text: &str) -> Result<Option<ConversationToken>, Unreadable> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Unreadable("after")) }
}

fn node(name: &str) -> Result<NodeToken, Unreadable> {
    let token = NodeToken::new(name);
    if token.as_str() == name { Ok(token) } else { Err(Unreadable("node")) }
}

fn listed(presence: &v1::Presence) -> Result<Listed, Unreadable> {
    if presence.user_id.len() > ID_BYTES_MAX {
        return Err(Unreadable("user_id"));
    }
    if presence.agent_id.len() > ID_BYTES_MAX {
        return Err(Unreadable("agent_id"));
    }
    if presence.connections.len() > CONNECTIONS_OF_PERSON_MAX {
        return Err(Unreadable("connections"));
    }
    Ok(Listed {
        person: presence.person.parse().map_err(|_| Unreadable("person"))?,
        version: presence.version,
        who: Who {
            user_id: presence.user_id.as_str().into(),
            kind: presence.kind(),
            agent_id: Some(presence.agent_id.as_str()).filter(|id| !id.is_empty()).map(Into::into),
        },
        connections: presence.connections.iter().map(TryFrom::try_from).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> v1::Presence {
        let connection = Connection {
            id: uuid::Uuid::from_u128(1),
            session: uuid::Uuid::from_u128(2),
            generation: 3,
            opened_at_ms: 4,
        };
        v1::Presence {
            tenant: "default".to_owned(),
            person: "web_u1".to_owned(),
            user_id: "u1".to_owned(),
            kind: v1::PersonKind::User.into(),
            agent_id: String::new(),
            node: "edge-1".to_owned(),
            incarnation: 7,
            version: 8,
            connections: vec![(&connection).into()],
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused_by_name() {
        let check = |field: &str, spoil: fn(&mut v1::Presence)| {
            let mut spoilt = change();
            spoil(&mut spoilt);
            assert_eq!(Told::of_change(&spoilt).unwrap_err().0, field);
        };
        assert!(Told::of_change(&change()).is_ok());
        check("node", |change| change.node = "a.b".to_owned());
        check("person", |change| change.person = String::new());
        check("user_id", |change| change.user_id = "x".repeat(ID_BYTES_MAX + 1));
        check("agent_id", |change| change.agent_id = "x".repeat(ID_BYTES_MAX + 1));
        check("connections.id", |change| change.connections[0].id = "1".to_owned());
        check("connections.session", |change| change.connections[0].session = String::new());
        check("connections", |change| {
            change.connections = vec![change.connections[0].clone(); CONNECTIONS_OF_PERSON_MAX + 1];
        });
    }

    #[test]
    fn a_page_that_would_be_asked_for_for_ever_is_refused() {
        let page = |next: &str, people: Vec<v1::Presence>| v1::PresencePage {
            node: "edge-1".to_owned(),
            incarnation: 7,
            version: 8,
            people,
            next: next.to_owned(),
        };
        let read = |page: &v1::PresencePage| Told::of_page(None, page).map_err(|error| error.0);
        assert!(read(&page("", Vec::new())).is_ok());
        assert!(read(&page("web_u1", vec![change()])).is_ok());
        assert_eq!(read(&page("web_u1", Vec::new())), Err("next"));
        assert_eq!(read(&page("web_u9", vec![change()])), Err("next"));
        assert_eq!(read(&page("", vec![change(), change()])), Err("people"));
        let after = "web_u1".parse().ok();
        assert_eq!(Told::of_page(after, &page("", vec![change()])), Err(Unreadable("people")));
    }

    proptest! {
        #[test]
        fn no_payload_makes_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            use prost::Message;
            if let Ok(change) = v1::Presence::decode(&*bytes) {
                let _ = Told::of_change(&change);
            }
            if let Ok(page) = v1::PresencePage::decode(&*bytes) {
                let _ = Told::of_page(None, &page);
            }
            if let Ok(beat) = v1::PresenceBeat::decode(&*bytes) {
                let _ = Told::of_beat(&beat);
            }
        }
    }
}
