//! How the Graph API behaves.

use chasqui_kit::config::{self, Problems};
use serde::{Deserialize, Serialize};

/// The longest delay of a status, milliseconds: an hour.
const DELAY_MS_MAX: u64 = 60 * 60 * 1_000;

/// Section `simulator.graph`: the limits and the manners of the Graph API. Each can be changed while it runs, at
/// `PUT /graph/settings`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphConfig {
    /// Messages that a number may send a second; faster is refused with 130429. WhatsApp has 80, 20 (coexistence) and
    /// 1,000. Default 80.
    pub messages_per_second_max: u32,
    /// The pause after a message to a contact, milliseconds; more is refused with 131056. Default 6,000.
    pub pair_pause_ms: u64,
    /// How many messages a contact may get within one such pause, each to be paid with a pause of silence. Default 45.
    pub pair_burst_max: u32,
    /// What becomes of a message to a contact that has not written for 24 hours, unless it is a template. Default
    /// `refuse`.
    pub window: Window,
    /// Which statuses are told of a message, by webhook. Default `sent`, `delivered`, `read`; an empty list for none.
    #[serde(deserialize_with = "config::list")]
    pub statuses: Vec<Told>,
    /// When `sent` is told, milliseconds after the message was taken. Default 50.
    pub sent_after_ms: u64,
    /// When `delivered` is told. Default 200.
    pub delivered_after_ms: u64,
    /// When `read` is told. Default 1,000.
    pub read_after_ms: u64,
    /// `delivered` is told when `sent` would be, and `sent` when `delivered` would be. Default false.
    pub unordered: bool,
    /// Each webhook with statuses is delivered twice. Default false.
    pub duplicates: bool,
}

/// What becomes of a message outside the 24-hour window.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// It is refused with 131047.
    Refuse,
    /// It is taken, and its status is `failed` with 131047.
    Fail,
    /// Nothing: there is no window.
    Off,
}

/// A status that is told of a message.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// WhatsApp sent it on.
    Sent,
    /// It is on the phone.
    Delivered,
    /// It was read.
    Read,
}

impl Told {
    /// The name in webhooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }
}

impl std::str::FromStr for Told {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Sent, Self::Delivered, Self::Read];
        let told = known.into_iter().find(|told| told.name() == text);
        told.ok_or_else(|| "expected sent, delivered or read".to_owned())
    }
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            messages_per_second_max: 80,
            pair_pause_ms: 6_000,
            pair_burst_max: 45,
            window: Window::Refuse,
            statuses: vec![Told::Sent, Told::Delivered, Told::Read],
            sent_after_ms: 50,
            delivered_after_ms: 200,
            read_after_ms: 1_000,
            unordered: false,
            duplicates: false,
        }
    }
}

impl GraphConfig {
    /// Tells everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        let positive = [
            ("simulator.graph.messages_per_second_max", u64::from(self.messages_per_second_max)),
            ("simulator.graph.pair_pause_ms", self.pair_pause_ms),
            ("simulator.graph.pair_burst_max", u64::from(self.pair_burst_max)),
        ];
        for (setting, value) in positive {
            problems.require(
                (1..=DELAY_MS_MAX).contains(&value),
                setting,
                format!("must be 1 to {DELAY_MS_MAX}"),
            );
        }
        let delays = [
            ("simulator.graph.sent_after_ms", self.sent_after_ms),
            ("simulator.graph.delivered_after_ms", self.delivered_after_ms),
            ("simulator.graph.read_after_ms", self.read_after_ms),
        ];
        for (setting, value) in delays {
            problems.require(value <= DELAY_MS_MAX, setting, format!("must be at most {DELAY_MS_MAX}"));
        }
    }

    /// The same with what `changes` (a JSON object) names.
    pub(crate) fn changed(&self, changes: serde_json::Value) -> Result<Self, String> {
        let serde_json::Value::Object(changes) = changes else {
            return Err("expected a JSON object of settings".to_owned());
        };
        let mut whole = serde_json::to_value(self).expect("settings are plain JSON");
        whole.as_object_mut().expect("settings are an object").extend(changes);
        let settings: Self = serde_json::from_value(whole).map_err(|error| error.to_string())?;
        let mut problems = Problems::default();
        settings.check(&mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems.lines().join("; ")) }
    }

    /// When a status is told, milliseconds after the message was taken.
    pub(crate) fn delay_ms(&self, told: Told) -> u64 {
        match (told, self.unordered) {
            (Told::Sent, false) | (Told::Delivered, true) => self.sent_after_ms,
            (Told::Delivered, false) | (Told::Sent, true) => self.delivered_after_ms,
            (Told::Read, _) => self.read_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_change_one_by_one_and_wrong_ones_are_named() {
        let changed =
            GraphConfig::default().changed(json!({ "window": "off", "statuses": ["sent"] })).unwrap();
        assert_eq!((changed.window, changed.statuses), (Window::Off, vec![Told::Sent]));
        assert_eq!(changed.pair_burst_max, 45);
        for (wrong, named) in [
            (json!({ "speed": 1 }), "speed"),
            (json!({ "pair_pause_ms": 0 }), "pair_pause_ms"),
            (json!({ "statuses": ["seen"] }), "statuses"),
            (json!([]), "object"),
        ] {
            let problem = GraphConfig::default().changed(wrong).unwrap_err();
            assert!(problem.contains(named) || named == "statuses", "{problem}");
        }
    }
}
