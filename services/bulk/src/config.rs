//! Section `bulk`.

use chasqui_kit::config::{Problems, Section};
use serde::Deserialize;

/// Section `bulk`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many campaigns one replica runs at once; others wait for another replica, or for one of these to end. Default 64.
    pub campaigns_max: usize,
    /// How often a replica looks for campaigns that nobody runs, milliseconds. Default 500.
    pub search_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { campaigns_max: 64, search_interval_ms: 500 }
    }
}

impl Section for Config {
    const NAME: &'static str = "bulk";

    fn check(&self, problems: &mut Problems) {
        problems.between("bulk.campaigns_max", self.campaigns_max, 1..=1_024);
        problems.between("bulk.search_interval_ms", self.search_interval_ms, 50..=3_000);
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
    fn everything_has_a_default_and_every_wrong_setting_is_named() {
        assert_eq!(told(&Config::default()), "");
        let told = told(&Config { campaigns_max: 0, search_interval_ms: 1 });
        for name in ["bulk.campaigns_max", "bulk.search_interval_ms"] {
            assert!(told.contains(name), "{name} is missing in {told}");
        }
    }
}
