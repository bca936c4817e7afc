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

/// How far apart the generations of a ticket and of whoever takes its session over begin. Between them is chance.
const TAKEOVERS_APART: u32 = 4_096;

/// How a client claims an earlier session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// With the ticket it was told. Nobody's session is taken over twice with the same one: two tabs that share it
    /// would close each other for ever.
    TakeOver(Ticket),
    /// It is the client of this ticket itself, whose connection broke, and may say so as often as that happens. Its
    /// newest connection stays. Once somebody has taken the session over, the claim is void.
    Same(Ticket),
}

/// The name of a session, and of who has it: `<session id>.<generation>`, opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) session: Uuid,
    pub(crate) generation: u32,
}

impl Claim {
    /// The claim of a client that brings a ticket; none for whatever is no ticket.
    pub(crate) fn of_ticket(text: &str) -> Option<Self> {
        Ticket::parse(text).map(Self::TakeOver)
    }
}

impl Ticket {
    /// Reads a ticket; `None` for whatever is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (session, generation) = text.split_once('.')?;
        Some(Self { session: session.parse().ok()?, generation: generation.parse().ok()? })
    }

    /// The ticket of a new connection with a claim or none. `takeover` is random: of two that bring the same ticket to
    /// two nodes at once, one is of the later generation, and the other one's claim is stale from then on.
    pub(crate) fn next(claim: Option<Claim>, connections: &[Connection], takeover: u32) -> Self {
        let granted = match claim {
            Some(Claim::Same(ticket)) => Some(ticket).filter(|ticket| !ticket.is_stale(connections)),
            Some(Claim::TakeOver(ticket)) => {
                let next = (ticket.generation / TAKEOVERS_APART).checked_add(1);
                let next = next.and_then(|next| next.checked_mul(TAKEOVERS_APART));
                let generation = next.map(|next| next + takeover % TAKEOVERS_APART);
                let granted = generation.map(|generation| Self { generation, ..ticket });
                granted.filter(|_| !ticket.is_stale(connections))
            }
            None => None,
        };
        granted.unwrap_or_else(|| Self { session: Uuid::new_v4(), generation: 1 })
    }

    /// Somebody has taken the session over since.
    fn is_stale(&self, connections: &[Connection]) -> bool {
        let is_later =
            |other: &Connection| other.session == self.session && other.generation > self.generation;
        connections.iter().any(is_later)
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
        let take_over =
            |ticket, live: &[Connection]| Ticket::next(Some(Claim::TakeOver(ticket)), live, 4_097);
        let begun = Ticket::next(None, &[], 0);
        assert_eq!(begun.generation, 1);
        assert_eq!(Ticket::parse(&begun.to_string()), Some(begun));
        let resumed = take_over(begun, &[]);
        assert_eq!((resumed.session, resumed.generation), (begun.session, TAKEOVERS_APART + 1));
        let live = connection(1, begun.session.as_u128(), resumed.generation, 1);
        assert_ne!(take_over(begun, &[live]).session, begun.session);
        let next = take_over(resumed, &[live]);
        assert_eq!((next.session, next.generation), (begun.session, 2 * TAKEOVERS_APART + 1));
        let last = Ticket { generation: u32::MAX, ..begun };
        assert_ne!(take_over(last, &[]).session, begun.session);
        for nonsense in ["", ".", "x.1", "1", &format!("{}.-1", begun.session)] {
            assert_eq!(Ticket::parse(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_client_comes_back_to_its_own_session_until_somebody_took_that_over() {
        let own = Ticket { session: Uuid::from_u128(9), generation: 1 };
        let back = |live: &[Connection]| Ticket::next(Some(Claim::Same(own)), live, 7);
        assert_eq!((back(&[]), back(&[connection(1, 9, 1, 1)])), (own, own));
        assert_ne!(back(&[connection(1, 9, TAKEOVERS_APART, 1)]).session, own.session);
    }

    #[test]
    fn of_two_that_take_a_session_over_at_once_one_can_never_come_back_to_it() {
        let shared = Ticket { session: Uuid::from_u128(9), generation: 1 };
        let [one, other] = [17, 4_000].map(|chance| Ticket::next(Some(Claim::TakeOver(shared)), &[], chance));
        let winner = connection(2, 9, other.generation, 1);
        assert_eq!(Ticket::next(Some(Claim::Same(other)), &[connection(1, 9, one.generation, 2)], 0), other);
        assert_ne!(Ticket::next(Some(Claim::Same(one)), &[winner], 0).session, shared.session);
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
