//! What an operator does with the binary, over a private nats-server.

mod admin;
mod campaigns;
mod dead_letters;
mod exit_codes;
mod open_files;
mod tools;
mod up;

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_testkit::{NatsServer, Program};

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The binary with nothing in its environment but `variables` and where programs are.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chasqui"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
        .envs(["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((*name, std::env::var(name).ok()?))));
    command
}

/// What a tool prints and exits with.
async fn output(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    output_of(arguments, variables, "").await
}

/// The same of a tool that is told something on standard input.
async fn output_of(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> (i32, String, String) {
    let (mut command, input) = (command(arguments, variables), input.to_owned());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut tool = command.spawn().expect("the binary starts");
        // A tool that does not read closes the pipe.
        let _ = tool.stdin.take().expect("it is piped").write_all(input.as_bytes());
        tool.wait_with_output().expect("the tool ends")
    };
    let ended = tokio::task::spawn_blocking(run).await.expect("the tool is waited for");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.code().unwrap_or(-1), text(&ended.stdout), text(&ended.stderr))
}

fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Program {
    let mut program = command(arguments, variables);
    // The program is told its whole environment: what is not named here is taken away.
    let named: Vec<_> = program.get_envs().map(|(name, _)| name.to_owned()).collect();
    for (name, _) in std::env::vars_os().filter(|(name, _)| !named.contains(name)) {
        program.env_remove(name);
    }
    Program::start(&program).expect("the binary starts")
}

async fn connect(nats: &NatsServer) -> Bus {
    let config = NatsConfig { url: nats.url(), ..NatsConfig::default() };
    let bus = Bus::connect("story", &config).await.expect("the server answers");
    chasqui_kit::stream::ensure_all(&bus).await.expect("the streams are made");
    bus
}
