//! What the bot of a tenant does, as its file says it.

mod action;
mod directory;
mod follower;
mod greeting;
mod handoff;
mod hours;
mod ignored;
mod loaded;
mod model_settings;
mod reading;
mod rule;
mod tenants;

use std::sync::Arc;

use chasqui_proto::v1::Message;

pub use self::tenants::Definitions;
pub(crate) use self::{
    action::Action,
    handoff::Handoff,
    model_settings::{ModelSettings, Personality},
    rule::Rule,
};
use self::{greeting::Greeting, hours::Hours, ignored::Ignored};
use crate::{
    flow::Flow,
    input::Input,
    language::{Language, Text},
    problem::Problem,
};

/// What the bot of one tenant does. Validated when it is read; it never changes.
#[derive(Debug)]
pub struct Definition {
    language: Language,
    flows: Vec<Arc<Flow>>,
    handoff: Handoff,
    greeting: Option<Greeting>,
    hours: Option<Hours>,
    ignored: Ignored,
    /// The most important first; of equal ones, the one that stands first in the file.
    rules: Vec<Rule>,
    model: Option<ModelSettings>,
    fallback: Action,
    /// What is allowed, but is probably not what was meant.
    doubts: Vec<Problem>,
}

impl Definition {
    /// What the bot does where no file says anything.
    pub(crate) fn built_in() -> Self {
        let flows = Flow::built_in().into_iter().map(Arc::new).collect::<Vec<_>>();
        reading::read("built_in.toml", include_str!("definition/built_in.toml"), &flows)
            .expect("a test reads it")
    }

    /// What it amounts to, in a line, for those who write it.
    fn summary(&self) -> String {
        let or_none = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let flows = or_none(self.flows.iter().map(|flow| flow.name()).collect());
        let model = self.model.as_ref().map_or_else(
            || "none".to_owned(),
            |model| {
                let names = model.personalities.iter().map(|personality| personality.name.as_str()).collect();
                let name = model.model.as_deref().unwrap_or("of the configuration");
                format!("{name} (personalities: {})", or_none(names))
            },
        );
        let rules = or_none(self.rules.iter().map(|rule| rule.name.as_str()).collect());
        format!("flows: {flows}; rules: {rules}; language model: {model}")
    }

    /// What the bot speaks to a contact of whom it knows no better.
    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The flows that contacts may begin.
    pub(crate) fn flows(&self) -> &[Arc<Flow>] {
        &self.flows
    }

    /// One of them.
    pub(crate) fn flow(&self, name: &str) -> Option<&Arc<Flow>> {
        self.flows.iter().find(|flow| flow.name() == name)
    }

    /// Whether the bot says nothing to this message, whatever it says.
    pub(crate) fn is_ignored(&self, message: &Message) -> bool {
        self.ignored.is_ignored(message)
    }

    /// How a contact is given to people.
    pub(crate) fn handoff(&self) -> &Handoff {
        &self.handoff
    }

    /// What is said before anything else to a contact who was last greeted at `greeted_at_ms` (0: never): the greeting;
    /// outside business hours what they say then, once until they begin again, which counts as a greeting.
    pub(crate) fn greeting(&self, greeted_at_ms: i64, now_ms: i64) -> Option<&Text> {
        let closed = self.hours.as_ref().and_then(|hours| Some((hours.closed_since(now_ms)?, hours)));
        match closed.and_then(|(since_ms, hours)| Some((since_ms, hours.closed_text()?))) {
            Some((since_ms, text)) => (greeted_at_ms < since_ms).then_some(text),
            None => self.greeting.as_ref().and_then(|greeting| greeting.due(greeted_at_ms, now_ms)),
        }
    }

    /// Whether it is within business hours; always, where there are none.
    pub(crate) fn is_open(&self, now_ms: i64) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.closed_since(now_ms).is_none())
    }

    /// The rule that answers.
    pub(crate) fn rule(&self, input: &Input<'_>, now_ms: i64) -> Option<&Rule> {
        let said = rule::Said::of(input, self.is_open(now_ms));
        self.rules.iter().find(|rule| rule.matches(&said))
    }

    /// A rule, by its name.
    pub(crate) fn rule_named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// How the language model answers; none where it does not.
    pub(crate) fn model(&self) -> Option<&ModelSettings> {
        self.model.as_ref()
    }

    /// What is done about what nothing else answers.
    pub(crate) fn fallback(&self) -> &Action {
        &self.fallback
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::{
        address,
        v1::{Choice, Contact, MessageType},
    };

    use super::*;

    /// Monday, 2026-11-23, 10:00 in UTC.
    const MONDAY_10: i64 = 1_795_428_000_000;
    const HOUR_MS: i64 = 3_600_000;
    const HOURS: &str = "[hours]\ntimezone = \"UTC\"\nmon = [\"09:00-18:00\"]\ntue = [\"09:00-18:00\"]\n";

    fn definition(text: &str) -> Definition {
        let flows: Vec<_> = Flow::built_in().into_iter().map(Arc::new).collect();
        reading::read("t.toml", text, &flows).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    fn message(kind: MessageType, text: &str) -> Message {
        let aliases = vec![address::phone("5491100000007")];
        let contact = Some(Contact { aliases, ..Contact::default() });
        Message { r#type: kind.into(), text: text.to_owned(), contact, ..Message::default() }
    }

    fn rule(definition: &Definition, kind: MessageType, text: &str, now_ms: i64) -> String {
        let message = message(kind, text);
        let rule = definition.rule(&Input::of(&message, 1), now_ms);
        rule.map_or_else(String::new, |rule| rule.name.clone())
    }

    #[test]
    fn the_most_important_rule_that_matches_answers() {
        let definition = definition(&format!(
            "{HOURS}[[rules]]\nname = \"all\"\nall = true\ntypes = [\"text\"]\nsilence = true\npriority = -1\n\
             [[rules]]\nname = \"price\"\nkeywords = [\"precio\", \"cuánto cuesta\"]\nreply = [\"1\", \"2\"]\ndelay_ms = 7\n\
             [[rules]]\nname = \"second\"\nkeywords = [\"precio\"]\nsilence = true\n\
             [[rules]]\nname = \"order\"\nregex = '^pedido (\\d+)$'\nreply = \"x\"\ndebounce_ms = 9\n\
             [[rules]]\nname = \"night\"\nall = true\nwhen = \"closed\"\nreply = \"x\"\npriority = 5\n\
             [[rules]]\nname = \"picture\"\nall = true\nwhen = \"open\"\ntypes = [\"image\"]\nreply = \"x\"\n"
        ));
        let text = |text: &str| rule(&definition, MessageType::Text, text, MONDAY_10);
        assert_eq!(text("¿Cuánto CUESTA?"), "price");
        assert_eq!(text("el Precio, por favor"), "price");
        assert_eq!(text("precios"), "all");
        assert_eq!(text("Pedido 12"), "order");
        assert_eq!(text("mi pedido 12"), "all");
        assert_eq!(rule(&definition, MessageType::Image, "", MONDAY_10), "picture");
        assert_eq!(rule(&definition, MessageType::Audio, "", MONDAY_10), "");
        assert_eq!(rule(&definition, MessageType::Text, "precio", MONDAY_10 + 9 * HOUR_MS), "night");
        let price = definition.rule_named("price").unwrap();
        assert_eq!((price.delay_ms, price.debounce_ms), (7, 0));
        assert_eq!(price.action, Action::Reply(vec!["1".into(), "2".into()]));
        assert_eq!(definition.rule_named("order").map(|rule| rule.debounce_ms), Some(9));
    }

    #[test]
    fn a_button_says_what_is_written_on_it() {
        let definition = definition("[[rules]]\nname = \"yes\"\nkeywords = [\"sí\"]\nsilence = true\n");
        let mut message = message(MessageType::Interactive, "");
        message.choice = Some(Choice { id: "7".to_owned(), title: "Sí".to_owned(), ..Choice::default() });
        assert!(definition.rule(&Input::of(&message, 1), MONDAY_10).is_some());
    }

    #[test]
    fn a_greeting_is_due_again_after_a_while_and_closed_once_until_it_opens() {
        let open = "[greeting]\ntext = \"hola\"\nevery_secs = 3600\n";
        let greeting = |text: &str, greeted_at_ms, now_ms| {
            definition(text).greeting(greeted_at_ms, now_ms).map(|text| text.of(Language::Spanish).to_owned())
        };
        let hola = Some("hola".to_owned());
        assert_eq!(greeting(open, 0, MONDAY_10), hola);
        assert_eq!(greeting(open, MONDAY_10, MONDAY_10 + HOUR_MS - 1), None);
        assert_eq!(greeting(open, MONDAY_10, MONDAY_10 + HOUR_MS), hola);
        assert_eq!(greeting("", 0, MONDAY_10), None);

        let closed = format!("{open}{HOURS}closed = \"cerrado\"\n");
        let cerrado = Some("cerrado".to_owned());
        let night = MONDAY_10 + 9 * HOUR_MS;
        assert_eq!(greeting(&closed, 0, MONDAY_10), hola);
        assert_eq!(greeting(&closed, 0, night), cerrado);
        assert_eq!(greeting(&closed, MONDAY_10, night), cerrado);
        assert_eq!(greeting(&closed, night, night + 5 * HOUR_MS), None);
        assert_eq!(greeting(&closed, night, night + 24 * HOUR_MS), cerrado, "it was open in between");
        let no_text = format!("{open}{HOURS}");
        assert_eq!(greeting(&no_text, 0, night), hola);
        assert!(!definition(&no_text).is_open(night) && definition(&no_text).is_open(MONDAY_10));
        assert!(definition("").is_open(night));
    }

    #[test]
    fn whom_and_what_to_ignore_is_written_as_people_write_it() {
        let is_ignored =
            |ignore: &str, kind| definition(&format!("[ignore]\n{ignore}\n")).is_ignored(&message(kind, ""));
        for ignore in [
            "contacts = [\"+54 911 0000-0007\"]",
            "contacts = [\"5491100000007@c.us\"]",
            "prefixes = [\"+54 911\"]",
            "types = [\"text\"]",
            "only = [\"5491100000008\"]",
        ] {
            assert!(is_ignored(ignore, MessageType::Text), "{ignore}");
        }
        for ignore in [
            "contacts = [\"5491100000008\"]",
            "prefixes = [\"57\"]",
            "types = [\"sticker\"]",
            "only = [\"+5491100000007\"]",
            "",
        ] {
            assert!(!is_ignored(ignore, MessageType::Text), "{ignore}");
        }
        let both = "[ignore]\ncontacts = [\"5491100000007\"]\nonly = [\"+54 911 0000 0007\"]\nprefixes = [\"x\"]\ntypes = [\"\"]\n";
        let problems = reading::read("t.toml", both, &[]).unwrap_err();
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 4, 5], "{problems:#?}");
    }

    #[test]
    fn people_are_asked_for_by_a_word_alone_or_by_several_anywhere() {
        let built_in = Definition::built_in();
        let asked = |text: &str| built_in.handoff().is_asked_for(text);
        for text in ["Agente", "¡ASESOR!", "quiero hablar con una persona ya", "Could I talk to a human?"] {
            assert!(asked(text), "{text}");
        }
        for text in ["me lastimó un agente químico", "una cita", "", "?"] {
            assert!(!asked(text), "{text}");
        }
        assert!(!definition("").handoff().is_asked_for("agente"));
        let by_language =
            definition("[handoff]\nkeywords = { es = [\"ayuda\"], en = [\"help\"] }\ntext = \"ya\"\n");
        assert!(by_language.handoff().is_asked_for("HELP") && by_language.handoff().is_asked_for("ayuda"));
        assert_eq!(by_language.handoff().text().of(Language::English), "ya");
    }

    #[test]
    fn what_a_file_does_not_say_has_a_default() {
        let empty = definition("");
        assert_eq!(
            (empty.language(), empty.flows().len(), empty.fallback()),
            (Language::Spanish, 0, &Action::Silence)
        );
        assert!(empty.model().is_none() && empty.rule_named("x").is_none());
        let model = definition("[model]\n");
        let model = model.model().unwrap();
        assert_eq!((model.history_messages, model.answer_tokens_max, model.debounce_ms), (20, 1_024, 1_500));
        assert_eq!((model.tokens_per_day_max, &model.on_failure), (None, &Action::Handoff(None)));
        assert!(model.model.is_none() && model.personality("x").is_none());
    }
}
