//! One at a time for each file: whoever comes while it is brought waits, and then finds it there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chasqui_media::FileId;

/// The files that somebody brings or waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<FileId, Lock>>>);

type Lock = Arc<tokio::sync::Mutex<()>>;

/// A place in the queue for one file, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    id: FileId,
    /// Held by whoever's turn it is.
    pub(super) lock: Lock,
}

impl Turns {
    /// A place in the queue for a file.
    pub(super) fn of(&self, id: FileId) -> Turn {
        let lock = self.0.lock().expect("no holder of this lock panics").entry(id).or_default().clone();
        Turn { turns: self.clone(), id, lock }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock().expect("no holder of this lock panics");
        // The map's own and this one: nobody else waits.
        if Arc::strong_count(&self.lock) == 2 {
            turns.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_forgotten_when_the_last_who_waited_has_gone() {
        let (turns, id) = (Turns::default(), FileId::now());
        let waiting = || turns.0.lock().unwrap().len();
        let (first, second) = (turns.of(id), turns.of(id));
        let held = first.lock.try_lock().unwrap();
        assert!(second.lock.try_lock().is_err());
        drop(held);
        drop(first);
        assert_eq!(waiting(), 1);
        assert!(second.lock.try_lock().is_ok());
        drop(second);
        assert_eq!(waiting(), 0);
    }
}
