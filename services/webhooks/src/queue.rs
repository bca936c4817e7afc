//! What waits in a lane: one event of a conversation at a time, in the order they came in.

use std::collections::{HashSet, VecDeque};

/// Something that belongs to a conversation.
pub(crate) trait Ordered {
    /// What is kept in order.
    fn conversation(&self) -> &str;
    /// Its place in that order.
    fn arrival(&self) -> u64;
}

/// Items by arrival, and the conversations that are being served.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<T>,
    busy: HashSet<String>,
}

impl<T: Ordered> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), busy: HashSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter()
    }

    /// The newest item.
    pub(crate) fn push(&mut self, item: T) {
        self.waiting.push_back(item);
    }

    /// The oldest item whose conversation is not being served; it is, from now on.
    pub(crate) fn take(&mut self) -> Option<T> {
        let at = self.waiting.iter().position(|item| !self.busy.contains(item.conversation()))?;
        let item = self.waiting.remove(at)?;
        self.busy.insert(item.conversation().to_owned());
        Some(item)
    }

    /// The conversation of an item that was taken is served.
    pub(crate) fn finished(&mut self, item: &T) {
        self.busy.remove(item.conversation());
    }

    /// An item that was taken waits again, in its old place.
    pub(crate) fn put_back(&mut self, item: T) {
        self.finished(&item);
        self.insert(item);
    }

    /// An item that was not taken, in the place that its arrival gives it; behind those that have the same.
    pub(crate) fn insert(&mut self, item: T) {
        let at = self.waiting.partition_point(|waiting| waiting.arrival() <= item.arrival());
        self.waiting.insert(at, item);
    }

    /// Takes out everything, in order; what is being served stays so.
    pub(crate) fn drain(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Letter(u64, &'static str);

    impl Ordered for Letter {
        fn conversation(&self) -> &str {
            self.1
        }

        fn arrival(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_conversation_waits_for_its_own_and_for_no_other() {
        let mut queue = Queue::new();
        for letter in [Letter(1, "a"), Letter(2, "a"), Letter(3, "b")] {
            queue.push(letter);
        }
        let first = queue.take().unwrap();
        assert_eq!((first.0, queue.take(), queue.take()), (1, Some(Letter(3, "b")), None));
        queue.put_back(first);
        let first = queue.take().unwrap();
        assert_eq!(first.0, 1, "what is put back is before what came later");
        queue.finished(&first);
        assert_eq!(queue.take(), Some(Letter(2, "a")));
    }

    #[test]
    fn what_comes_from_an_owner_before_keeps_its_order_and_is_first() {
        let mut queue = Queue::new();
        queue.push(Letter(1, "new"));
        for letter in [Letter(0, "first"), Letter(0, "second")] {
            queue.insert(letter);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).map(|letter| letter.1).collect();
        assert_eq!(order, ["first", "second", "new"]);
    }

    proptest! {
        #[test]
        fn whatever_fails_and_comes_back_each_conversation_stays_in_order(
            letters in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..30),
            fails in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut queue = Queue::new();
            let count = letters.len();
            for (at, conversation) in letters.into_iter().enumerate() {
                queue.push(Letter(at as u64, conversation));
            }
            let (mut done, mut fails) = (Vec::new(), fails.into_iter());
            while let Some(letter) = queue.take() {
                if fails.next().unwrap_or(false) {
                    queue.put_back(letter);
                } else {
                    queue.finished(&letter);
                    done.push(letter);
                }
            }
            prop_assert_eq!(done.len(), count);
            for conversation in ["a", "b", "c"] {
                let order: Vec<u64> = done.iter().filter(|l| l.1 == conversation).map(|l| l.0).collect();
                prop_assert!(order.is_sorted());
            }
        }
    }
}
