use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Doing, Error};

/// Waits until our end of the pipe closes, which it does however we die, then clears up.
/// Several attempts, because our servers may still be on their way out.
const SWEEPER: &str = r#"cat >/dev/null
tries=0
while [ -e "$1" ] && [ "$tries" -lt 50 ]; do rm -rf -- "$1" || sleep 0.1; tries=$((tries + 1)); done"#;

/// One directory for everything temporary of this process, and the process that removes it after us.
struct Root {
    path: PathBuf,
    /// Held for its open standard input; never waited for.
    _sweeper: Child,
}

static ROOT: LazyLock<io::Result<Root>> = LazyLock::new(|| {
    let path = tempfile::Builder::new().prefix("chasqui-").tempdir()?.keep();
    // PostgreSQL runs as another user when we are root and has to pass through.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))?;
    let sweeper = Command::new("/bin/sh")
        .args(["-c", SWEEPER, "sweeper"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(Root { path, _sweeper: sweeper })
});

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A temporary directory: gone when dropped, and at the latest when the process has ended.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(label: &str) -> Result<Self, Error> {
        let root = ROOT.as_ref().map_err(|source| Error::Io {
            action: "create a temporary directory".to_owned(),
            source: io::Error::new(source.kind(), source.to_string()),
        })?;
        let path = root.path.join(format!("{label}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&path).doing(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is left to the sweeper.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
