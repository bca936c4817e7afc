//! What was heard of last, by name. Two generations, so that forgetting is cheap and needs no clock.

use std::collections::HashMap;

/// A map that forgets the names nobody has told for long.
#[derive(Debug)]
pub(crate) struct Generations<V> {
    young: HashMap<Box<str>, V>,
    old: HashMap<Box<str>, V>,
    /// How many names a generation holds.
    names_max: usize,
}

impl<V> Generations<V> {
    /// An empty map; it costs nothing before something is told.
    pub(crate) fn new(names_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), names_max }
    }

    /// What was told of a name last, unless it is forgotten.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        self.young.get(name).or_else(|| self.old.get(name))
    }

    /// Tells of a name.
    pub(crate) fn insert(&mut self, name: &str, value: V) {
        if let Some(known) = self.young.get_mut(name) {
            *known = value;
            return;
        }
        self.young.insert(name.into(), value);
        if self.young.len() > self.names_max {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_last_is_known_and_what_is_long_ago_is_forgotten() {
        let mut names = Generations::new(10);
        names.insert("first", 1);
        names.insert("first", 2);
        assert_eq!(names.get("first"), Some(&2));
        for name in 0..30 {
            names.insert(&name.to_string(), name);
        }
        assert_eq!((names.get("first"), names.get("29")), (None, Some(&29)));
        assert!(names.young.len() + names.old.len() <= 21);
    }
}
