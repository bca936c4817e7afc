//! An answer as a stream of chunks.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    fault::Fault,
    settings::{Settings, Usage},
};

/// Tokens of a text, as models are said to count them: four characters each.
const CHARACTERS_PER_TOKEN: usize = 4;

/// What was said before a connection breaks is on its way by then.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// One step of writing an answer.
#[derive(Debug, PartialEq)]
enum Step {
    Pause(Duration),
    Say(String),
    /// The connection breaks.
    Break,
    /// Nothing more is ever written.
    Stay,
}

/// What an answer is made of.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) body: &'a Value,
    pub(super) text: String,
    pub(super) settings: &'a Settings,
    pub(super) fault: Option<Fault>,
}

/// The bytes of an answer, as they come.
pub(super) fn write(
    writing: &Writing<'_>,
    stop: CancellationToken,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    stream::iter(steps(writing)).filter_map(move |step| taken(step, stop.clone()))
}

async fn taken(next: Step, stop: CancellationToken) -> Option<io::Result<Bytes>> {
    match next {
        Step::Pause(pause) => {
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            None
        }
        Step::Say(line) => Some(Ok(Bytes::from(format!("data: {line}\n\n")))),
        Step::Break => Some(Err(io::Error::other("broken off on request"))),
        Step::Stay => {
            stop.cancelled().await;
            None
        }
    }
}

fn steps(writing: &Writing<'_>) -> Vec<Step> {
    let fault = writing.fault.as_ref();
    let text = if fault == Some(&Fault::Empty) { "" } else { &writing.text };
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let middle = words.len().div_ceil(2);
    let pause = |ms| Step::Pause(Duration::from_millis(ms));
    let say = |delta: &Value, finish: &Value| Step::Say(chunk(writing.body, delta, finish).to_string());
    let mut steps = vec![pause(writing.settings.first_token_after_ms)];
    steps.push(say(&json!({ "role": "assistant", "content": "" }), &Value::Null));
    for (index, word) in words.iter().enumerate() {
        if index == middle.min(words.len() - 1) {
            let (more, is_end) = in_the_middle(writing, fault);
            steps.extend(more);
            if is_end {
                return steps;
            }
        }
        if index > 0 {
            steps.push(pause(writing.settings.token_after_ms));
        }
        steps.push(say(&json!({ "content": word }), &Value::Null));
    }
    steps.push(say(&json!({}), &json!("stop")));
    steps.extend(usage(writing, words.len()));
    let done = if fault == Some(&Fault::NoDone) { Step::Stay } else { Step::Say("[DONE]".to_owned()) };
    steps.push(done);
    steps
}

/// What a fault adds in the middle of an answer, and whether that is its end.
fn in_the_middle(writing: &Writing<'_>, fault: Option<&Fault>) -> (Vec<Step>, bool) {
    let whole = |value: &Value| Step::Say(value.to_string());
    match fault {
        Some(Fault::Cut) => (vec![Step::Pause(ON_ITS_WAY), Step::Break], true),
        Some(Fault::End) => (Vec::new(), true),
        Some(Fault::Silence) => (vec![Step::Stay], true),
        Some(Fault::Garbage) => (vec![Step::Say("{\"choices\":[{\"delta\":".to_owned())], false),
        Some(Fault::Error) => {
            (vec![whole(&json!({ "error": { "message": "overloaded", "code": 500 } }))], true)
        }
        Some(Fault::EmptyChoices) => {
            let mut silent = chunk(writing.body, &json!({ "content": null }), &Value::Null);
            silent["usage"] = Value::Null;
            let odd = [
                json!({ "choices": [] }),
                json!({}),
                json!({ "choices": null }),
                json!({ "choices": [{ "delta": null, "finish_reason": "" }] }),
                silent,
            ];
            (odd.iter().map(whole).collect(), false)
        }
        Some(Fault::FinishReason(reason)) => (
            vec![whole(&chunk(writing.body, &json!({}), &json!(reason))), Step::Say("[DONE]".to_owned())],
            true,
        ),
        _ => (Vec::new(), false),
    }
}

fn usage(writing: &Writing<'_>, written: usize) -> Option<Step> {
    if writing.body["stream_options"]["include_usage"] != true {
        return None;
    }
    let messages = writing.body["messages"].as_array().into_iter().flatten();
    let characters: usize = messages
        .filter_map(|message| message["content"].as_str())
        .map(|content| content.chars().count())
        .sum();
    let read = characters.div_ceil(CHARACTERS_PER_TOKEN);
    let usage = match writing.settings.usage {
        Usage::Told => {
            json!({ "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written })
        }
        Usage::Null => Value::Null,
        Usage::Missing => return None,
    };
    let mut last = chunk(writing.body, &json!({}), &Value::Null);
    last["choices"] = json!([]);
    last["usage"] = usage;
    Some(Step::Say(last.to_string()))
}

fn chunk(body: &Value, delta: &Value, finish_reason: &Value) -> Value {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
    json!({
        "id": "chatcmpl-simulated",
        "object": "chat.completion.chunk",
        "created": chasqui_kit::clock::now_ms() / 1_000,
        "model": body["model"],
        "choices": [choice],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, fault: Option<Fault>, usage: Usage) -> (String, Vec<Step>) {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "12345" }],
                           "stream_options": { "include_usage": true } });
        let settings = Settings { usage, ..Settings::default() };
        let steps = steps(&Writing { body: &body, text: text.to_owned(), settings: &settings, fault });
        let delta = |step: &Step| match step {
            Step::Say(line) => serde_json::from_str::<Value>(line).ok()?["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned),
            _ => None,
        };
        (steps.iter().filter_map(delta).collect(), steps)
    }

    #[test]
    fn a_whole_answer_is_its_text_its_end_its_cost_and_done() {
        let (text, steps) = said("uno dos  tres", None, Usage::Told);
        assert_eq!(text, "uno dos  tres");
        let [.., Step::Say(end), Step::Say(cost), Step::Say(done)] = steps.as_slice() else {
            panic!("{steps:?}")
        };
        assert!(end.contains(r#""finish_reason":"stop""#), "{end}");
        assert!(cost.contains(r#""total_tokens":6"#), "{cost}");
        assert_eq!(done, "[DONE]");
    }

    #[test]
    fn faults_strike_in_the_middle_even_of_one_word() {
        for text in ["uno dos tres cuatro", "uno", ""] {
            for fault in [Fault::Cut, Fault::End, Fault::Silence, Fault::Error] {
                let (said, steps) = said(text, Some(fault.clone()), Usage::Told);
                assert!(text.is_empty() || said.len() < text.len(), "{fault:?}: {said:?} of {text:?}");
                let is_done = steps.last() == Some(&Step::Say("[DONE]".to_owned()));
                assert_eq!(is_done, text.is_empty(), "{fault:?}");
            }
        }
        assert_eq!(said("uno dos", Some(Fault::Empty), Usage::Missing).0, "");
        assert_eq!(said("uno dos", Some(Fault::EmptyChoices), Usage::Null).0, "uno dos");
    }
}
