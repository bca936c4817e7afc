//! What comes of a step of a flow.

use std::collections::BTreeMap;

use chasqui_proto::{subject::FlowCall, v1::FlowState};
use uuid::Uuid;

use crate::{language::Language, reply::Reply};

/// How a flow begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    /// UUID: the same where the same message begins the flow again.
    pub(crate) run: &'a str,
    pub(crate) language: Language,
    /// Milliseconds since 1970.
    pub(crate) now_ms: i64,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Ask, then go on with [`Flow::answered`](super::Flow::answered).
    Call(Box<Asked>),
    /// Nothing until the contact says something.
    Done(Outcome),
}

/// What another service is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) call: FlowCall,
    pub(crate) parameters: BTreeMap<String, String>,
    /// The same whenever the same run asks the same: what it has done is done once.
    pub(crate) request_id: Uuid,
    pub(super) position: Position,
    pub(super) phase: Phase,
}

/// Where a conversation is within a step.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) state: FlowState,
    /// What was said so far.
    pub(super) replies: Vec<Reply>,
    pub(super) language: Language,
    pub(super) now_ms: i64,
}

/// Which of a state's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Before,
    After,
}

/// What a step came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// None when the flow has ended.
    pub(crate) state: Option<FlowState>,
    /// In this order.
    pub(crate) replies: Vec<Reply>,
    pub(crate) end: End,
    pub(crate) language: Language,
}

/// Whether a flow goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It waits for the contact.
    Open,
    /// It is through.
    Completed,
    /// The contact left it.
    Exited,
    /// The contact was away too long; what was said is not answered yet.
    Expired,
    /// People are to go on.
    Handoff,
    /// What it asks fails again and again: people are to go on.
    Failed,
}

/// Nobody answered a call, or in vain. Not the contact's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallFailed;
