use chasqui_directory::{Directory, person};
use chasqui_proto::v1::EntryKind;
use chasqui_testkit::{NatsServer, Postgres, wait_for};
use serde_json::{Value, json};

use super::{SOON, connect, output, start};

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
    ] {
        let (code, text, errors) = admin(&nats, arguments).await;
        assert_eq!((code, text.as_str(), errors.contains(told)), (1, "", true), "{arguments:?}: {errors}");
    }
}
