//! Two tenants on the same nodes.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::interval;

use crate::world::{Cluster, Dialect, FrontDoor, FrontEnd, Meta, Native, http};

/// The same people, contacts and ids in both: only the tenant differs.
const CONTACT: &str = "5491100000951";
const WIDGET: &str = "5491100000952";
const USER: &str = "socio";

/// Everybody of one tenant.
struct Tenant {
    name: &'static str,
    staff: Native,
    agent: Native,
    user: Native,
    widget: FrontEnd,
    device: FrontEnd,
    token: String,
    /// What of its own it was shown.
    widget_saw: Vec<Value>,
}

impl Tenant {
    async fn open(cluster: &Cluster, door: &FrontDoor, name: &'static str) -> Self {
        let admin = async |arguments: &[&str]| {
            cluster.tool(&[&["admin", "--tenant", name], arguments].concat()).await
        };
        admin(&["tenant", "put", name, "--name", name]).await;
        admin(&["number", "put", &number(name)]).await;
        admin(&["user", "put", "asesora", "--name", "Contact"]).await;
        admin(&["agent", "put", &format!("agent-of-{name}"), "--user", "asesora"]).await;
        let token = |user: &str| Cluster::token_of(user, name);
        let staff = Cluster::token_of_staff("supervisora", name);
        let agent = loop {
            let agent = Native::open(cluster, 2, Dialect::Chat, &token("asesora")).await;
            if !agent.frames("agent_connected").is_empty() {
                break agent;
            }
        };
        let phone_token = Cluster::token_of_widget(WIDGET, name);
        let options = json!({ "auth": { "token": phone_token }, "transports": ["websocket"] });
        let mut widget = FrontEnd::open("socketio.mjs", &[&door.http(), &options.to_string()]);
        widget.says("connect").await;
        let mut device = FrontEnd::open("whatsapp-web.mjs", &[&door.http(), &staff]);
        device.says("connect").await;
        Self {
            name,
            staff: Native::open(cluster, 0, Dialect::Crm, &staff).await,
            agent,
            user: Native::open(cluster, 1, Dialect::Chat, &token(USER)).await,
            widget,
            device,
            token: staff,
            widget_saw: Vec::new(),
        }
    }

    fn says(&self, what: &str) -> String {
        format!("solo {}: {what}", self.name)
    }

    /// Everybody does what there is to do; what is said names the tenant.
    async fn acts(&mut self, cluster: &Cluster, meta: &Meta) {
        // Nothing says that the device has joined: a contact writes until it is told.
        let (of_contact, mut pace) = (self.says("de WhatsApp"), interval(Duration::from_millis(200)));
        tokio::select! {
            _ = self.device.says("chats-updated") => {}
            () = async { loop {
                pace.tick().await;
                meta.text_to(&number(self.name), CONTACT, &of_contact).await;
            } } => unreachable!("contacts never stop"),
        }
        self.widget
            .does(&json!({ "emit": "user-message", "arguments": [{ "text": self.says("del widget") }] }));
        self.staff.texts_until(&self.says("del widget")).await;
        // It can be answered once it is stored.
        let is_stored = |frame: &Value| {
            let updated = frame["type"] == "conversation_updated";
            (updated && frame["data"]["conversation"]["contact_phone"] == WIDGET).then_some(())
        };
        self.staff.sees("the widget's conversation is stored", is_stored).await;
        let answer = json!({ "conversation_id": WIDGET, "text": self.says("al widget") });
        self.staff.says(&json!({ "type": "send_message", "data": answer }));
        let shown = self.widget.finds("event", |line| line["name"] == "bot-response").await;
        self.widget_saw.push(shown);
        self.user.says(&json!({ "event": "typing", "chat_id": USER }));
        let wrote = json!({ "event": "chat_message", "chat_id": USER, "sender_id": USER,
            "message": self.says("del usuario") });
        self.user.says(&wrote);
        let chat = self.agent.sees("the agent is shown what the user wrote", |frame| {
            (frame["event"] == "chat_message").then(|| frame["chat_id"].clone())
        });
        let chat = chat.await;
        self.agent.says(&json!({ "event": "typing", "chat_id": chat }));
        let answer =
            json!({ "event": "agent_chat_message", "chat_id": chat, "message": self.says("de la agente") });
        self.agent.says(&answer);
        self.user.texts_until(&self.says("de la agente")).await;
        // Somebody comes and goes.
        let visitor = format!("visita-solo-{}", self.name);
        let visit = Native::open(cluster, 2, Dialect::Chat, &Cluster::token_of(&visitor, self.name)).await;
        drop(visit);
        let is_gone = |frame: &Value| {
            (frame["event"] == "user_disconnected" && frame["user_id"] == visitor.as_str()).then_some(())
        };
        self.user.sees("a visitor is gone", is_gone).await;
        let announcement =
            json!({ "tenant": self.name, "event": "aviso", "data": { "text": self.says("a todos") } });
        let url = cluster.ingests[0].url("/api/admin/announcements");
        let told = http().post(url).header("x-api-key", ADMIN_KEY).json(&announcement).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::ACCEPTED);
        let text = self.says("a todos");
        let is_told = |frame: &Value| frame.to_string().contains(&text).then_some(());
        for front_end in [&self.staff, &self.agent, &self.user] {
            front_end.sees("the tenant's people are told", is_told).await;
        }
    }

    /// All that its front ends were shown.
    async fn was_shown(&mut self) -> Vec<Value> {
        let natives = [&self.staff, &self.agent, &self.user];
        let mut shown: Vec<Value> = natives.iter().flat_map(|native| native.everything()).collect();
        shown.append(&mut self.widget_saw);
        for front_end in [&mut self.widget, &mut self.device] {
            front_end.does(&json!({ "do": "break" }));
            shown.extend(front_end.everything_before("disconnect").await);
        }
        shown
    }
}

const ADMIN_KEY: &str = "an-admin-key-of-a-story";

fn number(tenant: &str) -> String {
    format!("number-of-{tenant}")
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_27_two_tenants_on_the_same_nodes_see_nothing_of_each_other() {
    let cluster = Cluster::breakable_with("tenants", &[("ADMIN_API_KEY", ADMIN_KEY)]).await;
    let (door, meta) = (FrontDoor::open(&cluster).await, Meta::new(&cluster));
    let mut one = Tenant::open(&cluster, &door, "acme").await;
    let mut other = Tenant::open(&cluster, &door, "zeta").await;
    // At the same time, so that nothing is shown to nobody.
    tokio::join!(one.acts(&cluster, &meta), other.acts(&cluster, &meta));
    let get = async |token: &str, path: &str| {
        http().get(format!("{}{path}", door.http())).bearer_auth(token).send().await.unwrap()
    };
    let mut conversations: Vec<Value> = Vec::new();
    for tenant in [&one, &other] {
        let listed: Value = get(&tenant.token, "/api/conversations?limit=200").await.json().await.unwrap();
        let mine = format!("solo {}", tenant.name);
        let listed = listed["conversations"].as_array().unwrap().clone();
        assert!(!listed.is_empty(), "{} has conversations", tenant.name);
        for conversation in &listed {
            let text = conversation["last_message"]["text_content"].as_str().unwrap_or(&mine);
            assert!(text.contains(&mine), "{} lists {conversation}", tenant.name);
        }
        conversations.extend(listed);
    }
    // Each conversation, by number and by UUID, is one tenant's and no other's.
    for conversation in &conversations {
        for name in [conversation["uuid"].as_str().unwrap(), &conversation["id"].to_string()] {
            let path = format!("/api/conversations/{name}/messages");
            let mut found = 0;
            for tenant in [&one, &other] {
                let messages = get(&tenant.token, &path).await;
                if messages.status() == StatusCode::OK {
                    let messages = messages.text().await.unwrap();
                    let theirs = if tenant.name == "acme" { "solo zeta" } else { "solo acme" };
                    assert!(!messages.contains(theirs), "{} reads {messages}", tenant.name);
                    found += 1;
                }
            }
            assert!(found >= 1, "{path} is somebody's");
        }
    }
    let shown = [one.was_shown().await, other.was_shown().await];
    for (frames, (own, foreign)) in shown.iter().zip([("acme", "zeta"), ("zeta", "acme")]) {
        let texts: Vec<String> = frames.iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains(&format!("solo {own}"))));
        for sign in
            [format!("solo {foreign}"), format!("visita-solo-{foreign}"), format!("agent-of-{foreign}")]
        {
            let leak = texts.iter().find(|text| text.contains(&sign));
            assert!(leak.is_none(), "{own} was shown {}", leak.expect("it is there"));
        }
    }
}
