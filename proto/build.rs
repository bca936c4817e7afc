//! Compiles `chasqui/v1` with a compiler written in Rust, so that no `protoc` has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=chasqui");
    let files = [
        "message",
        "state",
        "query",
        "presence",
        "directory",
        "forward",
        "whatsapp",
        "webhook",
        "bot",
        "campaign",
    ]
    .map(|name| format!("chasqui/v1/{name}.proto"));
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).open_files(files)?;
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    prost_build::Config::new()
        .bytes([
            ".chasqui.v1.Message.raw",
            ".chasqui.v1.Message.fallback",
            ".chasqui.v1.LinkAnswer.content",
            ".chasqui.v1.MessageStatus.raw",
            ".chasqui.v1.ProviderNotice.raw",
            ".chasqui.v1.Announcement.data",
            ".chasqui.v1.ForwardRequest.body",
            ".chasqui.v1.BridgeFrame.binary",
        ])
        // Ordered, so that the same payload is always the same bytes.
        .btree_map(["."])
        .enable_type_names()
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
