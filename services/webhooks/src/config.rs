//! Section `webhooks`.

use std::time::Duration;

use chasqui_callback::Allowed;
use chasqui_kit::{
    config::{Problems, Section, list},
    seal::Seal,
};
use chasqui_proto::v1::Responder;
use secrecy::SecretString;
use serde::Deserialize;

/// The longest time an attempt may take, milliseconds.
const TIMEOUT_MS_MAX: u64 = 30_000;
/// The longest schedule: more attempts than anybody reads in a log.
const ATTEMPTS_MAX: usize = 32;
/// The longest pause between two attempts, seconds: seven days, which is how long events are kept.
const RETRY_SECS_MAX: u64 = 7 * 24 * 3600;

/// Section `webhooks`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the secrets of listeners were sealed with, the same as `ingest.sealing_key`: at least 32 bytes; several,
    /// separated by commas, while it is being changed. Default none: needed.
    pub sealing_key: Option<SecretString>,
    /// Networks (`10.1.0.0/16`) that events may be posted to although the public Internet does not route them. Whoever
    /// may register listeners can reach everything in them. Default none.
    #[serde(deserialize_with = "list")]
    pub private_networks_allowed: Vec<String>,
    /// How long an attempt may take, from the first byte sent to the last one read; milliseconds, at most 30,000.
    /// Default 15,000.
    pub timeout_ms: u64,
    /// How long after an attempt that failed the next one follows, seconds, each with up to a tenth more; the first is
    /// that of the first attempt. What fails as often as there are entries is given up. Default 0, 5, 300, 1,800, 7,200,
    /// 18,000, 36,000, 50,400, 72,000, 86,400.
    #[serde(deserialize_with = "list")]
    pub retry_schedule_secs: Vec<u64>,
    /// The most a listener's `Retry-After` is honoured, seconds. Default 3,600.
    pub retry_after_secs_max: u64,
    /// How long a listener that does not answer is left alone first, seconds; it doubles each time. Default 5.
    pub rest_secs_min: u64,
    /// How long it is left alone at most, seconds. Default 300.
    pub rest_secs_max: u64,
    /// How many attempts in a row a listener may refuse before it is left alone like one that does not answer.
    /// Default 5.
    pub refusals_max: u32,
    /// How long a listener may fail without one success before it is disabled, seconds; 0 is for ever. Default 432,000,
    /// five days.
    pub disable_after_secs: u64,
    /// How many attempts run at once for one listener that answers; it begins with one. Default 8.
    pub listener_attempts_max: u32,
    /// How many attempts run at once for one host, over all its listeners, in one process. Default 256.
    pub host_attempts_max: usize,
    /// How many attempts run at once in one process. Default 2,048.
    pub attempts_max: usize,
    /// How many events of one partition are in the hands of its owner at once. Default 2,048.
    pub in_hand_max: usize,
    /// How files of messages are reached. Filled from section `media`.
    #[serde(skip)]
    pub media: chasqui_media::Config,
    /// Who answers contacts where neither their tenant nor their conversation says so. Filled from section `tenant`.
    /// Default `External`.
    #[serde(skip)]
    pub responder: Responder,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sealing_key: None,
            private_networks_allowed: Vec::new(),
            timeout_ms: 15_000,
            retry_schedule_secs: vec![0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400],
            retry_after_secs_max: 3_600,
            rest_secs_min: 5,
            rest_secs_max: 300,
            refusals_max: 5,
            disable_after_secs: 5 * 24 * 3600,
            listener_attempts_max: 8,
            host_attempts_max: 256,
            attempts_max: 2_048,
            in_hand_max: 2_048,
            media: chasqui_media::Config::default(),
            responder: Responder::External,
        }
    }
}

impl Config {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Section for Config {
    const NAME: &'static str = "webhooks";

    fn check(&self, problems: &mut Problems) {
        match &self.sealing_key {
            None => problems.add("webhooks.sealing_key", "is needed: what ingest.sealing_key is set to"),
            Some(key) => {
                if let Err(error) = Seal::new(key) {
                    problems.add("webhooks.sealing_key", error);
                }
            }
        }
        if let Err(error) = Allowed::new(&self.private_networks_allowed) {
            problems.add("webhooks.private_networks_allowed", error);
        }
        problems.between("webhooks.timeout_ms", self.timeout_ms, 1..=TIMEOUT_MS_MAX);
        problems.between("webhooks.retry_after_secs_max", self.retry_after_secs_max, 0..=RETRY_SECS_MAX);
        problems.between("webhooks.rest_secs_max", self.rest_secs_max, 1..=RETRY_SECS_MAX);
        problems.between("webhooks.rest_secs_min", self.rest_secs_min, 1..=self.rest_secs_max.max(1));
        problems.between("webhooks.refusals_max", self.refusals_max, 1..=u32::MAX);
        problems.between("webhooks.listener_attempts_max", self.listener_attempts_max, 1..=1_024);
        problems.between("webhooks.host_attempts_max", self.host_attempts_max, 1..=65_536);
        problems.between("webhooks.attempts_max", self.attempts_max, 1..=65_536);
        problems.between("webhooks.in_hand_max", self.in_hand_max, 1..=65_536);
        problems.require(
            (1..=ATTEMPTS_MAX).contains(&self.retry_schedule_secs.len())
                && self.retry_schedule_secs.iter().all(|secs| *secs <= RETRY_SECS_MAX),
            "webhooks.retry_schedule_secs",
            format!("must be 1 to {ATTEMPTS_MAX} pauses of at most {RETRY_SECS_MAX} seconds"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Config) -> String {
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.lines().join("\n")
    }

    #[test]
    fn only_the_sealing_key_has_no_default() {
        assert!(told(&Config::default()).starts_with("webhooks.sealing_key"));
        let key = Some("0123456789abcdef0123456789abcdef".into());
        assert_eq!(told(&Config { sealing_key: key, ..Config::default() }), "");
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let wrong = Config {
            sealing_key: Some("short".into()),
            private_networks_allowed: vec!["everywhere".to_owned()],
            timeout_ms: 30_001,
            retry_schedule_secs: Vec::new(),
            rest_secs_min: 301,
            refusals_max: 0,
            listener_attempts_max: 0,
            host_attempts_max: 0,
            attempts_max: 0,
            in_hand_max: 0,
            ..Config::default()
        };
        let told = told(&wrong);
        for name in [
            "sealing_key",
            "private_networks_allowed",
            "timeout_ms",
            "retry_schedule_secs",
            "rest_secs_min",
            "refusals_max",
            "listener_attempts_max",
            "host_attempts_max",
            "webhooks.attempts_max",
            "in_hand_max",
        ] {
            assert!(told.contains(name), "{name} is missing in {told}");
        }
    }
}
