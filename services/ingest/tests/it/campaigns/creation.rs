//! A campaign with its recipients in the body, and who may make one.

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_kit::clock;
use chasqui_proto::v1::{CampaignStatus, ChannelKind, MessageType};
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Office, greeting, with};
use crate::{
    directory::{key, tell, until},
    world::{API_KEY, NUMBER, answer},
};

#[tokio::test]
async fn crm_20_a_list_of_contacts_becomes_a_draft_that_says_what_was_found() -> Result<()> {
    let office = Office::open().await?;
    let body = with(
        greeting(),
        &json!({ "time_zone": "America/Argentina/Buenos_Aires", "rate_per_minute": 600, "recipients": [
            { "to": "5491100000001", "variables": { "nombre": "Ana" } },
            { "to": "+54 911 0000-0002", "name": "José", "variables": { "nombre": "José", "edad": 7 } },
            { "to": "Ana", "variables": { "nombre": "Ana" } },
            { "to": "5491100000001@c.us", "variables": { "nombre": "Anita" } },
        ] }),
    );
    let (code, told) = answer(office.create(&body).send().await?).await?;
    assert_eq!((code, &told["success"], &told["dry_run"]), (201, &json!(true), &json!(false)), "{told}");
    let number = "must be a phone number with its country code, such as 5491100000001";
    let report = json!({
        "rows": 4, "accepted": 2, "invalid": 1, "duplicates": 1, "opted_out": 0,
        "problems": [
            { "line": 3, "kind": "invalid", "field": "to", "problem": number },
            { "line": 4, "kind": "duplicate", "field": "", "problem": "the same contact stands in line 1" },
        ],
    });
    assert_eq!(told["report"], report);
    let shown = &told["campaign"];
    assert_eq!((&shown["status"], &shown["counts"]["total"]), (&json!("draft"), &json!(2)));
    assert_eq!(shown["plan"]["message"], json!({ "type": "text", "text": { "body": "Hola {{nombre}}" } }));
    assert_eq!((&shown["plan"]["session"], &shown["plan"]["rate_per_minute"]), (&json!(NUMBER), &json!(600)));
    let kept = office.store.only();
    assert_eq!(kept.campaign.id, shown["id"]);
    let message = kept.campaign.plan.unwrap_or_default().message.unwrap_or_default();
    assert_eq!((message.r#type(), message.text.as_str()), (MessageType::Text, "Hola {{nombre}}"));
    let channel = message.channel.unwrap_or_default();
    assert_eq!((channel.kind(), channel.id.as_str()), (ChannelKind::WhatsappCloud, NUMBER));
    let lines: Vec<u32> = kept.recipients.iter().map(|recipient| recipient.line).collect();
    assert_eq!(lines, [1, 2]);
    assert_eq!((kept.recipients[1].name.as_str(), kept.start), ("José", false));
    let told = answer(office.get(&format!("/api/campaigns/{}", kept.campaign.id)).send().await?).await?;
    assert_eq!(told.1["report"], report, "it is told later too");
    office.close().await
}

#[tokio::test]
async fn who_says_so_or_says_when_need_not_start_it() -> Result<()> {
    let office = Office::open().await?;
    let recipients = json!({ "message": "hola", "recipients": ["5491100000001"] });
    let body = with(greeting(), &recipients);
    let in_an_hour = jiff::Timestamp::from_millisecond(clock::now_ms() + 3_600_000)?.to_string();
    for (more, status) in [
        (json!({}), CampaignStatus::Draft),
        (json!({ "start": true }), CampaignStatus::Running),
        (json!({ "scheduled_at": in_an_hour }), CampaignStatus::Scheduled),
    ] {
        let (code, told) = answer(office.create(&with(body.clone(), &more)).send().await?).await?;
        assert_eq!((code, &told["campaign"]["status"]), (201, &json!(status.name())), "{more}: {told}");
    }
    office.close().await
}

#[tokio::test]
async fn a_dry_run_says_everything_and_keeps_nothing() -> Result<()> {
    let office = Office::open().await?;
    let body = with(greeting(), &json!({ "message": "hola", "recipients": ["5491100000001", "x"] }));
    let asked = office.post("/api/campaigns?dry_run=true").header("idempotency-key", "k1").json(&body);
    let in_the_body = office.create(&with(body.clone(), &json!({ "dry_run": true })));
    for request in [asked, in_the_body] {
        let (code, told) = answer(request.send().await?).await?;
        assert_eq!(
            (code, &told["dry_run"], &told["report"]["accepted"]),
            (200, &json!(true), &json!(1)),
            "{told}"
        );
        assert_eq!(told["campaign"]["status"], "draft");
        assert!(office.store.held().is_empty());
    }
    let (code, _) = answer(office.create(&body).header("idempotency-key", "k1").send().await?).await?;
    assert_eq!(code, 201, "what was tried is in nobody's way");
    office.close().await
}

#[tokio::test]
async fn where_nobody_is_left_nothing_is_kept_and_the_report_says_why() -> Result<()> {
    let office = Office::open().await?;
    office.store.opted_out.lock().expect("no panic").insert("5491100000001".into());
    let body = with(greeting(), &json!({ "message": "hola", "recipients": ["5491100000001", "x"] }));
    let (code, told) = answer(office.create(&body).send().await?).await?;
    let error = "recipients: nobody is left to write to; report says why";
    assert_eq!((code, &told["success"], &told["error"]), (400, &json!(false), &json!(error)), "{told}");
    let report = &told["report"];
    assert_eq!(
        (&report["rows"], &report["invalid"], &report["opted_out"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(report["problems"][0]["kind"], "opted_out");
    let empty = with(greeting(), &json!({ "recipients": [] }));
    assert_eq!(answer(office.create(&empty).send().await?).await?.0, 400);
    assert!(office.store.held().is_empty());
    office.close().await
}

#[tokio::test]
async fn what_cannot_be_a_campaign_is_refused_before_anything_is_asked() -> Result<()> {
    let office = Office::open().await?;
    let body = with(greeting(), &json!({ "recipients": ["5491100000001"] }));
    for (more, code, expected) in [
        (json!({ "message": { "type": "reaction" } }), 400, "message: reaction is needed"),
        (json!({ "session": "haby" }), 503, "Cliente de WhatsApp no está conectado"),
        (json!({ "session": "unknown" }), 400, "session: there is no such session"),
        (json!({ "message": "{{}}" }), 400, "message: {{…}} must hold the name of a column"),
        (json!({ "rate_per_minute": 0 }), 400, "rate_per_minute: must be 1 to 60000"),
        (json!({ "recipients": null }), 400, "recipients: is needed, or a form with a file"),
    ] {
        let (told_code, told) = answer(office.create(&with(body.clone(), &more)).send().await?).await?;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(told_code == code && error.starts_with(expected), "{more}: {told_code} {told}");
    }
    let large = office.post("/api/campaigns").body(vec![b' '; 8 * 1024 * 1024 + 1]).send().await?;
    let (code, told) = answer(large).await?;
    assert_eq!((code, &told["error"]), (413, &json!("the body must not be larger than 8388608 bytes")));
    assert_eq!(office.store.opened.load(std::sync::atomic::Ordering::Relaxed), 0);
    office.close().await
}

#[tokio::test]
async fn shc_24_only_who_may_send_may_send_to_many() -> Result<()> {
    let office = Office::open().await?;
    let body = with(greeting(), &json!({ "message": "hola", "recipients": ["5491100000001"] }));
    let world = &office.world;
    let request = |key: &str| world.post("/api/campaigns").header("x-api-key", key).json(&body);
    assert_eq!(world.post("/api/campaigns").json(&body).send().await?.status(), 401);
    assert_eq!(request("another").send().await?.status(), 401);
    for (scope, code) in [("listen", 403), ("send", 201)] {
        let new = NewKey::generate();
        tell(world, key(&new, "default", scope)).await?;
        until("the key is known", code, || request(new.secret.expose_secret())).await;
    }
    assert_eq!(office.store.only().campaign.created_by, "default-send");
    assert_eq!(request(API_KEY).send().await?.status(), 201);
    for path in
        ["/api/campaigns", "/api/campaigns/x", "/api/campaigns/x/recipients", "/api/campaigns/x/results.csv"]
    {
        assert_eq!(world.get(path).send().await?.status(), 401, "{path}");
    }
    office.close().await
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_touches_campaigns_of_another() -> Result<()> {
    let office = Office::open().await?;
    let body = with(greeting(), &json!({ "message": "hola", "recipients": ["5491100000001"] }));
    assert_eq!(office.create(&body).send().await?.status(), 201);
    let id = office.store.only().campaign.id;
    let (foreign, listens) = (NewKey::generate(), NewKey::generate());
    let world = &office.world;
    tell(world, key(&foreign, "acme", "send")).await?;
    tell(world, key(&listens, "default", "listen")).await?;
    let by = |key: &NewKey, request: RequestBuilder| request.header("x-api-key", key.secret.expose_secret());
    until("the key is known", 200, || by(&foreign, world.get("/api/campaigns"))).await;
    until("the key is known", 403, || by(&listens, world.get("/api/campaigns"))).await;
    let (_, told) = answer(by(&foreign, world.get("/api/campaigns")).send().await?).await?;
    assert_eq!(told["campaigns"], json!([]));
    let path = format!("/api/campaigns/{id}");
    let reads = ["", "/recipients", "/results.csv"].map(|end| world.get(&format!("{path}{end}")));
    let acts = ["start", "pause", "resume", "cancel", "retry"];
    for request in reads.into_iter().chain(acts.map(|act| world.post(&format!("{path}/{act}")))) {
        let again = || request.try_clone().expect("it has no body");
        assert_eq!(again().send().await?.status(), 401, "{request:?}");
        assert_eq!(by(&listens, again()).send().await?.status(), 403, "{request:?}");
        let (code, told) = answer(by(&foreign, again()).send().await?).await?;
        assert_eq!((code, &told["error"]), (404, &json!("there is no such campaign")), "{request:?}");
    }
    assert_eq!(office.store.only().campaign.status(), CampaignStatus::Draft, "nothing was done to it");
    office.close().await
}

#[tokio::test]
async fn both_ways_to_hand_in_a_campaign_are_documented_with_an_example() -> Result<()> {
    let office = Office::open().await?;
    let openapi: Value = office.get("/docs/openapi.json").send().await?.json().await?;
    let body = &openapi["paths"]["/api/campaigns"]["post"]["requestBody"]["content"];
    for content_type in ["application/json", "multipart/form-data"] {
        assert!(body[content_type]["schema"]["$ref"].is_string(), "{content_type}: {body}");
    }
    let example = &openapi["components"]["schemas"]["CampaignBody"]["example"];
    let in_time = with(example.clone(), &json!({ "scheduled_at": null }));
    let (code, told) = answer(office.create(&in_time).send().await?).await?;
    assert_eq!((code, &told["report"]["accepted"]), (201, &json!(1)), "{told}");
    office.close().await
}
