//! The breakers of all models, and what is shown of them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::breaker::Breaker;

/// The most models that are judged each on its own; more share one breaker.
const MODELS_MAX: usize = 64;
/// What the shared one is called.
const OTHERS: &str = "others";

/// One breaker a model, in this process.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<HashMap<String, Breaker>>);

impl Breakers {
    /// Whether a model may be asked now. Who is told so asks, and says what became of it.
    pub(super) fn admit(&self, model: &str) -> bool {
        self.with(model, |breaker| breaker.admit(Instant::now()))
    }

    /// Whether a model is left alone now.
    pub(super) fn is_open(&self, model: &str) -> bool {
        self.with(model, |breaker| breaker.is_open(Instant::now()))
    }

    /// A request to a model ended.
    pub(super) fn told(&self, model: &str, is_failure: bool) {
        self.with(
            model,
            |breaker| {
                if is_failure { breaker.failed(Instant::now()) } else { breaker.succeeded() }
            },
        );
    }

    fn with<T>(&self, model: &str, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.lock();
        let model = if breakers.len() < MODELS_MAX || breakers.contains_key(model) { model } else { OTHERS };
        let breaker = breakers.entry(model.to_owned()).or_default();
        let done = act(breaker);
        let is_open = f64::from(u8::from(breaker.is_open(Instant::now())));
        metrics::gauge!("chasqui_bot_model_breaker", "model" => model.to_owned()).set(is_open);
        done
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
