//! The string literals of a Rust source file, without comments and without the tests at its foot.

use std::{iter::Peekable, str::Chars};

/// Every string literal before the first test module.
pub(crate) fn outside_tests(source: &str) -> Vec<String> {
    let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut reader = Reader { rest: shipped.chars().peekable(), literals: Vec::new() };
    while let Some(c) = reader.rest.next() {
        reader.step(c);
    }
    reader.literals
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    literals: Vec<String>,
}

impl Reader<'_> {
    fn step(&mut self, c: char) {
        match c {
            '/' if self.rest.peek() == Some(&'/') => while self.rest.next_if(|c| *c != '\n').is_some() {},
            '/' if self.rest.peek() == Some(&'*') => self.comment(),
            '\'' => self.character(),
            '"' => self.string(),
            'r' if matches!(self.rest.peek(), Some('"' | '#')) => self.raw_string(),
            // The rest of a name, so that its last letter is not taken for the beginning of a raw string.
            c if c.is_alphanumeric() || c == '_' => self.name(c),
            _ => {}
        }
    }

    fn name(&mut self, first: char) {
        let mut name = String::from(first);
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        if ["br", "cr"].contains(&name.as_str()) && matches!(self.rest.peek(), Some('"' | '#')) {
            self.raw_string();
        }
    }

    fn comment(&mut self) {
        let mut last = ' ';
        // The star that opened it cannot close it.
        self.rest.next();
        for c in self.rest.by_ref() {
            if (last, c) == ('*', '/') {
                return;
            }
            last = c;
        }
    }

    /// A character, or a lifetime, which has no closing quote.
    fn character(&mut self) {
        let mut ahead = self.rest.clone();
        let is_character = match ahead.next() {
            Some('\\') => true,
            Some(_) => ahead.next() == Some('\''),
            None => false,
        };
        if !is_character {
            return;
        }
        if self.rest.next() == Some('\\') {
            self.rest.next();
        }
        while self.rest.next().is_some_and(|c| c != '\'') {}
    }

    fn string(&mut self) {
        let mut text = String::new();
        while let Some(c) = self.rest.next().filter(|c| *c != '"') {
            text.push(c);
            if c == '\\' {
                text.extend(self.rest.next());
            }
        }
        self.literals.push(text);
    }

    fn raw_string(&mut self) {
        let mut hashes = 0;
        while self.rest.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        // `r#type` is a name.
        if self.rest.next_if_eq(&'"').is_none() {
            return;
        }
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        for c in self.rest.by_ref() {
            text.push(c);
            if text.ends_with(&end) {
                text.truncate(text.len() - end.len());
                break;
            }
        }
        self.literals.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_that_ship_are_read() {
        let source = r#"
            // "comment"
            /* "block" * "block" */
            fn f<'a>(x: &'a str) -> char { let _ = '"'; '\'' }
            const A: &str = "one \" quote";
            const B: &str = r"raw two";
            const C: &[u8] = br"three";
            let r#type = var("four");
            #[cfg(test)]
            mod tests { const D: &str = "five"; }
        "#;
        assert_eq!(outside_tests(source), ["one \\\" quote", "raw two", "three", "four"]);
    }
}
