//! What flows can do beyond the one that is shipped.

use super::*;

/// A flow of these states, which begins at `a`.
fn flow(states: &str) -> Flow {
    parsed(&format!("name = \"test\"\nstart = \"a\"\n[expiry]\nafter_secs = 60\n{states}"))
}

fn begun(flow: &Flow) -> Talk<'_> {
    Talk::begin(flow, Language::Spanish)
}

#[test]
fn states_that_only_say_something_go_on_by_themselves() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        prompt = ["uno", { es = "dos", en = "two" }]
        next = "b"
        [[states]]
        name = "b"
        prompt = "tres"
        end = true
        "#,
    );
    let talk = begun(&flow);
    assert_eq!((talk.said().as_str(), talk.end), ("uno\n---\ndos\n---\ntres", End::Completed));
}

#[test]
fn a_branch_is_taken_where_its_values_are() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        prompt = "¿Edad?"
        input = "text"
        pattern = "[0-9]{1,3}"
        save = "age"
        branches = [{ when = { age = ["17", "16"] }, to = "young" }]
        next = "old"
        [[states]]
        name = "young"
        next = "handoff"
        [[states]]
        name = "old"
        next = "exit"
        "#,
    );
    assert_eq!(begun(&flow).say("16").end, End::Handoff);
    assert_eq!(begun(&flow).say("18").end, End::Exited);
    let mut talk = begun(&flow);
    talk.say("dieciséis");
    assert_eq!(
        (talk.said().as_str(), talk.at()),
        ("¿Edad?", "a"),
        "without a text of its own the question comes again"
    );
}

#[test]
fn a_question_is_asked_again_so_often_and_then_the_flow_goes_elsewhere() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        prompt = "¿Día?"
        input = "date"
        earliest = "today+1"
        save = "day"
        invalid = "¿Qué día?"
        media = "¿Foto?"
        reprompts = { max = 1, to = "b" }
        next = "exit"
        [[states]]
        name = "b"
        prompt = "Da igual."
        end = true
        "#,
    );
    let mut talk = begun(&flow);
    talk.say("10/03/2026");
    assert_eq!(talk.said(), "¿Qué día?", "today is too early");
    talk.send_picture();
    assert_eq!((talk.said().as_str(), talk.end), ("Da igual.", End::Completed));
    let mut talk = begun(&flow);
    talk.send_picture();
    assert_eq!(talk.said(), "¿Foto?");
    assert_eq!(talk.say("11-3-2026").end, End::Exited);
}

#[test]
fn what_is_not_understood_can_go_to_people_at_once() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        prompt = "¿Sí?"
        input = "choice"
        options = [{ id = "yes", label = "Sí" }]
        unknown = "handoff"
        next = "exit"
        "#,
    );
    assert_eq!(begun(&flow).say("tal vez").end, End::Handoff);
    assert_eq!(begun(&flow).say("si").end, End::Exited);
}

#[test]
fn a_refusal_before_a_question_leads_elsewhere() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        prompt = "{nothing}"
        next = "exit"
        [states.before]
        call = "nobody.knows"
        save = ["nothing"]
        [[states.before.refused]]
        reason = "other"
        text = "Nada."
        to = "b"
        [[states]]
        name = "b"
        prompt = "Fin."
        end = true
        "#,
    );
    assert_eq!(begun(&flow).said(), "Nada.\n---\nFin.");
}

#[test]
fn a_reason_that_the_flow_does_not_name_is_a_failure() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        next = "exit"
        [states.before]
        call = "nobody.knows"
        "#,
    );
    let mut talk = begun(&flow);
    assert_eq!(talk.said(), "Error interno, por favor intente nuevamente más tarde.");
    assert_eq!(talk.at(), "a");
    assert_eq!((talk.say("hola").end, talk.say("hola").end), (End::Open, End::Failed));
}

#[test]
fn a_call_before_a_question_gives_values_and_is_made_again_where_it_failed() {
    let flow = flow(
        r#"
        [[states]]
        name = "a"
        prompt = "Cita {appointment}. ¿Algo más?"
        input = "text"
        save = "more"
        next = "exit"
        [states.before]
        call = "appointments.book"
        save = { appointment = "appointment" }
        "#,
    );
    let mut talk = begun(&flow);
    assert_eq!(talk.said(), "Cita a-1. ¿Algo más?");
    talk.state.as_mut().unwrap().values.clear();
    talk.say("no");
    assert_eq!((talk.said().as_str(), talk.at()), ("Cita a-1. ¿Algo más?", "a"), "it was not asked");
    assert_eq!(talk.say("no").end, End::Exited);
    let ids: Vec<Uuid> = talk.clinic.asked.iter().map(|(_, _, id)| *id).collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn options_that_changed_in_the_file_are_given_anew() {
    let states = |second: &str| {
        format!(
            "[[states]]\nname = \"a\"\nprompt = \"¿Cuál?\"\ninput = \"choice\"\nsave = \"x\"\nnext = \"exit\"\n\
             options = [{{ id = \"1\", label = \"Uno\" }}, {{ id = \"{second}\", label = \"{second}\" }}]"
        )
    };
    let (old, new) = (flow(&states("dos")), flow(&states("tres")));
    let mut talk = begun(&old);
    talk.flow = &new;
    talk.say("2");
    assert_eq!((talk.said().as_str(), talk.at()), ("¿Cuál?\n\n1. Uno\n2. tres", "a"));
    assert_eq!(talk.say("2").end, End::Exited);
}

#[test]
fn what_asks_for_no_answer_changes_nothing() {
    let flow = flow("[[states]]\nname = \"a\"\nprompt = \"¿?\"\ninput = \"text\"\nnext = \"exit\"");
    let mut talk = begun(&flow);
    let before = talk.state.clone();
    talk.hear(&Message { r#type: MessageType::Reaction.into(), ..Message::default() });
    assert_eq!((talk.state.clone(), talk.end, talk.replies.len()), (before, End::Open, 0));
    talk.hear(&Message { provider_type: "chatbot_init".to_owned(), ..Message::default() });
    assert_eq!((talk.said().as_str(), talk.at()), ("¿?", "a"));
}

#[test]
fn a_flow_is_shown_as_contacts_read_it() {
    let flow = Flow::built_in().remove(0);
    let script = flow.script().to_string();
    for part in [
        "flow appointment, version 1, starts at awaiting_document\n\nawaiting_document\n    es: Bienvenido al chat",
        "  after: patients.find(document = {document})\n  refused, not_found → asks again\n    es: No encontramos",
        "  before: cities.list()\n",
        "    1. Primera vez / First visit (primera vez)\n",
        "  input: search as specialty_text\n",
        "  not understood → awaiting_specialty_search\n",
        " if confirmed = yes\n  refused, other → awaiting_document\n",
        "  confirmed = no → awaiting_document\n  confirmed = leave → exit\n  → completed\n",
        "  → the end\n",
    ] {
        assert!(script.contains(part), "{part} is missing in {script}");
    }
}

#[test]
fn a_state_that_grows_too_large_goes_to_people() {
    let state = |index: usize| {
        let next = if index == 19 { "exit".to_owned() } else { format!("s{}", index + 1) };
        format!(
            "[[states]]\nname = \"s{index}\"\nprompt = \"¿?\"\ninput = \"text\"\nmax_length = 4000\nsave = \"v{index}\"\nnext = \"{next}\"\n"
        )
    };
    let states: String = (0..20).map(state).collect();
    let flow = flow(&format!("{states}[[states]]\nname = \"a\"\nnext = \"s0\""));
    let mut talk = begun(&flow);
    while talk.end == End::Open {
        talk.say(&"😀".repeat(4_000));
    }
    assert_eq!(talk.end, End::Failed);
    assert!(talk.said().starts_with("¿?\n---\nError interno"), "{}", talk.said());
}
