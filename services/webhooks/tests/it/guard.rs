//! Where events are not posted to.

use anyhow::Result;
use chasqui_proto::v1::{DeliveryOutcome, ListenerEntry};
use chasqui_testkit::wait_for;
use chasqui_webhooks::Config;

use crate::{
    receiver::{Answer, Receiver},
    world::{SOON, World, config, listener},
};

#[tokio::test]
async fn shc_25_our_own_networks_are_not_posted_to_unless_they_are_allowed() -> Result<()> {
    let config = Config { private_networks_allowed: Vec::new(), ..config() };
    let (world, bots) = (World::start(config).await?, Receiver::start().await?);
    let port = bots.url.rsplit(':').next().unwrap();
    for (id, host) in [("literal", "127.0.0.1"), ("mapped", "[::ffff:127.0.0.1]"), ("named", "localhost")] {
        world.put(ListenerEntry { url: format!("http://{host}:{port}/{id}"), ..listener(id, "") }).await?;
    }
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    for id in ["literal", "mapped", "named"] {
        let logged = wait_for(SOON, "the log tells why", async || world.logged(id).await.ok()?.pop()).await;
        assert!(logged.error.contains("webhooks.private_networks_allowed"), "{}", logged.error);
        assert_eq!((logged.http_status, logged.outcome()), (0, DeliveryOutcome::Retrying));
    }
    assert_eq!(bots.all().len(), 0);
    replica.stop().await
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    bots.answers("bot", Answer::Redirect(format!("{}/elsewhere", bots.url)));
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    let logged = wait_for(SOON, "the log tells it", async || world.logged("bot").await.ok()?.pop()).await;
    assert_eq!((logged.http_status, logged.outcome()), (302, DeliveryOutcome::Retrying));
    assert_eq!((bots.of("bot").len(), bots.of("elsewhere").len()), (1, 0));
    replica.stop().await
}
