//! Errors on demand: which messages they befall, and what becomes of those.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{error::GraphError, validation::Outgoing};

/// How many faults may wait at once.
const FAULTS_MAX: usize = 1_000;
/// The longest an answer is held back on request, milliseconds.
const SLOW_MS_MAX: u64 = 10 * 60 * 1_000;

/// What befalls a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused.
    Refuse(GraphError),
    /// It is taken, and its `failed` status follows.
    Fail(GraphError),
    /// It is taken, and the answer never comes.
    TimeoutAfterWrite,
    /// It is not taken, and no answer comes.
    TimeoutBefore,
    /// It is not taken, and the connection is closed.
    Reset,
    /// It is not taken; the answer is a page of a proxy.
    Html,
    /// It is taken, and the answer comes after so many milliseconds.
    Slow(u64),
}

/// The messages that a fault is for. What is not said matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Match {
    to: Option<String>,
    number: Option<String>,
    kind: Option<String>,
    template: Option<String>,
    /// The first of the matching messages that it befalls.
    nth: u64,
}

/// A fault that waits for its messages.
#[derive(Clone, Debug)]
struct Waiting {
    id: u64,
    matches: Match,
    fault: Fault,
    /// As the caller wrote it.
    shown: Value,
    /// How many messages it still befalls; `None` is all.
    left: Option<u64>,
    seen: u64,
    applied: u64,
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Vec<Waiting>,
    last_id: u64,
}

impl Faults {
    /// Adds `{"match":{…},"then":…,"times"?}`; answers with how it stands.
    pub(crate) fn add(&mut self, wanted: &Value) -> Result<Value, String> {
        if self.waiting.len() >= FAULTS_MAX {
            return Err(format!("there are {FAULTS_MAX} faults already"));
        }
        let members = object(wanted, "the body", &["match", "then", "times"])?;
        let matches = read_match(members.get("match").unwrap_or(&Value::Null))?;
        let then = members.get("then").ok_or("then: expected what becomes of the message")?;
        let (fault, inner_times) = read_then(then)?;
        let times = number(members, "times")?.or(inner_times).unwrap_or(1);
        self.last_id += 1;
        let waiting = Waiting {
            id: self.last_id,
            matches,
            fault,
            shown: wanted.clone(),
            left: (times > 0).then_some(times),
            seen: 0,
            applied: 0,
        };
        let view = waiting.view();
        self.waiting.push(waiting);
        Ok(view)
    }

    /// What befalls this message: the first fault that fits it. Every fault that fits has seen it.
    pub(crate) fn befall(&mut self, phone_number_id: &str, message: &Outgoing) -> Option<Fault> {
        let mut found = None;
        for waiting in &mut self.waiting {
            if !waiting.matches.fits(phone_number_id, message) || waiting.left == Some(0) {
                continue;
            }
            waiting.seen += 1;
            if found.is_none() && waiting.seen >= waiting.matches.nth {
                waiting.left = waiting.left.map(|left| left - 1);
                waiting.applied += 1;
                found = Some(waiting.fault.clone());
            }
        }
        found
    }

    pub(crate) fn view(&self) -> Vec<Value> {
        self.waiting.iter().map(Waiting::view).collect()
    }

    /// Removes one, or all; tells how many.
    pub(crate) fn remove(&mut self, id: Option<u64>) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| id.is_some_and(|id| waiting.id != id));
        before - self.waiting.len()
    }
}

impl Waiting {
    fn view(&self) -> Value {
        json!({
            "id": self.id,
            "match": self.shown.get("match").cloned().unwrap_or_else(|| json!({})),
            "then": self.shown["then"],
            "left": self.left,
            "seen": self.seen,
            "applied": self.applied,
        })
    }
}

impl Match {
    fn fits(&self, phone_number_id: &str, message: &Outgoing) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        fits(&self.to, &message.to)
            && fits(&self.number, phone_number_id)
            && fits(&self.kind, message.kind)
            && fits(&self.template, message.template.as_deref().unwrap_or_default())
    }
}

fn read_match(wanted: &Value) -> Result<Match, String> {
    if wanted.is_null() {
        return Ok(Match::default());
    }
    let members = object(wanted, "match", &["to", "number", "type", "template", "nth"])?;
    let text = |key: &str| match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("match.{key}: expected a text")),
    };
    Ok(Match {
        to: text("to")?,
        number: text("number")?,
        kind: text("type")?,
        template: text("template")?,
        nth: number(members, "nth")?.unwrap_or(1),
    })
}

fn read_then(then: &Value) -> Result<(Fault, Option<u64>), String> {
    let Value::Object(members) = then else {
        let fault = match then.as_str() {
            Some("timeout_after_write") => Fault::TimeoutAfterWrite,
            Some("timeout_before") => Fault::TimeoutBefore,
            Some("reset") => Fault::Reset,
            Some("http_500_html") => Fault::Html,
            _ => {
                return Err(
                    "then: expected timeout_after_write, timeout_before, reset, http_500_html, or an object \
                            with code, slow or async_failed"
                        .to_owned(),
                );
            }
        };
        return Ok((fault, None));
    };
    object(then, "then", &["code", "http", "details", "times", "retry_after", "slow", "async_failed"])?;
    let times = number(members, "times")?;
    let details = members.get("details").and_then(Value::as_str).unwrap_or("Asked for by a test");
    let error = |key: &str| match members.get(key) {
        None => Ok(None),
        Some(code) => code
            .as_i64()
            .map(|code| Some(GraphError::new(code, details)))
            .ok_or_else(|| format!("then.{key}: expected the number of an error")),
    };
    let fault = match (error("code")?, number(members, "slow")?, error("async_failed")?) {
        (Some(mut refusal), None, None) => {
            if let Some(http) = number(members, "http")? {
                let status = u16::try_from(http).ok().and_then(|http| StatusCode::from_u16(http).ok());
                refusal.http = status.ok_or("then.http: expected an HTTP status")?;
            }
            let seconds = number(members, "retry_after")?.map(u32::try_from).transpose();
            refusal.retry_after = seconds.map_err(|_| "then.retry_after: expected seconds")?;
            Fault::Refuse(refusal)
        }
        (None, Some(slow_ms), None) if slow_ms <= SLOW_MS_MAX => Fault::Slow(slow_ms),
        (None, Some(_), None) => return Err(format!("then.slow: expected at most {SLOW_MS_MAX}")),
        (None, None, Some(failure)) => Fault::Fail(failure),
        _ => return Err("then: expected exactly one of code, slow and async_failed".to_owned()),
    };
    Ok((fault, times))
}

fn object<'a>(value: &'a Value, name: &str, keys: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let members = value.as_object().ok_or_else(|| format!("{name}: expected a JSON object"))?;
    match members.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(members),
        Some(key) => Err(format!("{name}: {key} is unknown; expected {}", keys.join(", "))),
    }
}

fn number(members: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("{key}: expected a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: &str, kind: &'static str) -> Outgoing {
        Outgoing {
            input: to.to_owned(),
            to: to.to_owned(),
            kind,
            template: None,
            file: None,
            callback_data: None,
        }
    }

    fn code(fault: Option<Fault>) -> Option<i64> {
        match fault? {
            Fault::Refuse(error) => Some(error.code),
            _ => None,
        }
    }

    #[test]
    fn a_fault_befalls_the_nth_match_so_many_times() {
        let mut faults = Faults::default();
        let wanted = json!({ "match": { "to": "1", "type": "text", "nth": 2 }, "then": { "code": 131_056, "times": 2 } });
        faults.add(&wanted).unwrap();
        let mut befalls = |to: &str, kind| code(faults.befall("n", &message(to, kind)));
        assert_eq!(befalls("1", "text"), None);
        assert_eq!(befalls("2", "text"), None);
        assert_eq!(befalls("1", "image"), None);
        assert_eq!(
            [befalls("1", "text"), befalls("1", "text"), befalls("1", "text")],
            [Some(131_056), Some(131_056), None]
        );
        assert_eq!((&faults.view()[0]["applied"], &faults.view()[0]["left"]), (&json!(2), &json!(0)));
        assert_eq!(faults.remove(None), 1);
    }

    #[test]
    fn times_0_is_until_it_is_removed() {
        let mut faults = Faults::default();
        let id = faults.add(&json!({ "then": "reset", "times": 0 })).unwrap()["id"].as_u64();
        for _ in 0..5 {
            assert_eq!(faults.befall("n", &message("1", "text")), Some(Fault::Reset));
        }
        assert_eq!(faults.remove(id), 1);
        assert_eq!(faults.befall("n", &message("1", "text")), None);
    }

    #[test]
    fn what_is_no_fault_is_refused_by_name() {
        for (wanted, named) in [
            (json!(1), "the body"),
            (json!({}), "then"),
            (json!({ "then": "explode" }), "then"),
            (json!({ "then": {} }), "then"),
            (json!({ "then": { "code": 1, "slow": 2 } }), "then"),
            (json!({ "then": { "code": "x" } }), "then.code"),
            (json!({ "then": { "code": 1, "http": 7 } }), "then.http"),
            (json!({ "then": "reset", "match": { "nth": -1 } }), "nth"),
            (json!({ "then": "reset", "match": { "from": "1" } }), "from"),
        ] {
            let refusal = Faults::default().add(&wanted).unwrap_err();
            assert!(refusal.contains(named), "{wanted}: {refusal}");
        }
    }
}
