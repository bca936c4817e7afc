//! The model as the runtime asks it, over a real broker; the stand-in of the simulator is the server.

mod budgets;
mod faults;
mod shown;
mod world;

use chasqui_proto::v1::ChannelKind;
use serde_json::json;
use uuid::Uuid;

use self::world::{KEY, World, heard};
use super::{Answer, ModelError, ModelState, Models};
use crate::{Config, definition::Personality};

#[tokio::test]
async fn the_model_is_told_who_it_is_and_what_was_said() {
    let world = World::new().await;
    world.remembers(&[(1, true, "hola"), (2, false, "¡Hola! ¿En qué ayudo?"), (4, true, "later")]).await;
    world.says(json!({ "answers": ["A las ocho."] })).await;
    let nora = Personality {
        id: Uuid::nil(),
        name: "Nora".to_owned(),
        prompt: "Eres Nora.".to_owned(),
        model: Some("small".to_owned()),
        temperature: Some(0.5),
    };
    let heard = [heard(3, "¿Cuándo abren?")];
    let settings = world::settings();
    let question = world.question(&settings, &heard, ChannelKind::WhatsappCloud);
    let answered =
        world.models.answer(super::Question { personality: Some(&nora), ..question }).await.unwrap();
    assert_eq!(answered.texts, ["A las ocho."]);
    let asked = world.asked().await;
    let body = &asked[0]["body"];
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "Eres Nora." },
            { "role": "user", "content": "hola" },
            { "role": "assistant", "content": "¡Hola! ¿En qué ayudo?" },
            { "role": "user", "content": "¿Cuándo abren?" },
        ])
    );
    assert_eq!((&body["model"], &body["temperature"]), (&json!("small"), &json!(0.5)));
    assert_eq!((&body["max_tokens"], &body["max_completion_tokens"]), (&json!(200), &json!(null)));
    assert_eq!(world.models.state(&world.tenant), ModelState::Ok);
}

#[tokio::test]
async fn without_a_store_the_model_answers_what_it_heard() {
    let world = World::new().await;
    assert_eq!(world.answer().await.unwrap().texts, ["Dijiste: hola"]);
    assert_eq!(world.asked().await[0]["body"]["messages"], json!([{ "role": "user", "content": "hola" }]));
}

#[tokio::test]
async fn a_long_answer_is_several_messages_to_whatsapp_and_one_in_a_widget() {
    let world = World::new().await;
    let long = "Una frase más. ".repeat(700);
    world.says(json!({ "answers": [long] })).await;
    let Answer { texts, .. } = world.answer().await.unwrap();
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|text| text.ends_with("más.") && text.chars().count() <= 4_096));
    let widget = world.answer_on(ChannelKind::Widget).await.unwrap();
    assert_eq!(widget.texts, [long.trim()]);
}

#[tokio::test]
async fn without_a_key_there_is_no_model() {
    let world = World::new().await;
    let models = Models::new(&Config::default(), &world.bus).unwrap();
    let settings = world::settings();
    let question = world.question(&settings, &[], ChannelKind::Widget);
    assert_eq!(models.answer(question).await, Err(ModelError::Off));
    assert_eq!(models.state(&world.tenant), ModelState::Off);
}

#[tokio::test]
async fn a_wrong_setting_is_named_and_the_key_is_never_shown() {
    let world = World::new().await;
    assert!(!format!("{:?}", world.models).contains(KEY));
    let key = "top-secret\nkey";
    for (base, key, named) in
        [("https://[bad", "x", "openai_base_url"), ("https://api.example.com/v1", key, "openai_api_key")]
    {
        let config = Config {
            openai_api_key: Some(key.into()),
            openai_base_url: base.to_owned(),
            ..Config::default()
        };
        let refused = Models::new(&config, &world.bus).unwrap_err().to_string();
        assert!(refused.contains(named) && !refused.contains("secret"), "{refused}");
    }
}
