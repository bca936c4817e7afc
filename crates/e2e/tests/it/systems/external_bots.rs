//! A bot outside, beside people and the bot of the pipeline: of the three, one answers a contact.

use chasqui_testkit::first_free_port;
use serde_json::{Value, json};

use crate::world::{Cluster, FrontDoor, FrontEnd, Outside, http, text_of};

const CONTACT: &str = "5491100000461";

/// What `/api/bot-reply` says to a bot that wants to answer.
async fn replies(door: &FrontDoor) -> (u16, Value) {
    let request = http()
        .post(format!("{}/api/bot-reply", door.http()))
        .header("x-api-key", Cluster::api_key())
        .json(&json!({ "targetUserWhatsAppNumber": CONTACT, "messageText": "me meto" }));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn refused(message: &str) -> (u16, Value) {
    (409, json!({ "success": false, "message": message }))
}

#[tokio::test(flavor = "multi_thread")]
async fn shc_13_shc_14_kon_10_of_a_person_a_bot_outside_and_the_pipelines_own_one_answers() {
    let cluster = Cluster::connected("external-bots", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let port = first_free_port(9_100).unwrap().to_string();
    let environment = [
        ("PORT", port.as_str()),
        ("MASSIVE_SENDER_URL", &door.http()),
        ("RESPONDER_CALLBACK_URL", &format!("http://127.0.0.1:{port}/api/message-received")),
        ("WHATSAPP_API_KEY", Cluster::api_key()),
    ];
    let mut bot = FrontEnd::bot("bot-responder.mjs", &environment);
    let registered = bot.says("registered").await;
    assert_eq!(registered["answer"]["listener"]["answers"], true, "it says nothing of it, and answers");

    outside.writes(CONTACT, json!({ "text": "hola" })).await;
    assert_eq!(bot.says("message").await["message"]["body"], "hola");
    assert_eq!(text_of(&outside.phone_has(CONTACT, 1).await[0]), "Respuesta a: hola");
    cluster.stored(0, CONTACT, 2).await;

    // An agent takes the conversation, hears the contact, and answers; the bot outside hears nothing and is refused.
    cluster.tool(&["admin", "user", "put", "asesor-6", "--name", "Asesor"]).await;
    cluster.tool(&["admin", "agent", "put", "a-6", "--user", "asesor-6"]).await;
    let token = cluster.tool(&["token", "--user", "asesor-6"]).await;
    let greeting = json!({ "user": "asesor-6" }).to_string();
    let mut agent = FrontEnd::open("chat.mjs", &[&door.web_socket(), &token, &greeting]);
    agent.says("open").await;
    cluster.take(CONTACT, "a-6").await;
    outside.writes(CONTACT, json!({ "text": "¿hay turnos?" })).await;
    agent.finds("event", |line| line["frame"]["message"] == "¿hay turnos?").await;
    let person = "El mensaje no se envió: en esta conversación responde una persona.";
    assert_eq!(replies(&door).await, refused(person));
    let chat = cluster.chat_of(CONTACT).await;
    agent.does(&json!({ "answer": "sí, mañana", "chat": chat.id }));
    assert_eq!(text_of(&outside.phone_has(CONTACT, 2).await[1]), "sí, mañana");

    // Closed, the bot outside has it again. What was written to the agent it never hears of.
    cluster.release(CONTACT).await;
    outside.writes(CONTACT, json!({ "text": "gracias" })).await;
    assert_eq!(bot.says("message").await["message"]["body"], "gracias");
    assert_eq!(text_of(&outside.phone_has(CONTACT, 3).await[2]), "Respuesta a: gracias");

    // Given to the bot of the pipeline, and back.
    cluster.steer(CONTACT, json!({ "ai_active": true })).await;
    outside.writes(CONTACT, json!({ "text": "cita" })).await;
    let answer = text_of(&outside.phone_has(CONTACT, 4).await[3]).to_owned();
    assert!(!answer.starts_with("Respuesta a:"), "the bot of the pipeline answers: {answer}");
    let builtin = "El mensaje no se envió: en esta conversación responde el bot integrado.";
    assert_eq!(replies(&door).await, refused(builtin));
    cluster.steer(CONTACT, json!({ "ai_active": false })).await;
    outside.writes(CONTACT, json!({ "text": "chau" })).await;
    assert_eq!(bot.says("message").await["message"]["body"], "chau");
    cluster.bot_has_handled(CONTACT).await;
    let received = outside.phone_has(CONTACT, 5).await;
    let texts: Vec<&str> = received.iter().map(text_of).collect();
    let expected = ["Respuesta a: hola", "sí, mañana", "Respuesta a: gracias", &answer, "Respuesta a: chau"];
    assert_eq!(texts, expected, "each message was answered once");
}
