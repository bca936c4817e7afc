//! The life of the service.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::Response,
};
use chasqui_directory::Directory;
use chasqui_kit::{
    Bus, Platform,
    docs::{Documentation, Documents},
    health::Health,
    stream,
};
use chasqui_proto::v1::EntryKind;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Error,
    admin::{self, Admin},
    admission::Admission,
    bot_reply::{self, BotReply},
    numbers::Numbers,
    openapi,
    publication::Publication,
    webhook::{self, Webhook},
};

const NAME: &str = "ingest";

/// How often the connection is looked at for `/readyz`.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// Makes the streams that are missing, then answers its routes until stopped and every request in hand is answered.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    platform.health.not_ready(NAME, "making the streams");
    stream::ensure_all(&platform.bus).await?;
    let in_hand = TaskTracker::new();
    platform.health.not_ready(NAME, "reading the directory");
    let kinds = [EntryKind::Tenant, EntryKind::ApiKey, EntryKind::Number];
    let directory = Directory::open(&platform.bus, &kinds);
    // Before that, a webhook would be taken for the default tenant's and a good key for a bad one.
    if stop.run_until_cancelled(directory.ready()).await.is_none() {
        return Ok(());
    }
    let publication = Arc::new(Publication::new(platform.bus.clone()));
    let observed = middleware::from_fn_with_state(in_hand.clone(), observe);
    let documentation = documentation(&config);
    let routes = routes(config, &platform, &directory, &publication).route_layer(observed);
    let mounted = platform.door.mount_documented(NAME, routes, documentation);
    tracing::info!(tenant = %platform.tenant, "ingest is ready");
    report_health(&platform.bus, &platform.health, &stop).await;
    platform.health.not_ready(NAME, "stopping");
    drop(mounted);
    in_hand.close();
    in_hand.wait().await;
    Ok(())
}

/// What `/docs` shows of ingest.
fn documentation(config: &Config) -> Documentation {
    let has_handshake = config.whatsapp_webhook && config.verify_token.is_some();
    Documentation::new(move || {
        let openapi = serde_json::to_value(openapi::document(has_handshake)).expect("a document is JSON");
        Documents { openapi, ..Documents::default() }
    })
}

fn routes(
    config: Config,
    platform: &Platform,
    directory: &Directory,
    publication: &Arc<Publication>,
) -> Router {
    if config.bot_reply_anonymous {
        tracing::warn!(
            "ingest.bot_reply_anonymous is on: whoever reaches this port can write to every contact"
        );
    }
    let app_secrets = config.app_secrets().collect();
    let admission = Admission {
        directory: directory.clone(),
        api_key: config.api_key,
        admin_key: config.admin_key,
        anonymous: config.bot_reply_anonymous,
        default_tenant: platform.tenant.clone(),
    };
    let admin = Admin { admission: admission.clone(), bus: platform.bus.clone() };
    let bot_reply = BotReply { admission, publication: publication.clone() };
    let routes = bot_reply::routes(bot_reply).merge(admin::routes(admin));
    // A checked configuration has a verify token whenever the webhook is on.
    match config.verify_token.filter(|_| config.whatsapp_webhook) {
        Some(verify_token) => {
            let (publication, numbers) = (publication.clone(), Numbers::new(directory, &platform.tenant));
            routes.merge(webhook::routes(Webhook { verify_token, app_secrets, numbers, publication }))
        }
        None => routes,
    }
}

/// Counts and times a request, and keeps the service from ending before it is answered.
async fn observe(State(in_hand): State<TaskTracker>, request: Request, next: Next) -> Response {
    let _token = in_hand.token();
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("chasqui_ingest_request_seconds", "route" => route.clone()).record(began.elapsed());
    metrics::counter!("chasqui_ingest_requests_total", "route" => route, "status" => status).increment(1);
    response
}

async fn report_health(bus: &Bus, health: &Health, stop: &CancellationToken) {
    let mut looks = tokio::time::interval(HEALTH_INTERVAL);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        if bus.is_connected() {
            health.ready(NAME);
        } else {
            health.not_ready(NAME, "no connection to NATS");
        }
    }
}
