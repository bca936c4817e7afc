//! What became of each recipient.

use std::sync::atomic::Ordering;

use anyhow::Result;
use chasqui_proto::v1::{ProviderError, RecipientState};
use serde_json::json;

use super::{Office, greeting, with};
use crate::world::answer;

/// A campaign to as many contacts, of whom the first failed; tells its path.
async fn campaign(office: &Office, recipients: usize) -> Result<String> {
    let element = |at: usize| json!({ "to": format!("54911000{at:05}"), "name": "=Ana" });
    let recipients: Vec<_> = (0..recipients).map(element).collect();
    let body = with(greeting(), &json!({ "message": "hola", "recipients": recipients }));
    let (code, told) = answer(office.create(&body).send().await?).await?;
    assert_eq!(code, 201, "{told}");
    let id = told["campaign"]["id"].as_str().unwrap_or_default().to_owned();
    if let Some(kept) = office.store.held().get_mut(&id) {
        for recipient in &mut kept.recipients {
            recipient.state = RecipientState::Sent.into();
        }
        kept.recipients[0].state = RecipientState::Failed.into();
        kept.recipients[0].error =
            Some(ProviderError { code: 131_026, title: "Undeliverable".into(), ..ProviderError::default() });
        kept.recipients[0].message_id = "bb546885-ac53-5a74-9874-21a589139ff4".into();
        kept.recipients[0].attempt = 1;
        kept.recipients[0].queued_at_ms = 1_796_126_400_000;
    }
    Ok(format!("/api/campaigns/{id}"))
}

#[tokio::test]
async fn crm_20_the_results_are_a_file_that_a_spreadsheet_opens_and_does_not_run() -> Result<()> {
    let office = Office::open().await?;
    let path = campaign(&office, 2_500).await?;
    let response = office.get(&format!("{path}/results.csv")).send().await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    let id = path.trim_start_matches("/api/campaigns/");
    let disposition = format!("attachment; filename=\"campaign-{id}.csv\"");
    assert_eq!(response.headers()["content-disposition"], disposition.as_str());
    let text = response.text().await?;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2_501, "every page is there");
    assert_eq!(lines[0], "line,to,name,state,message_id,attempt,error_code,error,queued_at,updated_at");
    let failed = "1,5491100000000,'=Ana,failed,bb546885-ac53-5a74-9874-21a589139ff4,1,131026,Undeliverable,2026-12-01T12:00:00.000Z,";
    assert_eq!(lines[1], failed);
    assert!(lines[2_500].starts_with("2500,"));
    office.close().await
}

#[tokio::test]
async fn results_that_break_off_cannot_be_taken_for_whole_ones() -> Result<()> {
    let office = Office::open().await?;
    let path = campaign(&office, 2_500).await?;
    office.store.is_away.store(true, Ordering::Relaxed);
    let response = office.get(&format!("{path}/results.csv")).send().await?;
    assert_eq!(response.status(), 200, "the first page was there");
    assert!(response.text().await.is_err(), "the connection is cut");
    office.close().await
}

#[tokio::test]
async fn recipients_are_read_page_by_page_and_by_state() -> Result<()> {
    let office = Office::open().await?;
    let path = campaign(&office, 3).await?;
    let page =
        async |query: &str| answer(office.get(&format!("{path}/recipients?{query}")).send().await?).await;
    let (code, told) = page("state=failed").await?;
    assert_eq!((code, &told["next"]), (200, &json!(null)), "{told}");
    let expected = json!([{
        "line": 1, "to": "5491100000000", "name": "=Ana", "state": "failed",
        "message_id": "bb546885-ac53-5a74-9874-21a589139ff4", "attempt": 1, "error_code": 131_026,
        "error": "Undeliverable", "queued_at": "2026-12-01T12:00:00.000Z", "updated_at": null,
    }]);
    assert_eq!(told["recipients"], expected);
    let (_, first) = page("limit=2").await?;
    let (_, second) = page(&format!("limit=2&cursor={}", first["next"].as_str().unwrap_or_default())).await?;
    assert_eq!((&second["recipients"][0]["line"], &second["next"]), (&json!(3), &json!(null)));
    for (query, expected) in
        [("state=gone", "state: must be a state of recipients"), ("limit=1001", "limit: must be 1 to 1000")]
    {
        let (code, told) = page(query).await?;
        assert!(code == 400 && told["error"].as_str().unwrap_or_default().starts_with(expected), "{told}");
    }
    office.close().await
}
