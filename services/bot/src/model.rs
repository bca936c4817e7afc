//! The language model: asked by whoever answers a conversation.

mod asking;
mod breaker;
mod breakers;
mod budget;
mod chunk;
mod client;
mod drafts;
mod history;
mod meter;
mod refusal;
mod request;
mod spent;
mod split;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chasqui_kit::{Bus, TraceContext, clock};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant,
    v1::{BotBudget, ChannelKind, Heard},
};
use tokio::time::Instant;

use self::{
    asking::Asking,
    breakers::Breakers,
    budget::Budgets,
    client::Client,
    drafts::{Drafts, Typist},
    request::Request,
    spent::Spent,
};
pub(crate) use self::{history::marked, split::split};
use crate::{
    Config, Error,
    definition::{ModelSettings, Personality},
};

/// The most characters of a message to WhatsApp.
const MESSAGE_CHARACTERS_MAX: usize = 4_096;
/// How long what was said before is waited for at most.
const HISTORY_WAIT: Duration = Duration::from_secs(2);
/// What is kept of the time for an answer to write down what it cost: at most this, and at most one tenth.
const WRITING_DOWN: Duration = Duration::from_secs(1);

/// How the language model stands with a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelState {
    /// There is none: no key.
    Off,
    Ok,
    Failing,
    OverBudget,
}

impl ModelState {
    /// As in `BotWork.model_state`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "",
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::OverBudget => "over_budget",
        }
    }
}

/// What is to be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) conversation: &'a ConversationToken,
    pub(crate) settings: &'a ModelSettings,
    pub(crate) personality: Option<&'a Personality>,
    /// What the contact said and nobody answered yet, oldest first.
    pub(crate) heard: &'a [Heard],
    /// The id that the answer will have, for drafts.
    pub(crate) answer_id: MessageId,
    pub(crate) channel: ChannelKind,
    /// Our id of the newest message of `heard`, for logs.
    pub(crate) input_id: &'a str,
    pub(crate) trace: TraceContext,
}

/// What the model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// One message each, in order; none is empty.
    pub(crate) texts: Vec<String>,
    /// What it cost, all attempts together.
    pub(crate) tokens: u64,
}

/// Why there is no answer of the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("no language model is configured")]
    Off,
    #[error("the tenant's language model has used up its tokens of today")]
    OverBudget,
    #[error("the language model failed too often and is left alone for a while")]
    Open,
    #[error("the language model did not answer in time")]
    TimedOut,
    #[error("the language model cannot be reached")]
    Away,
    #[error("the language model refused: {status} {reason}")]
    Refused { status: u16, reason: String },
    #[error("the language model's answer broke off")]
    Broken,
    #[error("the language model had nothing to say")]
    Empty,
}

impl ModelError {
    /// The name in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OverBudget => "over_budget",
            Self::Open => "open",
            Self::TimedOut => "timed_out",
            Self::Away => "away",
            Self::Refused { .. } => "refused",
            Self::Broken => "broken",
            Self::Empty => "empty",
        }
    }

    /// Whether the model does not work.
    fn is_failing(&self) -> bool {
        matches!(self, Self::Open | Self::TimedOut | Self::Away | Self::Refused { .. } | Self::Broken)
    }
}

/// The language model of all tenants.
#[derive(Debug)]
pub(crate) struct Models {
    bus: Bus,
    /// None without a key.
    client: Option<Client>,
    base: String,
    default_model: String,
    timeout: Duration,
    breakers: Breakers,
    budgets: Budgets,
    tenants: Mutex<HashMap<Tenant, Last>>,
}

/// How it went when a tenant's contact was last answered.
#[derive(Debug, Default)]
struct Last {
    model: String,
    tokens_per_day_max: Option<u64>,
    is_failing: bool,
}

impl Models {
    /// Connects to nothing yet.
    pub(crate) fn new(config: &Config, bus: &Bus) -> Result<Self, Error> {
        let client = config.openai_api_key.as_ref().map(|key| Client::new(&config.openai_base_url, key));
        Ok(Self {
            bus: bus.clone(),
            client: client.transpose()?,
            base: config.openai_base_url.clone(),
            default_model: config.openai_model.clone(),
            timeout: Duration::from_millis(config.model_timeout_ms),
            breakers: Breakers::default(),
            budgets: Budgets::new(bus),
            tenants: Mutex::default(),
        })
    }

    /// Asks the model, and shows the contact that it writes. Returns within `bot.model_timeout_ms`.
    pub(crate) async fn answer(&self, question: Question<'_>) -> Result<Answer, ModelError> {
        let client = self.client.as_ref().ok_or(ModelError::Off)?;
        let model = request::model_of(question.personality, question.settings, &self.default_model);
        let answered = match self.admit(question, model).await {
            Ok(()) => self.ask(client, question, model).await,
            Err(error) => {
                meter::requested(Err(&error));
                Err(error)
            }
        };
        self.note(question, model, &answered);
        if let Err(error) = &answered {
            tracing::debug!(
                tenant = %question.tenant,
                message_id = question.input_id,
                trace_id = question.trace.trace_id(),
                model,
                %error,
                "the language model has no answer"
            );
        }
        answered
    }

    /// How it stands with a tenant.
    pub(crate) fn state(&self, tenant: &Tenant) -> ModelState {
        if self.client.is_none() {
            return ModelState::Off;
        }
        let tenants = self.tenants();
        let Some(last) = tenants.get(tenant) else { return ModelState::Ok };
        let spent = self.budgets.known_of(tenant, clock::now_ms());
        if last.tokens_per_day_max.is_some_and(|most| spent >= most) {
            ModelState::OverBudget
        } else if last.is_failing || self.breakers.is_open(&last.model) {
            ModelState::Failing
        } else {
            ModelState::Ok
        }
    }

    /// Whether the model may be asked at all.
    async fn admit(&self, question: Question<'_>, model: &str) -> Result<(), ModelError> {
        if let Some(most) = question.settings.tokens_per_day_max
            && self.budgets.spent(question.tenant, clock::now_ms()).await >= most
        {
            return Err(ModelError::OverBudget);
        }
        if self.breakers.is_open(model) { Err(ModelError::Open) } else { Ok(()) }
    }

    async fn ask(&self, client: &Client, question: Question<'_>, model: &str) -> Result<Answer, ModelError> {
        let began = Instant::now();
        let deadline = began + self.timeout;
        let until = deadline - WRITING_DOWN.min(self.timeout / 10);
        let typist = Typist::new(&self.bus, question);
        let mut spent = Spent::default();
        let answered = tokio::select! {
            biased;
            answered = self.ask_until(client, question, model, (typist, until, &mut spent)) => answered,
            never = typist.write() => match never {},
        };
        typist.stop().await;
        meter::ended(began.elapsed(), &spent);
        let tokens = spent.told() + spent.estimated();
        if tokens > 0 {
            let cost = BotBudget { tokens, answers: u64::from(answered.is_ok()) };
            self.budgets.add(question.tenant, cost, clock::now_ms(), deadline).await;
        }
        let text = answered?;
        let is_shown_whole = question.channel == ChannelKind::Widget;
        let texts = if is_shown_whole { vec![text] } else { split(&text, MESSAGE_CHARACTERS_MAX) };
        Ok(Answer { texts, tokens })
    }

    async fn ask_until(
        &self,
        client: &Client,
        question: Question<'_>,
        model: &str,
        (typist, until, spent): (Typist<'_>, Instant, &mut Spent),
    ) -> Result<String, ModelError> {
        let Question { tenant, conversation, settings, .. } = question;
        let wait = HISTORY_WAIT.min(self.timeout / 4);
        let most = settings.history_messages;
        let stored = history::stored(&self.bus, (tenant, conversation), most, question.trace, wait).await;
        let said = history::turns(stored, question.heard);
        let request = Request::new(&self.base, model, settings, question.personality, said);
        let (breakers, drafts) = (&self.breakers, Drafts::new(typist));
        Asking { client, breakers, request: &request, drafts, until, spent }.answer().await
    }

    fn note(&self, question: Question<'_>, model: &str, answered: &Result<Answer, ModelError>) {
        let mut tenants = self.tenants();
        let last = tenants.entry(question.tenant.clone()).or_default();
        model.clone_into(&mut last.model);
        last.tokens_per_day_max = question.settings.tokens_per_day_max;
        match answered {
            Err(ModelError::OverBudget) => {}
            Err(error) => last.is_failing = error.is_failing(),
            Ok(_) => last.is_failing = false,
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Last>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
