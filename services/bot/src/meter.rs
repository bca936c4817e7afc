//! What operators see.

/// What a reply came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Flow,
    Rule,
    Model,
    Greeting,
    Fallback,
    Handoff,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Rule => "rule",
            Self::Model => "model",
            Self::Greeting => "greeting",
            Self::Fallback => "fallback",
            Self::Handoff => "handoff",
        }
    }
}

/// A message of a contact was handled: `answered`, `waits`, `handed_over`, `silent`, `undecodable`.
pub(crate) fn input(result: &'static str) {
    metrics::counter!("chasqui_bot_inputs_total", "result" => result).increment(1);
}

/// A reply was decided.
pub(crate) fn reply(by: By) {
    metrics::counter!("chasqui_bot_replies_total", "by" => by.name()).increment(1);
}

/// How long a contact waited, from its message in the stream to the acknowledged reply, where nothing was to be waited
/// for.
pub(crate) fn decided(milliseconds: u64) {
    let milliseconds = u32::try_from(milliseconds).unwrap_or(u32::MAX);
    metrics::histogram!("chasqui_bot_decide_seconds").record(f64::from(milliseconds) / 1_000.0);
}

/// Somebody else went on with a conversation meanwhile.
pub(crate) fn conflict() {
    metrics::counter!("chasqui_bot_conflicts_total").increment(1);
}

/// People were given a conversation.
pub(crate) fn handed_over(reason: &str) {
    metrics::counter!("chasqui_bot_handoffs_total", "reason" => reason.to_owned()).increment(1);
}

/// A flow asked, and nobody answered, or in vain.
pub(crate) fn call_failed() {
    metrics::counter!("chasqui_bot_call_failures_total").increment(1);
}

/// Messages in the hands of this process.
pub(crate) fn in_hand(count: usize) {
    metrics::gauge!("chasqui_bot_in_hand").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}
