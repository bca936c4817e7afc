//! Configuration: defaults compiled in, then `chasqui.toml`, then `CHASQUI__SECTION__KEY`, then the names operators
//! already know (`PORT`, `NATS_URL`, …). Read once, checked whole: every problem is told, not the first.

use std::{collections::HashMap, fmt, ops::RangeInclusive, path::Path, str::FromStr};

use config::{Config as Layers, ConfigError, Environment, File, FileFormat, Map, Value, ValueKind};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

/// The file that is read when it exists and no other is named.
pub const DEFAULT_FILE: &str = "chasqui.toml";

/// The environment names operators know, and the setting each one means.
const OPERATOR_NAMES: &[(&str, &str)] = &[
    ("PORT", "http.port"),
    ("NATS_URL", "nats.url"),
    ("NATS_USER", "nats.user"),
    ("NATS_PASSWORD", "nats.password"),
    ("DATABASE_URL", "persistence.database_url"),
    ("JWT_SECRET", "edge.jwt_secret"),
    ("WHATSAPP_API_KEY", "ingest.api_key"),
    ("ADMIN_API_KEY", "ingest.admin_key"),
    ("WHATSAPP_APP_SECRET", "ingest.app_secret"),
    ("WHATSAPP_VERIFY_TOKEN", "ingest.verify_token"),
    ("WHATSAPP_ACCESS_TOKEN", "whatsapp.access_token"),
    ("WHATSAPP_PHONE_NUMBER_ID", "whatsapp.phone_number_id"),
    ("WHATSAPP_SESSION_TIMEOUT", "whatsapp.session_timeout_ms"),
    ("WHATSAPP_MAX_RETRIES", "whatsapp.retries_max"),
    ("SEALING_KEY", "ingest.sealing_key"),
    ("SEALING_KEY", "webhooks.sealing_key"),
    ("MEDIA_URL_KEY", "media.url_key"),
    ("OPENAI_API_KEY", "bot.openai_api_key"),
    ("OPENAI_BASE_URL", "bot.openai_base_url"),
    ("OPENAI_MODEL", "bot.openai_model"),
    ("DEFAULT_TENANT", "tenant.default"),
    ("DEFAULT_RESPONDER", "tenant.responder"),
    ("LOG_FORMAT", "log.format"),
    ("RUST_LOG", "log.filter"),
];

/// Everything that is wrong with a configuration.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds a problem. `setting` is its dotted name; `expected` says what would be right.
    pub fn add(&mut self, setting: &str, expected: impl fmt::Display) {
        let known = OPERATOR_NAMES.iter().find(|(_, name)| *name == setting);
        let spelled = known.map_or_else(String::new, |(variable, _)| format!(" ({variable})"));
        self.0.push(format!("{setting}{spelled}: {expected}"));
    }

    /// Adds a problem unless `holds`.
    pub fn require(&mut self, holds: bool, setting: &str, expected: impl fmt::Display) {
        if !holds {
            self.add(setting, expected);
        }
    }

    /// Adds a problem unless a number is in a range.
    pub fn between<N>(&mut self, setting: &str, value: N, range: RangeInclusive<N>)
    where
        N: Copy + PartialOrd + fmt::Display,
    {
        let (least, most) = (range.start(), range.end());
        self.require(range.contains(&value), setting, format_args!("must be {least} to {most}"));
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line a problem.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} problem(s):", self.0.len())?;
        self.0.iter().try_for_each(|problem| writeln!(f, "  - {problem}"))
    }
}

impl std::error::Error for Problems {}

/// A section that can be judged as a whole.
pub trait Section: DeserializeOwned + Default {
    /// Its name in the file.
    const NAME: &'static str;

    /// Tells everything that is wrong with it.
    fn check(&self, problems: &mut Problems);
}

/// The settings of every source, not yet typed.
#[derive(Debug)]
pub struct Settings {
    sections: HashMap<String, Value>,
}

impl Settings {
    /// Reads the file (it must exist when it was named) and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        Self::read(file, std::env::vars().collect())
    }

    /// Settings from a text in the file's format and given variables, for tests and for processes started by us.
    pub fn read(file: Option<&Path>, variables: HashMap<String, String>) -> Result<Self, Problems> {
        let mut layers = Layers::builder();
        layers = match file {
            Some(path) => layers.add_source(File::from(path).format(FileFormat::Toml)),
            None => layers.add_source(File::new(DEFAULT_FILE, FileFormat::Toml).required(false)),
        };
        for &(variable, setting) in OPERATOR_NAMES {
            if let Some(value) = variables.get(variable).filter(|value| !value.is_empty()) {
                layers = layers.set_override(setting, value.as_str()).map_err(|error| unreadable(&error))?;
            }
        }
        let environment = Environment::with_prefix("CHASQUI").prefix_separator("__").separator("__");
        let built = layers
            .add_source(environment.source(Some(variables)))
            .build()
            .map_err(|error| unreadable(&error))?;
        let sections = built.try_deserialize().map_err(|error| unreadable(&error))?;
        Ok(Self { sections })
    }

    /// Takes a section out, typed. What cannot be read is told, and the default stands in its place, so that the rest
    /// can be judged too.
    pub fn take<S: Section>(&mut self, problems: &mut Problems) -> S {
        let Some(value) = self.sections.remove(S::NAME) else {
            let section = S::default();
            section.check(problems);
            return section;
        };
        let mut table = match value.into_table() {
            Ok(table) => table,
            Err(error) => {
                problems.add(S::NAME, error);
                return S::default();
            }
        };
        // One pass a wrong key: each is told, removed, and the rest read again.
        loop {
            let value = Value::new(None, ValueKind::Table(table.clone()));
            match value.try_deserialize::<S>() {
                Ok(section) => {
                    section.check(problems);
                    return section;
                }
                Err(error) => {
                    let Some(key) = wrong_key(&error, &table) else {
                        problems.add(S::NAME, &error);
                        return S::default();
                    };
                    problems.add(&format!("{}.{key}", S::NAME), &error);
                    table.remove(&key);
                }
            }
        }
    }

    /// Tells the sections nobody took: most often a misspelt name.
    pub fn finish(self, problems: &mut Problems) {
        let mut unknown: Vec<String> = self.sections.into_keys().collect();
        unknown.sort_unstable();
        for section in unknown {
            problems.add(&section, "there is no such section");
        }
    }
}

/// Reads a list that the file gives as a list and the environment as one text with commas. For
/// `#[serde(deserialize_with = "…")]`.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr<Err: fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Listed<T> {
        Many(Vec<T>),
        Text(String),
    }
    match Listed::deserialize(deserializer)? {
        Listed::Many(items) => Ok(items),
        Listed::Text(text) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items
                .map(|item| item.parse().map_err(|error| D::Error::custom(format!("{item:?}: {error}"))))
                .collect()
        }
    }
}

fn unreadable(error: &ConfigError) -> Problems {
    Problems(vec![error.to_string()])
}

/// The key of the table that an error is about: the error names it, or (for an unknown field) its text does.
fn wrong_key(error: &ConfigError, table: &Map<String, Value>) -> Option<String> {
    let named = match error {
        ConfigError::Type { key, .. } | ConfigError::At { key, .. } => key.clone(),
        _ => None,
    };
    let text = error.to_string();
    let first = |path: String| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    named.map(first).filter(|key| table.contains_key(key)).or_else(|| {
        let mut keys: Vec<&String> = table.keys().collect();
        keys.sort_unstable();
        keys.into_iter().find(|key| text.contains(&format!("`{key}`"))).cloned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        port: u16,
        name: String,
        wait_ms: u64,
        #[serde(deserialize_with = "list")]
        ports: Vec<u16>,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { port: 1, name: String::new(), wait_ms: 5, ports: Vec::new() }
        }
    }

    impl Section for Sample {
        const NAME: &'static str = "http";

        fn check(&self, problems: &mut Problems) {
            problems.require(self.wait_ms > 0, "http.wait_ms", "must be at least 1");
        }
    }

    fn read(variables: &[(&str, &str)]) -> (Sample, Problems) {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut problems = Problems::default();
        let mut settings = Settings::read(None, variables).unwrap();
        let sample = settings.take(&mut problems);
        settings.finish(&mut problems);
        (sample, problems)
    }

    #[test]
    fn a_number_out_of_its_range_is_told_with_both_ends() {
        let mut problems = Problems::default();
        problems.between("x.fine", 1_u32, 1..=9);
        problems.between("x.many", 10_u32, 1..=9);
        assert_eq!(problems.lines(), ["x.many: must be 1 to 9"]);
    }

    #[test]
    fn the_names_operators_know_win_over_ours() {
        let (sample, problems) = read(&[("PORT", "80"), ("CHASQUI__HTTP__NAME", "7")]);
        assert_eq!(problems, Problems::default());
        assert_eq!((sample.port, sample.name.as_str(), sample.wait_ms), (80, "7", 5));
    }

    #[test]
    fn a_list_is_written_with_commas_in_the_environment() {
        let (sample, problems) = read(&[("CHASQUI__HTTP__PORTS", "80, 443")]);
        assert_eq!((sample.ports, problems), (vec![80, 443], Problems::default()));
        let (_, problems) = read(&[("CHASQUI__HTTP__PORTS", "80,many")]);
        assert!(problems.to_string().contains("many"), "{problems}");
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let (_, problems) = read(&[
            ("CHASQUI__HTTP__PORT", "many"),
            ("CHASQUI__HTTP__WAIT_MS", "0"),
            ("CHASQUI__HTTP__NAMES", "x"),
            ("CHASQUI__HTPP__PORT", "1"),
        ]);
        let told = problems.to_string();
        for expected in ["http.port (PORT)", "http.wait_ms: must be", "http.names", "htpp: there is no such"]
        {
            assert!(told.contains(expected), "{expected:?} is missing in {told}");
        }
        assert_eq!(problems.lines().len(), 4, "{told}");
    }
}
