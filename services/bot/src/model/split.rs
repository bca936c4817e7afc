//! Long texts as messages.

use unicode_segmentation::UnicodeSegmentation as _;

/// What begins and ends code.
const FENCE: &str = "```";
/// How much of what follows is looked at to tell whether a sentence ends, characters.
const LOOK_AHEAD: usize = 64;
/// A message is not made shorter than this part of what fits for the sake of a better border: one over this.
const SHORTEST_DIVISOR: usize = 4;

/// Splits a text into messages of at most so many characters: where a sentence ends, else a line, else a word, else
/// between any two characters as people count them. Code stays in one message where it can. Nothing is lost but blanks
/// where it was cut and at its ends; no message is empty.
pub(crate) fn split(text: &str, characters_max: usize) -> Vec<String> {
    let characters_max = characters_max.max(1);
    let mut pieces = Vec::new();
    let (mut rest, mut is_code) = (text.trim(), false);
    while let Some(end) = nth_character(rest, characters_max) {
        let cut = cut(rest, end, is_code);
        let (piece, left) = rest.split_at(cut);
        is_code ^= piece.matches(FENCE).count() % 2 == 1;
        pieces.push(piece.trim_end().to_owned());
        rest = left.trim_start();
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// Where a character begins, counted from 0; none where the text has no such character.
fn nth_character(text: &str, index: usize) -> Option<usize> {
    text.char_indices().nth(index).map(|(at, _)| at)
}

/// Where a text that is too long is cut: behind its first byte, and at `end` at the latest.
fn cut(text: &str, end: usize, is_code: bool) -> usize {
    let text = nth_character(&text[end..], LOOK_AHEAD).map_or(text, |more| &text[..end + more]);
    let shortest = end / SHORTEST_DIVISOR;
    let outside_code = |at: &usize| !is_in_code(text, *at, is_code);
    let sentences = || last(text, sentence_borders(text).filter(outside_code), end);
    let lines = || last(text, behind(text, |character| character == '\n'), end);
    let words = || last(text, behind(text, char::is_whitespace), end);
    let borders: [&dyn Fn() -> Option<usize>; 3] = [&sentences, &lines, &words];
    let found: Vec<usize> = borders.iter().filter_map(|border| border()).collect();
    let long_enough = found.iter().copied().find(|at| *at >= shortest);
    long_enough.or_else(|| found.first().copied()).unwrap_or_else(|| between_graphemes(text, end))
}

/// The last of some ascending places that is behind the first byte and not behind `end`; blanks before it do not count.
fn last(text: &str, places: impl Iterator<Item = usize>, end: usize) -> Option<usize> {
    places.map(|at| text[..at].trim_end().len()).take_while(|at| *at <= end).filter(|at| *at > 0).last()
}

/// Where sentences begin. Each line is one at least.
fn sentence_borders(text: &str) -> impl Iterator<Item = usize> {
    text.split_sentence_bound_indices().map(|(at, _)| at)
}

fn behind<P: FnMut(char) -> bool>(text: &str, is_border: P) -> impl Iterator<Item = usize> {
    text.match_indices(is_border).map(|(at, found)| at + found.len())
}

/// Whether a place is within code, which `text` begins in where `is_code`.
fn is_in_code(text: &str, at: usize, is_code: bool) -> bool {
    is_code ^ (text[..at].matches(FENCE).count() % 2 == 1)
}

fn between_graphemes(text: &str, end: usize) -> usize {
    // What people see as one character may be longer than a message.
    last(text, text.grapheme_indices(true).map(|(at, _)| at), end).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, characters_max: usize, expected: &[&str]) {
        assert_eq!(split(text, characters_max), expected, "{text:?} at {characters_max}");
    }

    #[test]
    fn a_text_that_fits_is_one_message() {
        check("  Hola. ¿Qué tal?\n", 15, &["Hola. ¿Qué tal?"]);
        check("", 10, &[]);
        check(" \n ", 1, &[]);
    }

    #[test]
    fn sentences_stay_whole_then_lines_words_and_characters() {
        check("Hola. ¿Qué tal? Bien.", 15, &["Hola. ¿Qué tal?", "Bien."]);
        check("Cuesta 3.50 pesos. Gracias.", 18, &["Cuesta 3.50 pesos.", "Gracias."]);
        check("uno dos\ntres cuatro cinco", 17, &["uno dos", "tres cuatro cinco"]);
        check("uno dos tres", 9, &["uno dos", "tres"]);
        check("abcdefghij", 4, &["abcd", "efgh", "ij"]);
        check("Sí. abcdefghijklmnopqrst", 16, &["Sí.", "abcdefghijklmnop", "qrst"]);
    }

    #[test]
    fn what_people_see_as_one_character_is_not_torn() {
        let family = "👨‍👩‍👧";
        check(&family.repeat(3), 11, &[&family.repeat(2), family]);
        check("a\u{301}".repeat(3).as_str(), 3, &["a\u{301}", "a\u{301}", "a\u{301}"]);
        // Longer than a message as it is.
        assert_eq!(split(family, 2).concat(), family);
    }

    #[test]
    fn code_stays_in_one_message_where_it_can() {
        let text = "Mira esto: así se hace.\n```\nuno. dos.\ntres. cuatro.\n```\nEso es todo.";
        check(text, 50, &["Mira esto: así se hace.", "```\nuno. dos.\ntres. cuatro.\n```\nEso es todo."]);
        check(
            "```\nuno. dos\ntres. cuatro\ncinco\n```",
            20,
            &["```\nuno. dos", "tres. cuatro\ncinco", "```"],
        );
    }

    #[test]
    fn a_model_that_writes_nothing_but_blanks_costs_no_time() {
        let blanks = " ".repeat(1_000_000);
        check(&format!("uno{blanks}dos"), 4_096, &["uno", "dos"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_blanks_and_every_message_fits(
            text in "([a-zñ¿. \n`]|```|👨‍👩‍👧|a\u{301}|\\PC){0,300}",
            characters_max in 0_usize..80,
        ) {
            let pieces = split(&text, characters_max);
            for piece in &pieces {
                prop_assert!(!piece.is_empty() && piece.trim() == piece, "{piece:?}");
                prop_assert!(piece.chars().count() <= characters_max.max(1), "{piece:?}");
            }
            let words = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(words(&pieces.concat()), words(&text));
            if text.trim().chars().count() <= characters_max {
                prop_assert!(pieces.len() <= 1);
            }
            // In order, and each as it stood.
            let mut rest = text.as_str();
            for piece in &pieces {
                let at = rest.find(piece.as_str());
                prop_assert!(at.is_some_and(|at| rest[..at].trim().is_empty()), "{piece:?} in {rest:?}");
                rest = &rest[at.unwrap_or_default() + piece.len()..];
            }
        }
    }
}
