//! What the server is asked.

use serde::Serialize;

use super::history::Turn;
use crate::definition::{ModelSettings, Personality};

/// The server that wants the longest answer under a newer name, which no other server must know.
const NEWER_NAME: &str = "api.openai.com";

/// The body of a request for a streamed chat completion.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    messages: Vec<Turn>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    /// What is asked of the server at `base`: the personality's prompt, then what was said.
    pub(super) fn new(
        base: &str,
        model: &'a str,
        settings: &ModelSettings,
        personality: Option<&Personality>,
        said: Vec<Turn>,
    ) -> Self {
        let prompt = personality.map(|personality| Turn::system(&personality.prompt));
        let is_newer = base.contains(NEWER_NAME);
        let longest = Some(settings.answer_tokens_max);
        Self {
            model,
            messages: prompt.into_iter().chain(said).collect(),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            temperature: personality.and_then(|personality| personality.temperature),
            max_tokens: longest.filter(|_| !is_newer),
            max_completion_tokens: longest.filter(|_| is_newer),
        }
    }

    /// How much the model has to read.
    pub(super) fn characters(&self) -> u64 {
        self.messages.iter().map(|turn| turn.content.chars().count() as u64).sum()
    }
}

/// Which model answers.
pub(super) fn model_of<'a>(
    personality: Option<&'a Personality>,
    settings: &'a ModelSettings,
    default: &'a str,
) -> &'a str {
    let named = personality.and_then(|personality| personality.model.as_deref());
    named.or(settings.model.as_deref()).unwrap_or(default)
}
