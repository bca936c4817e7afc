//! Guided flows: data that is checked when it is read, and stepped through without I/O or clock.

mod call;
mod check;
mod choice;
mod date;
mod question;
mod read;
mod script;
mod state;
mod step;
mod summary;
mod template;
mod walk;

use chasqui_proto::v1::{FlowAnswer, FlowState};

pub(crate) use self::step::{Asked, CallFailed, End, Start, Step};
use self::{choice::Choice, question::Question, state::State, step::Position, walk::Walk};
pub use self::{script::Script, summary::Summary};
use crate::{
    input::{Input, InputKind},
    language::{Language, Text},
    problem::Problem,
    words::Words,
};

/// A guided conversation that a file describes. Checked when it is read; it never changes.
#[derive(Debug)]
pub struct Flow {
    name: String,
    version: u32,
    states: Vec<State>,
    /// Its place in `states`.
    start: usize,
    /// The events of front ends that begin it.
    events: Vec<String>,
    /// What a contact writes to begin it, and in which language.
    keywords: Vec<(Words, Language)>,
    expiry: Expiry,
    exit: Exit,
    texts: Texts,
    /// How many calls may fail in a row before people go on.
    failures_max: u32,
    /// Which day it is for its contacts.
    utc_offset_minutes: i32,
}

/// When a contact has been away too long.
#[derive(Debug)]
struct Expiry {
    /// Counts from the last answer.
    after_ms: i64,
    text: Option<Text>,
}

/// How a contact leaves.
#[derive(Debug)]
struct Exit {
    keywords: Vec<Words>,
    text: Option<Text>,
}

/// What is said wherever in the flow it happens.
#[derive(Debug)]
struct Texts {
    /// A call failed.
    error: Text,
    /// The flow begins again because its file has changed.
    restart: Text,
    /// What was said is no answer; none is the prompts again.
    invalid: Option<Text>,
    /// Likewise a picture, a voice note or a place; none is as to any other that is no answer.
    media: Option<Text>,
}

impl Exit {
    fn is_asked_for(&self, text: &str) -> bool {
        text.chars().nth(read::KEYWORD_CHARACTERS_MAX).is_none() && self.keywords.contains(&Words::of(text))
    }
}

impl Flow {
    /// Reads a flow; `file` is what problems call it.
    ///
    /// # Errors
    /// Every problem there is, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        read::flow(file, text)
    }

    /// Its name, as conversations and definitions have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it amounts to.
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }

    /// What it says and asks, state by state.
    pub fn script(&self) -> Script<'_> {
        Script { flow: self }
    }

    /// The flows that are there without files.
    pub(crate) fn built_in() -> Vec<Self> {
        let text = include_str!("../flows/appointment.toml");
        vec![Self::parse("appointment.toml", text).expect("a test reads it")]
    }

    /// Whether a front end's event begins it.
    pub(crate) fn is_started_by_event(&self, event: &str) -> bool {
        self.events.iter().any(|own| own == event)
    }

    /// The language of the keyword that a text is, where it begins this flow.
    pub(crate) fn language_of_keyword(&self, text: &str) -> Option<Language> {
        text.chars().nth(read::KEYWORD_CHARACTERS_MAX).is_none().then(|| Words::of(text)).and_then(|said| {
            self.keywords.iter().find(|(keyword, _)| *keyword == said).map(|(_, language)| *language)
        })
    }

    /// Begins it.
    pub(crate) fn start(&self, start: Start<'_>) -> Step {
        let (run, started_at_ms) = (start.run.to_owned(), start.now_ms);
        let state = FlowState { run, started_at_ms, ..FlowState::default() };
        self.walk(state, start.language, start.now_ms).begin()
    }

    /// Whether what the contact said is one of the things that it was given to choose from.
    pub(crate) fn offers(&self, state: &FlowState, input: &Input<'_>, now_ms: i64) -> bool {
        let present = self.states.iter().find(|own| own.name == state.state).map(|own| &own.question);
        let is_given = |choice: &Choice| choice.chosen(&state.state, &state.options, input).is_some();
        input.kind == InputKind::Text
            && state.expires_at_ms > now_ms
            && matches!(present, Some(Question::Choice(choice)) if is_given(choice))
    }

    /// Takes what the contact said.
    pub(crate) fn step(&self, state: FlowState, language: Language, input: &Input<'_>, now_ms: i64) -> Step {
        self.walk(state, language, now_ms).take(input)
    }

    /// Takes what a call came to.
    pub(crate) fn answered(&self, asked: Asked, answer: Result<FlowAnswer, CallFailed>) -> Step {
        Walk { flow: self, position: asked.position }.hear(asked.phase, answer)
    }

    fn walk(&self, state: FlowState, language: Language, now_ms: i64) -> Walk<'_> {
        Walk { flow: self, position: Position { state, replies: Vec::new(), language, now_ms } }
    }
}

#[cfg(test)]
mod tests;
