//! Contacts with several addresses.

use anyhow::Result;
use chasqui_proto::{
    ConversationToken, stream,
    v1::{Alias, AliasKind},
};
use chasqui_testkit::wait_for;

use crate::world::{SOON, World, inbound, phone, tenant};

#[tokio::test]
async fn the_further_address_of_a_contact_leads_to_its_conversation() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let hidden = Alias { kind: AliasKind::Bsuid.into(), value: "US.13491208655302741918".to_owned() };
    let mut message = inbound(1, 0, "hola");
    message.contact.as_mut().unwrap().aliases.push(hidden.clone());
    let last = world.publish_message(&message).await?;
    world.stored(last).await;
    let token = ConversationToken::of(&hidden);
    let bucket = world.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?;
    let key = stream::directory_key(&tenant(), &token);
    let entry = wait_for(SOON, "the directory knows", async || bucket.get(&key).await.ok().flatten()).await;
    assert_eq!(entry, phone(1).as_bytes());
    let conversation = world.conversation(token.as_str()).await?;
    assert_eq!(conversation.token, phone(1));
    assert_eq!(conversation.contact.unwrap().aliases[1], hidden);
    replica.stop().await;
    Ok(())
}
