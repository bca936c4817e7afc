//! The secrets of a development machine: made once, kept in a file that only its owner reads, given way to the
//! environment.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use rand::Rng;

use crate::settings::Variables;

/// Environment name, our own spelling of it, section and key.
const NAMES: [(&str, &str, &str, &str); 7] = [
    ("JWT_SECRET", "CHASQUI__EDGE__JWT_SECRET", "edge", "jwt_secret"),
    ("WHATSAPP_API_KEY", "CHASQUI__INGEST__API_KEY", "ingest", "api_key"),
    ("WHATSAPP_APP_SECRET", "CHASQUI__INGEST__APP_SECRET", "ingest", "app_secret"),
    ("WHATSAPP_VERIFY_TOKEN", "CHASQUI__INGEST__VERIFY_TOKEN", "ingest", "verify_token"),
    ("WHATSAPP_ACCESS_TOKEN", "CHASQUI__WHATSAPP__ACCESS_TOKEN", "whatsapp", "access_token"),
    ("SEALING_KEY", "CHASQUI__INGEST__SEALING_KEY", "ingest", "sealing_key"),
    ("MEDIA_URL_KEY", "CHASQUI__MEDIA__URL_KEY", "media", "url_key"),
];

/// Random bytes of a secret; as hexadecimal digits they satisfy the longest minimum, 32 bytes.
const SECRET_BYTES: usize = 24;

/// Values for the variables that the environment does not give.
pub(crate) struct Secrets(BTreeMap<&'static str, String>);

impl Secrets {
    /// Reads the file, and adds to it what is missing in it and in the environment.
    pub(crate) fn load_or_make(file: &Path, given: &Variables) -> anyhow::Result<Self> {
        let text = if file.exists() {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        } else {
            String::new()
        };
        let mut values = BTreeMap::new();
        let mut is_new = false;
        for (variable, _, section, key) in NAMES {
            let kept = line_value(&text, &format!("{section}.{key}"));
            if kept.is_none() && !is_given(given, variable) {
                is_new = true;
            }
            values.insert(variable, kept.unwrap_or_else(random));
        }
        let secrets = Self(values);
        if is_new || text.is_empty() {
            secrets.write(file).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(secrets)
    }

    /// Sets the variables that are not given.
    pub(crate) fn fill(&self, variables: &mut Variables) {
        for (variable, value) in &self.0 {
            if !is_given(variables, variable) {
                variables.insert((*variable).to_owned(), value.clone());
            }
        }
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        let mut output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        writeln!(
            output,
            "# Secrets of this machine's `chasqui up`, for development only. Delete the file for new ones."
        )?;
        for (variable, _, section, key) in NAMES {
            writeln!(output, "{section}.{key} = \"{}\"", self.0[variable])?;
        }
        Ok(())
    }
}

/// Whether the environment says it, in either spelling.
fn is_given(variables: &Variables, variable: &str) -> bool {
    let has = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
    has(variable) || NAMES.iter().any(|(name, ours, ..)| *name == variable && has(ours))
}

/// The file is ours, one `section.key = "value"` a line, which any TOML reader takes as well.
fn line_value(text: &str, setting: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim() == setting && !value.is_empty()).then(|| value.to_owned())
    })
}

fn random() -> String {
    hex::encode(rand::rng().random::<[u8; SECRET_BYTES]>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_only_their_owner_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("dev.toml");
        let first = Secrets::load_or_make(&file, &Variables::new()).unwrap();
        let second = Secrets::load_or_make(&file, &Variables::new()).unwrap();
        assert_eq!(first.0, second.0);
        assert!(first.0["JWT_SECRET"].len() >= 32);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_the_environment_gives_wins_in_either_spelling() {
        let directory = tempfile::tempdir().unwrap();
        let mut variables = Variables::from([
            ("WHATSAPP_API_KEY".to_owned(), "given".to_owned()),
            ("CHASQUI__EDGE__JWT_SECRET".to_owned(), "given too".to_owned()),
        ]);
        Secrets::load_or_make(&directory.path().join("dev.toml"), &variables).unwrap().fill(&mut variables);
        assert_eq!(variables["WHATSAPP_API_KEY"], "given");
        assert!(!variables.contains_key("JWT_SECRET"));
        assert!(variables.contains_key("WHATSAPP_APP_SECRET"));
    }
}
