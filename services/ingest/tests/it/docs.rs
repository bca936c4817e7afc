//! What ingest says of its own API.

use anyhow::Result;
use chasqui_testkit::documents;
use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn everything_that_is_mounted_is_documented() -> Result<()> {
    let world = World::start().await?;
    let openapi: Value = world.get("/docs/openapi.json").send().await?.json().await?;
    let asyncapi: Value = world.get("/docs/asyncapi.json").send().await?.json().await?;
    let door = format!("{:?}", world.routes);
    assert!(door.contains("\"/api/bot-reply\""), "the door names its paths");
    assert_eq!(documents::faults(&door, &openapi, &asyncapi), Vec::<String>::new());
    for (path, verb) in [("/webhooks/whatsapp", "post"), ("/api/admin/{collection}/{id}", "put")] {
        assert!(openapi["paths"][path][verb].is_object(), "{verb} {path}");
    }
    world.stop().await
}
