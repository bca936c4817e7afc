//! The life of the service.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::Response,
};
use chasqui_directory::Directory;
use chasqui_kit::{
    Platform,
    docs::{Documentation, Documents},
    stream,
};
use chasqui_proto::v1::EntryKind;
use chasqui_responder::Responders;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Error,
    admin::{self, Admin},
    admission::Admission,
    bot_reply::{self, BotReply},
    campaigns,
    cloud_door::{self, CloudDoor, Files},
    listeners::{self, Listeners},
    machine::Machines,
    numbers::Numbers,
    openapi, opt_outs,
    publication::Publication,
    shared_client::{self, SharedClient},
    staff::Staff,
    webhook::{self, Webhook},
};

const NAME: &str = "ingest";

/// Makes the streams that are missing, then answers its routes until stopped and every request in hand is answered.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    platform.health.not_ready(NAME, "making the streams");
    stream::ensure_all(&platform.bus).await?;
    let in_hand = TaskTracker::new();
    platform.health.not_ready(NAME, "reading the directory");
    let directory = Directory::open(&platform.bus, &kinds(&config));
    // Before that, a webhook would be taken for the default tenant's and a good key for a bad one.
    if stop.run_until_cancelled(directory.ready()).await.is_none() {
        return Ok(());
    }
    let staff = Staff::new(&config.tokens, &platform.tenant, &directory).map(Arc::new);
    if let Some(staff) = staff.clone() {
        let stop = stop.clone();
        in_hand.spawn(async move { staff.run(stop).await });
    }
    let publication = Arc::new(Publication::new(platform.bus.clone()));
    let responders = Responders::open(&platform.bus, directory.clone(), config.responder).await?;
    let observed = middleware::from_fn_with_state(in_hand.clone(), observe);
    warn_of(&config);
    let documentation = documentation(&config);
    let means = Means { directory, responders, staff, publication };
    let routes = routes(&config, &platform, means)?.route_layer(observed);
    let mounted = platform.door.mount_documented(NAME, routes, documentation);
    tracing::info!(tenant = %platform.tenant, "ingest is ready");
    platform.health.follow(NAME, &platform.bus, &stop).await;
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

/// What of the directory ingest asks for: users and agents only where tokens of theirs are taken.
fn kinds(config: &Config) -> Vec<EntryKind> {
    let mut kinds = vec![EntryKind::Tenant, EntryKind::ApiKey, EntryKind::Number, EntryKind::Listener];
    if config.tokens.has_keys() {
        kinds.extend([EntryKind::User, EntryKind::Agent]);
    }
    kinds
}

/// Before anything is answered: what an operator should know of the settings.
fn warn_of(config: &Config) {
    if config.bot_reply_anonymous {
        tracing::warn!(
            "ingest.bot_reply_anonymous is on: whoever reaches this port can write to every contact"
        );
    }
    if config.sealing_key.is_none() {
        tracing::warn!("ingest.sealing_key (SEALING_KEY) is not set: no listener can be registered");
    }
}

/// What the routes share.
struct Means {
    directory: Directory,
    responders: Responders,
    staff: Option<Arc<Staff>>,
    publication: Arc<Publication>,
}

fn routes(config: &Config, platform: &Platform, means: Means) -> Result<Router, Error> {
    let Means { directory, responders, staff, publication } = means;
    let admission = Admission {
        directory: directory.clone(),
        api_key: config.api_key.clone(),
        admin_key: config.admin_key.clone(),
        anonymous: config.bot_reply_anonymous,
        default_tenant: platform.tenant.clone(),
        staff,
    };
    let machines = Arc::new(Machines::new(&platform.bus, config, admission.clone()));
    let listeners = Listeners {
        machines: machines.clone(),
        directory: directory.clone(),
        seal: config.seal(),
        allowed: config.allowed(),
    };
    let door = CloudDoor {
        machines: machines.clone(),
        directory: directory.clone(),
        publication: publication.clone(),
        default_tenant: platform.tenant.clone(),
        phone_number_id: config.phone_number_id.clone(),
        files: Files::open(&config.media)?,
    };
    let campaigns = campaigns::routes(machines.clone());
    let opt_outs = machines.clone();
    let client = SharedClient { machines, directory: directory.clone(), publication: publication.clone() };
    let admin = Admin { admission: admission.clone(), bus: platform.bus.clone() };
    let bot_reply = BotReply { admission, responders, publication: publication.clone() };
    let routes = bot_reply::routes(bot_reply)
        .merge(admin::routes(admin))
        .merge(shared_client::routes(client))
        .merge(listeners::routes(listeners))
        .merge(campaigns)
        .merge(opt_outs::routes(opt_outs))
        .merge(cloud_door::routes(door));
    Ok(match webhook(config, platform, &directory, &publication) {
        Some(webhook) => routes.merge(webhook::routes(webhook)),
        None => routes,
    })
}

/// The webhook of the Cloud API, where it is on: a checked configuration then has a verify token.
fn webhook(
    config: &Config,
    platform: &Platform,
    directory: &Directory,
    publication: &Arc<Publication>,
) -> Option<Webhook> {
    Some(Webhook {
        verify_token: config.verify_token.clone().filter(|_| config.whatsapp_webhook)?,
        app_secrets: config.app_secrets().collect(),
        numbers: Numbers::new(directory, &platform.tenant),
        publication: publication.clone(),
    })
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
