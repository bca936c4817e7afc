use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

const NATS_MINIMUM: (u32, u32) = (2, 12);
const POSTGRES_MINIMUM: u32 = 15;

/// Finds a nats-server: `NATS_SERVER_BIN`, then `.chasqui/bin` of the workspace or of a directory above
/// the current one, then `PATH`. Only the first one found is looked at.
pub(crate) fn nats_server() -> Result<PathBuf, Error> {
    let missing = |found: String| Error::NatsServerMissing { found, minimum: "2.12" };
    let binary = candidates()
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| missing("looked in NATS_SERVER_BIN, .chasqui/bin and PATH".to_owned()))?;
    let version = version_line(&binary);
    match parse_nats_version(&version) {
        Some(found) if found >= NATS_MINIMUM => Ok(binary),
        _ => Err(missing(format!("{} says `{version}`", binary.display()))),
    }
}

/// The directory of PostgreSQL's server programs: `POSTGRES_BIN_DIR`, else the newest below
/// `/usr/lib/postgresql`, else where `initdb` stands in `PATH`.
pub(crate) fn postgres_directory() -> Result<PathBuf, Error> {
    if let Some(directory) = std::env::var_os("POSTGRES_BIN_DIR") {
        return Ok(PathBuf::from(directory));
    }
    let newest = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| debian_directory(*version).join("initdb").is_file())
        .max();
    match newest {
        Some(version) if version >= POSTGRES_MINIMUM => Ok(debian_directory(version)),
        _ => in_path("initdb")
            .and_then(|initdb| Some(initdb.parent()?.to_owned()))
            .ok_or(Error::PostgresMissing { minimum: POSTGRES_MINIMUM }),
    }
}

/// The directory of the workspace this crate was compiled in.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn debian_directory(version: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))
}

fn candidates() -> Vec<PathBuf> {
    if let Some(binary) = std::env::var_os("NATS_SERVER_BIN") {
        return vec![PathBuf::from(binary)];
    }
    let current = std::env::current_dir().unwrap_or_default();
    std::iter::once(workspace().as_path())
        .chain(current.ancestors())
        .map(|directory| directory.join(".chasqui/bin/nats-server"))
        .chain(in_path("nats-server"))
        .collect()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

fn version_line(binary: &Path) -> String {
    match Command::new(binary).arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// `nats-server: v2.15.1` → `(2, 15)`.
fn parse_nats_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.rsplit_once('v')?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let check = |line: &str, expected| assert_eq!(parse_nats_version(line), expected, "{line}");
        check("nats-server: v2.15.1", Some((2, 15)));
        check("nats-server: v2.9.10", Some((2, 9)));
        check("nats-server: v2.12.0-beta.1", Some((2, 12)));
        check("No such file or directory", None);
        assert!((2, 9) < NATS_MINIMUM);
    }
}
