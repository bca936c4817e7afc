//! What an answer costs.

/// How many characters a token is taken to have where the server does not say what an answer cost.
const CHARACTERS_PER_TOKEN: u64 = 4;

/// What all requests for an answer cost together.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// As servers told, tokens.
    told: u64,
    /// Read and written where they did not tell.
    characters: u64,
}

impl Spent {
    /// A request was taken, with so many characters to read.
    pub(super) fn begin(&mut self, characters: u64) -> Reading<'_> {
        self.characters += characters;
        Reading { spent: self, characters, told: 0 }
    }

    /// What servers told, tokens.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// What is only estimated, tokens.
    pub(super) fn estimated(&self) -> u64 {
        self.characters.div_ceil(CHARACTERS_PER_TOKEN)
    }
}

/// One request of them.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    spent: &'a mut Spent,
    characters: u64,
    told: u64,
}

impl Reading<'_> {
    /// The model wrote.
    pub(super) fn wrote(&mut self, text: &str) {
        let characters = text.chars().count() as u64;
        if self.told == 0 {
            self.characters += characters;
            self.spent.characters += characters;
        }
    }

    /// The server told what it costs so far, tokens.
    pub(super) fn told(&mut self, tokens: u64) {
        self.spent.characters -= std::mem::take(&mut self.characters);
        self.spent.told = self.spent.told - self.told + tokens;
        self.told = tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_replaces_what_was_estimated() {
        let mut spent = Spent::default();
        spent.begin(10).wrote("abc");
        assert_eq!((spent.told(), spent.estimated()), (0, 4), "13 characters");
        let mut second = spent.begin(100);
        second.wrote("abc");
        second.told(20);
        second.wrote("abc");
        second.told(21);
        assert_eq!((spent.told(), spent.estimated()), (21, 4), "the first request never told");
    }
}
