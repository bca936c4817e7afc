use chasqui_kit::clock;
use chasqui_proto::v1::ChannelKind;
use futures::future::join_all;
use serde_json::json;

use super::{
    super::{ModelError, ModelState, budget::Budgets},
    world::{self, World, heard},
};
use crate::definition::ModelSettings;

/// What the tenant spent today, as a replica sees it that knows nothing yet.
async fn spent(world: &World) -> u64 {
    Budgets::new(&world.bus).spent(&world.tenant, clock::now_ms()).await
}

fn limited(tokens: u64) -> ModelSettings {
    ModelSettings { tokens_per_day_max: Some(tokens), ..world::settings() }
}

#[tokio::test]
async fn what_an_answer_costs_is_what_the_server_says_else_what_it_is_estimated_at() {
    let world = World::new().await;
    // "hola" is one token of four characters, the two words of the answer one each.
    assert_eq!(world.answer().await.unwrap().tokens, 3);
    assert_eq!(spent(&world).await, 3);
    // 4 characters read and 13 written, four a token.
    for usage in ["null", "missing"] {
        world.says(json!({ "usage": usage })).await;
        assert_eq!(world.answer().await.unwrap().tokens, 5, "{usage}");
    }
    assert_eq!(spent(&world).await, 13);
    // What broke off was paid for, too: 4 read, 9 written.
    world.says(json!({ "usage": "told" })).await;
    world.befall(&json!("cut"), 1).await;
    assert_eq!(world.answer().await.unwrap().tokens, 4 + 3);
    // What was refused cost nothing.
    world.befall(&json!({ "http": { "status": 400 } }), 1).await;
    assert!(world.answer().await.is_err());
    assert_eq!(spent(&world).await, 20);
}

#[tokio::test]
async fn who_has_used_up_its_budget_is_not_answered_by_any_replica() {
    let world = World::new().await;
    let (settings, heard) = (limited(3), [heard(1, "hola")]);
    let question = world.question(&settings, &heard, ChannelKind::WhatsappCloud);
    assert!(world.models.answer(question).await.is_ok());
    for models in [&world.models, &world.replica()] {
        assert_eq!(models.answer(question).await, Err(ModelError::OverBudget));
        assert_eq!(models.state(&world.tenant), ModelState::OverBudget);
    }
    assert_eq!(world.asked().await.len(), 1);
    let more = limited(4);
    assert!(world.models.answer(super::super::Question { settings: &more, ..question }).await.is_ok());
}

#[tokio::test]
async fn replicas_that_answer_at_once_all_pay() {
    let world = World::new().await;
    let replicas: Vec<_> = (0..4).map(|_| world.replica()).collect();
    let (settings, heard) = (world::settings(), [heard(1, "hola")]);
    let question = world.question(&settings, &heard, ChannelKind::WhatsappCloud);
    let answers = replicas.iter().flat_map(|models| [models.answer(question), models.answer(question)]);
    assert!(join_all(answers).await.iter().all(Result::is_ok));
    // Whoever met seven others each time pays with its next answer.
    for models in &replicas {
        models.answer(question).await.unwrap();
    }
    assert_eq!(spent(&world).await, 12 * 3);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_written_with_the_next_answer() {
    let world = World::new().await;
    world.server.stop().await;
    // The broker is away, the model is not.
    assert_eq!(world.answer().await.unwrap().texts, ["Dijiste: hola"]);
    assert_eq!(world.models.budgets.known_of(&world.tenant, clock::now_ms()), 3);
    world.server.restart().await.unwrap();
    let is_back = async || world.bus.is_connected().then_some(());
    chasqui_testkit::wait_for(world::SOON, "the broker is back", is_back).await;
    world.answer().await.unwrap();
    assert_eq!(spent(&world).await, 6);
}
