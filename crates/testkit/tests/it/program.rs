use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use chasqui_testkit::Program;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Result<Program> {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("GREETING", "hello");
    Ok(Program::start(&command)?)
}

#[tokio::test]
async fn lines_go_in_and_come_out() -> Result<()> {
    let mut echo = shell(
        r#"echo "{\"event\":\"$GREETING\"}"; read line; echo "{\"event\":\"heard\",\"line\":\"$line\"}""#,
    )?;
    assert_eq!(echo.json(SOON, "the greeting").await["event"], "hello");
    echo.write_line("you");
    let line = echo
        .find(SOON, "the answer", |event| (event["event"] == "heard").then(|| event["line"].clone()))
        .await;
    assert_eq!(line, "you");
    assert!(echo.ended(SOON).await.success());
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "no such customer")]
async fn a_program_that_dies_is_quoted() {
    let mut program = shell("echo no such customer >&2; exit 3").unwrap();
    program.ended(SOON).await;
    program.line(SOON, "its first line").await;
}

#[tokio::test]
async fn a_program_is_asked_to_stop_before_it_is_killed() -> Result<()> {
    let mut program = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done")?;
    program.line(SOON, "it is ready").await;
    program.terminate();
    assert_eq!(program.line(SOON, "its farewell").await, "bye");
    assert_eq!(program.ended(SOON).await.code(), Some(7));
    Ok(())
}

#[tokio::test]
async fn the_front_ends_client_library_is_installed() -> Result<()> {
    let script = "import('socket.io-client').then(m => console.log(JSON.stringify(typeof m.io)))";
    let mut command = Command::new("node");
    command.args(["-e", script]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/clients"));
    let mut node = Program::start(&command)?;
    assert_eq!(node.json(SOON, "the type of io()").await, "function");
    Ok(())
}
