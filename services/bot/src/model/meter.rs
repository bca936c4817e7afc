//! What operators see of the language model.

use std::time::Duration;

use super::{ModelError, spent::Spent};

/// What became of a request, or that it was not made.
pub(super) fn requested(result: Result<(), &ModelError>) {
    let result = result.map_or_else(ModelError::name, |()| "ok");
    metrics::counter!("chasqui_bot_model_requests_total", "result" => result).increment(1);
}

/// A model began to write so long after it was asked.
pub(super) fn began(after: Duration) {
    metrics::histogram!("chasqui_bot_model_first_token_seconds").record(after);
}

/// An answer, or none, took so long with all requests for it, and cost so much.
pub(super) fn ended(took: Duration, spent: &Spent) {
    metrics::histogram!("chasqui_bot_model_seconds").record(took);
    metrics::counter!("chasqui_bot_model_tokens_total", "source" => "told").increment(spent.told());
    metrics::counter!("chasqui_bot_model_tokens_total", "source" => "estimated").increment(spent.estimated());
}
