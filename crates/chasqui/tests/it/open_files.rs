use std::process::Command;

use chasqui_testkit::{Program, wait_for};

use super::SOON;

/// An edge that was started with these limits of open files; it needs no broker to say how many sockets it may hold.
async fn edge(limits: &str) -> Program {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits}; exec \"$0\" edge"), env!("CARGO_BIN_EXE_chasqui")]);
    shell
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("PORT", "0")
        .env("LOG_FORMAT", "human")
        .env("RUST_LOG", "info");
    shell.env("JWT_SECRET", "0123456789abcdef0123456789abcdef").env("CHASQUI__EDGE__SOCKETS_MAX", "300");
    let edge = Program::start(&shell).expect("the shell starts");
    wait_for(SOON, "the door is open", async || edge.errors().contains("listening").then_some(())).await;
    edge
}

/// The soft and the hard limit as the kernel has them.
fn limits(edge: &Program) -> Option<(u64, u64)> {
    let table = std::fs::read_to_string(format!("/proc/{}/limits", edge.id())).ok()?;
    let row = table.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = row.split_whitespace().filter_map(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// What it said about the limit.
fn warnings(edge: &Program) -> Vec<String> {
    edge.errors().lines().filter(|line| line.contains("open files")).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_edge_may_open_as_many_files_as_the_system_allows() {
    let edge = edge("ulimit -Sn 100; ulimit -Hn 512").await;
    assert_eq!(limits(&edge), Some((512, 512)));
    assert!(warnings(&edge).is_empty(), "300 sockets fit: {}", edge.errors());
}

#[tokio::test]
async fn an_edge_that_may_not_hold_its_sockets_says_so_once() {
    let edge = edge("ulimit -Sn 100; ulimit -Hn 200").await;
    assert_eq!(limits(&edge), Some((200, 200)));
    let told = warnings(&edge);
    assert!(matches!(&told[..], [one] if one.contains("edge.sockets_max = 300")), "{told:#?}");
}
