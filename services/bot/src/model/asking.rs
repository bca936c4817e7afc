//! Asking until there is an answer, or until asking again would not help.

use std::time::Duration;

use futures::StreamExt as _;
use rand::Rng as _;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    ModelError,
    breakers::Breakers,
    chunk::Chunk,
    client::{Chunks, Client, Failed, Refusal},
    drafts::Drafts,
    meter,
    request::Request,
    spent::Spent,
};

/// How often a question is asked.
const ATTEMPTS_MAX: u32 = 3;
/// The first pause before it is asked again; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a model that has begun may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long what the answer cost is waited for once it is whole.
const USAGE_WAIT: Duration = Duration::from_secs(1);
/// The longest answer that is read, bytes. A longer one ends there.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The most chunks of an answer.
const CHUNKS_MAX: u32 = 100_000;
/// The word of servers that will not answer before somebody pays.
const OUT_OF_CREDIT: &str = "insufficient_quota";

/// A question on its way to the model.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) breakers: &'a Breakers,
    pub(super) request: &'a Request<'a>,
    pub(super) drafts: Drafts<'a>,
    /// Nothing is waited for any longer.
    pub(super) until: Instant,
    pub(super) spent: &'a mut Spent,
}

/// Why a request brought no answer.
#[derive(Debug)]
struct Failure {
    error: ModelError,
    again: Again,
    /// It is the model that does not work, not this question.
    is_of_model: bool,
}

/// Whether asking again may help.
#[derive(Debug)]
enum Again {
    Never,
    /// After a pause that is ours to choose, or after this one where it is longer.
    After(Duration),
}

impl Failure {
    fn final_of_model(error: ModelError) -> Self {
        Self { error, again: Again::Never, is_of_model: true }
    }

    fn passing(error: ModelError) -> Self {
        Self { error, again: Again::After(Duration::ZERO), is_of_model: true }
    }

    fn of_question(error: ModelError) -> Self {
        Self { error, again: Again::Never, is_of_model: false }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        let Failed::Refused(Refusal { status, reason, after }) = failed else {
            return Self::passing(ModelError::Away);
        };
        let is_passing = matches!(status, 408 | 429 | 500..) && reason != OUT_OF_CREDIT;
        // What stays of 4xx is said of the question: its model, its length.
        let is_of_model = !(400..500).contains(&status) || matches!(status, 401 | 403 | 408 | 429);
        let again = if is_passing { Again::After(after.unwrap_or_default()) } else { Again::Never };
        Self { error: ModelError::Refused { status, reason }, again, is_of_model }
    }
}

impl Asking<'_> {
    /// The answer; never empty.
    pub(super) async fn answer(&mut self) -> Result<String, ModelError> {
        let mut error = ModelError::Open;
        for attempt in 0..ATTEMPTS_MAX {
            if !self.breakers.admit(self.request.model) {
                return Err(error);
            }
            let asked = self.ask().await;
            meter::requested(asked.as_ref().map(|_| ()).map_err(|failure| &failure.error));
            let is_failure = asked.as_ref().is_err_and(|failure| failure.is_of_model);
            self.breakers.told(self.request.model, is_failure);
            let failure = match asked {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            error = failure.error;
            let Again::After(after) = failure.again else { break };
            let pause = after.max(backed_off(attempt));
            let is_in_time = Instant::now().checked_add(pause).is_some_and(|then| then < self.until);
            if attempt + 1 == ATTEMPTS_MAX || !is_in_time {
                break;
            }
            tracing::debug!(%error, ?pause, "the language model is asked again");
            tokio::time::sleep(pause).await;
            self.drafts.restart();
        }
        Err(error)
    }

    async fn ask(&mut self) -> Result<String, Failure> {
        let began = Instant::now();
        let asked = timeout_at(self.until, self.client.ask(self.request)).await;
        let chunks = asked.map_err(|_| Failure::final_of_model(ModelError::TimedOut))??;
        let written = self.read(chunks, began).await?;
        let answer = written.trim();
        if answer.is_empty() { Err(Failure::of_question(ModelError::Empty)) } else { Ok(answer.to_owned()) }
    }

    /// The whole text of a streamed answer.
    async fn read(&mut self, mut chunks: Chunks, began: Instant) -> Result<String, Failure> {
        let mut reading = self.spent.begin(self.request.characters());
        let mut text = String::new();
        let mut ended = None;
        let mut patience = self.until;
        for _ in 0..CHUNKS_MAX {
            let next = tokio::select! {
                biased;
                next = chunks.next() => next,
                () = due(&self.drafts) => {
                    self.drafts.tell().await;
                    continue;
                }
                () = sleep_until(patience) => None,
            };
            let Some(Ok(json)) = next else { break };
            let chunk = Chunk::read(&json);
            if let Some(tokens) = chunk.tokens {
                reading.told(tokens);
            }
            if ended.is_some() {
                // Nothing else is waited for.
                if chunk.tokens.is_some() {
                    break;
                }
                continue;
            }
            if chunk.is_error {
                break;
            }
            if !chunk.text.is_empty() {
                if text.is_empty() {
                    meter::began(began.elapsed());
                }
                text.push_str(chunk.text);
                reading.wrote(chunk.text);
                self.drafts.add(chunk.text);
                self.drafts.tell().await;
                patience = self.until.min(Instant::now() + SILENCE_MAX);
            }
            let is_too_long = text.len() > ANSWER_BYTES_MAX;
            ended =
                chunk.finish_reason.map(str::to_owned).or_else(|| is_too_long.then(|| "length".to_owned()));
            if is_too_long || (ended.is_some() && chunk.tokens.is_some()) {
                break;
            }
            if ended.is_some() {
                patience = self.until.min(Instant::now() + USAGE_WAIT);
            }
        }
        match ended.as_deref() {
            // Whoever reads it sees that there was more.
            Some("length") if !text.trim().is_empty() => Ok(format!("{}…", text.trim_end())),
            Some("content_filter") => {
                let reason = "content_filter".to_owned();
                Err(Failure::of_question(ModelError::Refused { status: 200, reason }))
            }
            Some(_) => Ok(text),
            None if Instant::now() >= self.until => Err(Failure::final_of_model(ModelError::TimedOut)),
            None => Err(Failure::passing(ModelError::Broken)),
        }
    }
}

/// Until a draft is to be told; for ever where there is none.
async fn due(drafts: &Drafts<'_>) {
    match drafts.due() {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The pause before the next attempt. Those who failed together do not come back together.
fn backed_off(attempt: u32) -> Duration {
    PAUSE.saturating_mul(1 << attempt.min(8)).mul_f64(rand::rng().random_range(0.5..1.0))
}
