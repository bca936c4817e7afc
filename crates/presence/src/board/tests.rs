use chasqui_proto::v1::PersonKind;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::told::{Listed, Page};

fn token(person: u8) -> ConversationToken {
    format!("web_u{person}").parse().unwrap()
}

fn who(person: u8) -> Who {
    Who { user_id: format!("u{person}").into(), kind: PersonKind::User, agent_id: None }
}

fn connection(id: u128) -> Connection {
    Connection { id: Uuid::from_u128(id), session: Uuid::from_u128(id), generation: 1, opened_at_ms: 0 }
}

/// A node that keeps its word on a board of its own.
struct Node {
    name: NodeToken,
    incarnation: i64,
    board: Board,
}

impl Node {
    fn new(name: &str, incarnation: i64) -> Self {
        let name = NodeToken::new(name);
        let mut board = Board::default();
        board.begin(&name, incarnation, Instant::now());
        Self { name, incarnation, board }
    }

    fn told(&self, word: Word) -> Told {
        Told { node: self.name.clone(), incarnation: self.incarnation, word }
    }

    fn says(&mut self, person: u8, connections: &[u128]) -> Told {
        let connections: Vec<Connection> = connections.iter().copied().map(connection).collect();
        let said = self.board.say(&self.name, &token(person), who(person), connections.clone());
        let version = said.unwrap().0;
        self.told(Word::Changed(Listed { person: token(person), version, who: who(person), connections }))
    }

    fn beats(&self) -> Told {
        self.told(Word::Alive { version: self.board.said(&self.name).unwrap().known() })
    }

    fn page(&self, after: Option<ConversationToken>, people_max: usize) -> Told {
        let said = self.board.said(&self.name).unwrap();
        let (people, next) = said.list(after.as_ref(), people_max, |_, _| 1);
        let listed = |(person, entry): (&ConversationToken, &Entry)| Listed {
            person: person.clone(),
            version: entry.version,
            who: entry.who.clone(),
            connections: entry.connections.to_vec(),
        };
        let next = next.cloned();
        let people = people.into_iter().map(listed).collect();
        self.told(Word::Page(Page { after, version: said.known(), people, next }))
    }

    fn people(&self) -> Vec<(ConversationToken, Vec<Connection>)> {
        let said = self.board.said(&self.name).unwrap();
        said.people().map(|(person, entry)| (person.clone(), entry.connections.to_vec())).collect()
    }
}

fn people(board: &Board) -> Vec<(ConversationToken, Vec<Connection>)> {
    board.online().map(|(person, _)| (person.clone(), board.connections(person))).collect()
}

fn changes(heard: &Heard) -> Vec<(String, Change)> {
    let change = |transition: &Transition| (transition.who.user_id.to_string(), transition.change);
    heard.transitions.iter().map(change).collect()
}

#[test]
fn ben_14_a_user_with_two_tabs_on_two_nodes_is_there_until_both_are_closed() {
    let (mut one, mut two) = (Node::new("one", 1), Node::new("two", 1));
    let (mut board, now) = (Board::default(), Instant::now());
    let mut check = |told: Told, expected: &[Change]| {
        let heard = board.hear(told, now);
        let expected: Vec<_> = expected.iter().map(|change| ("u1".to_owned(), *change)).collect();
        assert_eq!(changes(&heard), expected);
    };
    check(one.says(1, &[1]), &[Change::Online]);
    check(two.says(1, &[2]), &[Change::Connections]);
    check(two.says(1, &[2, 3]), &[Change::Connections]);
    check(one.says(1, &[]), &[Change::Connections]);
    check(two.says(1, &[2]), &[Change::Connections]);
    check(two.says(1, &[]), &[Change::Offline]);
}

#[test]
fn a_node_that_is_silent_for_nine_seconds_is_dead_and_one_that_beats_is_not() {
    let (mut one, mut two) = (Node::new("one", 1), Node::new("two", 1));
    let (mut board, begin) = (Board::default(), Instant::now());
    board.hear(one.says(1, &[1]), begin);
    board.hear(two.says(2, &[2]), begin);
    let later = begin + SILENCE_MAX;
    board.hear(two.beats(), later.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(board.expire(later.checked_sub(Duration::from_millis(1)).unwrap(), None).is_empty());
    let transitions = board.expire(later, None);
    assert_eq!(changes(&Heard { transitions, ..Heard::default() }), [("u1".to_owned(), Change::Offline)]);
    assert!(board.is_online(&token(2)));
    // It was not dead after all: what it says next shows that more is missing.
    assert!(board.hear(one.beats(), later).is_behind);
}

#[test]
fn who_could_not_listen_calls_nobody_dead_before_nine_more_seconds() {
    let mut one = Node::new("one", 1);
    let (mut board, begin) = (Board::default(), Instant::now());
    board.hear(one.says(1, &[1]), begin);
    let again = begin + Duration::from_mins(5);
    board.excuse_all(again);
    assert!(board.expire(again + SILENCE_MAX / 2, None).is_empty());
    assert_eq!(board.expire(again + SILENCE_MAX, None).len(), 1);
}

#[test]
fn a_node_that_takes_its_leave_is_gone_at_once_whatever_arrives_late() {
    let mut one = Node::new("one", 1);
    let (mut board, now) = (Board::default(), Instant::now());
    let late = one.says(1, &[1]);
    board.hear(one.says(2, &[2]), now);
    let heard = board.hear(one.told(Word::Left), now);
    assert_eq!(changes(&heard), [("u2".to_owned(), Change::Offline)]);
    board.hear(late, now);
    board.hear(one.page(None, 9), now);
    assert!(board.is_empty());
    // A new life counts from the start.
    let mut again = Node::new("one", 2);
    let heard = board.hear(again.says(1, &[9]), now);
    assert!(heard.is_newcomer && !heard.is_behind);
    assert!(board.is_online(&token(1)));
}

#[test]
fn a_new_life_of_a_node_replaces_what_the_old_one_said() {
    let (mut old, mut new) = (Node::new("one", 1), Node::new("one", 2));
    let (mut board, now) = (Board::default(), Instant::now());
    board.hear(old.says(1, &[1]), now);
    let heard = board.hear(new.says(2, &[2]), now);
    assert_eq!(changes(&heard), [("u1".to_owned(), Change::Offline), ("u2".to_owned(), Change::Online)]);
    assert!(board.hear(old.says(1, &[1, 3]), now).transitions.is_empty());
    assert_eq!(people(&board), new.people());
}

#[test]
fn a_lost_change_is_noticed_by_the_next_one_and_by_the_beat() {
    let mut one = Node::new("one", 1);
    let (mut board, now) = (Board::default(), Instant::now());
    let _lost = one.says(1, &[1]);
    assert!(board.hear(one.says(2, &[2]), now).is_behind);
    assert!(!board.hear(one.page(None, 9), now).is_behind);
    let _lost = one.says(2, &[]);
    assert!(board.hear(one.beats(), now).is_behind);
    assert!(!board.hear(one.page(None, 9), now).is_behind);
    assert_eq!(people(&board), one.people());
}

#[test]
fn a_page_that_comes_late_brings_nobody_back() {
    let mut one = Node::new("one", 1);
    let (mut board, now) = (Board::default(), Instant::now());
    let came = one.says(1, &[1]);
    let page = one.page(None, 9);
    for told in [came, one.says(1, &[]), page] {
        board.hear(told, now);
    }
    assert_eq!(people(&board), one.people());
}

#[test]
fn nodes_and_changes_beyond_the_bounds_are_not_kept() {
    let (mut board, now) = (Board::default(), Instant::now());
    for index in 0..=NODES_MAX {
        board.hear(Node::new(&format!("node-{index}"), 1).beats(), now);
    }
    assert_eq!(board.nodes.len(), NODES_MAX);
}

/// What happens on the node and on the way from it.
#[derive(Debug, Clone)]
enum Step {
    /// The person's connections become these.
    Says(u8, Vec<u128>),
    /// A word that was said is delivered: early, late, again.
    Arrives(usize),
    /// The node makes the next page of a snapshot, or begins one, unless a page is on its way.
    Lists,
    /// The page that is on its way is delivered.
    Reads,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..6, prop::collection::vec(0u128..4, 0..3)).prop_map(|(person, ids)| Step::Says(person, ids)),
        any::<prop::sample::Index>().prop_map(|index| Step::Arrives(index.index(1_000))),
        Just(Step::Lists),
        Just(Step::Reads),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_loss_and_repetition_comes_to_what_the_node_says(
        steps in prop::collection::vec(step(), 0..60),
        people_max in 1usize..4,
    ) {
        let mut node = Node::new("one", 1);
        let (mut board, now) = (Board::default(), Instant::now());
        let mut said: Vec<Told> = Vec::new();
        let (mut after, mut on_its_way) = (None, None);
        let mut online = std::collections::BTreeSet::new();
        let mut hear = |board: &mut Board, told: Told| {
            let heard = board.hear(told, now);
            for transition in &heard.transitions {
                match transition.change {
                    Change::Online => assert!(online.insert(transition.person.clone())),
                    Change::Offline => assert!(online.remove(&transition.person)),
                    Change::Connections => assert!(online.contains(&transition.person)),
                }
            }
            assert!(board.online().map(|(person, _)| person).eq(online.iter()));
            heard.is_behind
        };
        for step in steps {
            match step {
                Step::Says(person, ids) => said.push(node.says(person, &ids)),
                Step::Arrives(index) if !said.is_empty() => {
                    hear(&mut board, said[index % said.len()].clone());
                }
                Step::Arrives(_) => {}
                Step::Lists => {
                    let page = on_its_way.get_or_insert_with(|| node.page(after.take(), people_max));
                    if let Word::Page(page) = &page.word {
                        after.clone_from(&page.next);
                    }
                }
                Step::Reads => {
                    if let Some(page) = on_its_way.take() {
                        hear(&mut board, page);
                    }
                }
            }
        }
        // Nothing more is said; the beat shows what is missing, and a snapshot brings it.
        if hear(&mut board, node.beats()) {
            let mut after = None;
            loop {
                let page = node.page(after, people_max);
                let Word::Page(Page { next, .. }) = &page.word else { unreachable!() };
                let next = next.clone();
                let is_behind = hear(&mut board, page);
                if next.is_none() {
                    assert!(!is_behind);
                    break;
                }
                after = next;
            }
        }
        prop_assert_eq!(people(&board), node.people());
        prop_assert!(board.nodes[&node.name].ahead_is_empty());
        // Whatever arrives after that changes nothing.
        for told in said {
            hear(&mut board, told);
        }
        prop_assert_eq!(people(&board), node.people());
    }

    #[test]
    fn many_nodes_heard_in_any_order_come_to_the_same_board(
        words in prop::collection::vec((0usize..3, 0u8..4, prop::collection::vec(0u128..9, 0..3)), 0..30),
        order in any::<u64>(),
    ) {
        let mut nodes = [Node::new("one", 1), Node::new("two", 1), Node::new("three", 1)];
        let told: Vec<Told> =
            words.into_iter().map(|(node, person, ids)| nodes[node].says(person, &ids)).collect();
        let now = Instant::now();
        let (mut straight, mut mixed) = (Board::default(), Board::default());
        for told in &told {
            straight.hear(told.clone(), now);
        }
        let mut keyed: Vec<_> = told.into_iter().enumerate().collect();
        keyed.sort_by_key(|(index, _)| (*index as u64).wrapping_mul(order | 1).rotate_left(17));
        for (_, told) in keyed {
            mixed.hear(told, now);
        }
        prop_assert!(straight.online().eq(mixed.online()));
        for person in 0..4 {
            let ids = |board: &Board| {
                let mut ids: Vec<Uuid> = board.connections(&token(person)).iter().map(|each| each.id).collect();
                ids.sort();
                ids
            };
            prop_assert_eq!(ids(&straight), ids(&mixed));
        }
    }
}
