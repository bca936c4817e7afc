//! What a node says of its own API.

use chasqui_testkit::documents;
use reqwest::{Client, Method};
use serde_json::Value;

use crate::world::{Node, World};

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_mounted_is_documented_and_everything_documented_is_mounted() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let get = async |path: &str| reqwest::get(format!("http://{}{path}", node.address)).await.unwrap();
    let openapi: Value = get("/docs/openapi.json").await.json().await.unwrap();
    let asyncapi: Value = get("/docs/asyncapi.json").await.json().await.unwrap();
    let door = format!("{:?}", node.door);
    assert!(door.contains("\"/sse\""), "the door names its paths");
    assert_eq!(documents::faults(&door, &openapi, &asyncapi), Vec::<String>::new());
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(asyncapi["asyncapi"], "3.0.0");
    for (path, verb, _) in documents::operations(&openapi) {
        let url = format!("http://{}{}", node.address, path.replace("{id}", "7"));
        let method = Method::from_bytes(verb.to_uppercase().as_bytes()).unwrap();
        let response = Client::new().request(method, url).send().await.unwrap();
        let status = response.status().as_u16();
        assert_ne!(status, 405, "{verb} {path}");
        assert_ne!(status, 404, "{verb} {path}: without a token nothing is looked up");
    }
    let page = get("/docs").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = page.text().await.unwrap();
    for shown in
        ["/api/conversations/{id}/messages", "/sse", "messages.in.{tenant}.{conversation}", "new_message"]
    {
        assert!(page.contains(shown), "{shown}");
    }
}
