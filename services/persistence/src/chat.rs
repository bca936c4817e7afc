//! Which agent a chat belongs to.

use std::{collections::BTreeSet, time::Duration};

use time::OffsetDateTime;
use uuid::Uuid;

/// An agent who may be given chats: active and online.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// The most chats it is given at a time; 0 is no limit.
    pub(crate) chats_max: i32,
    /// The chats that are its own now.
    pub(crate) chats: i64,
    /// Counts the tenant's assignments: of two agents the one with the lower number was given a chat longer ago.
    pub(crate) turn: i64,
}

impl Agent {
    /// It has as many chats as it takes.
    pub(crate) fn is_full(&self) -> bool {
        self.chats_max > 0 && self.chats >= i64::from(self.chats_max)
    }
}

/// A chat that waits for an agent.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Waiting {
    pub(crate) id: Uuid,
    /// The place in the tenant's queue: chats opened earlier come first.
    pub(crate) position: i64,
    /// The agent that gave it back: it is not given the chat again.
    pub(crate) refused_by: Option<String>,
}

/// A chat and the agent it is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gift {
    pub(crate) chat: Uuid,
    pub(crate) agent_id: String,
    pub(crate) agent_user_id: String,
    /// The agent's turn from now on.
    pub(crate) turn: i64,
}

/// What is known of an agent who has a chat and is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Absence {
    /// Active, and in the directory.
    pub(crate) active: bool,
    pub(crate) online: bool,
    pub(crate) offline_since: Option<OffsetDateTime>,
}

/// Whether a chat still belongs to the agent it was given to at `assigned_at`: while that one is there, and for `grace`
/// after it left. Who was given a chat while away has the same time to come.
pub(crate) fn keeps(
    absence: Absence,
    assigned_at: OffsetDateTime,
    now: OffsetDateTime,
    grace: Duration,
) -> bool {
    let since = absence.offline_since.map_or(assigned_at, |left_at| left_at.max(assigned_at));
    absence.active && (absence.online || now - since < grace)
}

/// Gives waiting chats, the first in the queue first, each to the agent with the fewest; of equals to the one that was
/// given a chat longest ago. What nobody can take goes on waiting, and holds nothing up behind it. `turn` is the newest
/// of the tenant, also of agents who are not there.
pub(crate) fn assign(mut queue: Vec<Waiting>, agents: Vec<Agent>, mut turn: i64) -> Vec<Gift> {
    queue.sort_by_key(|chat| chat.position);
    let mut free: BTreeSet<Place> =
        agents.into_iter().filter(|agent| !agent.is_full()).map(Place::of).collect();
    let mut gifts = Vec::new();
    for chat in queue {
        let may_take = |place: &&Place| chat.refused_by.as_ref() != Some(&place.agent.id);
        let Some(place) = free.iter().find(may_take).cloned() else { continue };
        free.remove(&place);
        turn += 1;
        let agent = Agent { chats: place.chats + 1, turn, ..place.agent };
        gifts.push(Gift {
            chat: chat.id,
            agent_id: agent.id.clone(),
            agent_user_id: agent.user_id.clone(),
            turn,
        });
        if !agent.is_full() {
            free.insert(Place::of(agent));
        }
    }
    gifts
}

/// An agent's place among the free ones: the order of the fields is the order in which they are given chats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chats: i64,
    turn: i64,
    agent: Agent,
}

impl Place {
    fn of(agent: Agent) -> Self {
        Self { chats: agent.chats, turn: agent.turn, agent }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn agent(id: &str, chats: i64, chats_max: i32, turn: i64) -> Agent {
        Agent { id: id.to_owned(), user_id: format!("user of {id}"), chats_max, chats, turn }
    }

    fn waiting(position: i64) -> Waiting {
        Waiting { id: Uuid::from_u128(u128::try_from(position).unwrap()), position, refused_by: None }
    }

    fn check(queue: Vec<Waiting>, agents: Vec<Agent>, expected: &[(u128, &str)]) {
        let gifts = assign(queue, agents, 100);
        let given: Vec<(u128, &str)> =
            gifts.iter().map(|gift| (gift.chat.as_u128(), gift.agent_id.as_str())).collect();
        assert_eq!(given, expected);
    }

    #[test]
    fn the_agent_with_the_fewest_chats_is_first() {
        let agents = vec![agent("a", 2, 0, 1), agent("b", 0, 0, 9), agent("c", 1, 0, 5)];
        check(vec![waiting(1), waiting(2), waiting(3)], agents, &[(1, "b"), (2, "c"), (3, "b")]);
    }

    #[test]
    fn of_equals_the_one_that_was_given_a_chat_longest_ago() {
        let agents = vec![agent("a", 1, 0, 7), agent("b", 1, 0, 3), agent("new", 1, 0, 0)];
        check(
            vec![waiting(1), waiting(2), waiting(3), waiting(4)],
            agents,
            &[(1, "new"), (2, "b"), (3, "a"), (4, "new")],
        );
    }

    #[test]
    fn the_queue_is_drained_oldest_first_up_to_the_limits() {
        let agents = vec![agent("a", 0, 1, 0), agent("b", 3, 4, 0), agent("full", 2, 2, 0)];
        check(vec![waiting(3), waiting(1), waiting(2)], agents, &[(1, "a"), (2, "b")]);
        check(vec![waiting(1)], vec![], &[]);
    }

    #[test]
    fn who_gave_a_chat_back_is_not_given_it_again() {
        let back = Waiting { refused_by: Some("a".to_owned()), ..waiting(1) };
        check(vec![back.clone(), waiting(2)], vec![agent("a", 0, 0, 0)], &[(2, "a")]);
        check(vec![back], vec![agent("a", 0, 0, 0), agent("b", 5, 0, 0)], &[(1, "b")]);
    }

    #[test]
    fn a_chat_is_kept_while_its_agent_is_there_and_for_the_grace_after() {
        let at = |secs: u64| OffsetDateTime::UNIX_EPOCH + Duration::from_secs(secs);
        let there = Absence { active: true, online: true, offline_since: None };
        let left_at = |secs| Absence { active: true, online: false, offline_since: Some(at(secs)) };
        assert!(keeps(there, at(0), at(1_000), GRACE));
        assert!(keeps(left_at(100), at(0), at(129), GRACE));
        assert!(!keeps(left_at(100), at(0), at(130), GRACE));
        // Given while away: the grace runs from then.
        assert!(keeps(left_at(100), at(500), at(529), GRACE));
        assert!(!keeps(left_at(100), at(500), at(530), GRACE));
        let never_seen = Absence { active: true, ..Absence::default() };
        assert!(keeps(never_seen, at(500), at(529), GRACE));
        assert!(!keeps(never_seen, at(500), at(530), GRACE));
        assert!(!keeps(Absence { active: false, ..there }, at(0), at(1), GRACE), "inactive: at once");
        assert!(!keeps(Absence::default(), at(0), at(1), GRACE), "removed: at once");
    }

    proptest! {
        #[test]
        fn nobody_is_given_too_many_and_nobody_is_passed_over(
            free in proptest::collection::vec((0..6_i64, 0..5_i32, 0..9_i64), 0..6),
            refused in proptest::collection::vec(proptest::option::of(0..6_usize), 0..30),
        ) {
            let agents: Vec<Agent> = free
                .iter()
                .enumerate()
                .map(|(index, (chats, max, turn))| agent(&index.to_string(), *chats, *max, *turn))
                .collect();
            let queue: Vec<Waiting> = refused
                .iter()
                .zip(1..)
                .map(|(agent, position)| Waiting {
                    refused_by: agent.map(|index| index.to_string()),
                    ..waiting(position)
                })
                .collect();
            let gifts = assign(queue.clone(), agents.clone(), 9);
            let mut chats: BTreeMap<&str, (i64, i64)> =
                agents.iter().map(|agent| (agent.id.as_str(), (agent.chats, i64::from(agent.chats_max)))).collect();
            let mut given = gifts.iter().peekable();
            for chat in &queue {
                let refused = |id: &str| chat.refused_by.as_deref() == Some(id);
                let fewest = chats
                    .iter()
                    .filter(|(id, (chats, max))| !refused(id) && (*max == 0 || chats < max))
                    .map(|(_, (chats, _))| *chats)
                    .min();
                let Some(gift) = given.next_if(|gift| gift.chat == chat.id) else {
                    prop_assert_eq!(fewest, None, "it waits only while nobody can take it");
                    continue;
                };
                let taker = chats.get_mut(gift.agent_id.as_str()).unwrap();
                prop_assert!(!refused(&gift.agent_id));
                prop_assert_eq!(Some(taker.0), fewest);
                taker.0 += 1;
            }
            prop_assert!(given.next().is_none(), "each chat is given once, in the order of the queue");
            prop_assert!(gifts.iter().zip(10..).all(|(gift, turn)| gift.turn == turn), "turns go on");
        }
    }
}
