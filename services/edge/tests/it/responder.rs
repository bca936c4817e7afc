//! Who answers a conversation, said over HTTP: how its bot behaves, and people who take it and give it back.

use reqwest::{Client as Http, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::chat_desk::{Desk, PERSONALITY, chat_id, enrol, person};
use crate::chat_office::{connect, expect};
use crate::world::{Node, World, jwt};
use chasqui_proto::v1::AgentStatus;

/// A node on which only staff is staff, the agents `a1` (user `u9`) and `a2` (`u8`), an inactive one, and persistence.
async fn office() -> (World, Desk, Node) {
    let world = World::start().await;
    let desk = Desk::open(&world).await;
    for (agent, user, status) in [
        ("a1", "u9", AgentStatus::Active),
        ("a2", "u8", AgentStatus::Active),
        ("a3", "u7", AgentStatus::Inactive),
    ] {
        enrol(&world, "default", agent, user, status).await;
    }
    enrol(&world, "acme", "a9", "u9", AgentStatus::Active).await;
    let node = Node::start(&world, "one", &[("users_are_staff", "false")]).await;
    (world, desk, node)
}

fn ask(node: &Node, method: Method, what: &str, claims: &Value) -> RequestBuilder {
    let url = format!("http://{}/api/conversations/{}{what}", node.address, person("u1"));
    Http::new().request(method, url).bearer_auth(jwt(claims))
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn boss() -> Value {
    json!({ "id": "boss", "tenant": "default", "role": "staff" })
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_33_staff_says_how_the_bot_behaves_in_a_conversation() {
    let (_world, _desk, node) = office().await;
    let steer = |body: &Value| ask(&node, Method::PATCH, "", &boss()).json(body);
    let (status, steered) = answer(steer(&json!({ "ai_active": true }))).await;
    let steered = &steered["conversation"];
    assert_eq!((status, &steered["ai_active"], &steered["no_ac_ai"]), (200, &json!(true), &json!(true)));
    assert_eq!(steered["personality_id"], PERSONALITY, "what is absent stays as it is");
    let (_, steered) = answer(steer(&json!({ "no_ac_ai": false, "personality_id": null }))).await;
    let steered = &steered["conversation"];
    assert_eq!((&steered["no_ac_ai"], &steered["personality_id"]), (&json!(false), &Value::Null));
    for (body, names) in [
        (r#"{"ai_active":"yes"}"#, "ai_active must be true or false"),
        (r#"{"aiActive":true}"#, "aiActive"),
        ("{}", "at least one of ai_active, no_ac_ai, personality_id"),
        ("", "JSON object"),
    ] {
        let (status, wrong) = answer(ask(&node, Method::PATCH, "", &boss()).body(body)).await;
        assert_eq!((status, &wrong["code"]), (400, &json!("invalid_input")));
        assert!(wrong["message"].as_str().unwrap().contains(names), "{wrong}");
    }
    let abroad = json!({ "id": "boss", "tenant": "acme", "role": "staff" });
    let foreign = ask(&node, Method::PATCH, "", &abroad).json(&json!({ "ai_active": true }));
    assert_eq!(answer(foreign).await.0, 404);
    let endless = ask(&node, Method::PATCH, "", &boss()).body("x".repeat(100_000));
    assert_eq!(answer(endless).await.0, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_a_conversation_from_the_bot_and_gives_it_back() {
    let (_world, desk, node) = office().await;
    // Whoever is free is not who asked.
    desk.is_free("a2", "u8");
    let mut agent = connect(&node, "u9", "default").await;
    expect(&mut agent, "agent_connected").await;
    expect(&mut agent, "active_chats").await;
    let own = json!({ "id": "u9", "tenant": "default" });
    let (status, taken) = answer(ask(&node, Method::POST, "/take", &own)).await;
    assert_eq!((status, &taken["success"]), (200, &json!(true)), "{taken}");
    let chat = &taken["chat"];
    assert_eq!(
        (&chat["agent_id"], &chat["status"], &chat["reason"]),
        (&json!("a1"), &json!("assigned"), &json!("taken"))
    );
    assert_eq!((&chat["user_id"], &chat["user_name"]), (&json!("u1"), &json!("Contact")));
    let shown = expect(&mut agent, "chat_assigned").await;
    assert_eq!(
        (&shown["chat"]["id"], &shown["chat"]["reason"]),
        (&json!(chat_id("default", "u1")), &json!("taken"))
    );
    let (status, given) =
        answer(ask(&node, Method::POST, "/take", &boss()).json(&json!({ "agent_id": "a2" }))).await;
    assert_eq!((status, &given["chat"]["agent_id"]), (200, &json!("a2")));
    expect(&mut agent, "chat_assigned").await;
    let (status, released) = answer(ask(&node, Method::POST, "/release", &own)).await;
    assert_eq!((status, &released["chat"]["status"]), (200, &json!("closed")));
    assert_eq!(released["chat"]["closed_by"], "u9");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_conversation_for_an_agent_who_is_not_there() {
    let (_world, desk, node) = office().await;
    for (claims, body, status, names) in [
        (boss(), "", 400, "agent_id: you are no agent"),
        (boss(), r#"{"agent_id":"a8"}"#, 400, "agent_id: the tenant has no such agent"),
        (boss(), r#"{"agent_id":""}"#, 400, "agent_id must be the id of an agent"),
        (boss(), r#"{"agent_id":"a3"}"#, 409, "agent_id: the agent is not active"),
        (boss(), r#"{"agent":"a1"}"#, 400, "\"agent\" is no field of it"),
        // Another tenant's agent is none here, and this conversation none there.
        (boss(), r#"{"agent_id":"a9"}"#, 400, "agent_id: the tenant has no such agent"),
        (json!({ "id": "u9", "tenant": "acme" }), "", 404, "there is no such conversation"),
    ] {
        let request = ask(&node, Method::POST, "/take", &claims).body(body);
        let (told, refused) = answer(request).await;
        assert_eq!(told, status, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(names), "{refused}");
    }
    assert_eq!(desk.chats(), 0, "none was opened that would have gone to somebody else");
    assert_eq!(answer(ask(&node, Method::POST, "/release", &boss())).await.0, 404, "nobody had it");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_staff_says_who_answers() {
    let (_world, desk, node) = office().await;
    let asked = [(Method::PATCH, ""), (Method::POST, "/take"), (Method::POST, "/release")];
    for (method, what) in asked {
        let steering = json!({ "ai_active": true });
        for (claims, status) in [
            (json!({ "id": "u1", "tenant": "default" }), 403),
            (json!({ "id": "u7", "tenant": "default" }), 403),
            (json!({ "id": "x", "tenant": "default", "phone": "5491100000001" }), 403),
        ] {
            let request = ask(&node, method.clone(), what, &claims).json(&steering);
            assert_eq!(answer(request).await.0, status, "{method} {what} {claims}");
        }
        let url = format!("http://{}/api/conversations/{}{what}", node.address, person("u1"));
        assert_eq!(answer(Http::new().request(method, url).json(&steering)).await.0, 401);
    }
    assert_eq!(desk.chats(), 0);
}
