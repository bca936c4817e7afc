//! One HTTP door for every service of a process.

use axum::{Router, routing::get};
use chasqui_kit::{
    door::{Door, HttpConfig},
    health::Health,
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

struct Opened {
    door: Door,
    health: Health,
    urls: Vec<String>,
    stop: CancellationToken,
    open: tokio::task::JoinHandle<()>,
}

fn open() -> Opened {
    let health = Health::default();
    let door = Door::new(&health, &Metrics::install());
    let config = HttpConfig { port: 0, host: "127.0.0.1".to_owned(), further_ports: vec![0] };
    let listeners = Door::bind(&config).unwrap();
    let urls =
        listeners.iter().map(|listener| format!("http://{}", listener.local_addr().unwrap())).collect();
    let stop = CancellationToken::new();
    let open = tokio::spawn(door.clone().open(listeners, stop.clone()));
    Opened { door, health, urls, stop, open }
}

async fn ask(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn every_port_answers_for_every_service_as_long_as_it_is_mounted() {
    let Opened { door, urls, stop, open, .. } = open();
    let one = door.mount("one", Router::new().route("/one", get(async || "1")));
    let _two = door.mount("two", Router::new().route("/two", get(async || "2")));
    for url in &urls {
        assert_eq!(ask(&format!("{url}/one")).await, (200, "1".to_owned()));
        assert_eq!(ask(&format!("{url}/two")).await, (200, "2".to_owned()));
    }
    drop(one);
    let (status, body) = ask(&format!("{}/one", urls[0])).await;
    assert_eq!((status, body.as_str()), (404, r#"{"error":"nothing answers GET /one"}"#));
    stop.cancel();
    open.await.unwrap();
}

#[tokio::test]
async fn the_probes_tell_what_is_not_ready_and_why() {
    let Opened { health, urls, .. } = open();
    assert_eq!(ask(&format!("{}/healthz", urls[0])).await.0, 200);
    assert_eq!(ask(&format!("{}/readyz", urls[0])).await.0, 503);
    health.not_ready("database", "connection refused");
    let (status, body) = ask(&format!("{}/readyz", urls[0])).await;
    assert_eq!(status, 503);
    assert!(body.contains("connection refused"), "{body}");
    health.ready("database");
    assert_eq!(ask(&format!("{}/readyz", urls[0])).await.0, 200);
}

async fn panics() -> &'static str {
    panic!("as the test wants")
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_request_only() {
    let Opened { door, urls, .. } = open();
    let _mounted = door.mount("one", Router::new().route("/panics", get(panics)));
    assert_eq!(ask(&format!("{}/panics", urls[0])).await.0, 500);
    assert_eq!(ask(&format!("{}/healthz", urls[0])).await.0, 200);
}
