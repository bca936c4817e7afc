//! What an operator does with the binary, over a private nats-server.

mod admin;
mod dead_letters;
mod exit_codes;
mod open_files;
mod tools;
mod up;

use std::{process::Command, time::Duration};

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
    let mut command = command(arguments, variables);
    let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("the tool is waited for");
    let ended = ended.expect("the binary starts");
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
