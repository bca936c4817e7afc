//! Flows: begun, gone on with, and what they ask.

use std::{sync::Arc, time::Duration};

use chasqui_proto::{
    id::fact_id,
    subject,
    v1::{BotConversation, FlowAnswer, FlowRequest},
};

use super::{Decider, Decision, Said};
use chasqui_responder::FLOW_START;

use crate::{
    flow::{Asked, CallFailed, End, Flow, Start, Step},
    input::InputKind,
    language::Language,
    meter::{self, By},
};

/// How often one message of a contact makes a flow ask.
const CALLS_MAX: usize = 8;

impl Decider<'_> {
    /// A front end's own window for the flow: it answers there, whoever answers otherwise.
    pub(super) async fn answer_front_end(&self, decision: &mut Decision, said: &Said<'_>) {
        let is_start = said.input.kind == InputKind::Start;
        if is_start {
            decision.state.flow = None;
        }
        if is_start || !self.go_on_with_flow(decision, said).await {
            if let Some(flow) =
                self.definition.flows().iter().find(|flow| flow.is_started_by_event(FLOW_START))
            {
                self.start_flow(decision, flow, said).await;
            } else {
                tracing::debug!(conversation = %self.place, "no flow begins with {FLOW_START}");
            }
        }
        if let Some(flow) = &mut decision.state.flow {
            flow.from_front_end = true;
        }
    }

    /// Whether it is one of the things that the flow gives the contact to choose from.
    pub(super) fn is_choice(&self, state: &BotConversation, said: &Said<'_>) -> bool {
        state.flow.as_ref().is_some_and(|state| {
            let flow = self.definition.flow(&state.flow);
            flow.is_some_and(|flow| flow.offers(state, &said.input, self.now_ms))
        })
    }

    /// Goes on with the flow that the conversation is in. Whether that answers what was said: not where there is none,
    /// or none any more.
    pub(super) async fn go_on_with_flow(&self, decision: &mut Decision, said: &Said<'_>) -> bool {
        let Some(state) = decision.state.flow.take() else { return false };
        let Some(flow) = self.definition.flow(&state.flow) else {
            tracing::warn!(conversation = %self.place, flow = state.flow, "the flow is not there any more");
            return false;
        };
        let language = self.language(&decision.state);
        let step = flow.step(state, language, &said.input, self.now_ms);
        self.resolve(decision, flow, step, said).await != End::Expired
    }

    /// Begins a flow.
    pub(super) async fn start_flow(&self, decision: &mut Decision, flow: &Arc<Flow>, said: &Said<'_>) {
        let parts = ["bot", self.place.tenant.as_str(), &said.input.message.id, "flow", flow.name()];
        let run = fact_id(&parts).to_string();
        let language = self.language(&decision.state);
        let step = flow.start(Start { run: &run, language, now_ms: self.now_ms });
        self.resolve(decision, flow, step, said).await;
    }

    /// Asks what the flow wants to know until it has something to say, and says it.
    async fn resolve(
        &self,
        decision: &mut Decision,
        flow: &Arc<Flow>,
        mut step: Step,
        said: &Said<'_>,
    ) -> End {
        for _ in 0..CALLS_MAX {
            let Step::Call(asked) = step else { break };
            let language = self.language(&decision.state);
            let answer = self.ask(&asked, language, said).await;
            step = flow.answered(*asked, answer);
        }
        let Step::Done(outcome) = step else {
            tracing::error!(
                flow = flow.name(),
                calls = CALLS_MAX,
                "a flow asks without end; people take over"
            );
            self.hand_over(decision, "failure", None);
            return End::Failed;
        };
        decision.state.flow = outcome.state;
        outcome.language.code().clone_into(&mut decision.state.language);
        let is_silent = outcome.replies.is_empty();
        outcome.replies.into_iter().for_each(|reply| decision.say(By::Flow, reply));
        match outcome.end {
            End::Handoff if is_silent => self.hand_over(decision, "flow", None),
            // The flow has said so itself.
            End::Handoff => self.give_up(&mut decision.state, "flow"),
            End::Failed => self.hand_over(decision, "failure", None),
            End::Open | End::Completed | End::Exited | End::Expired => {}
        }
        outcome.end
    }

    async fn ask(
        &self,
        asked: &Asked,
        language: Language,
        said: &Said<'_>,
    ) -> Result<FlowAnswer, CallFailed> {
        let request = FlowRequest {
            tenant: self.place.tenant.to_string(),
            conversation: self.place.conversation.to_string(),
            contact: said.input.message.contact.clone(),
            name: asked.call.to_string(),
            parameters: asked.parameters.clone(),
            request_id: asked.request_id.to_string(),
            language: language.code().to_owned(),
        };
        let wait = Duration::from_millis(self.office.config.call_timeout_ms);
        let subject = subject::flows(&asked.call);
        let answer = self.office.bus.ask_subject(subject.as_str(), &request, said.trace, wait).await;
        answer.map_err(|error| {
            meter::call_failed();
            tracing::warn!(%error, call = %asked.call, conversation = %self.place, "a flow got no answer");
            CallFailed
        })
    }
}
