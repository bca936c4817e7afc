//! Whatever is written into a file or by a contact: nothing panics.

use proptest::prelude::*;

use super::*;

const APPOINTMENT: &str = include_str!("../../../flows/appointment.toml");

fn stored() -> impl Strategy<Value = FlowState> {
    let values = prop::collection::btree_map("[a-z_.]{1,12}|city|patient|patient_name", "\\PC{0,12}", 0..6);
    let options = prop::collection::vec(("\\PC{0,6}", "\\PC{0,12}"), 0..4);
    let state = "awaiting_(document|city_selection|specialty_search|specialty_selection)|confirmation|completed|\\PC{0,9}";
    ("appointment|\\PC{0,9}", state, values, options, any::<[u32; 2]>(), any::<i64>()).prop_map(
        |(flow, state, values, options, [reprompts, failures], expires_at_ms)| FlowState {
            flow,
            state,
            values,
            options: options.iter().map(|(id, label)| option(id, label)).collect(),
            reprompts,
            failures,
            expires_at_ms,
            ..FlowState::default()
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_a_flow_or_has_problems(text in "\\PC{0,200}|[a-z\\[\\]=\"{} .\n]{0,200}") {
        if let Err(problems) = Flow::parse("any.toml", &text) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.is_sorted());
        }
    }

    #[test]
    fn a_good_file_with_a_piece_missing_never_panics(at in 0..APPOINTMENT.len(), length in 0_usize..80) {
        let end = (at + length).min(APPOINTMENT.len());
        prop_assume!(APPOINTMENT.is_char_boundary(at) && APPOINTMENT.is_char_boundary(end));
        let text = format!("{}{}", &APPOINTMENT[..at], &APPOINTMENT[end..]);
        let _ = Flow::parse("any.toml", &text);
    }

    #[test]
    fn a_good_file_with_a_line_too_few_or_too_many_never_panics(
        line in 0_usize..180, other in "\\PC{0,20}|next = \"exit\"|\\[\\[states\\]\\]|input = \"choice\"|end = true",
    ) {
        let mut lines: Vec<&str> = APPOINTMENT.lines().collect();
        let index = line % lines.len();
        lines[index] = &other;
        let _ = Flow::parse("any.toml", &lines.join("\n"));
    }

    #[test]
    fn any_state_and_any_words_come_to_something(
        stored in stored(), texts in prop::collection::vec("\\PC{0,20}|[123]|s[ií]|12345678|cardio", 1..6), is_away: bool,
    ) {
        let flow = Flow::built_in().remove(0);
        let mut talk = Talk::begin(&flow, Language::English);
        talk.state = Some(stored);
        talk.clinic.away = is_away.then_some("");
        for text in texts {
            if talk.state.is_some() {
                talk.say(&text);
                prop_assert!(talk.replies.iter().all(|reply| !reply.text.is_empty()));
                prop_assert!(talk.end != End::Open || talk.state.is_some());
            }
        }
    }
}
