//! Which option a contact means.

use chasqui_proto::v1::FlowOption;

use crate::{
    input::Input,
    language::{Language, Text},
    reply::ReplyOption,
    words::Words,
};

/// The most options that a contact is given; of what a call finds beyond them the contact is not told.
pub(super) const OPTIONS_MAX: usize = 100;
/// The longest id of an option, bytes.
pub(super) const OPTION_ID_BYTES_MAX: usize = 128;
/// The longest label, description or value of an option, characters.
pub(super) const LABEL_CHARACTERS_MAX: usize = 200;
/// The most values that come with an option.
const VALUES_MAX: usize = 16;
/// The shortest beginning of a label that stands for it, characters.
const BEGINNING_CHARACTERS_MIN: usize = 3;
/// What the ids of buttons begin with: a button of an earlier question is no answer to the present one.
const BUTTON: &str = "flow:";

/// Where the options of a choice come from.
#[derive(Debug)]
pub(super) enum Choice {
    /// The file.
    Fixed(Vec<FixedOption>),
    /// The call before the question.
    LookedUp,
    /// The search that led here.
    Found,
}

/// An option that stands in the file.
#[derive(Debug)]
pub(super) struct FixedOption {
    pub(super) id: String,
    pub(super) label: Text,
    /// Its labels in every language, and what else means it.
    pub(super) means: Vec<Words>,
}

impl FixedOption {
    /// As the contact is given it.
    pub(super) fn given(&self, language: Language) -> FlowOption {
        FlowOption { id: self.id.clone(), label: self.label.of(language).to_owned(), ..FlowOption::default() }
    }
}

impl Choice {
    /// Whether the options are still what the contact was given: a file may have changed meanwhile.
    pub(super) fn is_given(&self, given: &[FlowOption]) -> bool {
        match self {
            Self::Fixed(options) => {
                options.iter().map(|option| &option.id).eq(given.iter().map(|option| &option.id))
            }
            Self::LookedUp | Self::Found => !given.is_empty(),
        }
    }

    /// The option that the contact means: by button, label, number, or the beginning of just one label.
    pub(super) fn chosen<'g>(
        &self,
        state: &str,
        given: &'g [FlowOption],
        input: &Input<'_>,
    ) -> Option<&'g FlowOption> {
        if let Some(button) = input.choice.and_then(|id| id.strip_prefix(BUTTON)) {
            let id = button.strip_prefix(state)?.strip_prefix(':')?;
            return given.iter().find(|option| option.id == id);
        }
        if let Some(option) = given.iter().find(|option| Some(option.id.as_str()) == input.choice) {
            return Some(option);
        }
        let said = Words::of(input.text);
        if said.is_empty() {
            return None;
        }
        let labels: Vec<Words> = given.iter().map(|option| Words::of(&option.label)).collect();
        let is_meant = |index: usize| {
            labels[index] == said
                || self.fixed(&given[index].id).is_some_and(|fixed| fixed.means.contains(&said))
        };
        let index = only((0..given.len()).filter(|index| is_meant(*index)))
            .or_else(|| numbered(&said, &labels))
            .or_else(|| begun(&said, &labels))?;
        given.get(index)
    }

    fn fixed(&self, id: &str) -> Option<&FixedOption> {
        match self {
            Self::Fixed(options) => options.iter().find(|option| option.id == id),
            Self::LookedUp | Self::Found => None,
        }
    }
}

/// Whether the contact pressed a button of some question of a flow.
pub(super) fn is_button(input: &Input<'_>) -> bool {
    input.choice.is_some_and(|id| id.starts_with(BUTTON))
}

/// `2`, `2.`, `2)`, `2. Medellín`.
fn numbered(said: &Words, labels: &[Words]) -> Option<usize> {
    let (number, label) = said.as_str().split_once(' ').unwrap_or((said.as_str(), ""));
    let index = number.parse::<usize>().ok()?.checked_sub(1)?;
    labels.get(index).filter(|known| label.is_empty() || known.as_str() == label).map(|_| index)
}

fn begun(said: &Words, labels: &[Words]) -> Option<usize> {
    if said.as_str().chars().count() < BEGINNING_CHARACTERS_MIN {
        return None;
    }
    only((0..labels.len()).filter(|index| labels[*index].as_str().starts_with(said.as_str())))
}

fn only(mut indices: impl Iterator<Item = usize>) -> Option<usize> {
    indices.next().filter(|_| indices.next().is_none())
}

/// The options as lines under a question.
pub(super) fn lines(options: &[FlowOption]) -> String {
    let line = |(index, option): (usize, &FlowOption)| {
        let label = &option.label;
        match option.description.as_str() {
            "" => format!("{}. {label}", index + 1),
            description => format!("{}. {label} – {description}", index + 1),
        }
    };
    options.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// The options as buttons.
pub(super) fn buttons(state: &str, options: &[FlowOption]) -> Vec<ReplyOption> {
    let button = |option: &FlowOption| ReplyOption {
        id: format!("{BUTTON}{state}:{}", option.id),
        label: option.label.clone(),
    };
    options.iter().map(button).collect()
}

/// What can be given of what a call found: named, and within bounds.
pub(super) fn within_bounds(found: Vec<FlowOption>) -> Vec<FlowOption> {
    let is_whole = |option: &FlowOption| {
        !option.id.is_empty() && option.id.len() <= OPTION_ID_BYTES_MAX && !option.label.trim().is_empty()
    };
    let cut = |text: &str| text.trim().chars().take(LABEL_CHARACTERS_MAX).collect::<String>();
    let bounded = |option: FlowOption| FlowOption {
        label: cut(&option.label),
        description: cut(&option.description),
        values: option.values.into_iter().take(VALUES_MAX).map(|(name, value)| (name, cut(&value))).collect(),
        id: option.id,
    };
    found.into_iter().filter(is_whole).take(OPTIONS_MAX).map(bounded).collect()
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{self, Message};
    use proptest::prelude::*;

    use super::*;

    fn given(labels: &[&str]) -> Vec<FlowOption> {
        let option = |(index, label): (usize, &&str)| FlowOption {
            id: format!("id-{index}"),
            label: (*label).to_owned(),
            ..FlowOption::default()
        };
        labels.iter().enumerate().map(option).collect()
    }

    fn chosen(choice: &Choice, given: &[FlowOption], text: &str, button: Option<&str>) -> Option<String> {
        let message = Message {
            text: text.to_owned(),
            choice: button.map(|id| v1::Choice { id: id.to_owned(), ..v1::Choice::default() }),
            ..Message::default()
        };
        choice.chosen("city", given, &Input::of(&message, 1)).map(|option| option.id.clone())
    }

    #[test]
    fn ben_36_an_option_is_chosen_by_number_label_or_button() {
        let cities = given(&["Bogotá", "Medellín", "Santa Marta", "Santa Cruz"]);
        let of = |text: &str| chosen(&Choice::LookedUp, &cities, text, None);
        for text in ["2", "2.", "2)", " 2 ", "2️⃣", "medellin", "MEDELLÍN!", "2. Medellín", "mede"] {
            assert_eq!(of(text).as_deref(), Some("id-1"), "{text}");
        }
        for text in ["0", "5", "99999999999999999999", "santa", "me", "2. Bogotá", "Cali", "", "…", "1 2"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        let by = |button: &str| chosen(&Choice::LookedUp, &cities, "Medellín", Some(button));
        assert_eq!(by("flow:city:id-2").as_deref(), Some("id-2"), "the button counts, not its title");
        assert_eq!(by("id-3").as_deref(), Some("id-3"));
        assert_eq!(by("of somebody else").as_deref(), Some("id-1"));
        for stale in ["flow:other:id-1", "flow:city:id-9", "flow:city", "flow:"] {
            assert_eq!(by(stale), None, "{stale}");
        }
    }

    #[test]
    fn a_label_that_is_a_number_means_itself() {
        let doses = given(&["5", "2", "1"]);
        let of = |text: &str| chosen(&Choice::LookedUp, &doses, text, None);
        assert_eq!(of("2").as_deref(), Some("id-1"));
        assert_eq!(of("5").as_deref(), Some("id-0"));
        assert_eq!(of("3").as_deref(), Some("id-2"), "no label is 3, so it is the third");
    }

    #[test]
    fn equal_labels_are_told_apart_by_number_only() {
        let twins = given(&["Centro", "Centro"]);
        assert_eq!(chosen(&Choice::Found, &twins, "centro", None), None);
        assert_eq!(chosen(&Choice::Found, &twins, "2", None).as_deref(), Some("id-1"));
    }

    #[test]
    fn a_fixed_option_is_meant_in_every_language() {
        let label = Text::new("Sí", "Yes");
        let means = label.all().chain(["claro"]).map(Words::of).collect();
        let yes = FixedOption { id: "yes".to_owned(), label, means };
        let given = vec![yes.given(Language::English)];
        let choice = Choice::Fixed(vec![yes]);
        assert!(choice.is_given(&given) && !choice.is_given(&[]));
        for text in ["si", "SÍ.", "yes", "¡Claro!", "1"] {
            assert_eq!(chosen(&choice, &given, text, None).as_deref(), Some("yes"), "{text}");
        }
    }

    #[test]
    fn what_a_call_finds_is_bounded() {
        let mut found = given(&["a", " "]);
        found[0].label = "ñ".repeat(LABEL_CHARACTERS_MAX + 1);
        found.push(FlowOption { label: "no id".to_owned(), ..FlowOption::default() });
        let bounded = within_bounds(found);
        assert_eq!(bounded.len(), 1);
        assert_eq!(bounded[0].label.chars().count(), LABEL_CHARACTERS_MAX);
        assert_eq!(within_bounds(given(&["x"; OPTIONS_MAX + 1])).len(), OPTIONS_MAX);
    }

    proptest! {
        #[test]
        fn whatever_is_said_means_one_given_option_or_none(
            labels in prop::collection::vec("\\PC{0,12}", 0..6),
            text in "\\PC{0,20}|[0-9]{1,3}[.)]?",
            button in prop::option::of("\\PC{0,12}|flow:city:id-[0-9]"),
        ) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let given = given(&labels);
            let id = chosen(&Choice::Found, &given, &text, button.as_deref());
            prop_assert!(id.is_none_or(|id| given.iter().any(|option| option.id == id)));
        }

        #[test]
        fn every_number_in_the_list_is_understood(count in 1_usize..=OPTIONS_MAX, pick in 0_usize..OPTIONS_MAX) {
            let labels: Vec<String> = (0..count).map(|index| format!("label of {index}")).collect();
            let given = given(&labels.iter().map(String::as_str).collect::<Vec<_>>());
            let index = pick % count;
            let id = chosen(&Choice::Found, &given, &format!("{})", index + 1), None);
            prop_assert_eq!(id, Some(format!("id-{index}")));
        }
    }
}
