//! Campaigns that stop: by themselves, and by people.

use chasqui_testkit::wait_for;
use serde_json::{Value, json};

use crate::world::{
    Campaigns, Cluster, DEADLINE, Dialect, FrontDoor, Native, Outside, contacts, greeting, name_of, text_of,
};

const RECIPIENTS: usize = 300;

async fn accepted(outside: &Outside<'_>) -> u64 {
    outside.stats().await["accepted"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_09_a_campaign_that_whatsapp_calls_spam_stops_itself_and_burns_nobody() {
    let settings = [("CHASQUI__WHATSAPP__CAMPAIGN_PAUSE_MS", "3000")];
    let cluster = Cluster::connected("campaign-stopped", &settings).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    outside.opens_every_window().await;
    let campaigns = Campaigns::of(&door);
    let crm = Native::open(&cluster, 0, Dialect::Crm, &cluster.token).await;
    let mut definition = greeting("spam");
    definition["start"] = json!(true);
    definition["rate_per_minute"] = json!(1_800);
    let made = campaigns.uploads(&definition, contacts(410_000, RECIPIENTS)).await;
    let id = made["campaign"]["id"].as_str().unwrap().to_owned();
    wait_for(DEADLINE, "it is under way", async || (accepted(&outside).await >= 30).then_some(())).await;

    outside.fault(json!({ "match": {}, "then": { "code": 131_048, "http": 400 }, "times": 1 })).await;
    let stopped = campaigns.is(&id, "failed").await;
    assert!(stopped["error"].as_str().unwrap().contains("131048"), "{stopped}");
    assert_eq!(stopped["counts"]["failed"], 0, "the list is not burnt: {stopped}");
    let told = crm
        .sees("the dashboard is told", |frame| {
            (name_of(frame) == "bulk_message_error").then(|| frame["data"].clone())
        })
        .await;
    assert!(told["error"].as_str().unwrap().contains("131048"), "{told}");

    campaigns.does(&id, "resume").await;
    let ended = campaigns.is(&id, "completed").await;
    assert_eq!(ended["counts"]["failed"], 0, "{ended}");
    let stats = outside.stats().await;
    assert_eq!((&stats["accepted"], &stats["duplicates"]), (&RECIPIENTS.into(), &0.into()), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_pause_resume_and_cancel_and_contacts_have_the_last_word() {
    let cluster = Cluster::connected("campaign-paused", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    outside.opens_every_window().await;
    let campaigns = Campaigns::of(&door);
    let mut definition = greeting("pausa");
    definition["start"] = json!(true);
    definition["rate_per_minute"] = json!(1_200);
    let made = campaigns.uploads(&definition, contacts(420_000, RECIPIENTS)).await;
    let id = made["campaign"]["id"].as_str().unwrap().to_owned();
    wait_for(DEADLINE, "it is under way", async || (accepted(&outside).await >= 20).then_some(())).await;
    campaigns.does(&id, "pause").await;
    // What its number has already still goes; then it stands still.
    let still = campaigns
        .becomes(&id, "stands still", |campaign| {
            (campaign["counts"]["queued"] == 0).then(|| campaign["counts"].clone())
        })
        .await;
    let pending = still["pending"].as_u64().unwrap();
    assert!(pending > RECIPIENTS as u64 / 2, "{still}");
    assert_eq!(accepted(&outside).await, RECIPIENTS as u64 - pending);

    // The last of the list wants none of it.
    let last = format!("5491100{}", 420_000 + RECIPIENTS - 1);
    outside.writes(&last, json!({ "text": "¡Baja!" })).await;
    wait_for(DEADLINE, "it is remembered", async || {
        let listed = crate::world::http()
            .get(format!("{}/api/opt-outs", door.http()))
            .header("x-api-key", Cluster::api_key());
        let listed: Value = listed.send().await.ok()?.json().await.ok()?;
        listed["opt_outs"].as_array()?.iter().any(|one| one["contact"] == *last).then_some(())
    })
    .await;
    campaigns.does(&id, "resume").await;
    let ended = campaigns.is(&id, "completed").await;
    assert_eq!(ended["counts"]["skipped"], 1, "{ended}");
    assert_eq!(accepted(&outside).await, RECIPIENTS as u64 - 1);

    let made = campaigns.uploads(&definition, contacts(430_000, RECIPIENTS)).await;
    let id = made["campaign"]["id"].as_str().unwrap().to_owned();
    let before = RECIPIENTS as u64;
    wait_for(DEADLINE, "the next is under way", async || {
        (accepted(&outside).await >= before + 20).then_some(())
    })
    .await;
    campaigns.does(&id, "cancel").await;
    let ended = campaigns
        .becomes(&id, "is over", |campaign| (campaign["counts"]["queued"] == 0).then(|| campaign.clone()))
        .await;
    assert_eq!(ended["status"], "cancelled");
    let left = ended["counts"]["cancelled"].as_u64().unwrap();
    assert!(left > RECIPIENTS as u64 / 2, "{ended}");
    assert_eq!(accepted(&outside).await, before - 1 + RECIPIENTS as u64 - left);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_before_the_whole_campaign() {
    let cluster = Cluster::connected("campaign-overtaken", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    outside.opens_every_window().await;
    let campaigns = Campaigns::of(&door);
    let mut definition = greeting("larga");
    definition["start"] = json!(true);
    let made = campaigns.uploads(&definition, contacts(440_000, 2_000)).await;
    let id = made["campaign"]["id"].as_str().unwrap().to_owned();
    wait_for(DEADLINE, "it is under way", async || (accepted(&outside).await >= 100).then_some(())).await;
    let answer = json!({ "to": "5491100449999", "message": "enseguida", "priority": "reply" });
    let sent = crate::world::http()
        .post(format!("{}/api/whatsapp/send", door.http()))
        .header("x-api-key", Cluster::api_key())
        .json(&answer);
    assert!(sent.send().await.unwrap().status().is_success());
    let phone = outside.phone_has("5491100449999", 1).await;
    assert_eq!(text_of(&phone[0]), "enseguida");
    let campaign = campaigns.shows(&id).await;
    assert_eq!(campaign["status"], "running", "most of the campaign is still to come: {campaign}");
    campaigns.does(&id, "cancel").await;
}
