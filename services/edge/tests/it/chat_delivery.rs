//! What reaches users and agents beside each other's words, and what reaches them later.

use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{service::CHATS_OPEN, subject, v1};
use futures::StreamExt;
use prost::Message as _;
use serde_json::json;
use tokio::time::timeout;

use crate::chat_desk::person;
use crate::chat_office::{Office, answer, connect, connect_at, event, expect, write};
use crate::world::{DEADLINE, Node, World};

#[tokio::test(flavor = "multi_thread")]
async fn ben_22_26_what_cannot_be_stored_is_said_so() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    // Nobody plays persistence: no chat can be opened.
    let mut user = connect(&node, "u1", "default").await;
    expect(&mut user, "active_chats").await;
    write(&mut user, "u1", "hola").await;
    assert_eq!(event(&mut user).await, json!({ "error": "Error interno al enviar el mensaje" }));
    answer(&mut user, "u1", "hola").await;
    let error = expect(&mut user, "error").await["message"].as_str().unwrap().to_owned();
    assert!(error.starts_with("Error al enviar el mensaje: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_17_18_35_the_guided_flow_hears_the_user_and_its_words_come_back() {
    let office = Office::open().await;
    let mut inbox = {
        let subject = subject::messages_in(&office.world.tenant, &person("u1"));
        office.world.bus.client().subscribe(subject.as_str().to_owned()).await.unwrap()
    };
    office.world.bus.barrier().await.unwrap();
    let mut user = office.user("u1").await;
    user.say(&json!({ "event": "chatbot_init" })).await;
    user.say(&json!({ "source": "chatbot", "event": "chat_message", "message": "12345" })).await;
    for (mark, text) in [("chatbot_init", "chatbot_init"), ("chatbot", "12345")] {
        let heard = timeout(DEADLINE, inbox.next()).await.unwrap().unwrap();
        let heard = v1::Message::decode(heard.payload).unwrap();
        assert_eq!((heard.provider_type.as_str(), heard.text.as_str()), (mark, text));
    }
    let reply = v1::Message {
        id: uuid::Uuid::now_v7().to_string(),
        tenant: "default".to_owned(),
        conversation: person("u1").to_string(),
        direction: v1::Direction::Out.into(),
        sender_type: v1::SenderType::Ai.into(),
        text: "Bienvenido".to_owned(),
        ..v1::Message::default()
    };
    let subject = subject::messages_out(&office.world.tenant, &person("u1"));
    let fact = Fact::new(subject, &reply, reply.id.clone(), TraceContext::root());
    office.world.bus.publish(fact).await.unwrap();
    let shown = expect(&mut user, "chatbot_message").await;
    assert_eq!((&shown["message"], &shown["sender_type"]), (&json!("Bienvenido"), &json!("BOT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_sent_again_after_a_reconnect_is_stored_once() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let named = json!({
        "event": "chat_message", "chat_id": "u1", "sender_id": "u1", "message": "una vez", "client_id": "n1",
    });
    user.say(&named).await;
    let mut accepted = Vec::new();
    for _ in 0..2 {
        let frame = event(&mut user).await;
        if frame["event"] == "message_accepted" {
            accepted.push(frame);
        }
    }
    drop(user);
    let mut user = connect(&office.two, "u1", "default").await;
    expect(&mut user, "active_chats").await;
    user.say(&named).await;
    accepted.push(expect(&mut user, "message_accepted").await);
    assert_eq!(accepted[0], accepted[1]);
    assert_eq!(accepted[0]["client_id"], "n1");
    assert_eq!(expect(&mut agent, "chat_message").await["message"], "una vez");
    expect(&mut agent, "new_message").await;
    write(&mut user, "u1", "otra").await;
    assert_eq!(expect(&mut agent, "chat_message").await["message"], "otra");
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_44_what_was_written_while_a_user_was_away_is_shown_until_it_has_arrived() {
    let office = Office::open().await;
    let (user, mut agent) = office.chat().await;
    drop(user);
    let mut statuses = {
        let subject = subject::messages_status(&office.world.tenant, &person("u1"));
        office.world.bus.client().subscribe(subject.as_str().to_owned()).await.unwrap()
    };
    answer(&mut agent, "u1", "¿sigue ahí?").await;
    let sent = expect(&mut agent, "chat_message").await;
    let mut user = office.user("u1").await;
    assert_eq!(expect(&mut user, "chat_message").await["message_id"], sent["message_id"]);
    expect(&mut user, "new_message").await;
    // The client's library answers the ping behind the message by itself, as browsers do, while it reads.
    office.announce("default", "barrier").await;
    expect(&mut user, "barrier").await;
    let status = timeout(DEADLINE, statuses.next()).await.unwrap().unwrap();
    let status = v1::MessageStatus::decode(status.payload).unwrap();
    assert_eq!(status.status(), v1::Status::Delivered);
    assert_eq!(json!(status.message_id), sent["message_id"]);
    drop(user);
    let mut user = office.user("u1").await;
    office.announce("default", "second").await;
    expect(&mut user, "second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_with_its_cursor_is_given_what_it_missed_on_another_node() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let mut other_tab = connect(&office.one, "u1", "default").await;
    let epoch = expect(&mut other_tab, "active_chats").await["epoch"].as_str().unwrap().to_owned();
    write(&mut user, "u1", "visto").await;
    let seen = expect(&mut user, "chat_message").await["seq"].as_u64().unwrap();
    expect(&mut agent, "chat_message").await;
    drop(user);
    for text in ["uno", "dos"] {
        answer(&mut agent, "u1", text).await;
    }
    let mut back = connect_at(&office.two, "u1", "default", &format!("/?since={epoch}.{seen}")).await;
    let chats = expect(&mut back, "active_chats").await;
    assert_eq!((&chats["recovered"], &chats["seq"]), (&json!(true), &json!(seen)));
    for text in ["uno", "dos"] {
        assert_eq!(expect(&mut back, "chat_message").await["message"], text);
        expect(&mut back, "new_message").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_41_42_43_appointments_payments_and_announcements_reach_whom_they_concern() {
    let office = Office::open().await;
    let (mut user, mut agent) = office.chat().await;
    let appointment = v1::Appointment {
        id: "p1".to_owned(),
        tenant: "default".to_owned(),
        conversation: person("u1").to_string(),
        user_id: "u1".to_owned(),
        status: "confirmed".to_owned(),
        version: 1,
        ..v1::Appointment::default()
    };
    let key = subject::NodeToken::new("p1");
    let subject = subject::appointments_updated(&office.world.tenant, &key);
    let fact = Fact::new(subject, &appointment, "p1", TraceContext::root());
    office.world.bus.publish(fact).await.unwrap();
    for client in [&mut user, &mut agent] {
        assert_eq!(expect(client, "appointment_updated").await["appointment"]["status"], "confirmed");
    }
    for status in ["pending", "approved"] {
        let payment = v1::Payment {
            tenant: "default".to_owned(),
            reference: "r1".to_owned(),
            conversation: person("u1").to_string(),
            status: status.to_owned(),
            plan: "pro".to_owned(),
            version: if status == "pending" { 1 } else { 2 },
            ..v1::Payment::default()
        };
        let subject = subject::payments_updated(&office.world.tenant, &subject::NodeToken::new("r1"));
        let fact = Fact::new(subject, &payment, format!("r1:{status}"), TraceContext::root());
        office.world.bus.publish(fact).await.unwrap();
    }
    assert_eq!(
        event(&mut user).await,
        json!({ "event": "payment_succeeded", "reference": "r1", "status": "approved", "plan": "pro" })
    );
    office.announce("default", "maintenance").await;
    for client in [&mut user, &mut agent] {
        expect(client, "maintenance").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_21_a_message_that_is_heard_before_its_chat_is_shown_with_the_chat() {
    let office = Office::open().await;
    let mut agent = office.agent("u9").await;
    let early = v1::Message {
        id: uuid::Uuid::now_v7().to_string(),
        tenant: "default".to_owned(),
        conversation: person("u1").to_string(),
        direction: v1::Direction::In.into(),
        sender_type: v1::SenderType::User.into(),
        text: "llegué antes".to_owned(),
        ..v1::Message::default()
    };
    let subject = subject::messages_in(&office.world.tenant, &person("u1"));
    let fact = Fact::new(subject, &early, early.id.clone(), TraceContext::root());
    office.world.bus.publish(fact).await.unwrap();
    let question = v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: person("u1").to_string(),
        user_id: "u1".to_owned(),
        ..v1::OpenChat::default()
    };
    office.world.bus.ask(CHATS_OPEN, &question, TraceContext::root()).await.unwrap();
    expect(&mut agent, "chat_assigned").await;
    assert_eq!(expect(&mut agent, "chat_message").await["message"], "llegué antes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_shown_what_was_written_while_the_chat_waited_for_it() {
    let office = Office::open().await;
    office.desk.nobody_is_free();
    let mut inbox = {
        let subject = subject::messages_in(&office.world.tenant, &person("u1"));
        office.world.bus.client().subscribe(subject.as_str().to_owned()).await.unwrap()
    };
    let mut user = office.user("u1").await;
    for text in ["¿hay alguien?", "es urgente"] {
        write(&mut user, "u1", text).await;
        let heard = timeout(DEADLINE, inbox.next()).await.unwrap().unwrap();
        let shown = loop {
            let frame = event(&mut user).await;
            if frame["event"] == "chat_message" {
                break frame;
            }
            assert_eq!(frame["event"], "chat_opened");
        };
        office.desk.store(shown["seq"].as_u64().unwrap(), v1::Message::decode(heard.payload).unwrap());
    }
    let mut agent = office.agent("u9").await;
    write(&mut user, "u1", "sigo aquí").await;
    expect(&mut user, "chat_message").await;
    office.desk.assign("u1", "a1", "u9").await;
    expect(&mut agent, "chat_assigned").await;
    for text in ["¿hay alguien?", "es urgente", "sigo aquí"] {
        assert_eq!(expect(&mut agent, "chat_message").await["message"], text);
        expect(&mut agent, "new_message").await;
    }
}
