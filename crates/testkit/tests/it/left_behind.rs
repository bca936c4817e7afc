use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use chasqui_testkit::{NatsServer, Postgres, Program, wait_for};
use sqlx::Connection;

const SOON: Duration = Duration::from_secs(30);

/// Run by the other tests of this file in a process of its own: starts everything, from threads that
/// have ended when it says so, then waits to be killed.
#[test]
fn servers_for_another_test() {
    if std::env::var_os("TESTKIT_LEFT_BEHIND").is_none() {
        return;
    }
    let starter = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let nats = NatsServer::start().await.unwrap();
            let url = Postgres::shared().await.unwrap().database().await.unwrap();
            (nats, url)
        })
    });
    let (nats, url) = starter.join().unwrap();
    println!("\nREADY {} {url}", nats.port());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Starts the process above; returns it with the port of its nats-server and the directory of its PostgreSQL.
async fn other_process() -> Result<(Program, u16, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["left_behind::servers_for_another_test", "--exact", "--nocapture"])
        .env("TESTKIT_LEFT_BEHIND", "1");
    let mut process = Program::start(&command)?;
    loop {
        let line = process.line(SOON, "its servers are ready").await;
        if let Some((port, url)) = line.strip_prefix("READY ").and_then(|rest| rest.split_once(' ')) {
            let home = url.split(['=', '&']).nth(1).unwrap_or_default().to_owned();
            // The threads that started the servers are gone, the servers are not.
            async_nats::connect(format!("nats://127.0.0.1:{port}")).await?;
            sqlx::PgConnection::connect(url).await?.close().await?;
            return Ok((process, port.parse()?, home));
        }
    }
}

async fn everything_is_gone(port: u16, home: &str) {
    let root = Path::new(home).parent().expect("a directory in the one of the process");
    wait_for(SOON, "the nats-server is gone", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err().then_some(())
    })
    .await;
    wait_for(SOON, "no process of PostgreSQL is left", async || {
        (!mentioned_by_a_process(home)).then_some(())
    })
    .await;
    wait_for(SOON, "the temporary directory is gone", async || (!root.exists()).then_some(())).await;
}

fn mentioned_by_a_process(home: &str) -> bool {
    std::fs::read_dir("/proc").expect("Linux").flatten().any(|process| {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&format!("{home}/data"))
    })
}

#[tokio::test]
async fn nothing_is_left_of_a_process_that_was_killed() -> Result<()> {
    let (mut process, port, home) = other_process().await?;
    assert!(Path::new(&home).exists() && mentioned_by_a_process(&home), "they did run");
    process.kill();
    everything_is_gone(port, &home).await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_a_process_that_ended() -> Result<()> {
    let (mut process, port, home) = other_process().await?;
    process.write_line("end");
    process.ended(SOON).await;
    everything_is_gone(port, &home).await;
    Ok(())
}
