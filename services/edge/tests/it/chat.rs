//! Users and agents, each on a node of its own.

use chasqui_proto::{subject, v1};
use futures::StreamExt;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::chat_desk::{chat_id, person};
use crate::chat_office::{Office, answer, connect, event, expect, write};
use crate::world::{Client, DEADLINE};

#[tokio::test(flavor = "multi_thread")]
async fn ben_19_21_25_a_user_and_its_agent_talk_across_nodes() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    write(&mut user, "u1", "hola").await;
    let sent = expect(&mut user, "chat_message").await;
    assert_eq!(
        (&sent["message"], &sent["sender_id"], &sent["sender_type"], &sent["chat_id"]),
        (&json!("hola"), &json!("u1"), &json!("USER"), &json!(chat_id("default", "u1")))
    );
    let (shown, mut notice) =
        (expect(&mut agent, "chat_message").await, expect(&mut agent, "new_message").await);
    assert_eq!(shown, sent, "one payload for both");
    notice["event"] = json!("chat_message");
    assert_eq!(notice, sent);
    answer(&mut agent, "u1", "buenas").await;
    let sent = expect(&mut agent, "chat_message").await;
    assert_eq!(
        (&sent["message"], &sent["sender_id"], &sent["sender_type"]),
        (&json!("buenas"), &json!("u9"), &json!("AGENT"))
    );
    assert_eq!(expect(&mut user, "chat_message").await, sent);
    expect(&mut user, "new_message").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_21_a_user_that_writes_without_a_chat_opens_one_and_its_agent_misses_nothing() {
    let office = Office::open().await;
    let (mut user, mut agent) = (office.user("u1").await, office.agent("u9").await);
    write(&mut user, "u1", "hola").await;
    expect(&mut user, "chat_assigned").await;
    expect(&mut user, "chat_message").await;
    // The message and the chat come by two streams: whichever the node heard first, the chat is shown first.
    let chat = expect(&mut agent, "chat_assigned").await;
    assert_eq!((&chat["chat"]["user_id"], &chat["chat"]["user_name"]), (&json!("u1"), &json!("Contact")));
    assert_eq!(expect(&mut agent, "chat_message").await["message"], "hola");
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_10_11_12_a_connection_begins_with_its_own_chats() {
    let office = Office::open().await;
    let (user, agent) = office.chat().await;
    drop((user, agent));
    let mut agent = connect(&office.one, "u9", "default").await;
    let connected = expect(&mut agent, "agent_connected").await;
    assert_eq!(connected["agent"]["id"], "a1");
    let chats = expect(&mut agent, "active_chats").await;
    assert_eq!(chats["chats"][0]["user_id"], "u1");
    let mut user = connect(&office.two, "u1", "default").await;
    assert_eq!(expect(&mut user, "active_chats").await["chats"][0]["agent_id"], "a1");
    let mut other = connect(&office.two, "u8", "default").await;
    expect(&mut other, "agent_connected").await;
    assert_eq!(expect(&mut other, "active_chats").await["chats"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_09_an_inactive_agent_is_a_regular_user() {
    let office = Office::open().await;
    let mut client = connect(&office.one, "u7", "default").await;
    expect(&mut client, "active_chats").await;
    client.say(&json!({ "event": "chatbot_init", "client_id": 1 })).await;
    expect(&mut client, "message_accepted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_27_44_a_receipt_travels_back_to_the_author_and_to_nobody_else() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let mut statuses = {
        let subject = subject::messages_status(&office.world.tenant, &person("u1"));
        office.world.bus.client().subscribe(subject.as_str().to_owned()).await.unwrap()
    };
    write(&mut user, "u1", "hola").await;
    let message = expect(&mut agent, "chat_message").await["message_id"].clone();
    expect(&mut agent, "new_message").await;
    expect(&mut user, "chat_message").await;
    let read = json!({ "event": "message_read", "chat_id": chat_id("default", "u1"), "message_id": message });
    agent.say(&read).await;
    let receipt = expect(&mut user, "message_read").await;
    assert_eq!((&receipt["message_id"], &receipt["reader_id"]), (&message, &json!("u9")));
    let stored = timeout(DEADLINE, statuses.next()).await.unwrap().unwrap();
    let stored = v1::MessageStatus::decode(stored.payload).unwrap();
    assert_eq!((stored.status(), stored.reader_id.as_str()), (v1::Status::Read, "u9"));
    answer(&mut agent, "u1", "leído").await;
    assert_eq!(
        expect(&mut agent, "chat_message").await["message"],
        "leído",
        "its own receipt is not shown to it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_28_29_typing_is_shown_to_the_other_side_and_ends_with_the_message() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let chat = chat_id("default", "u1");
    user.say(&json!({ "event": "typing", "chat_id": chat })).await;
    assert_eq!(event(&mut agent).await, json!({ "event": "typing", "chat_id": chat, "user_id": "u1" }));
    user.say(&json!({ "event": "stop_typing", "chat_id": chat })).await;
    assert_eq!(event(&mut agent).await, json!({ "event": "stop_typing", "chat_id": chat, "user_id": "u1" }));
    agent.say(&json!({ "event": "typing", "chat_id": chat })).await;
    assert_eq!(event(&mut user).await, json!({ "event": "typing", "chat_id": chat, "user_id": "u9" }));
    answer(&mut agent, "u1", "escrito").await;
    assert_eq!(
        expect(&mut agent, "chat_message").await["message"],
        "escrito",
        "its own typing is not shown to it"
    );
    let mut shown = Vec::new();
    for _ in 0..3 {
        shown.push(event(&mut user).await["event"].as_str().unwrap().to_owned());
    }
    shown.sort();
    assert_eq!(shown, ["chat_message", "new_message", "stop_typing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_13_14_who_comes_and_who_goes_is_shown_on_every_node() {
    let office = Office::open().await;
    let mut watcher = connect(&office.two, "u9", "default").await;
    expect(&mut watcher, "agent_connected").await;
    let first = connect(&office.one, "u1", "default").await;
    let second = connect(&office.two, "u1", "default").await;
    presence(&mut watcher, &json!({ "event": "user_connected", "user_id": "u1" })).await;
    presence(&mut watcher, &json!({ "event": "online_users", "users": ["u1", "u9"] })).await;
    drop(first);
    office.announce("default", "still here").await;
    drop(second);
    // With the first tab nobody went: what says so comes after the announcement.
    presence(&mut watcher, &json!({ "event": "still here" })).await;
    presence(&mut watcher, &json!({ "event": "user_disconnected", "user_id": "u1" })).await;
    presence(&mut watcher, &json!({ "event": "online_users", "users": ["u9"] })).await;
}

/// Reads until this frame comes.
async fn presence(client: &mut Client, frame: &Value) {
    while client.frame().await != *frame {}
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_30_a_closed_chat_is_over_for_its_agent_and_opens_again_for_its_user() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    agent.say(&json!({ "event": "close_chat", "chat_id": chat_id("default", "u1") })).await;
    for client in [&mut user, &mut agent] {
        assert_eq!(expect(client, "chat_closed").await["chat"]["closed_by"], "u9");
    }
    answer(&mut agent, "u1", "sigue ahí?").await;
    let refusal = expect(&mut agent, "error").await;
    assert_eq!(refusal["message"], "Error al enviar el mensaje: chat_id no es un chat abierto tuyo");
    write(&mut user, "u1", "una cosa más").await;
    assert_eq!(expect(&mut user, "chat_assigned").await["chat"]["episode"], 2);
    assert_eq!(expect(&mut agent, "chat_assigned").await["chat"]["episode"], 2);
    assert_eq!(expect(&mut agent, "chat_message").await["message"], "una cosa más");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_given_to_another_agent_leaves_the_first_ones_screen() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let mut other = office.agent("u8").await;
    office.desk.assign("u1", "a2", "u8").await;
    for client in [&mut user, &mut agent, &mut other] {
        assert_eq!(expect(client, "chat_assigned").await["chat"]["agent_id"], "a2");
    }
    write(&mut user, "u1", "para el nuevo").await;
    assert_eq!(expect(&mut other, "chat_message").await["message"], "para el nuevo");
    office.announce("default", "barrier").await;
    expect(&mut agent, "barrier").await;
    answer(&mut agent, "u1", "todavía yo").await;
    expect(&mut agent, "error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tab_of_both_sides_is_shown_the_chat() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let (mut user_tab, mut agent_tab) =
        (connect(&office.two, "u1", "default").await, connect(&office.one, "u9", "default").await);
    expect(&mut user_tab, "active_chats").await;
    expect(&mut agent_tab, "agent_connected").await;
    expect(&mut agent_tab, "active_chats").await;
    write(&mut user, "u1", "hola").await;
    for client in [&mut user, &mut user_tab, &mut agent, &mut agent_tab] {
        assert_eq!(expect(client, "chat_message").await["message"], "hola");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_another_agent_and_another_tenant_are_shown_nothing() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let (mut stranger, mut colleague) = (office.user("u2").await, office.agent("u8").await);
    let mut abroad = connect(&office.one, "u9", "acme").await;
    let mut namesake = connect(&office.one, "u1", "acme").await;
    expect(&mut abroad, "agent_connected").await;
    expect(&mut abroad, "active_chats").await;
    expect(&mut namesake, "active_chats").await;
    write(&mut user, "u1", "secreto").await;
    expect(&mut user, "chat_message").await;
    expect(&mut agent, "chat_message").await;
    for (tenant, client) in [("default", &mut stranger), ("default", &mut colleague)] {
        office.announce(tenant, "barrier").await;
        expect(client, "barrier").await;
    }
    office.announce("acme", "foreign").await;
    for client in [&mut abroad, &mut namesake] {
        expect(client, "foreign").await;
    }
    answer(&mut colleague, "u1", "intruso").await;
    loop {
        let frame = event(&mut colleague).await;
        if frame["event"] != "barrier" {
            assert_eq!(frame["message"], "Error al enviar el mensaje: chat_id no es un chat abierto tuyo");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_20_24_31_32_33_what_is_wrong_is_said_in_the_known_words_and_the_connection_stays() {
    let office = Office::open().await;
    let (mut user, _agent) = office.chat().await;
    let chat = chat_id("default", "u1");
    for (frame, expected) in [
        (r#"{"event":"chat_message"}"#.to_owned(), r#"{"error":"Datos incompletos para enviar el mensaje"}"#),
        (
            r#"{"event":"agent_chat_message"}"#.to_owned(),
            r#"{"event":"error","message":"Se requieren chat_id y message"}"#,
        ),
        ("{".to_owned(), r#"{"error":"Error al procesar el mensaje"}"#),
        (
            json!({ "event": "chat_message", "chat_id": chat, "sender_id": "u9", "message": "x" })
                .to_string(),
            r#"{"error":"sender_id no es el del usuario conectado"}"#,
        ),
        (
            json!({ "event": "chat_message", "chat_id": chat_id("default", "u2"), "sender_id": "u1",
                    "message": "x" })
            .to_string(),
            r#"{"error":"chat_id no es un chat abierto tuyo"}"#,
        ),
    ] {
        // BEN-31: nothing comes for the first of the two.
        user.say_text(r#"{"event":"dance"}"#).await;
        user.say_text(&frame).await;
        assert_eq!(event(&mut user).await.to_string(), expected, "{frame}");
    }
    write(&mut user, "u1", "sigo aquí").await;
    expect(&mut user, "chat_message").await;
}
