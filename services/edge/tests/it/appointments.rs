//! Appointments over HTTP, and who is told of them.

use std::sync::{Arc, Mutex};

use chasqui_kit::{Bus, Code, Coded, TraceContext, publish::Fact, serve::Responder};
use chasqui_proto::{
    service::{APPOINTMENTS_CHANGE, APPOINTMENTS_GET, APPOINTMENTS_LIST, PERSISTENCE},
    subject, v1,
};
use reqwest::{Client as Http, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::chat_desk::{Desk, chat_id, enrol, person};
use crate::chat_office::{connect, expect};
use crate::world::{Client, Node, World, jwt};

const OWN: &str = "0d9a4a5e-0000-4000-8000-000000000001";
const OTHERS: &str = "0d9a4a5e-0000-4000-8000-000000000002";
const ABROAD: &str = "0d9a4a5e-0000-4000-8000-000000000003";
const NOBODYS: &str = "0d9a4a5e-0000-4000-8000-000000000009";

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str, Code);

impl Coded for Refused {
    fn code(&self) -> Code {
        self.1
    }
}

const UNKNOWN: Refused = Refused("there is no such appointment", Code::NotFound);

/// Persistence's part of appointments, played by the test.
#[derive(Clone)]
struct Book {
    bus: Bus,
    appointments: Arc<Mutex<Vec<v1::Appointment>>>,
    /// What was asked for, the newest last.
    lists: Arc<Mutex<Vec<v1::ListAppointments>>>,
    changes: Arc<Mutex<Vec<v1::ChangeAppointment>>>,
}

fn appointment(tenant: &str, id: &str, user: &str) -> v1::Appointment {
    v1::Appointment {
        id: id.to_owned(),
        tenant: tenant.to_owned(),
        conversation: person(user).to_string(),
        user_id: user.to_owned(),
        status: "pending".to_owned(),
        specialty: "Cardiología".to_owned(),
        patient_document: "12345678".to_owned(),
        patient_name: "Contact".to_owned(),
        created_at_ms: 1_700_000_000_000,
        version: 1,
        ..v1::Appointment::default()
    }
}

fn chat_of(appointment: &v1::Appointment) -> String {
    chat_id(&appointment.tenant, &appointment.user_id)
}

impl Book {
    async fn open(world: &World) -> (Self, Responder) {
        let book = Self {
            bus: world.bus.clone(),
            appointments: Arc::new(Mutex::new(vec![
                appointment("default", OWN, "u1"),
                appointment("default", OTHERS, "u2"),
                appointment("acme", ABROAD, "u1"),
            ])),
            lists: Arc::default(),
            changes: Arc::default(),
        };
        let stop = CancellationToken::new();
        let responder = Responder::start(&world.bus, PERSISTENCE, "a stand-in", stop).await.unwrap();
        let known = book.clone();
        let found = move |question: v1::GetAppointment, _| {
            std::future::ready(known.find(&question.tenant, &question.id).ok_or(UNKNOWN))
        };
        responder.endpoint(APPOINTMENTS_GET, found).await.unwrap();
        let known = book.clone();
        let listed = move |question: v1::ListAppointments, _| std::future::ready(known.list(question));
        responder.endpoint(APPOINTMENTS_LIST, listed).await.unwrap();
        let known = book.clone();
        let changed = move |question: v1::ChangeAppointment, _| {
            let known = known.clone();
            async move { known.change(question).await }
        };
        responder.endpoint(APPOINTMENTS_CHANGE, changed).await.unwrap();
        world.bus.barrier().await.unwrap();
        (book, responder)
    }

    fn find(&self, tenant: &str, id: &str) -> Option<v1::Appointment> {
        let appointments = self.appointments.lock().unwrap();
        appointments.iter().find(|found| found.tenant == tenant && found.id == id).cloned()
    }

    fn list(&self, question: v1::ListAppointments) -> Result<v1::AppointmentPage, Refused> {
        self.lists.lock().unwrap().push(question.clone());
        if question.conversation == chat_id(&question.tenant, "u3") {
            return Err(Refused("there is no such conversation", Code::NotFound));
        }
        let wanted = |found: &&v1::Appointment| {
            found.tenant == question.tenant
                && (question.conversation.is_empty() || chat_of(found) == question.conversation)
        };
        let appointments = self.appointments.lock().unwrap().iter().filter(wanted).cloned().collect();
        Ok(v1::AppointmentPage { appointments, next: question.cursor })
    }

    async fn change(&self, question: v1::ChangeAppointment) -> Result<v1::Appointment, Refused> {
        self.changes.lock().unwrap().push(question.clone());
        let mut changed = self.find(&question.tenant, &question.id).ok_or(UNKNOWN)?;
        if question.status.as_deref() == Some("done") {
            return Err(Refused("status: a pending appointment cannot be done", Code::Conflict));
        }
        changed.status = question.status.unwrap_or(changed.status);
        changed.scheduled_at_ms = question.scheduled_at_ms.unwrap_or(changed.scheduled_at_ms);
        changed.version += 1;
        self.tell(&changed).await;
        Ok(changed)
    }

    async fn tell(&self, appointment: &v1::Appointment) {
        let key = subject::NodeToken::new(&appointment.id);
        let subject = subject::appointments_updated(&appointment.tenant.parse().unwrap(), &key);
        let id = format!("{}:{}", appointment.id, appointment.version);
        self.bus.publish(Fact::new(subject, appointment, id, TraceContext::root())).await.unwrap();
    }
}

/// A node on which only staff is staff, an agent (user `u9`) of each tenant, and persistence.
async fn clinic() -> (World, Book, Responder, Node) {
    let world = World::start().await;
    let (book, responder) = Book::open(&world).await;
    for tenant in ["default", "acme"] {
        enrol(&world, tenant, "a1", "u9", v1::AgentStatus::Active).await;
    }
    let node = Node::start(&world, "one", &[("users_are_staff", "false")]).await;
    (world, book, responder, node)
}

fn ask(node: &Node, method: Method, path: &str, user: &str, tenant: &str) -> RequestBuilder {
    let token = jwt(&json!({ "id": user, "tenant": tenant }));
    let url = format!("http://{}/api/appointments{path}", node.address);
    Http::new().request(method, url).bearer_auth(token)
}

async fn get(node: &Node, path: &str, user: &str) -> (u16, Value) {
    answer(ask(node, Method::GET, path, user, "default")).await
}

async fn patch(node: &Node, id: &str, user: &str, change: &Value) -> (u16, Value) {
    answer(ask(node, Method::PATCH, &format!("/{id}"), user, "default").json(change)).await
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn ids(page: &Value) -> Vec<&str> {
    let appointments = page["appointments"].as_array().unwrap();
    appointments.iter().map(|appointment| appointment["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_41_staff_sees_and_changes_the_appointments_of_its_tenant() {
    let (_world, book, _responder, node) = clinic().await;
    let query = "?status=pending&conversation=7&limit=9&cursor=c";
    let (status, page) = get(&node, query, "u9").await;
    assert_eq!((status, &page["next"]), (200, &json!("c")));
    let asked = book.lists.lock().unwrap().pop().unwrap();
    let expected = v1::ListAppointments {
        tenant: "default".to_owned(),
        status: "pending".to_owned(),
        conversation: "7".to_owned(),
        cursor: "c".to_owned(),
        limit: 9,
    };
    assert_eq!(asked, expected);
    assert_eq!(ids(&get(&node, "", "u9").await.1), [OWN, OTHERS], "not those of the other tenant");
    let (status, shown) = get(&node, &format!("/{OWN}"), "u9").await;
    let shown = &shown["appointment"];
    assert_eq!((status, &shown["chat_id"]), (200, &json!(chat_id("default", "u1"))));
    assert_eq!(
        (&shown["patient_document"], &shown["patient_name"], &shown["scheduled_at"]),
        (&json!("12345678"), &json!("Contact"), &Value::Null)
    );
    assert_eq!(shown["created_at"], "2023-11-14T22:13:20.000Z");
    let change = json!({ "status": "confirmed", "scheduled_at": "2026-11-25T10:30:00-03:00" });
    let (status, changed) = patch(&node, OTHERS, "u9", &change).await;
    let changed = &changed["appointment"];
    assert_eq!((status, &changed["status"]), (200, &json!("confirmed")));
    assert_eq!(changed["scheduled_at"], "2026-11-25T13:30:00.000Z");
    let abroad = async |method: Method, path: &str| {
        answer(ask(&node, method, path, "u9", "acme").json(&json!({ "status": "cancelled" }))).await
    };
    assert_eq!(ids(&abroad(Method::GET, "").await.1), [ABROAD]);
    for method in [Method::GET, Method::PATCH] {
        assert_eq!(abroad(method, &format!("/{OWN}")).await.0, 404, "the same agent, of another tenant");
    }
    assert_eq!(get(&node, &format!("/{ABROAD}"), "u9").await.0, 404);
    assert_eq!(patch(&node, ABROAD, "u9", &change).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_41_a_user_sees_its_own_appointments_cancels_them_and_learns_nothing_of_others() {
    let (_world, book, _responder, node) = clinic().await;
    let own_chat = chat_id("default", "u1");
    for query in ["", "?conversation=u1", &format!("?conversation={own_chat}")] {
        let (status, page) = get(&node, query, "u1").await;
        assert_eq!((status, ids(&page)), (200, vec![OWN]), "{query}");
        let asked = book.lists.lock().unwrap().pop().unwrap();
        assert_eq!(
            asked.conversation, own_chat,
            "its id alone is nobody else's number, and no contact's alias"
        );
    }
    assert_eq!(ids(&get(&node, "", "u3").await.1), Vec::<&str>::new(), "it never wrote");
    let asked = book.lists.lock().unwrap().len();
    for query in ["?conversation=u2", "?conversation=5491100000001"] {
        assert_eq!(get(&node, query, "u1").await.0, 403, "{query}");
    }
    assert_eq!(book.lists.lock().unwrap().len(), asked, "nothing was looked up");
    assert_eq!(get(&node, &format!("/{OWN}"), "u1").await.0, 200);
    let cancel = json!({ "status": "cancelled" });
    let unknown = get(&node, &format!("/{NOBODYS}"), "u1").await;
    assert_eq!((unknown.0, &unknown.1["message"]), (404, &json!("there is no such appointment")));
    for id in [OTHERS, ABROAD] {
        assert_eq!(get(&node, &format!("/{id}"), "u1").await, unknown, "as one that nobody has");
        assert_eq!(patch(&node, id, "u1", &cancel).await, unknown);
    }
    for change in [
        json!({ "status": "confirmed" }),
        json!({ "scheduled_at": null }),
        json!({ "status": "cancelled", "description": "x" }),
    ] {
        for id in [OWN, OTHERS, NOBODYS] {
            assert_eq!(patch(&node, id, "u1", &change).await.0, 403, "{id} {change}");
        }
    }
    assert_eq!(book.changes.lock().unwrap().len(), 0, "nothing was changed so far");
    let (status, cancelled) = patch(&node, OWN, "u1", &cancel).await;
    assert_eq!((status, &cancelled["appointment"]["status"]), (200, &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_41_what_cannot_be_done_says_why() {
    let (_world, _book, responder, node) = clinic().await;
    for (change, names) in [
        (json!({ "status": "lost" }), "status must be one of pending, confirmed, cancelled, done"),
        (json!({ "scheduled_at": "tomorrow" }), "scheduled_at must be a moment"),
        (json!({ "colour": "red" }), "\"colour\" is no field of it"),
        (json!({}), "at least one of status, scheduled_at, description"),
        (json!([]), "JSON object"),
    ] {
        let (status, wrong) = patch(&node, OWN, "u9", &change).await;
        assert_eq!((status, &wrong["code"]), (400, &json!("invalid_input")));
        assert!(wrong["message"].as_str().unwrap().contains(names), "{wrong}");
    }
    for (query, names) in [("?status=lost", "status must be"), ("?limit=0", "limit"), ("?limit=x", "limit")] {
        let (status, wrong) = get(&node, query, "u9").await;
        assert_eq!(status, 400);
        assert!(wrong["message"].as_str().unwrap().contains(names), "{wrong}");
    }
    let (status, conflict) = patch(&node, OWN, "u9", &json!({ "status": "done" })).await;
    assert_eq!((status, &conflict["message"]), (409, &json!("status: a pending appointment cannot be done")));
    let contact = jwt(&json!({ "id": "x", "phone": "5491100000001" }));
    let url = format!("http://{}/api/appointments", node.address);
    assert_eq!(answer(Http::new().get(&url).bearer_auth(contact)).await.0, 403);
    assert_eq!(answer(Http::new().get(&url)).await.0, 401);
    drop(responder);
    let gone = async || (get(&node, "", "u9").await.0 == 503).then_some(());
    chasqui_testkit::wait_for(crate::world::DEADLINE, "persistence is away", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_41_a_change_is_told_to_the_user_and_to_the_staff_of_its_tenant_and_to_nobody_else() {
    let (world, book, _responder, node) = clinic().await;
    let _desk = Desk::open(&world).await;
    let mut user = connect(&node, "u1", "default").await;
    let mut stranger = connect(&node, "u2", "default").await;
    let mut namesake = connect(&node, "u1", "acme").await;
    for client in [&mut user, &mut stranger, &mut namesake] {
        expect(client, "active_chats").await;
    }
    // It has no chat with the user.
    let mut agent = connect(&node, "u9", "default").await;
    let mut abroad = connect(&node, "u9", "acme").await;
    for client in [&mut agent, &mut abroad] {
        expect(client, "agent_connected").await;
        expect(client, "active_chats").await;
    }
    let token = jwt(&json!({ "id": "boss", "tenant": "default", "role": "staff" }));
    let mut crm = Client::open(&format!("ws://{}/ws?token={token}", node.address)).await;
    assert_eq!(crm.frame().await["type"], "connected");
    let (status, changed) = patch(&node, OWN, "u9", &json!({ "status": "confirmed" })).await;
    assert_eq!(status, 200);
    for client in [&mut user, &mut agent] {
        assert_eq!(expect(client, "appointment_updated").await["appointment"], changed["appointment"]);
    }
    let shown = loop {
        let frame = crm.frame().await;
        if frame["type"] == "appointment_updated" {
            break frame;
        }
    };
    assert_eq!(shown["data"]["appointment"], changed["appointment"], "one view everywhere");
    // What comes first for the others is what comes after it.
    for tenant in ["default", "acme"] {
        announce(&world, tenant).await;
    }
    for client in [&mut stranger, &mut namesake, &mut abroad] {
        expect(client, "barrier").await;
    }
    book.tell(&v1::Appointment { version: 9, ..appointment("acme", ABROAD, "u1") }).await;
    for client in [&mut namesake, &mut abroad] {
        assert_eq!(expect(client, "appointment_updated").await["appointment"]["id"], ABROAD);
    }
}

async fn announce(world: &World, tenant: &str) {
    use prost::Message as _;
    let announcement = v1::Announcement {
        tenant: tenant.to_owned(),
        event: "barrier".to_owned(),
        ..v1::Announcement::default()
    };
    let subject = subject::announcements_made(&tenant.parse().unwrap()).as_str().to_owned();
    world.bus.client().publish(subject, announcement.encode_to_vec().into()).await.unwrap();
}
