//! What is done about a message.

use std::sync::Arc;

use serde::Deserialize;

use crate::fields::{Fields, Found};
use crate::{flow::Flow, language::Text};

/// The most messages that one answer is made of.
const REPLIES_MAX: usize = 10;
/// The fields of which each says what is done.
pub(super) const FIELDS: &str = "`reply`, `flow`, `handoff`, `model`, `silence`";

/// What is done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// These are said, each as a message.
    Reply(Vec<Text>),
    /// This flow begins.
    Flow(String),
    /// People are given the conversation; the contact is told so, in these words if there are any.
    Handoff(Option<Text>),
    /// The language model answers.
    Model,
    /// Nothing is said.
    Silence,
}

/// `"…"` or `{ es, en }`, or several of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, { es = \"…\", en = \"…\" }, or a list of up to 10 of them")]
enum Replies {
    Several(Vec<Text>),
    One(Text),
}

/// `true`, or what the contact is told.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true, or what the contact is told")]
enum HandoffField {
    Plain(bool),
    Told(Text),
}

impl Action {
    /// The action that a table names, if it names one. More than one are a problem, told here.
    pub(super) fn read<'t>(
        table: &mut Fields<'t>,
        found: &mut Found<'t>,
        flows: &[Arc<Flow>],
    ) -> Option<Self> {
        let (mut actions, mut named) = (Vec::new(), Vec::new());
        if let Some(replies) = table.take::<Replies>(found, "reply") {
            named.push("reply");
            let texts = match replies.value {
                Replies::One(text) => vec![text],
                Replies::Several(texts) => texts,
            };
            if texts.is_empty() || texts.len() > REPLIES_MAX {
                found.problem(replies.span, format!("`reply` must have 1 to {REPLIES_MAX} texts"));
            }
            actions.push(Self::Reply(texts));
        }
        if let Some(flow) = table.take::<String>(found, "flow") {
            named.push("flow");
            if !flows.iter().any(|known| known.name() == flow.value) {
                found.problem(flow.span, not_of_tenant(&flow.value, flows));
            }
            actions.push(Self::Flow(flow.value));
        }
        if let Some(handoff) = table.take::<HandoffField>(found, "handoff") {
            named.push("handoff");
            actions.push(match handoff.value {
                HandoffField::Told(text) => Self::Handoff(Some(text)),
                HandoffField::Plain(said) => {
                    found.require(said, handoff.span, "`handoff` must be true, or what the contact is told");
                    Self::Handoff(None)
                }
            });
        }
        for (name, action) in [("model", Self::Model), ("silence", Self::Silence)] {
            if let Some(said) = table.take::<bool>(found, name) {
                named.push(name);
                found.require(said.value, said.span, format!("`{name}` must be true, or not stand here"));
                actions.push(action);
            }
        }
        if named.len() > 1 {
            let message = format!("`{}` contradict each other: one of them", named.join("` and `"));
            found.problem(table.span(), message);
        }
        actions.into_iter().next()
    }
}

fn not_of_tenant(name: &str, flows: &[Arc<Flow>]) -> String {
    let known: Vec<&str> = flows.iter().map(|flow| flow.name()).collect();
    format!("`{name}` is not in `flows`, which has [{}]", known.join(", "))
}
