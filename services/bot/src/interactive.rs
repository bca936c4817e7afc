//! Choices as WhatsApp shows them: buttons or a list. Pure.

use serde_json::{Value, json};

use crate::{
    language::Language,
    reply::{Reply, ReplyOption},
};

/// What the Cloud API takes: the most buttons, and the longest title, id and text beside them, characters.
const BUTTONS_MAX: usize = 3;
const BUTTON_TITLE_MAX: usize = 20;
const BUTTON_ID_MAX: usize = 256;
const BUTTONS_TEXT_MAX: usize = 1_024;
/// The same of a list.
const ROWS_MAX: usize = 10;
const ROW_TITLE_MAX: usize = 24;
const ROW_ID_MAX: usize = 200;
const LIST_TEXT_MAX: usize = 4_096;

/// The content of a message that offers the options of a reply; none where they do not fit, and its text says it all.
pub(crate) fn content(reply: &Reply, language: Language) -> Option<Value> {
    let options = &reply.options;
    let length = reply.text.chars().count();
    let fits = |title_max, id_max| {
        let mut titles: Vec<&str> = options.iter().map(|option| option.label.as_str()).collect();
        titles.sort_unstable();
        // The API refuses titles that are there twice.
        titles.windows(2).all(|pair| pair[0] != pair[1])
            && options.iter().all(|option| option.fits(title_max, id_max))
    };
    if options.is_empty() || length == 0 {
        return None;
    }
    let (kind, action) = if options.len() <= BUTTONS_MAX
        && length <= BUTTONS_TEXT_MAX
        && fits(BUTTON_TITLE_MAX, BUTTON_ID_MAX)
    {
        let button = |option: &ReplyOption| json!({ "type": "reply", "reply": { "id": option.id, "title": option.label } });
        ("button", json!({ "buttons": options.iter().map(button).collect::<Vec<_>>() }))
    } else if options.len() <= ROWS_MAX && length <= LIST_TEXT_MAX && fits(ROW_TITLE_MAX, ROW_ID_MAX) {
        let row = |option: &ReplyOption| json!({ "id": option.id, "title": option.label });
        let title = match language {
            Language::Spanish => "Ver opciones",
            Language::English => "Show options",
        };
        let rows: Vec<_> = options.iter().map(row).collect();
        ("list", json!({ "button": title, "sections": [{ "rows": rows }] }))
    } else {
        return None;
    };
    let interactive = json!({ "type": kind, "body": { "text": reply.text }, "action": action });
    Some(json!({ "type": "interactive", "interactive": interactive }))
}

impl ReplyOption {
    fn fits(&self, title_max: usize, id_max: usize) -> bool {
        let is_within = |text: &str, max| (1..=max).contains(&text.chars().count());
        is_within(&self.label, title_max) && is_within(&self.id, id_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(labels: &[&str]) -> Reply {
        let option = |label: &&str| ReplyOption { id: format!("id {label}"), label: (*label).to_owned() };
        Reply { text: "¿Cuál?".to_owned(), options: labels.iter().map(option).collect() }
    }

    fn kind_of(labels: &[&str]) -> Option<String> {
        let content = content(&reply(labels), Language::Spanish)?;
        Some(content["interactive"]["type"].as_str().unwrap().to_owned())
    }

    #[test]
    fn few_short_choices_are_buttons_more_are_a_list_and_what_does_not_fit_is_text() {
        assert_eq!(kind_of(&[]), None);
        assert_eq!(kind_of(&["a", "b", "c"]), Some("button".to_owned()));
        assert_eq!(kind_of(&["a", "b", "c", "d"]), Some("list".to_owned()));
        assert_eq!(kind_of(&["123456789012345678901"]), Some("list".to_owned()), "21 characters");
        assert_eq!(kind_of(&["ñandú ñandú ñandú ñandú 1"]), None, "25 characters");
        assert_eq!(kind_of(&["a", "a"]), None, "the same title twice");
        let eleven: Vec<String> = (0..11).map(|number| number.to_string()).collect();
        assert_eq!(kind_of(&eleven.iter().map(String::as_str).collect::<Vec<_>>()), None);
    }

    #[test]
    fn a_content_is_what_the_cloud_api_is_sent() {
        let content = content(&reply(&["Sí"]), Language::Spanish).unwrap();
        let expected = json!({ "type": "interactive", "interactive": {
            "type": "button",
            "body": { "text": "¿Cuál?" },
            "action": { "buttons": [{ "type": "reply", "reply": { "id": "id Sí", "title": "Sí" } }] },
        }});
        assert_eq!(content, expected);
    }

    #[test]
    fn a_long_text_has_a_list_instead_of_buttons_and_a_longer_one_nothing() {
        let with = |length: usize| {
            content(&Reply { text: "x".repeat(length), ..reply(&["a"]) }, Language::English)
                .map(|content| content["interactive"]["type"].clone())
        };
        assert_eq!(with(1_024), Some(json!("button")));
        assert_eq!(with(1_025), Some(json!("list")));
        assert_eq!(with(4_097), None);
    }
}
