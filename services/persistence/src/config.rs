//! Section `persistence`.

use std::{ops::RangeInclusive, time::Duration};

use chasqui_kit::config::{self, Problems, Section};
use secrecy::SecretString;
use serde::Deserialize;

use crate::opt_out::{self, Keywords};

/// How many keywords of a kind there may be.
const KEYWORDS: RangeInclusive<usize> = 1..=100;
/// How long a keyword may be, characters.
const KEYWORD_LENGTH: RangeInclusive<usize> = 1..=64;

/// What is left out says something else in many chats: "cancelar" is about appointments, "salir" about menus.
const OPT_OUT_KEYWORDS: [&str; 13] = [
    "stop",
    "unsubscribe",
    "opt out",
    "baja",
    "dar de baja",
    "darme de baja",
    "cancelar suscripcion",
    "no molestar",
    "no recibir mas",
    "sair",
    "remover",
    "descadastrar",
    "cancelar inscricao",
];
const OPT_IN_KEYWORDS: [&str; 8] =
    ["start", "subscribe", "opt in", "alta", "darme de alta", "suscribir", "suscribirme", "quiero recibir"];

/// Settings of persistence.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The database, as `postgres://user:password@host/name`. No default: persistence does not start without it.
    pub database_url: Option<SecretString>,
    /// How many connections to the database one process holds at most. One writes, the others answer queries.
    /// Default 8.
    pub connections_max: u32,
    /// How many messages and statuses one transaction stores at most. Default 1,000.
    pub batch_max: usize,
    /// The shortest time from the beginning of one transaction to the next while messages keep coming, milliseconds: what
    /// comes in between shares one. A lone message does not wait, nor does a full batch. Default 50.
    pub batch_interval_ms: u64,
    /// How many deliveries may wait for their acknowledgement, over all replicas. Default 8,000: a batch in hand and
    /// one on the way for each of four replicas.
    pub ack_pending_max: usize,
    /// How long a delivery may be in hand before another replica gets it, milliseconds. Default 10,000.
    pub ack_wait_ms: u64,
    /// How often a delivery is tried before it goes to the dead letters, where neither the database nor the broker is
    /// away: while one is, the batch waits. Default 10.
    pub attempts_max: u64,
    /// The longest pause before trying the database or the broker again, milliseconds. Default 2,000.
    pub retry_pause_max_ms: u64,
    /// How often the counters of a tenant are published at most, milliseconds. Default 250.
    pub stats_interval_ms: u64,
    /// How long the chats of an agent whose last connection ended stay its own, milliseconds; then another one gets
    /// them. Default 30,000.
    pub agent_grace_ms: u64,
    /// How often each replica looks for chats that are due without anybody asking, milliseconds: the grace of an agent
    /// ended, an agent became active. Default 1,000.
    pub chats_interval_ms: u64,
    /// How long the log of deliveries to listeners keeps one after its last attempt, days. Default 14.
    pub delivery_log_days: u32,
    /// What a contact writes, or chooses, to get no campaigns any more; it must be the whole message. Case, accents and
    /// punctuation do not matter. 1 to 100 keywords of 1 to 64 characters, none of them in `opt_in_keywords`. Default:
    /// stop, baja, unsubscribe, …, as docs/opt-outs.md lists them.
    #[serde(deserialize_with = "config::list")]
    pub opt_out_keywords: Vec<String>,
    /// What a contact writes, or chooses, to get campaigns again; likewise. Default: start, alta, subscribe, ….
    #[serde(deserialize_with = "config::list")]
    pub opt_in_keywords: Vec<String>,
    /// Adds made-up patients, cities and specialties to the default tenant at the start, for local use: flows can then be
    /// walked through. What is there already stays as it is. Default false; `chasqui up` turns it on.
    pub seed: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database_url: None,
            connections_max: 8,
            batch_max: 1_000,
            batch_interval_ms: 50,
            ack_pending_max: 8_000,
            ack_wait_ms: 10_000,
            attempts_max: 10,
            retry_pause_max_ms: 2_000,
            stats_interval_ms: 250,
            agent_grace_ms: 30_000,
            chats_interval_ms: 1_000,
            delivery_log_days: 14,
            opt_out_keywords: OPT_OUT_KEYWORDS.map(str::to_owned).to_vec(),
            opt_in_keywords: OPT_IN_KEYWORDS.map(str::to_owned).to_vec(),
            seed: false,
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "persistence";

    fn check(&self, problems: &mut Problems) {
        let mut require = |holds: bool, setting: &str, expected: &str| {
            problems.require(holds, &format!("persistence.{setting}"), expected);
        };
        require(
            self.database_url.is_some(),
            "database_url",
            "must be set: postgres://user:password@host/database",
        );
        require(self.database_url.is_some(), "database_url", "must be set");
        require(
            self.connections_max >= 2,
            "connections_max",
            "must be at least 2: one writes, the rest answer",
        );
        require((1..=10_000).contains(&self.batch_max), "batch_max", "must be 1 to 10000");
        require(self.ack_pending_max >= self.batch_max, "ack_pending_max", "must be at least batch_max");
        require(self.batch_interval_ms <= 1_000, "batch_interval_ms", "must be at most 1000");
        require(self.ack_wait_ms >= 1_000, "ack_wait_ms", "must be at least 1000");
        require(self.attempts_max >= 1, "attempts_max", "must be at least 1");
        require(self.retry_pause_max_ms >= 1, "retry_pause_max_ms", "must be at least 1");
        require(self.stats_interval_ms >= 1, "stats_interval_ms", "must be at least 1");
        require(self.agent_grace_ms <= 86_400_000, "agent_grace_ms", "must be at most 86400000, a day");
        require(
            (1..=60_000).contains(&self.chats_interval_ms),
            "chats_interval_ms",
            "must be 1 to 60000: this late a chat may leave its agent",
        );
        require((1..=3_650).contains(&self.delivery_log_days), "delivery_log_days", "must be 1 to 3650");
        for (setting, keywords) in
            [("opt_out_keywords", &self.opt_out_keywords), ("opt_in_keywords", &self.opt_in_keywords)]
        {
            let fits = |keyword: &String| {
                KEYWORD_LENGTH.contains(&keyword.chars().count()) && !opt_out::fold(keyword).is_empty()
            };
            require(
                KEYWORDS.contains(&keywords.len()) && keywords.iter().all(fits),
                setting,
                "must be 1 to 100 keywords of 1 to 64 characters, each with a letter or digit",
            );
        }
        require(
            !self.keywords().contradict(),
            "opt_in_keywords",
            "must have no keyword of persistence.opt_out_keywords",
        );
    }
}

impl Config {
    pub(crate) fn batch_interval(&self) -> Duration {
        Duration::from_millis(self.batch_interval_ms)
    }

    pub(crate) fn ack_wait(&self) -> Duration {
        Duration::from_millis(self.ack_wait_ms)
    }

    pub(crate) fn retry_pause_max(&self) -> Duration {
        Duration::from_millis(self.retry_pause_max_ms)
    }

    pub(crate) fn agent_grace(&self) -> Duration {
        Duration::from_millis(self.agent_grace_ms)
    }

    pub(crate) fn chats_interval(&self) -> Duration {
        Duration::from_millis(self.chats_interval_ms)
    }

    /// By which contacts leave and come back.
    pub(crate) fn keywords(&self) -> Keywords {
        Keywords::new(&self.opt_out_keywords, &self.opt_in_keywords)
    }

    pub(crate) fn delivery_log_ms(&self) -> i64 {
        i64::from(self.delivery_log_days) * 24 * 3600 * 1000
    }

    pub(crate) fn stats_interval(&self) -> Duration {
        Duration::from_millis(self.stats_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config { database_url: Some("postgres://host/name".into()), ..Config::default() };
        change(&mut config);
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.lines().concat()
    }

    #[test]
    fn keywords_are_counted_measured_and_do_not_contradict() {
        assert_eq!(problems(|_| {}), "");
        for (keywords, is_good) in [
            (vec!["x".repeat(64)], true),
            (vec!["stop".to_owned(); 100], true),
            (vec![], false),
            (vec!["stop".to_owned(); 101], false),
            (vec!["x".repeat(65)], false),
            (vec![String::new()], false),
            (vec!["🛑".to_owned()], false),
        ] {
            let told = problems(|config| config.opt_out_keywords = keywords.clone());
            assert_eq!(told.is_empty(), is_good, "{keywords:?}: {told}");
            assert!(is_good || told.contains("persistence.opt_out_keywords"), "{told}");
        }
        let told = problems(|config| config.opt_in_keywords = vec!["¡Bája!".to_owned()]);
        assert!(told.contains("persistence.opt_in_keywords"), "{told}");
        assert!(told.contains("persistence.opt_out_keywords"), "{told}");
    }
}
