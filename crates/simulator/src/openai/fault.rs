//! What goes wrong with a completion.

use std::collections::VecDeque;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most faults that wait.
const FAULTS_MAX: usize = 1_000;

/// What befalls a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// It is never answered.
    Hang,
    /// The connection is closed before a byte of the answer.
    Reset,
    /// A page instead of a stream, as of a wrong proxy.
    Html,
    /// A redirect to elsewhere.
    Redirect,
    /// The stream breaks off in the middle.
    Cut,
    /// The stream ends in the middle, as if it were whole.
    End,
    /// The stream says no more from the middle on, and stays open.
    Silence,
    /// In the middle is what is no JSON.
    Garbage,
    /// In the middle is an error, as a chunk.
    Error,
    /// Chunks without a choice, or with one that says nothing, are among the others.
    EmptyChoices,
    /// Nothing is said, and that is the whole answer.
    Empty,
    /// `data: [DONE]` is missing at the end, and the stream stays open.
    NoDone,
    /// It ends in the middle, for this reason.
    FinishReason(String),
    /// An HTTP error.
    Http(HttpError),
}

/// An HTTP error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpError {
    pub(super) status: u16,
    /// The header `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// `error.code` of the body.
    pub(super) code: Option<String>,
    /// `error.message` of the body.
    pub(super) message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    then: Fault,
    /// 0 is until it is removed.
    times: Option<u64>,
}

/// The faults that wait: the oldest befalls the next request.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(Fault, u64)>);

impl Faults {
    /// Adds what a body asks for.
    pub(super) fn add(&mut self, wanted: Value) -> Result<Value, String> {
        let wanted: Wanted = serde_json::from_value(wanted).map_err(|error| error.to_string())?;
        if let Fault::Http(error) = &wanted.then
            && !StatusCode::from_u16(error.status).is_ok_and(|status| status.as_u16() >= 400)
        {
            return Err("then.http.status: expected an HTTP status from 400 on".to_owned());
        }
        if self.0.len() >= FAULTS_MAX {
            return Err(format!("at most {FAULTS_MAX} faults wait"));
        }
        self.0.push_back((wanted.then, wanted.times.unwrap_or(1)));
        Ok(json!({ "waiting": self.0.len() }))
    }

    /// What befalls the next request.
    pub(super) fn befall(&mut self) -> Option<Fault> {
        let (fault, left) = self.0.front_mut()?;
        let fault = fault.clone();
        match *left {
            0 => {}
            1 => drop(self.0.pop_front()),
            _ => *left -= 1,
        }
        Some(fault)
    }

    /// Removes all; returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_befall_in_turn_so_many_times() {
        let mut faults = Faults::default();
        faults.add(json!({ "then": "cut", "times": 2 })).unwrap();
        faults.add(json!({ "then": { "http": { "status": 429, "retry_after": "7" } }, "times": 0 })).unwrap();
        assert_eq!([faults.befall(), faults.befall()], [Some(Fault::Cut), Some(Fault::Cut)]);
        for _ in 0..3 {
            assert!(matches!(faults.befall(), Some(Fault::Http(error)) if error.status == 429));
        }
        assert_eq!((faults.clear(), faults.befall()), (1, None));
    }

    #[test]
    fn what_is_no_fault_is_refused_by_name() {
        for (wrong, named) in [
            (json!({}), "then"),
            (json!({ "then": "explode" }), "explode"),
            (json!({ "then": { "http": { "status": 200 } } }), "then.http.status"),
            (json!({ "then": { "http": { "status": 429, "after": 1 } } }), "after"),
            (json!({ "then": "cut", "often": 2 }), "often"),
        ] {
            let refusal = Faults::default().add(wrong).unwrap_err();
            assert!(refusal.contains(named), "{refusal}");
        }
    }
}
