//! The settings of how many connections one person may have.

use chasqui_kit::config::Problems;
use chasqui_presence::person::CONNECTIONS_OF_PERSON_MAX;
use serde::Deserialize;

use super::Config;
use crate::verdict::Rule;

/// What becomes of a connection too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionPolicy {
    /// The person's oldest connection is closed.
    #[default]
    EvictOldest,
    /// The new connection is closed.
    RefuseNew,
}

impl Config {
    /// Which of a person's connections must go.
    pub(crate) fn rule(&self) -> Rule {
        Rule { connections_max: self.user_connections_max, policy: self.user_connections_policy }
    }

    pub(super) fn check_connections(&self, problems: &mut Problems) {
        problems.require(
            self.user_connections_max <= CONNECTIONS_OF_PERSON_MAX,
            "edge.user_connections_max",
            format!("must be at most {CONNECTIONS_OF_PERSON_MAX}, or 0 for any number"),
        );
    }
}
