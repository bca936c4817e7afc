use std::net::TcpListener;

use chasqui_testkit::Program;

use super::{SOON, output, start};

/// Reads the screen to its end and gives its lines.
async fn screen(up: &mut Program) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = up.line(SOON, "the screen is printed").await;
        let is_last = line.starts_with("!! OPEN: edge.widget_anonymous");
        lines.push(line);
        if is_last {
            return lines;
        }
    }
}

/// What stands behind a label of the screen.
fn value<'a>(lines: &'a [String], label: &str) -> &'a str {
    let line = lines.iter().find_map(|line| line.trim_start().strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()).expect("the screen has it")
}

#[tokio::test]
async fn up_runs_everything_steps_over_ports_and_keeps_the_data() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let port_text = port.to_string();
    let arguments = ["up", "--data", directory, "--edges", "2", "--port", port_text.as_str()];

    let mut up = start(&arguments, &[]);
    let lines = screen(&mut up).await;
    let front = value(&lines, "front door").to_owned();
    assert!(!front.ends_with(&format!(":{port}")), "the port in use is stepped over: {front}");
    assert!(lines.iter().any(|line| line.contains(&format!("port {port} is in use"))), "{lines:#?}");
    let key = value(&lines, "API key").to_owned();
    let (code, _, errors) = output(&["healthcheck", "--url", &format!("{front}/readyz")], &[]).await;
    assert_eq!(code, 0, "{errors}");
    up.interrupt();
    assert_eq!(up.ended(SOON).await.code(), Some(0), "{}", up.errors());

    let mut again = start(&arguments, &[]);
    assert_eq!(value(&screen(&mut again).await, "API key"), key, "the secrets are kept");
    again.terminate();
    assert_eq!(again.ended(SOON).await.code(), Some(0), "{}", again.errors());
}
