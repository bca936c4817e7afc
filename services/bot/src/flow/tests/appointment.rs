//! The flow that is shipped, as contacts walk it.

use super::*;

const WELCOME: &str = "Bienvenido al chat de citas. Para empezar, por favor ingresa el documento...";
const ERROR: &str = "Error interno, por favor intente nuevamente más tarde.";

fn appointment() -> Flow {
    Flow::built_in().remove(0)
}

/// Says these one after the other.
fn walked<'f>(flow: &'f Flow, language: Language, said: &[&str]) -> Talk<'f> {
    let mut talk = Talk::begin(flow, language);
    for text in said {
        talk.say(text);
    }
    talk
}

const TO_CONFIRMATION: [&str; 6] = ["12.345.678", "2", "cardio", "1", "control", "Dolor de pecho"];

#[test]
fn ben_34_the_states_are_exactly_these() {
    let flow = appointment();
    let states: Vec<&str> = flow.states.iter().map(|state| state.name.as_str()).collect();
    let expected = [
        "awaiting_document",
        "awaiting_city_selection",
        "awaiting_specialty_search",
        "awaiting_specialty_selection",
        "awaiting_visit_type",
        "awaiting_description",
        "confirmation",
        "completed",
    ];
    assert_eq!(states, expected);
    assert_eq!(flow.name(), "appointment");
}

#[test]
fn ben_35_it_begins_with_its_events_and_asks_for_the_document() {
    let flow = appointment();
    assert!(flow.is_started_by_event("init") && flow.is_started_by_event("chatbot_init"));
    assert!(!flow.is_started_by_event("") && !flow.is_started_by_event("other"));
    let talk = Talk::begin(&flow, Language::Spanish);
    assert_eq!((talk.at(), talk.said().as_str()), ("awaiting_document", WELCOME));
    assert_eq!(flow.language_of_keyword(" ¡CITA! "), Some(Language::Spanish));
    assert_eq!(flow.language_of_keyword("appointment"), Some(Language::English));
    assert_eq!(flow.language_of_keyword("una cita con nadie"), None);
}

#[test]
fn ben_36_the_whole_way_ends_in_one_appointment() {
    let flow = appointment();
    let mut talk = Talk::begin(&flow, Language::Spanish);
    talk.say("12.345.678");
    assert_eq!(talk.at(), "awaiting_city_selection");
    assert_eq!(
        talk.said(),
        "Hola Contact {document}. ¿En qué ciudad deseas la cita?\n\n1. Bogotá\n2. Medellín",
        "what was looked up is not read as a text of the flow"
    );
    let buttons: Vec<&str> = talk.replies[0].options.iter().map(|option| option.id.as_str()).collect();
    assert_eq!(buttons, ["flow:awaiting_city_selection:c-1", "flow:awaiting_city_selection:c-2"]);
    talk.say("2)");
    assert_eq!(talk.at(), "awaiting_specialty_search");
    assert_eq!(talk.said(), "¿Qué especialidad necesitas en Medellín? Escribe su nombre o una parte.");
    talk.say("Cardio");
    assert_eq!(talk.at(), "awaiting_specialty_selection");
    assert!(
        talk.said().ends_with("\n\n1. Cardiología – corazón\n2. Cardiología infantil"),
        "{}",
        talk.said()
    );
    talk.say("cardiologia");
    assert_eq!(talk.at(), "awaiting_visit_type");
    assert!(talk.said().ends_with("1. Primera vez\n2. Control"), "{}", talk.said());
    talk.say("primera");
    assert_eq!(talk.at(), "awaiting_description");
    talk.say("Dolor {city} de pecho");
    assert_eq!(talk.at(), "confirmation");
    let summary = "Resumen de tu cita:\nPaciente: Contact {document}\nDocumento: 12345678\nCiudad: Medellín\n\
        Especialidad: Cardiología\nTipo de visita: Primera vez\nMotivo: Dolor {city} de pecho\n\n¿Confirmas la cita?\n\n\
        1. Sí\n2. No, empezar de nuevo\n3. Salir sin agendar";
    assert_eq!(talk.said(), summary);
    talk.say("sí");
    assert_eq!(talk.end, End::Completed);
    assert!(talk.said().contains("Cardiología en Medellín quedó registrada"), "{}", talk.said());
    let (name, parameters, _) = talk.clinic.asked.last().unwrap();
    assert_eq!(name, "appointments.book");
    let expected = [
        ("patient", "p-1"),
        ("city", "c-2"),
        ("specialty", "s-1"),
        ("visit_type", "primera vez"),
        ("description", "Dolor {city} de pecho"),
    ];
    assert_eq!(*parameters, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(talk.clinic.asked.iter().filter(|(name, ..)| name == "appointments.book").count(), 1);
}

#[test]
fn ben_36_buttons_choose_as_numbers_do_and_old_buttons_choose_nothing() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &["12345678"]);
    talk.press("flow:awaiting_city_selection:c-1");
    assert_eq!((talk.at(), talk.value("city.label")), ("awaiting_specialty_search", "Bogotá"));
    talk.say("cardio").press("flow:awaiting_city_selection:c-1");
    assert_eq!(talk.at(), "awaiting_specialty_selection", "{}", talk.said());
}

#[test]
fn ben_36_a_wrong_document_is_asked_for_again_and_people_help_in_the_end() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &["12"]);
    assert!(talk.said().starts_with("El documento debe tener entre 5 y 15"));
    assert!(talk.clinic.asked.is_empty(), "nobody is asked for what is no document");
    talk.say("99999999");
    assert!(talk.said().starts_with("No encontramos un paciente con el documento 99999999."));
    assert_eq!((talk.at(), talk.end), ("awaiting_document", End::Open));
    talk.send_picture();
    assert_eq!(talk.said(), "Por favor responde con un mensaje de texto.");
    talk.say("88888888");
    assert_eq!(talk.end, End::Handoff);
}

#[test]
fn ben_36_a_specialty_that_is_not_there_is_searched_again() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &["12345678", "bogota", "magia"]);
    assert_eq!(talk.at(), "awaiting_specialty_search");
    assert!(talk.said().starts_with("No encontramos la especialidad \"magia\" en Bogotá."));
    talk.say("cardio");
    assert_eq!(talk.at(), "awaiting_specialty_selection");
    talk.say("infantil");
    assert_eq!(talk.at(), "awaiting_specialty_search", "something else is looked for, and not found");
    talk.say("cardio").say("cardiología");
    assert_eq!(talk.at(), "awaiting_visit_type");
}

#[test]
fn ben_36_who_says_no_begins_again_or_leaves() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &TO_CONFIRMATION);
    talk.say("no");
    assert_eq!((talk.at(), talk.said().as_str()), ("awaiting_document", WELCOME));
    for text in TO_CONFIRMATION {
        talk.say(text);
    }
    talk.say("quizás");
    assert_eq!(talk.at(), "confirmation");
    assert!(talk.said().starts_with("Por favor elige una de las opciones"), "{}", talk.said());
    assert!(talk.said().ends_with("3. Salir sin agendar") && talk.replies[0].options.len() == 3);
    talk.say("3");
    assert_eq!(talk.end, End::Exited);
    assert!(talk.clinic.asked.iter().all(|(name, ..)| name != "appointments.book"));
}

#[test]
fn ben_37_a_state_that_is_not_there_any_more_begins_again() {
    let flow = appointment();
    let restart = format!("Empecemos de nuevo con tu solicitud de cita.\n---\n{WELCOME}");
    let mut talk = walked(&flow, Language::Spanish, &TO_CONFIRMATION);
    for change in [
        |state: &mut FlowState| state.state = "awaiting_nothing".to_owned(),
        |state: &mut FlowState| state.flow = "other".to_owned(),
        |state: &mut FlowState| state.values.clear(),
        |state: &mut FlowState| state.state = String::new(),
    ] {
        change(talk.state.as_mut().unwrap());
        talk.say("sí");
        assert_eq!((talk.at(), talk.said()), ("awaiting_document", restart.clone()));
        for text in TO_CONFIRMATION {
            talk.say(text);
        }
        assert_eq!(talk.at(), "confirmation");
    }
}

#[test]
fn ben_38_a_failure_is_told_and_what_was_said_counts_when_it_is_over() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &TO_CONFIRMATION);
    talk.clinic.away = Some("");
    talk.say("sí");
    assert_eq!((talk.said().as_str(), talk.at(), talk.end), (ERROR, "confirmation", End::Open));
    talk.clinic.away = None;
    talk.say("sí");
    assert_eq!(talk.end, End::Completed);
    let booked: Vec<&(String, _, Uuid)> =
        talk.clinic.asked.iter().filter(|(name, ..)| name == "appointments.book").collect();
    assert_eq!(booked.len(), 2);
    assert_eq!(booked[0].2, booked[1].2, "asked twice, it is made once");
}

#[test]
fn ben_38_a_question_that_could_not_be_asked_is_asked_later() {
    let flow = appointment();
    let mut talk = Talk::begin(&flow, Language::Spanish);
    talk.clinic.away = Some("cities");
    talk.say("12345678");
    assert_eq!((talk.said().as_str(), talk.at()), (ERROR, "awaiting_city_selection"));
    talk.clinic.away = None;
    talk.say("¿hola?");
    assert!(talk.said().ends_with("1. Bogotá\n2. Medellín"), "{}", talk.said());
    assert_eq!(talk.state.as_ref().unwrap().failures, 0);
}

#[test]
fn ben_38_after_three_failures_in_a_row_people_go_on() {
    let flow = appointment();
    let mut talk = Talk::begin(&flow, Language::Spanish);
    talk.clinic.away = Some("");
    talk.say("12345678").say("12345678");
    assert_eq!(talk.end, End::Open);
    talk.say("12345678");
    assert_eq!((talk.end, talk.said().as_str()), (End::Failed, ERROR));
}

#[test]
fn ben_38_what_is_gone_when_it_is_booked_is_chosen_anew() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &TO_CONFIRMATION);
    talk.clinic.refused = Some("appointments.book");
    talk.say("sí");
    assert_eq!((talk.at(), talk.said()), ("awaiting_document", format!("{ERROR}\n---\n{WELCOME}")));
}

#[test]
fn ben_39_a_day_later_the_state_has_expired() {
    let flow = appointment();
    let mut talk = walked(&flow, Language::Spanish, &["12345678"]);
    talk.now_ms += 24 * 3_600 * 1_000 - 1;
    talk.say("1");
    assert_eq!(talk.at(), "awaiting_specialty_search");
    talk.now_ms += 24 * 3_600 * 1_000;
    talk.say("cardio");
    assert_eq!(talk.end, End::Expired);
    assert_eq!(talk.said(), "Tu solicitud de cita anterior venció por inactividad.");
}

#[test]
fn ben_39_a_stored_state_is_gone_on_from_by_any_replica() {
    let flow = appointment();
    let elsewhere = appointment();
    let mut talk = walked(&flow, Language::Spanish, &TO_CONFIRMATION);
    talk.flow = &elsewhere;
    talk.say("1");
    assert_eq!(talk.end, End::Completed);
}

#[test]
fn whoever_writes_the_exit_word_leaves_from_anywhere() {
    let flow = appointment();
    for steps in 0..=TO_CONFIRMATION.len() {
        let mut talk = walked(&flow, Language::Spanish, &TO_CONFIRMATION[..steps]);
        talk.say("¡Salir!");
        assert_eq!(talk.end, End::Exited);
        assert!(talk.said().starts_with("Has salido del chat de citas."));
    }
}

#[test]
fn whoever_speaks_english_is_answered_in_english() {
    let flow = appointment();
    let mut talk = Talk::begin(&flow, Language::English);
    assert!(talk.said().starts_with("Welcome to the appointment chat."));
    for text in ["12345678", "medellin", "cardio", "1", "follow-up", "Chest pain"] {
        talk.say(text);
    }
    assert!(
        talk.said().contains("Type of visit: Follow-up\n")
            && talk.said().contains("1. Yes\n2. No, start again")
    );
    talk.say("yes");
    assert_eq!(talk.end, End::Completed);
    assert!(talk.said().starts_with("Done!"));
    assert_eq!(talk.clinic.asked.last().unwrap().1["visit_type"], "control");
}

#[test]
fn every_text_is_there_in_both_languages() {
    let summary = appointment().summary().to_string();
    assert!(summary.contains("20 texts: 20 in Spanish, 20 in English"), "{summary}");
}
