//! The test is the runner: it publishes how far a campaign is.

use chasqui_kit::{Bus, TraceContext, publish::Fact, request::RequestError, serve::Responder};
use chasqui_proto::{
    address, service, subject,
    subject::NodeToken,
    v1::{
        AppendRecipients, BulkProgress, Campaign, CampaignPlan, CampaignReport, CampaignStatus,
        CreateCampaign, GetSession, Message, MessageType, Recipient, RowProblem, SealCampaign, Session,
        SessionStatus,
    },
};
use chasqui_testkit::{NatsServer, Postgres, Program, wait_for};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{SOON, connect, output, start};

/// Persistence, and the tool that asks it.
struct World {
    nats: NatsServer,
    bus: Bus,
    _persistence: Program,
}

impl World {
    async fn start() -> Self {
        let nats = NatsServer::start().await.expect("it starts");
        let database = Postgres::shared().await.expect("it starts").database().await.expect("it is made");
        let variables = [("NATS_URL", nats.url()), ("DATABASE_URL", database), ("PORT", "0".to_owned())];
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let persistence = start(&["persistence"], &variables);
        let bus = connect(&nats).await;
        let world = Self { nats, bus, _persistence: persistence };
        wait_for(SOON, "persistence answers", async || (world.says(&["list"]).await.0 == 0).then_some(()))
            .await;
        world
    }

    async fn says(&self, arguments: &[&str]) -> (i32, String, String) {
        output(&[&["bulk"], arguments].concat(), &[("NATS_URL", &self.nats.url())]).await
    }

    /// What a command that must succeed prints.
    async fn prints(&self, arguments: &[&str]) -> String {
        let (code, text, errors) = self.says(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {errors}");
        text
    }

    async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.prints(&[arguments, &["--json"]].concat()).await;
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    fn watch(&self, arguments: &[&str]) -> Program {
        start(&[&["bulk", "watch"], arguments].concat(), &[("NATS_URL", &self.nats.url())])
    }

    /// A draft to three contacts.
    async fn campaign(&self) -> Campaign {
        let (tenant, id, upload) =
            ("default".to_owned(), Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
        let text =
            Message { r#type: MessageType::Text.into(), text: "Hola".to_owned(), ..Message::default() };
        let create = CreateCampaign {
            tenant: tenant.clone(),
            id: id.clone(),
            name: "Octubre".to_owned(),
            plan: Some(CampaignPlan { message: Some(text), message_ttl_secs: 60, ..CampaignPlan::default() }),
            upload: upload.clone(),
            ..CreateCampaign::default()
        };
        self.bus.ask(service::CAMPAIGNS_CREATE, &create, TraceContext::root()).await.expect("it is taken");
        let recipient = |number: u32| Recipient {
            line: number + 1,
            contact: Some(address::phone(&format!("549110000000{number}"))),
            ..Recipient::default()
        };
        let append = AppendRecipients {
            tenant: tenant.clone(),
            id: id.clone(),
            upload: upload.clone(),
            recipients: (1..=3).map(recipient).collect(),
        };
        self.bus.ask(service::CAMPAIGNS_APPEND, &append, TraceContext::root()).await.expect("it is taken");
        let problem = "must be a phone number".to_owned();
        let problem =
            RowProblem { line: 5, kind: "invalid".to_owned(), field: "telefono".to_owned(), problem };
        let problems = vec![problem];
        let report =
            CampaignReport { rows: 4, accepted: 3, invalid: 1, problems, ..CampaignReport::default() };
        let digest = vec![7];
        let seal =
            SealCampaign { tenant, id, upload, digest, report: Some(report), ..SealCampaign::default() };
        self.bus.ask(service::CAMPAIGNS_SEAL, &seal, TraceContext::root()).await.expect("it is taken")
    }

    async fn tells(&self, campaign: &str, version: u64, status: CampaignStatus, sent: u32) {
        let progress = BulkProgress {
            tenant: "default".to_owned(),
            campaign: campaign.to_owned(),
            name: "Octubre".to_owned(),
            status: status.into(),
            total: 3,
            sent,
            current_conversation: "5491100000002".to_owned(),
            error: if status == CampaignStatus::Failed { "the number is logged out" } else { "" }.to_owned(),
            version,
            ..BulkProgress::default()
        };
        let to = subject::bulk_progress(&"default".parse().expect("a tenant"), &NodeToken::new(campaign));
        let id = Uuid::now_v7().to_string();
        self.bus.publish(Fact::new(to, &progress, id, TraceContext::root())).await.expect("it is stored");
    }
}

#[tokio::test]
async fn an_operator_steers_a_campaign() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let id = campaign.id.as_str();

    let listed = world.json(&["list", "--status", "draft"]).await;
    assert_eq!((listed.len(), &listed[0]["id"], &listed[0]["status"]), (1, &json!(id), &json!("draft")));
    assert!(world.json(&["list", "--status", "running"]).await.is_empty());
    assert!(world.json(&["list", "--tenant", "acme"]).await.is_empty());
    let table = world.prints(&["list"]).await;
    assert!(table.starts_with("id ") && table.contains("Octubre  draft   3      3"), "{table}");

    let shown = world.prints(&["show", id]).await;
    for line in [
        "message      text: Hola",
        "recipients   3 total, 3 pending",
        "line  kind     field     problem",
        "5     invalid  telefono  must be a phone number",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is missing in {shown}");
    }
    let recipients = world.json(&["recipients", id, "--state", "pending", "--limit", "2"]).await;
    assert_eq!((recipients.len(), &recipients[0]["to"]), (2, &json!("5491******001")));
    let whole = world.json(&["recipients", id, "--full"]).await;
    assert_eq!((whole.len(), &whole[2]["to"]), (3, &json!("5491100000003")));
    let results = world.prints(&["results", id, "--full"]).await;
    let lines: Vec<&str> = results.lines().collect();
    assert_eq!((lines.len(), lines[1].starts_with("2,5491100000001,,pending,")), (4, true), "{results}");

    let tomorrow = OffsetDateTime::now_utc().date().next_day().expect("there is a tomorrow");
    let at = format!("{tomorrow}T09:00");
    let scheduled = world.json(&["start", id, "--at", &at, "--time-zone", "America/Bogota"]).await;
    assert_eq!((&scheduled[0]["status"], &scheduled[0]["error"]), (&json!("scheduled"), &json!("")));
    let shown = &world.json(&["show", id]).await[0];
    assert_eq!(shown["plan"]["scheduled_at"], json!(format!("{tomorrow}T14:00:00Z")));
    let running = world.prints(&["resume", id]).await;
    assert_eq!(running, format!("campaign {id} is running\nnext: chasqui bulk watch {id}\n"));
    assert_eq!(world.json(&["pause", id]).await[0]["status"], "paused");
    assert_eq!(world.json(&["cancel", id]).await[0]["counts"]["cancelled"], 3);
    let nobody = Uuid::now_v7().to_string();
    for (arguments, code, told) in [
        (&["start", id][..], 1, "cancelled"),
        (&["show", &nobody], 1, "no such campaign"),
        (&["show", "x"], 2, "invalid value 'x' for '<ID>'"),
        (&["start", id, "--at", "tomorrow"], 1, "--at: must be a moment such as"),
        (&["start", id, "--at", "2126-12-01T09:00"], 1, "--at: must lie ahead, within a year"),
        (
            &["start", id, "--at", "2026-12-01T09:00", "--time-zone", "Mars"],
            1,
            "--time-zone: must be a time zone",
        ),
    ] {
        let (found, text, errors) = world.says(arguments).await;
        assert_eq!(
            (found, text.as_str(), errors.contains(told)),
            (code, "", true),
            "{arguments:?}: {errors}"
        );
    }
}

#[tokio::test]
async fn an_operator_says_who_wants_no_campaigns() {
    let world = World::start().await;
    let put = world.json(&["opt-out", "put", "+54 911 0000-0001"]).await;
    assert_eq!((&put[0]["contact"], &put[0]["source"]), (&json!("5491******001"), &json!("operator")));
    let listed = world.json(&["opt-out", "list", "--full"]).await;
    assert_eq!((listed.len(), &listed[0]["contact"]), (1, &json!("5491100000001")));
    let table = world.prints(&["opt-out", "list"]).await;
    assert!(table.starts_with("contact        source    since\n5491******001  operator  20"), "{table}");
    world.prints(&["opt-out", "remove", "5491100000001"]).await;
    let (code, _, errors) = world.says(&["opt-out", "remove", "5491100000001"]).await;
    assert_eq!((code, errors.contains("has not opted out")), (1, true), "{errors}");
    assert!(world.json(&["opt-out", "list"]).await.is_empty());
}

#[tokio::test]
async fn a_campaign_is_followed_from_where_it_stands_to_its_end() {
    let world = World::start().await;
    let (campaign, other) = (world.campaign().await, world.campaign().await);
    let id = campaign.id.as_str();

    // Nothing was ever told of a draft: it is known from its rows.
    let mut draft = world.watch(&[id]);
    let line = draft.line(SOON, "the draft is shown").await;
    assert_eq!(line, format!("{id}  Octubre  0%  0/3  draft  0 sent"));
    draft.interrupt();
    assert_eq!(draft.ended(SOON).await.code(), Some(1));
    assert!(draft.errors().contains("nothing was stopped"), "{}", draft.errors());

    // What was told before is shown at once, though nothing more is told.
    world.tells(id, 1_000, CampaignStatus::Running, 1).await;
    let mut watch = world.watch(&[id, "--json"]);
    let first = watch.json(SOON, "it is shown").await;
    assert_eq!((&first["status"], &first["sent"]), (&json!("running"), &json!(1)));
    assert_eq!(first["current"], "5491******002");
    world.tells(id, 1_001, CampaignStatus::Paused, 2).await;
    let paused = watch.json(SOON, "a change of its status is shown").await;
    assert_eq!((&paused["status"], &paused["sent"]), (&json!("paused"), &json!(2)));
    // What is older than what is known says nothing.
    world.tells(id, 999, CampaignStatus::Failed, 0).await;
    world.tells(id, 1_002, CampaignStatus::Completed, 3).await;
    let last = watch.json(SOON, "its end is shown").await;
    assert_eq!((&last["status"], &last["sent"]), (&json!("completed"), &json!(3)));
    assert!(watch.ended(SOON).await.success());
    assert_eq!(world.says(&["watch", id]).await.0, 0, "it has ended already");

    let mut both = world.watch(&[id, &other.id]);
    both.line(SOON, "one is shown").await;
    both.line(SOON, "the other is shown").await;
    world.tells(&other.id, 1_000, CampaignStatus::Failed, 1).await;
    assert_eq!(both.ended(SOON).await.code(), Some(1));
    let told = format!("campaign {} is failed: the number is logged out", other.id);
    assert!(both.errors().contains(&told), "{}", both.errors());

    let (code, text, errors) = world.says(&["watch", "--all"]).await;
    assert_eq!((code, text.as_str(), errors.contains("no campaign is running")), (0, "", true), "{errors}");
}

#[tokio::test]
async fn a_file_makes_a_campaign_that_is_looked_at_before_it_starts() {
    let world = World::start().await;
    let (stop, session) = (CancellationToken::new(), "100000000000001");
    let url = world.nats.url();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let variables = [
        ("NATS_URL", url.as_str()),
        ("PORT", &port),
        ("WHATSAPP_API_KEY", "key-of-the-test"),
        ("WHATSAPP_APP_SECRET", "secret"),
        ("WHATSAPP_VERIFY_TOKEN", "token"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("WHATSAPP_PHONE_NUMBER_ID", session),
    ];
    let whatsapp = Responder::start(&world.bus, service::WHATSAPP, "a stand-in", stop.clone()).await.unwrap();
    let get = move |question: GetSession, _| async move {
        let (tenant, id) = (question.tenant, session.to_owned());
        let status = SessionStatus::Connected.into();
        Ok::<_, RequestError>(Session { tenant, id, status, ..Session::default() })
    };
    whatsapp.endpoint(service::SESSIONS_GET, get).await.unwrap();
    let _ingest = start(&["ingest"], &variables);
    let ready = format!("http://127.0.0.1:{port}/readyz");
    wait_for(SOON, "the ingest is ready", async || {
        (output(&["healthcheck", "--url", &ready], &[]).await.0 == 0).then_some(())
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("octubre.csv");
    std::fs::write(&file, "telefono;nombre\n5491100000001;Ñandú\n123;Contact\n5491100000001;Contact\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let tool = async |arguments: &[&str], key: &str| {
        let variables = [("NATS_URL", url.as_str()), ("PORT", &port), ("WHATSAPP_API_KEY", key)];
        output(&[&["bulk", "create", file], arguments].concat(), &variables).await
    };

    let text = ["--text", "Hola {{nombre}}"];
    let (code, told, errors) = tool(&[&text[..], &["--dry-run"]].concat(), "key-of-the-test").await;
    assert_eq!(code, 0, "{errors}");
    assert!(
        told.starts_with("3 rows: 1 accepted, 1 invalid, 1 duplicates, 0 opted out\nline  kind"),
        "{told}"
    );
    assert!(
        told.contains("\n3     invalid    telefono") && told.ends_with("without --dry-run it is\n"),
        "{told}"
    );
    assert!(world.json(&["list"]).await.is_empty());

    let options =
        [&text[..], &["--idempotency-key", "octubre", "--rate", "60", "--quiet", "21:00-09:00"]].concat();
    let (code, told, errors) = tool(&options, "key-of-the-test").await;
    assert_eq!(code, 0, "{errors}");
    let listed = world.json(&["list"]).await;
    let id = listed[0]["id"].as_str().unwrap();
    assert!(told.ends_with(&format!("campaign {id} is draft\nnext: chasqui bulk start {id}\n")), "{told}");
    assert_eq!((&listed[0]["name"], &listed[0]["counts"]["total"]), (&json!("octubre"), &json!(1)));
    let (_, told, errors) = tool(&options, "key-of-the-test").await;
    assert!(told.contains(&format!("campaign {id} was there already; it is draft")), "{told}{errors}");

    let (code, told, errors) = tool(&["--text", "{{monto}}", "--json"], "key-of-the-test").await;
    let answer: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, answer["error"].as_str().is_some_and(|error| errors.contains(error))),
        (1, true),
        "{told}"
    );
    for (arguments, key, expected) in [
        (&["--text", "Hola {{monto}}"][..], "key-of-the-test", "monto"),
        (&text, "another key", "401 Unauthorized: "),
        (&text, "", "an API key is needed: set WHATSAPP_API_KEY"),
        (&["--text", "x", "--tenant", "acme"], "key-of-the-test", "--tenant: the API key says"),
        (
            &["--text", "x", "--ingest", "http://127.0.0.1:9"],
            "key-of-the-test",
            "http://127.0.0.1:9/api/campaigns did not answer",
        ),
        (&["--message", "/nowhere.json"], "key-of-the-test", "/nowhere.json cannot be read"),
    ] {
        let (code, told, errors) = tool(arguments, key).await;
        assert_eq!(
            (code, told.as_str(), errors.contains(expected)),
            (1, "", true),
            "{arguments:?}: {errors}"
        );
    }
    // More than fits into what the system holds between the two: the refusal must be heard all the same.
    let long = directory.path().join("long.csv");
    std::fs::write(&long, format!("telefono\n{}", "5491100000001\n".repeat(400_000))).unwrap();
    let variables = [("PORT", port.as_str()), ("WHATSAPP_API_KEY", "another key")];
    let arguments = ["bulk", "create", long.to_str().unwrap(), "--text", "x"];
    let (code, _, errors) = output(&arguments, &variables).await;
    assert_eq!((code, errors.as_str()), (1, "401 Unauthorized: Unauthorized\n"));
    stop.cancel();
    whatsapp.stopped().await;
}
