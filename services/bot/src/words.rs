//! The words of a text, whatever its case, accents and punctuation.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The words of a text, folded, with one blank before and after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(String);

impl Words {
    /// The words of a text.
    pub(crate) fn of(text: &str) -> Self {
        let plain = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
        let plain: String = plain.map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
        let mut folded = String::with_capacity(plain.len() + 2);
        folded.push(' ');
        for word in plain.split_whitespace() {
            folded.push_str(word);
            folded.push(' ');
        }
        Self(folded)
    }

    /// The words with one blank between them.
    pub(crate) fn as_str(&self) -> &str {
        self.0.trim()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether there is just one.
    pub(crate) fn is_one(&self) -> bool {
        self.0.matches(' ').count() == 2
    }

    /// Whether these words stand here, one after the other. No words stand nowhere.
    pub(crate) fn contain(&self, phrase: &Self) -> bool {
        !phrase.is_empty() && self.0.contains(&phrase.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_punctuation_do_not_matter() {
        assert_eq!(Words::of("¿Qué TAL, Ñandú?"), Words::of("que tal nandu"));
        assert!(Words::of(" ¡…! ").is_empty());
        assert!(Words::of("¡Hola!").is_one() && !Words::of("hola tú").is_one() && !Words::of("").is_one());
    }

    #[test]
    fn only_whole_words_are_found() {
        let said = Words::of("Quiero hablar con una persona, por favor");
        assert!(said.contain(&Words::of("HABLAR CON")) && said.contain(&Words::of("favor")));
        for no in ["person", "blar con", "quiero una", "", "?"] {
            assert!(!said.contain(&Words::of(no)), "{no}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_words_and_contains_itself(text in "\\PC{0,80}") {
            let words = Words::of(&text);
            prop_assert!(words.is_empty() || words.contain(&words));
            prop_assert_eq!(Words::of(&words.0), words);
        }
    }
}
