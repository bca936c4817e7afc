use anyhow::Result;

use crate::world::{World, text, wamid};

#[tokio::test]
async fn an_operator_sees_what_came_in() -> Result<()> {
    let world = World::start().await?;
    world.webhook(text(&wamid(), "hola")).send().await?.error_for_status()?;
    let metrics = world.get("/metrics").send().await?.error_for_status()?.text().await?;
    for name in
        ["chasqui_ingest_requests_total", "chasqui_ingest_facts_total", "chasqui_ingest_request_seconds"]
    {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    world.stop().await
}
