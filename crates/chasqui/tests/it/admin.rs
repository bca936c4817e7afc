use chasqui_directory::{Directory, person};
use chasqui_kit::seal::Seal;
use chasqui_proto::v1::EntryKind;
use chasqui_testkit::{NatsServer, Postgres, wait_for};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{SOON, connect, output, output_of, start};

async fn admin(nats: &NatsServer, arguments: &[&str]) -> (i32, String, String) {
    output(&[&["admin"], arguments].concat(), &[("NATS_URL", &nats.url())]).await
}

/// What a command that must succeed prints as JSON.
async fn printed(nats: &NatsServer, arguments: &[&str]) -> Vec<Value> {
    let (code, text, errors) = admin(nats, &[arguments, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{arguments:?}: {errors}");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test]
async fn an_operator_says_who_belongs_to_a_tenant() {
    let nats = NatsServer::start().await.unwrap();
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let (code, _, errors) = admin(&nats, &["user", "list"]).await;
    assert_eq!((code, errors.contains("no persistence")), (1, true), "{errors}");
    let url = nats.url();
    let variables = [("NATS_URL", url.as_str()), ("DATABASE_URL", &database), ("PORT", "0")];
    let _persistence = start(&["persistence"], &variables);
    wait_for(SOON, "persistence answers", async || {
        (admin(&nats, &["user", "list"]).await.0 == 0).then_some(())
    })
    .await;
    let bus = connect(&nats).await;
    let directory = Directory::open(&bus, &[EntryKind::User, EntryKind::Agent, EntryKind::ApiKey]);
    directory.ready().await;

    let made = printed(&nats, &["tenant", "put", "acme", "--responder", "builtin"]).await;
    assert_eq!(made[0]["responder"], json!("builtin"));
    let named = printed(&nats, &["tenant", "put", "acme", "--name", "Acme"]).await;
    assert_eq!(named[0]["responder"], json!("builtin"), "what is not given stays");
    printed(&nats, &["tenant", "put", "acme", "--responder", "default"]).await;
    let (_, text, _) = admin(&nats, &["tenant", "get", "acme"]).await;
    assert!(text.contains("responder") && text.contains(" -"), "{text}");

    let acme = ["--tenant", "acme"];
    let user = printed(&nats, &[&["user", "put", "u1", "--name", "Contact"][..], &acme].concat()).await;
    assert_eq!((&user[0]["id"], &user[0]["name"]), (&json!("u1"), &json!("Contact")));
    printed(&nats, &[&["user", "put", "u1", "--suspended", "true"][..], &acme].concat()).await;
    let tenant = "acme".parse().unwrap();
    let someone = person("u1").unwrap();
    let told = wait_for(SOON, "the nodes hear of it", async || {
        directory.user(&tenant, &someone).filter(|user| user.suspended)
    })
    .await;
    assert_eq!(told.name, "Contact", "what is not given stays");
    printed(&nats, &[&["agent", "put", "a1", "--user", "u1", "--chats-max", "3"][..], &acme].concat()).await;
    let agents = printed(&nats, &[&["agent", "list"][..], &acme].concat()).await;
    assert_eq!((agents.len(), &agents[0]["status"]), (1, &json!("ACTIVE")));

    let (code, text, errors) =
        admin(&nats, &["key", "create", "--name", "bot", "--scope", "send", "--scope", "listen"]).await;
    assert_eq!(code, 0, "{errors}");
    let secret = text.lines().last().unwrap();
    assert!(secret.starts_with("chq_") && errors.contains("not shown again"), "{text}{errors}");
    let key = wait_for(SOON, "the key opens", async || directory.check_key(secret)).await;
    assert_eq!((key.tenant.as_str(), key.scopes.join(" ")), ("default", "listen send".to_owned()));
    let (_, text, _) = admin(&nats, &["key", "get", &key.id]).await;
    assert!(text.starts_with("tenant") && !text.contains(secret), "{text}");
    assert_eq!(admin(&nats, &["key", "remove", &key.id]).await.0, 0);
    wait_for(SOON, "the key opens nothing", async || directory.check_key(secret).is_none().then_some(()))
        .await;

    for (arguments, told) in [
        (&["user", "get", "nobody"][..], "there is no user nobody"),
        (&["key", "remove", &key.id], &format!("there is no key {}", key.id)),
        (&["agent", "put", "a2", "--user", "nobody"], "user_id: there is no such user in the tenant"),
        (&["user", "put", "u2", "--email", "x"], "email: must be empty or an address"),
        (&["user", "put", "u2", "--tenant", "A.b"], "tenant \"A.b\" must be"),
        (&["number", "put", "a b"], "id: must be"),
        (&["number", "put", "7", "--messages-per-second", "1001"], "messages_per_second_max: must be"),
    ] {
        let (code, text, errors) = admin(&nats, arguments).await;
        assert_eq!((code, text.as_str(), errors.contains(told)), (1, "", true), "{arguments:?}: {errors}");
    }
}

const LISTENER: &str = "http://127.0.0.1:3013/api/message-received";

/// What `admin` says to standard input and these variables.
async fn admin_with(nats: &NatsServer, arguments: &[&str], input: &str, key: &str) -> (i32, String, String) {
    let variables = [("NATS_URL", nats.url()), ("SEALING_KEY", key.to_owned())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    output_of(&[&["admin"], arguments].concat(), &variables, input).await
}

/// SHC-21, SHC-28: an operator sees who listens, and registers without an API key.
#[tokio::test]
async fn shc_28_an_operator_says_where_events_are_posted() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let nats = NatsServer::start().await.unwrap();
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let url = nats.url();
    let variables = [("NATS_URL", url.as_str()), ("DATABASE_URL", &database), ("PORT", "0")];
    let _persistence = start(&["persistence"], &variables);
    wait_for(SOON, "persistence answers", async || {
        (admin(&nats, &["listener", "list"]).await.0 == 0).then_some(())
    })
    .await;
    let bus = connect(&nats).await;
    let directory = Directory::open(&bus, &[EntryKind::Listener]);
    directory.ready().await;
    let tenant = "default".parse().unwrap();

    let put = ["listener", "put", LISTENER, "--event", "message.received", "--event", "message.status"];
    let (code, text, errors) = admin_with(&nats, &put, "", KEY).await;
    assert_eq!((code, errors.contains("not shown again")), (0, true), "{errors}");
    let secret = text.lines().last().unwrap();
    let listener = wait_for(SOON, "the nodes hear of it", async || directory.listeners(&tenant).pop()).await;
    assert_eq!((listener.url.as_str(), listener.events.len()), (LISTENER, 2));
    let seal = Seal::new(&KEY.into()).unwrap();
    let opened = |sealed: &str| seal.open(sealed).unwrap().expose_secret().to_owned();
    assert_eq!(opened(&listener.sealed_secrets[0]), secret);

    // Again: the same one, with its secret, and what was given changed.
    let again = printed(&nats, &["listener", "put", LISTENER, "--format", "cloud-api"]).await;
    assert_eq!((&again[0]["id"], &again[0]["secrets"]), (&json!(listener.id), &json!(1)));
    assert_eq!(again[0]["answers"], json!(false), "it says nothing of answering");
    let answers = printed(&nats, &["listener", "put", LISTENER, "--answers", "true"]).await;
    assert_eq!((&answers[0]["answers"], &answers[0]["format"]), (&json!(true), &json!("cloud_api")));
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let put = ["listener", "put", LISTENER, "--secret"];
    let (code, text, errors) = admin_with(&nats, &put, &format!("{given}\n"), KEY).await;
    assert_eq!((code, text.contains(given)), (0, false), "{errors}");
    let secrets = wait_for(SOON, "it has two secrets", async || {
        let listener = directory.listener(&tenant, &listener.id)?;
        (listener.sealed_secrets.len() == 2).then_some(listener.sealed_secrets)
    })
    .await;
    assert_eq!([opened(&secrets[0]).as_str(), &opened(&secrets[1])], [given, secret]);

    let disabled = printed(&nats, &["listener", "disable", LISTENER]).await;
    assert_eq!(disabled[0]["answers"], json!(true), "what is not given stays");
    assert_eq!(
        (&disabled[0]["disabled"], &disabled[0]["disabled_reason"]),
        (&json!(true), &json!("operator"))
    );
    let enabled = printed(&nats, &["listener", "enable", &listener.id]).await;
    assert_eq!((&enabled[0]["disabled"], &enabled[0]["disabled_reason"]), (&json!(false), &json!("")));
    assert!(printed(&nats, &["listener", "deliveries", LISTENER, "--outcome", "failed"]).await.is_empty());
    for (arguments, input, key, told) in [
        (&["listener", "test", LISTENER][..], "", KEY, "no webhooks"),
        (&["listener", "replay", LISTENER], "", KEY, "no webhooks"),
        (
            &["listener", "show", "http://127.0.0.1/other"],
            "",
            KEY,
            "there is no listener http://127.0.0.1/other",
        ),
        (&["listener", "show", "x"], "", KEY, "listener: must be an id or a URL"),
        (&["listener", "put", "ftp://x"], "", KEY, "url: "),
        (&["listener", "put", LISTENER, "--event", "x"], "", KEY, "events: must be some of"),
        (
            &["listener", "put", LISTENER, "--secret", "--format", "client"],
            "short",
            KEY,
            "must be whsec_ and the base64",
        ),
        (&["listener", "put", "http://127.0.0.1/new"], "", "", "SEALING_KEY is not set"),
    ] {
        let (code, text, errors) = admin_with(&nats, arguments, input, key).await;
        assert_eq!((code, text.as_str(), errors.contains(told)), (1, "", true), "{arguments:?}: {errors}");
    }
    assert_eq!(admin(&nats, &["listener", "remove", LISTENER]).await.0, 0);
    assert!(printed(&nats, &["listener", "list"]).await.is_empty());
}
