use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, stream};
use chasqui_testkit::{NatsCluster, NatsOptions, NatsServer, first_free_port};

/// A server that has just lost its leader answers nothing; asking again soon is better than waiting.
async fn jetstream(urls: &[String]) -> Result<jetstream::Context> {
    let client = async_nats::connect(urls).await?;
    Ok(jetstream::ContextBuilder::new().timeout(Duration::from_secs(1)).build(client))
}

async fn store_one(urls: &[String], replicas: usize) -> Result<jetstream::Context> {
    let jetstream = jetstream(urls).await?;
    let config = stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec!["kept.>".to_owned()],
        num_replicas: replicas,
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    jetstream.publish("kept.one", "1".into()).await?.await?;
    Ok(jetstream)
}

async fn stored(urls: &[String]) -> Result<u64> {
    let jetstream = jetstream(urls).await?;
    Ok(jetstream.get_stream("KEPT").await?.cached_info().state.messages)
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_what_it_acknowledged() -> Result<()> {
    let nats = NatsServer::start().await?;
    let url = nats.url();
    store_one(std::slice::from_ref(&url), 1).await?;
    nats.kill();
    assert!(async_nats::connect(&url).await.is_err(), "killed means gone");
    nats.restart().await?;
    assert_eq!(nats.url(), url);
    assert_eq!(stored(std::slice::from_ref(&url)).await?, 1);
    nats.stop().await;
    assert!(async_nats::connect(&url).await.is_err(), "stopped means gone");
    Ok(())
}

#[tokio::test]
async fn a_given_directory_keeps_the_data_of_a_server_that_was_dropped() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let port = first_free_port(14_222).context("a free port")?;
    let options = NatsOptions {
        port: Some(port),
        directory: Some(directory.path().to_owned()),
        ..NatsOptions::default()
    };
    let first = NatsServer::start_with(options.clone()).await?;
    store_one(&[first.url()], 1).await?;
    drop(first);
    let second = NatsServer::start_with(options).await?;
    assert_eq!(second.port(), port);
    assert_eq!(stored(&[second.url()]).await?, 1);
    Ok(())
}

#[tokio::test]
async fn extra_configuration_is_obeyed() -> Result<()> {
    let extra = "authorization { users: [{ user: edge, password: secret }] }".to_owned();
    let nats = NatsServer::start_with(NatsOptions { extra, ..NatsOptions::default() }).await?;
    assert!(async_nats::connect(nats.url()).await.is_err(), "nobody comes in without a password");
    let options = async_nats::ConnectOptions::with_user_and_password("edge".into(), "secret".into());
    options.connect(nats.url()).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let extra = "no_such_option: 1".to_owned();
    let outcome = NatsServer::start_with(NatsOptions { extra, ..NatsOptions::default() }).await;
    let error = outcome.err().expect("the option does not exist").to_string();
    assert!(error.contains("no_such_option"), "{error}");
}

#[tokio::test]
async fn a_cluster_keeps_an_acknowledged_message_when_a_server_is_killed() -> Result<()> {
    let begin = std::time::Instant::now();
    let cluster = NatsCluster::start(3).await?;
    println!("three servers in {:?}", begin.elapsed());
    let jetstream = store_one(&cluster.urls(), 3).await?;
    let leader = jetstream.get_stream("KEPT").await?.cached_info().cluster.clone();
    let leader = leader.and_then(|cluster| cluster.leader).context("a replicated stream has a leader")?;
    let victim = cluster
        .servers()
        .iter()
        .find(|server| leader.contains(&server.port().to_string()))
        .context("the leader is one of ours")?;
    victim.kill();
    let survivors: Vec<String> = cluster.urls().into_iter().filter(|url| *url != victim.url()).collect();
    chasqui_testkit::wait_for(Duration::from_secs(30), "the survivors answer", async || {
        stored(&survivors).await.ok().filter(|messages| *messages == 1)
    })
    .await;
    victim.restart().await?;
    Ok(())
}
