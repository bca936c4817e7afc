use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::OnceCell;

/// The `chasqui` of this working tree, built by the first call. A fresh one takes cargo a third of a second.
pub(crate) async fn chasqui() -> &'static Path {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    BINARY.get_or_init(async || tokio::task::spawn_blocking(build).await.unwrap()).await
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "chasqui"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "chasqui does not compile");
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo keeps it in the target directory");
    target.join("debug/chasqui")
}
