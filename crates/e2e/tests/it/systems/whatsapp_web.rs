//! The WhatsApp-Web back end: a QR, a session, chats; the simulator is the phone that scans.

use serde_json::{Value, json};

use crate::world::{Cluster, FrontDoor, FrontEnd, Phone, http};

const CONTACT: &str = "5491100000441@s.whatsapp.net";

#[tokio::test(flavor = "multi_thread")]
async fn wab_23_from_the_qr_to_messages_both_ways() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    let (user, phone) = ("7d9a4a5e-0000-4000-8000-000000000441", Phone::of(&cluster));
    let token = cluster.tool(&["token", "--user", user]).await;
    let account = format!("user-{user}");
    let get = async |path: &str| -> Value {
        let url = format!("{}/api/whatsapp/{path}", door.http());
        http().get(url).bearer_auth(&token).send().await.unwrap().json().await.unwrap()
    };

    let mut front_end = FrontEnd::open("whatsapp-web.mjs", &[&door.http(), &token]);
    front_end.says("connect").await;
    front_end.does(&json!({ "do": "get-qr" }));
    let qr = front_end.says("qr-code").await["payload"].clone();
    assert!(qr.as_str().is_some_and(|qr| qr.starts_with("data:image/png;base64,")), "WAB-17: {qr}");
    assert_eq!(get("qr").await["data"]["qr"], qr, "WAB-29: the same while it can be scanned");
    phone.scan(&account).await;
    assert_eq!(front_end.says("session-ready").await["payload"], json!({ "success": true }), "WAB-18");
    assert_eq!(get("qr").await["connected"], true, "WAB-10");

    phone.writes(&account, "5491100000441", "hola").await;
    front_end.says("chats-updated").await;
    let conversations = get("get_conversations").await;
    assert_eq!(conversations["conversations"][0]["external_id"], CONTACT, "WAB-11");
    assert_eq!(conversations["conversations"][0]["unread_count"], 1);
    let messages = get(&format!("get_messages?conversationId={CONTACT}")).await;
    assert_eq!(messages["messages"][0]["text_content"], "hola", "WAB-12");

    front_end.does(&json!({ "send": "buen día", "to": CONTACT }));
    assert_eq!(front_end.says("message-sent").await["payload"]["conversationId"], CONTACT, "WAB-21");
    front_end.does(&json!({ "send": "x", "to": "5491100000449@s.whatsapp.net" }));
    assert_eq!(front_end.says("error").await["payload"], "Conversación no encontrada", "WAB-32");

    // WAB-31: the library connects again, to another node, joins, and is told how the session stands.
    front_end.does(&json!({ "do": "break" }));
    front_end.says("disconnect").await;
    front_end.says("session-ready").await;
    phone.logs_out(&account).await;
    assert_eq!(
        front_end.says("session-closed").await["payload"],
        json!({ "reason": "logged_out" }),
        "WAB-19"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_27_nobody_sees_the_conversations_of_another() {
    let cluster = Cluster::shared().await;
    let (door, phone) = (FrontDoor::open(&cluster).await, Phone::of(&cluster));
    let tokens = [
        cluster.tool(&["token", "--user", "dueno-1"]).await,
        cluster.tool(&["token", "--user", "dueno-2"]).await,
    ];
    let mut front_ends =
        tokens.each_ref().map(|token| FrontEnd::open("whatsapp-web.mjs", &[&door.http(), token]));
    for (number, front_end) in front_ends.iter_mut().enumerate() {
        front_end.does(&json!({ "do": "get-qr" }));
        front_end.says("qr-code").await;
        phone.scan(&format!("user-dueno-{}", number + 1)).await;
        front_end.says("session-ready").await;
    }
    phone.writes("user-dueno-1", "5491100000442", "solo para el uno").await;
    front_ends[0].says("chats-updated").await;
    for (token, count) in tokens.iter().zip([1, 0]) {
        let url = format!("{}/api/whatsapp/get_conversations", door.http());
        let listed: Value = http().get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap();
        assert_eq!(listed["conversations"].as_array().unwrap().len(), count);
    }
    let refused = http().get(format!("{}/api/whatsapp/get_conversations", door.http())).send().await.unwrap();
    assert_eq!(refused.status(), 401, "WAB-13");
}
