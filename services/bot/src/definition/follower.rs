//! Whether the files changed since they were last read.

use std::path::Path;

use super::{
    directory::{self, Seen},
    loaded::Source,
};
use crate::problem::Problem;

/// What came of a look at the files.
#[derive(Debug)]
pub(super) enum Change {
    None,
    /// They cannot be looked at, since this look.
    Away(Problem),
    /// They say something else.
    Files(Vec<Source>),
}

/// What was seen of the files so far.
#[derive(Debug)]
pub(super) struct Follower {
    /// At the last look.
    last: Option<Seen>,
    /// When they were read; they are not read again while they look like that.
    read: Option<Seen>,
    /// What they said then.
    sources: Option<Vec<Source>>,
    /// Why they could not be looked at.
    failed: Option<String>,
}

impl Follower {
    /// One who knows what they said.
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self { last: None, read: None, sources: Some(sources), failed: None }
    }

    /// Looks at them. A change counts when they look the same twice.
    pub(super) fn look(&mut self, directory: &Path) -> Change {
        let seen = match directory::look(directory) {
            Ok(seen) => seen,
            Err(error) => return self.fail(directory, &error),
        };
        if self.failed.take().is_some() {
            self.sources = None;
            self.read = None;
        }
        if self.read.as_ref() == Some(&seen) || self.last.replace(seen.clone()).as_ref() != Some(&seen) {
            return Change::None;
        }
        let sources = directory::read(&seen);
        if directory::look(directory).ok().as_ref() != Some(&seen) {
            return Change::None;
        }
        self.read = Some(seen);
        if self.sources.as_ref() == Some(&sources) {
            return Change::None;
        }
        self.sources = Some(sources.clone());
        Change::Files(sources)
    }

    fn fail(&mut self, directory: &Path, error: &std::io::Error) -> Change {
        let failure = error.to_string();
        if self.failed.replace(failure.clone()) == Some(failure) {
            return Change::None;
        }
        Change::Away(directory::away(directory, error))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn texts(change: Change) -> Vec<String> {
        match change {
            Change::None => Vec::new(),
            Change::Away(problem) => vec![problem.to_string()],
            Change::Files(sources) => sources.into_iter().filter_map(|source| source.text.ok()).collect(),
        }
    }

    #[test]
    fn a_file_that_is_still_written_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(home.path().join("default.toml"), text).unwrap();
        write("a = 1\n");
        let mut follower = Follower::new(directory::read(&directory::look(home.path()).unwrap()));
        let mut look = || texts(follower.look(home.path()));
        assert!(look().is_empty() && look().is_empty(), "nothing changed");
        for half in ["", "a = ", "a = 2\nb"] {
            write(half);
            assert!(look().is_empty(), "{half}");
        }
        write("a = 2\nb = 3\n");
        assert!(look().is_empty());
        assert_eq!(look(), ["a = 2\nb = 3\n"]);
        assert!(look().is_empty(), "it is told once");
    }

    #[test]
    fn a_directory_that_is_away_is_told_once_and_read_again_when_it_is_back() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("default.toml"), "a = 1\n").unwrap();
        let mut follower = Follower::new(directory::read(&directory::look(home.path()).unwrap()));
        let nowhere = home.path().join("nowhere");
        assert!(texts(follower.look(&nowhere))[0].contains("nowhere:1:1: cannot be read"));
        assert!(texts(follower.look(&nowhere)).is_empty());
        assert!(texts(follower.look(home.path())).is_empty());
        assert_eq!(texts(follower.look(home.path())), ["a = 1\n"]);
    }
}
