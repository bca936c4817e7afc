use chasqui_proto::v1::{ChannelKind, SenderType, Typing};
use serde_json::json;

use super::world::World;

/// The pieces of each draft, one list a draft.
fn drafts(typed: &[Typing]) -> Vec<Vec<String>> {
    let mut drafts: Vec<Vec<String>> = Vec::new();
    for draft in typed.iter().filter_map(|typing| typing.draft.as_ref()) {
        if draft.index == 0 {
            drafts.push(Vec::new());
        }
        let pieces = drafts.last_mut().expect("a draft begins with its first piece");
        assert_eq!(draft.index as usize, pieces.len(), "no piece is missing");
        pieces.push(draft.delta.clone());
    }
    drafts
}

#[tokio::test]
async fn a_widget_sees_the_answer_grow() {
    let world = World::new().await;
    world.says(json!({ "answers": ["uno dos tres cuatro cinco"], "token_after_ms": 70 })).await;
    let answer = world.answer_on(ChannelKind::Widget).await.unwrap();
    let typed = world.typed().await;
    let shown = drafts(&typed);
    assert_eq!(shown.len(), 1);
    assert!(shown[0].len() >= 4, "{shown:?}");
    assert_eq!(shown[0].concat(), answer.texts[0]);
    let id = typed.iter().find_map(|typing| typing.draft.as_ref()).map(|draft| draft.message_id.clone());
    assert_eq!(id, Some(chasqui_proto::MessageId::of_provider(&world.tenant, "answer").to_string()));
    assert!(typed[0].typing && typed[0].draft.is_none(), "first it is said that the bot writes");
    assert!(typed.iter().all(|typing| typing.sender_type() == SenderType::Ai && typing.user_id == "bot"));
}

#[tokio::test]
async fn many_small_pieces_are_told_as_few() {
    let world = World::new().await;
    world.says(json!({ "answers": ["a ".repeat(200)], "token_after_ms": 2 })).await;
    let began = std::time::Instant::now();
    world.answer_on(ChannelKind::Widget).await.unwrap();
    let most = began.elapsed().as_millis() / 50 + 1;
    let shown = drafts(&world.typed().await);
    assert!(shown[0].len() > 1 && shown[0].len() as u128 <= most, "{} in {most}", shown[0].len());
}

#[tokio::test]
async fn an_answer_that_broke_off_is_shown_again_from_its_beginning() {
    let world = World::new().await;
    world.says(json!({ "answers": ["uno dos tres cuatro"], "token_after_ms": 70 })).await;
    world.befall(&json!("cut"), 1).await;
    let answer = world.answer_on(ChannelKind::Widget).await.unwrap();
    assert_eq!(answer.texts, ["uno dos tres cuatro"]);
    let shown = drafts(&world.typed().await);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(answer.texts[0].starts_with(&shown[0].concat()) && shown[0].concat().starts_with("uno"));
    assert_eq!(shown[1].concat(), answer.texts[0]);
}

#[tokio::test]
async fn a_phone_sees_that_the_bot_writes_and_no_draft() {
    let world = World::new().await;
    world.says(json!({ "answers": ["uno dos"], "token_after_ms": 60 })).await;
    world.answer_on(ChannelKind::WhatsappCloud).await.unwrap();
    let typed = world.typed().await;
    assert_eq!(typed.iter().map(|typing| typing.typing).collect::<Vec<_>>(), [true, false]);
    assert!(drafts(&typed).is_empty());
}
