//! What a developer sees: where everything is, with which key, and what to try first.

use std::time::{Duration, Instant};

use anyhow::Context;
use secrecy::ExposeSecret;

use super::{plan::Plan, servers::Servers};
use crate::{
    cli::Token,
    healthcheck,
    settings::{Configuration, without_credentials},
    token,
};

/// How long everything may take to become ready.
const READY_MAX: Duration = Duration::from_secs(90);
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The token of the screen is valid for 30 days.
const TOKEN_HOURS: u32 = 30 * 24;
/// The contact of the examples.
const PHONE: &str = "5491100000001";

/// Returns once every port says it is ready.
pub(crate) async fn wait_until_ready(ports: Vec<u16>) -> anyhow::Result<()> {
    let began = Instant::now();
    for port in ports {
        while let Err(error) = look(port).await {
            if began.elapsed() > READY_MAX {
                return Err(error.context(format!("port {port} did not become ready within {READY_MAX:?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn look(port: u16) -> anyhow::Result<String> {
    let url = format!("http://127.0.0.1:{port}/readyz");
    tokio::task::spawn_blocking(move || healthcheck::check(&url)).await.context("the look was interrupted")?
}

/// The screen.
pub(crate) fn text(plan: &Plan, configuration: &Configuration, servers: &Servers) -> anyhow::Result<String> {
    let secret = configuration.edge.jwt_secret.as_ref().context("the configuration was checked")?;
    let options =
        Token { user: "dev".to_owned(), tenant: None, phone: None, staff: true, hours: TOKEN_HOURS };
    let token = token::sign(secret, &options)?;
    let key = configuration.ingest.api_key.as_ref().map_or("(none needed)", |key| key.expose_secret());
    let front = plan.front();
    let edges: Vec<String> = plan.edges.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    let simulator = format!("http://127.0.0.1:{}", plan.simulator);
    let started = |ours: bool| if ours { "started here" } else { "yours" };
    let (nats_is_ours, database_is_ours) = servers.are_ours();
    // Ours have no secrets; what the environment names may.
    let shown = |url: &str, ours: bool| if ours { url.to_owned() } else { without_credentials(url) };
    let nats = shown(servers.nats_url(), nats_is_ours);
    let database = shown(servers.database_url(), database_is_ours);
    // A server that the environment names is in the environment of the other terminal as well.
    let to_nats = if nats_is_ours { format!("NATS_URL={nats} ") } else { String::new() };
    let binary = std::env::current_exe()?;
    let binary = binary.display();
    Ok(format!(
        r#"
Chasqui runs. Ctrl-C stops everything; the data stays.

  front door   http://127.0.0.1:{front}
  edges        {edges}
  simulator    {simulator}
  nats         {nats}  ({nats_from})
  postgres     {database}  ({database_from})
{notes}
  API key      {key}
  JWT          {token}
  WebSocket    ws://127.0.0.1:{front}/ws?token={token}
  widget       Socket.IO at http://127.0.0.1:{front}, query userPhone={PHONE}

Try, in another terminal:

  1. See what happens on the bus
     {to_nats}{binary} tap

  2. A contact writes
     curl -s {simulator}/phones/{PHONE}/messages -H 'content-type: application/json' -d '{{"text":"hola"}}'

  3. A bot answers (404 while no widget of the contact is connected: it is stored and shown then)
     curl -s http://127.0.0.1:{front}/api/bot-reply -H 'x-api-key: {key}' -H 'content-type: application/json' -d '{{"targetUserWhatsAppNumber":"{PHONE}","messageText":"buenas"}}'

  4. The same contact gets a message on WhatsApp, and here is its phone
     curl -s http://127.0.0.1:{front}/api/whatsapp/send -H 'x-api-key: {key}' -H 'content-type: application/json' -d '{{"to":"{PHONE}","message":"buenas"}}'
     curl -s {simulator}/phones/{PHONE}/messages

  5. The built-in bot answers that contact from now on. On the phone it is asked for a document: 10000001, then 1, cardio,
     1, 1, some words, sí
     curl -s -X PATCH http://127.0.0.1:{front}/api/conversations/{PHONE} -H 'authorization: Bearer {token}' -H 'content-type: application/json' -d '{{"ai_active":true}}'
     curl -s {simulator}/phones/{PHONE}/messages -H 'content-type: application/json' -d '{{"text":"cita"}}'

  6. A list of contacts gets a template, and here is how far it is
     printf 'telefono,nombre\n{PHONE},Contacto\n5491100000002,Otro\n' | curl -s http://127.0.0.1:{front}/api/campaigns -H 'x-api-key: {key}' -F 'campaign={{"name":"prueba","message":{{"type":"template","template":{{"name":"saludo","language":{{"code":"es"}}}}}},"template_variables":["nombre"],"start":true}}' -F 'file=@-;filename=contactos.csv'
     {to_nats}{binary} bulk list
{open}"#,
        edges = edges.join("  "),
        nats_from = started(nats_is_ours),
        database_from = started(database_is_ours),
        notes = notes(plan),
        open = open(configuration),
    ))
}

fn notes(plan: &Plan) -> String {
    let notes: Vec<String> = plan.notes.iter().map(|note| format!("  ({note})\n")).collect();
    notes.concat()
}

/// Whatever lets people in without a proof is said loudly.
fn open(configuration: &Configuration) -> String {
    let (edge, ingest) = (&configuration.edge, &configuration.ingest);
    let mut open = vec!["the keys above are for development, and the simulator speaks as any contact"];
    if !configuration.http.is_local() {
        open.push("http.host lets other machines in");
    }
    if edge.widget_anonymous {
        open.push("edge.widget_anonymous = true: anyone may read any contact's widget");
    }
    if ingest.bot_reply_anonymous {
        open.push("ingest.bot_reply_anonymous = true: anyone may write as the bot");
    }
    if !configuration.webhooks.private_networks_allowed.is_empty() {
        open.push("webhooks.private_networks_allowed: listeners may be in these private networks");
    }
    let lines: Vec<String> = open.iter().map(|means| format!("\n!! OPEN: {means}")).collect();
    format!("{}\n", lines.concat())
}
