//! What there is, how it stands, and what is done with it.

use anyhow::Result;
use chasqui_proto::v1::FailureCount;
use serde_json::{Value, json};

use super::{Office, greeting, with};
use crate::world::answer;

/// Makes a draft, and tells its id.
async fn draft(office: &Office, more: &Value) -> Result<String> {
    let body = with(greeting(), &json!({ "message": "hola", "recipients": ["5491100000001"] }));
    let (code, told) = answer(office.create(&with(body, more)).send().await?).await?;
    assert_eq!(code, 201, "{told}");
    Ok(told["campaign"]["id"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_operator_starts_pauses_resumes_retries_and_cancels() -> Result<()> {
    let office = Office::open().await?;
    let id = draft(&office, &json!({})).await?;
    for (action, status) in [
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("retry", "running"),
        ("cancel", "cancelled"),
    ] {
        let (code, told) =
            answer(office.post(&format!("/api/campaigns/{id}/{action}")).send().await?).await?;
        assert_eq!((code, &told["campaign"]["status"]), (200, &json!(status)), "{action}: {told}");
        assert_eq!(told["campaign"]["id"], id);
    }
    let (code, told) = answer(office.post(&format!("/api/campaigns/{id}/start")).send().await?).await?;
    let error = "a campaign that was cancelled cannot be changed";
    assert_eq!((code, &told["error"]), (409, &json!(error)));
    office.close().await
}

#[tokio::test]
async fn a_draft_is_scheduled_by_the_clocks_of_its_zone() -> Result<()> {
    let office = Office::open().await?;
    let id = draft(&office, &json!({ "time_zone": "America/Argentina/Buenos_Aires" })).await?;
    let tomorrow = jiff::Zoned::now().date().tomorrow()?;
    let path = format!("/api/campaigns/{id}/start");
    for (body, at) in [
        (json!({ "scheduled_at": format!("{tomorrow}T09:00") }), format!("{tomorrow}T12:00:00.000Z")),
        (json!({ "scheduled_at": format!("{tomorrow}T09:00:00Z") }), format!("{tomorrow}T09:00:00.000Z")),
        (
            json!({ "scheduled_at": format!("{tomorrow}T09:00"), "time_zone": "UTC" }),
            format!("{tomorrow}T09:00:00.000Z"),
        ),
    ] {
        let (code, told) = answer(office.post(&path).json(&body).send().await?).await?;
        assert_eq!((code, &told["campaign"]["status"]), (200, &json!("scheduled")), "{told}");
        assert_eq!(told["campaign"]["plan"]["scheduled_at"], json!(at));
    }
    for (path, body, expected) in [
        (&path, json!({ "scheduled_at": "tomorrow" }), "scheduled_at: must be a moment"),
        (&path, json!({ "scheduled_at": "2020-01-01T09:00" }), "scheduled_at: must lie ahead"),
        (&path, json!({ "at": 7 }), "at: there is no such field"),
        (
            &path.replace("start", "pause"),
            json!({ "scheduled_at": "x" }),
            "scheduled_at: there is no such field",
        ),
        (&path.replace("start", "stop"), json!({}), "action: must be start, pause, resume, cancel or retry"),
    ] {
        let (code, told) = answer(office.post(path).json(&body).send().await?).await?;
        assert!(code == 400 && told["error"].as_str().unwrap_or_default().starts_with(expected), "{told}");
    }
    office.close().await
}

#[tokio::test]
async fn what_there_is_is_listed_and_shown_with_why_it_failed() -> Result<()> {
    let office = Office::open().await?;
    let (one, _) = (draft(&office, &json!({ "start": true })).await?, draft(&office, &json!({})).await?);
    if let Some(kept) = office.store.held().get_mut(&one) {
        kept.campaign.failures =
            vec![FailureCount { code: 131_026, title: "Undeliverable".into(), count: 3 }];
        kept.campaign.error = "the number was logged out".into();
    }
    let (code, told) = answer(office.get("/api/campaigns?status=running&limit=5").send().await?).await?;
    assert_eq!((code, &told["next"]), (200, &json!("more")), "{told}");
    let campaigns = told["campaigns"].as_array().cloned().unwrap_or_default();
    assert_eq!((campaigns.len(), &campaigns[0]["id"]), (1, &json!(one)));
    let (_, told) = answer(office.get(&format!("/api/campaigns/{one}")).send().await?).await?;
    let shown = &told["campaign"];
    assert_eq!(shown["failures"], json!([{ "code": 131_026, "title": "Undeliverable", "count": 3 }]));
    assert_eq!(shown["error"], "the number was logged out");
    assert_eq!(
        (&shown["created_at"], &shown["ended_at"]),
        (&json!("2026-11-23T12:00:00.000Z"), &Value::Null)
    );
    assert_eq!(
        answer(office.get("/api/campaigns").send().await?).await?.1["campaigns"].as_array().map(Vec::len),
        Some(2)
    );
    for (query, expected) in [
        ("status=gone", "status: must be a status of campaigns"),
        ("limit=0", "limit: must be 1 to 200"),
        ("limit=201", "limit: must be 1 to 200"),
        ("page=2", "query: page: unknown field"),
    ] {
        let (code, told) = answer(office.get(&format!("/api/campaigns?{query}")).send().await?).await?;
        assert!(code == 400 && told["error"].as_str().unwrap_or_default().starts_with(expected), "{told}");
    }
    office.close().await
}

#[tokio::test]
async fn what_is_not_there_is_told_alike_everywhere() -> Result<()> {
    let office = Office::open().await?;
    for id in ["00000000-0000-0000-0000-000000000000", "x"] {
        let path = format!("/api/campaigns/{id}");
        for request in [
            office.get(&path),
            office.get(&format!("{path}/recipients")),
            office.get(&format!("{path}/results.csv")),
            office.post(&format!("{path}/pause")),
            office.post(&format!("{path}/start")).json(&json!({ "scheduled_at": "2026-12-01T09:00" })),
        ] {
            let (code, told) = answer(request.send().await?).await?;
            assert_eq!((code, &told["error"]), (404, &json!("there is no such campaign")), "{id}");
        }
    }
    office.close().await
}
