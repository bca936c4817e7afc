//! The same request more than once.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Office, greeting, with};
use crate::world::answer;

const FILE: &str = "to,nombre\n5491100000001,Ana\nx,José\n";

async fn upload(office: &Office, key: &str, definition: &Value, file: &str) -> Result<(u16, Value)> {
    answer(office.upload(definition, file).header("idempotency-key", key).send().await?).await
}

#[tokio::test]
async fn who_repeats_a_request_is_told_what_was_told_before() -> Result<()> {
    let office = Office::open().await?;
    let (code, first) = upload(&office, "k1", &greeting(), FILE).await?;
    assert_eq!(code, 201, "{first}");
    let batches = office.store.batches.lock().expect("no panic").len();
    let (code, again) = upload(&office, "k1", &greeting(), FILE).await?;
    assert_eq!((code, &again), (200, &first));
    assert_eq!(office.store.batches.lock().expect("no panic").len(), batches, "nobody is added");
    let (code, told) = upload(&office, "k1", &greeting(), "to,Nombre\n5491100000001,Ana\n").await?;
    let error = "message: the file has no column nombre; its columns are to, Nombre";
    assert_eq!(
        (code, &told["error"]),
        (400, &json!(error)),
        "what is repeated is read as well, and not held"
    );
    let (code, other) = upload(&office, "k2", &greeting(), FILE).await?;
    assert_eq!(code, 201);
    assert_ne!(other["campaign"]["id"], first["campaign"]["id"]);
    office.close().await
}

#[tokio::test]
async fn another_campaign_under_the_same_key_is_refused_and_the_first_one_stays() -> Result<()> {
    let office = Office::open().await?;
    let (_, first) = upload(&office, "k1", &greeting(), FILE).await?;
    let renamed = with(greeting(), &json!({ "name": "otro" }));
    for (definition, file) in [(&greeting(), "to,nombre\n5491100000002,Eva\n"), (&renamed, FILE)] {
        let (code, told) = upload(&office, "k1", definition, file).await?;
        let error = "Idempotency-Key: it was used for another campaign";
        assert_eq!((code, &told["error"]), (409, &json!(error)), "{told}");
    }
    let kept = office.store.only();
    assert_eq!(
        (kept.campaign.id.as_str(), kept.recipients.len()),
        (first["campaign"]["id"].as_str().unwrap_or_default(), 1)
    );
    let bad = office.upload(&greeting(), FILE).header("idempotency-key", "k".repeat(256)).send().await?;
    assert_eq!(bad.status(), 400);
    office.close().await
}

#[tokio::test]
async fn an_upload_that_failed_is_done_again_under_its_key() -> Result<()> {
    let office = Office::open().await?;
    let (code, _) = upload(&office, "k1", &greeting(), "to,nombre\n5491100000001,\n").await?;
    assert_eq!(code, 400);
    let (code, told) = upload(&office, "k1", &greeting(), FILE).await?;
    assert_eq!((code, &told["report"]["accepted"]), (201, &json!(1)));
    office.close().await
}
