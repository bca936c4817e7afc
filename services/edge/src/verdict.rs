//! Which of a person's connections must go. Every node decides it from the same connections, and comes to the same.

use std::cmp::Reverse;

use chasqui_presence::Connection;
use uuid::Uuid;

use crate::{close::CloseCode, config::ConnectionPolicy};

/// How many connections a person may have in the whole cluster, and which ones those are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// 0: any number.
    pub(crate) connections_max: usize,
    pub(crate) policy: ConnectionPolicy,
}

impl Rule {
    /// The connections that must go, and why. Those that were fenced do not count against the limit.
    pub(crate) fn losers(self, connections: &[Connection]) -> Vec<(Uuid, CloseCode)> {
        let newest_first = |connection: &&Connection| {
            Reverse((connection.generation, connection.opened_at_ms, connection.id))
        };
        let mut by_session: Vec<&Connection> = connections.iter().collect();
        by_session.sort_by_key(|connection| (connection.session, newest_first(connection)));
        let (mut fenced, mut live): (Vec<&Connection>, Vec<&Connection>) = (Vec::new(), Vec::new());
        for connection in by_session {
            let is_older = live.last().is_some_and(|newest| newest.session == connection.session);
            if is_older { fenced.push(connection) } else { live.push(connection) }
        }
        live.sort_by_key(|connection| (connection.opened_at_ms, connection.id));
        let excess =
            if self.connections_max == 0 { 0 } else { live.len().saturating_sub(self.connections_max) };
        let over = match self.policy {
            ConnectionPolicy::EvictOldest => &live[..excess],
            ConnectionPolicy::RefuseNew => &live[live.len() - excess..],
        };
        let fenced = fenced.iter().map(|connection| (connection.id, CloseCode::FENCED));
        fenced.chain(over.iter().map(|connection| (connection.id, CloseCode::CONNECTION_LIMIT))).collect()
    }

    /// Whether a connection may begin beside those that are known.
    pub(crate) fn admits(self, connections: &[Connection], newcomer: &Connection) -> Result<(), CloseCode> {
        let all: Vec<Connection> = connections.iter().chain([newcomer]).copied().collect();
        let lost = self.losers(&all).into_iter().find(|(id, _)| *id == newcomer.id);
        lost.map_or(Ok(()), |(_, code)| Err(code))
    }
}

/// A client's claim to an earlier session: `<session id>.<generation>`, opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) session: Uuid,
    pub(crate) generation: u32,
}

impl Ticket {
    /// Reads a ticket; `None` for whatever is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (session, generation) = text.split_once('.')?;
        Some(Self { session: session.parse().ok()?, generation: generation.parse().ok()? })
    }

    /// The ticket of a new connection that brought this one or none. Nobody's session is taken over twice with the
    /// same ticket: two tabs that share one would close each other for ever.
    pub(crate) fn next(brought: Option<Self>, connections: &[Connection]) -> Self {
        let is_stale = |ticket: &Self| {
            connections
                .iter()
                .any(|other| other.session == ticket.session && other.generation > ticket.generation)
        };
        brought
            .filter(|ticket| !is_stale(ticket))
            .and_then(|ticket| Some(Self { generation: ticket.generation.checked_add(1)?, ..ticket }))
            .unwrap_or_else(|| Self { session: Uuid::new_v4(), generation: 1 })
    }
}

impl std::fmt::Display for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.session.simple(), self.generation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn connection(id: u128, session: u128, generation: u32, opened_at_ms: i64) -> Connection {
        Connection { id: Uuid::from_u128(id), session: Uuid::from_u128(session), generation, opened_at_ms }
    }

    fn losers(max: usize, policy: ConnectionPolicy, connections: &[Connection]) -> Vec<(u128, u16)> {
        let rule = Rule { connections_max: max, policy };
        let mut losers: Vec<_> =
            rule.losers(connections).iter().map(|(id, code)| (id.as_u128(), code.code)).collect();
        losers.sort_unstable();
        losers
    }

    #[test]
    fn wab_30_the_oldest_goes_or_the_newest_does() {
        let connections: Vec<Connection> =
            (1..=7).map(|id| connection(id, id, 1, 100 - i64::try_from(id).unwrap())).collect();
        assert_eq!(losers(5, ConnectionPolicy::EvictOldest, &connections), [(6, 4504), (7, 4504)]);
        assert_eq!(losers(5, ConnectionPolicy::RefuseNew, &connections), [(1, 4504), (2, 4504)]);
        assert_eq!(losers(0, ConnectionPolicy::RefuseNew, &connections), []);
        // Opened in the same millisecond, the id decides.
        let twins = [connection(1, 1, 1, 5), connection(2, 2, 1, 5)];
        assert_eq!(losers(1, ConnectionPolicy::EvictOldest, &twins), [(1, 4504)]);
        assert_eq!(losers(1, ConnectionPolicy::RefuseNew, &twins), [(2, 4504)]);
    }

    #[test]
    fn of_one_session_the_newest_connection_stays_and_the_fenced_do_not_count() {
        let connections = [connection(1, 9, 1, 1), connection(2, 9, 2, 2), connection(3, 8, 1, 3)];
        assert_eq!(losers(2, ConnectionPolicy::EvictOldest, &connections), [(1, 4003)]);
        // Two that brought the same ticket to two nodes at once: the later one.
        let rivals = [connection(1, 9, 2, 5), connection(2, 9, 2, 4)];
        assert_eq!(losers(0, ConnectionPolicy::EvictOldest, &rivals), [(2, 4003)]);
    }

    #[test]
    fn a_ticket_is_taken_over_once() {
        let begun = Ticket::next(None, &[]);
        assert_eq!(begun.generation, 1);
        assert_eq!(Ticket::parse(&begun.to_string()), Some(begun));
        let resumed = Ticket::next(Some(begun), &[]);
        assert_eq!((resumed.session, resumed.generation), (begun.session, 2));
        let live = connection(1, begun.session.as_u128(), 2, 1);
        let again = Ticket::next(Some(begun), &[live]);
        assert_ne!(again.session, begun.session);
        let last = Ticket { generation: u32::MAX, ..begun };
        assert_ne!(Ticket::next(Some(last), &[]).session, begun.session);
        for nonsense in ["", ".", "x.1", "1", &format!("{}.-1", begun.session)] {
            assert_eq!(Ticket::parse(nonsense), None, "{nonsense:?}");
        }
    }

    proptest! {
        #[test]
        fn every_order_of_the_same_connections_has_the_same_losers(
            connections in prop::collection::vec((0u128..3, 1u32..4, 0i64..4), 0..9),
            max in 0usize..4,
            refuses in any::<bool>(),
        ) {
            let policy = if refuses { ConnectionPolicy::RefuseNew } else { ConnectionPolicy::EvictOldest };
            let made = connections.into_iter().zip(1u128..);
            let mut connections: Vec<Connection> = made
                .map(|((session, generation, at), id)| connection(id, session, generation, at))
                .collect();
            let straight = losers(max, policy, &connections);
            connections.reverse();
            prop_assert_eq!(&straight, &losers(max, policy, &connections));
            // Once they are gone, nobody else must go.
            connections.retain(|each| !straight.iter().any(|(id, _)| *id == each.id.as_u128()));
            prop_assert_eq!(losers(max, policy, &connections), []);
        }

        #[test]
        fn no_text_makes_reading_a_ticket_panic(text in ".*") {
            let _ = Ticket::parse(&text);
        }
    }
}
