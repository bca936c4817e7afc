//! Stories of flows: a contact talks, and a small clinic answers what the flow asks.

mod appointment;
mod engine;
mod problems;
mod properties;

use std::collections::BTreeMap;

use chasqui_proto::v1::{Choice, FlowOption, Message, MessageType};
use uuid::Uuid;

use super::*;
use crate::reply::Reply;

const NOW_MS: i64 = 1_773_100_800_000;
const RUN: &str = "7a5a1f3e-0000-5000-8000-000000000001";

/// Another service, as far as flows know it.
#[derive(Default)]
struct Clinic {
    /// The calls that it does not answer begin so.
    away: Option<&'static str>,
    /// The call that it answers with a no.
    refused: Option<&'static str>,
    /// Whatever was asked, in order.
    asked: Vec<(String, BTreeMap<String, String>, Uuid)>,
}

/// A contact in a conversation.
struct Talk<'f> {
    flow: &'f Flow,
    clinic: Clinic,
    state: Option<FlowState>,
    language: Language,
    now_ms: i64,
    end: End,
    replies: Vec<Reply>,
}

fn option(id: &str, label: &str) -> FlowOption {
    FlowOption { id: id.to_owned(), label: label.to_owned(), ..FlowOption::default() }
}

impl Clinic {
    fn answer(&mut self, asked: &Asked) -> Result<FlowAnswer, CallFailed> {
        let (name, parameters) = (asked.call.as_str(), &asked.parameters);
        self.asked.push((name.to_owned(), parameters.clone(), asked.request_id));
        if self.away.is_some_and(|away| name.starts_with(away)) {
            return Err(CallFailed);
        }
        let refused = FlowAnswer { refused: "not_found".to_owned(), ..FlowAnswer::default() };
        let values = |entries: &[(&str, &str)]| FlowAnswer {
            values: entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..FlowAnswer::default()
        };
        let options = |options: Vec<FlowOption>| FlowAnswer { options, ..FlowAnswer::default() };
        Ok(match name {
            _ if self.refused == Some(name) => refused,
            "patients.find" if parameters["document"] == "12345678" => {
                values(&[("patient", "p-1"), ("patient_name", "Contact {document}")])
            }
            "cities.list" => options(vec![option("c-1", "Bogotá"), option("c-2", "Medellín")]),
            "specialties.search" if "cardiología".contains(&parameters["text"].to_lowercase()) => {
                let described =
                    FlowOption { description: "corazón".to_owned(), ..option("s-1", "Cardiología") };
                options(vec![described, option("s-2", "Cardiología infantil")])
            }
            "appointments.book" => values(&[("appointment", "a-1")]),
            _ => refused,
        })
    }
}

impl<'f> Talk<'f> {
    fn begin(flow: &'f Flow, language: Language) -> Self {
        let clinic = Clinic::default();
        let (end, replies) = (End::Open, Vec::new());
        let mut talk = Self { flow, clinic, state: None, language, now_ms: NOW_MS, end, replies };
        let step = flow.start(Start { run: RUN, language, now_ms: NOW_MS });
        talk.finish(step);
        talk
    }

    fn finish(&mut self, mut step: Step) {
        let outcome = loop {
            match step {
                Step::Done(outcome) => break outcome,
                Step::Call(asked) => {
                    let answer = self.clinic.answer(&asked);
                    step = self.flow.answered(*asked, answer);
                }
            }
        };
        assert_eq!(outcome.language, self.language);
        assert_eq!(outcome.state.is_some(), outcome.end == End::Open);
        (self.state, self.replies, self.end) = (outcome.state, outcome.replies, outcome.end);
    }

    fn hear(&mut self, message: &Message) -> &mut Self {
        let state = self.state.take().expect("the flow goes on");
        let step = self.flow.step(state, self.language, &Input::of(message, 1), self.now_ms);
        self.finish(step);
        self
    }

    fn say(&mut self, text: &str) -> &mut Self {
        self.hear(&Message { text: text.to_owned(), r#type: MessageType::Text.into(), ..Message::default() })
    }

    fn press(&mut self, id: &str) -> &mut Self {
        let choice = Some(Choice { id: id.to_owned(), title: "?".to_owned(), ..Choice::default() });
        self.hear(&Message { choice, r#type: MessageType::Interactive.into(), ..Message::default() })
    }

    fn send_picture(&mut self) -> &mut Self {
        self.hear(&Message { r#type: MessageType::Image.into(), ..Message::default() })
    }

    /// The name of the present state.
    fn at(&self) -> &str {
        self.state.as_ref().map_or("", |state| state.state.as_str())
    }

    /// What was said last, one message a line.
    fn said(&self) -> String {
        self.replies.iter().map(|reply| reply.text.as_str()).collect::<Vec<_>>().join("\n---\n")
    }

    fn value(&self, name: &str) -> &str {
        &self.state.as_ref().expect("the flow goes on").values[name]
    }
}

fn parsed(text: &str) -> Flow {
    Flow::parse("flow.toml", text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}
