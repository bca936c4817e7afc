//! The directory with the files.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::loaded::Source;
use crate::problem::Problem;

/// The longest file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most files.
const FILES_MAX: usize = 10_000;
/// Where the flows are.
const FLOWS: &str = "flows";

/// What is there, as far as it shows without being read: files, by whether they are flows and where they are.
pub(super) type Seen = BTreeMap<(bool, PathBuf), (u64, Option<SystemTime>)>;

/// Looks at the files. A directory `flows` need not be there.
pub(super) fn look(directory: &Path) -> io::Result<Seen> {
    let mut seen = Seen::new();
    look_into(directory, false, &mut seen)?;
    match look_into(&directory.join(FLOWS), true, &mut seen) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(seen),
        looked => looked.map(|()| seen),
    }
}

fn look_into(directory: &Path, is_flow: bool, seen: &mut Seen) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden || path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        if seen.len() == FILES_MAX {
            return Err(io::Error::other(format!("there are more than {FILES_MAX} files")));
        }
        // Links are followed; what is gone already was never there.
        if let Ok(metadata) = fs::metadata(&path) {
            seen.insert((is_flow, path), (metadata.len(), metadata.modified().ok()));
        }
    }
    Ok(())
}

/// Reads the files that were seen.
pub(super) fn read(seen: &Seen) -> Vec<Source> {
    let source = |(is_flow, path): &(bool, PathBuf)| Source {
        file: path.display().to_string(),
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        is_flow: *is_flow,
        text: read_file(path).map_err(|error| format!("cannot be read: {error}")),
    };
    seen.keys().map(source).collect()
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Why a directory cannot be looked at.
pub(super) fn away(directory: &Path, error: &io::Error) -> Problem {
    Problem::at(&directory.display().to_string(), "", 0..0, format!("cannot be read: {error}"))
}
