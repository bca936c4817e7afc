//! The life of the service.

use chasqui_directory::Directory;
use chasqui_kit::{Platform, lease::Leases, stream};
use chasqui_proto::{
    subject::NodeToken,
    v1::{Channel, ChannelKind, EntryKind, Message},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Config, Error, media,
    owner::Owners,
    reading::Reading,
    requests::Requests,
    router::{self, Resolved},
    sessions::{SessionKey, Sessions},
    statuses, window,
};

const NAME: &str = "whatsapp";

/// Makes the streams that are missing, then owns sessions and answers until stopped, everything in hand is finished, and
/// the sessions are given back.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    // Of its own: where a part fails, the others are stopped and the service ends.
    let stop = stop.child_token();
    let Platform { bus, health, .. } = &platform;
    health.not_ready(NAME, "making the streams");
    stream::ensure_all(bus).await?;
    health.not_ready(NAME, "reading the directory and the sessions");
    let directory = Directory::open(bus, &[EntryKind::Tenant, EntryKind::Number]);
    let sessions = Sessions::new(&directory, configured(&config, &platform));
    let (is_read, mut read) = watch::channel(false);
    let _following = AbortOnDropHandle::new(tokio::spawn(sessions.clone().follow(bus.clone(), is_read)));
    // Before that, a session that runs would be taken for one that nobody wants.
    let known = async {
        directory.ready().await;
        read.wait_for(|read| *read).await.expect("the sender lives as long as the task");
    };
    if stop.run_until_cancelled(known).await.is_none() {
        return Ok(());
    }
    let has_fallback = config.fallback_template.is_some();
    let leases = Leases::open(bus, &platform.node).await?;
    let owners = Owners::new(config, &platform, &sessions, leases, &stop)?;
    let requests = Requests::new(bus, &sessions, owners.media());
    let reading = Reading::open(bus, &sessions, &requests, &stop).await?;
    let responder = requests.answer(stop.clone()).await?;
    let typing = ending(reading.clone().follow_typing(owners.clone()), &stop);
    let files = ending(media::run(bus.clone(), owners.media().clone(), stop.clone()), &stop);
    let shared = shared_work(&platform, &reading, has_fallback, &stop);
    tracing::info!(node = %platform.node, "whatsapp is ready");
    // Boxed: together they are larger than a stack should hold.
    let (typing, files, (), (), (), ()) = tokio::join!(
        Box::pin(typing),
        Box::pin(files),
        Box::pin(shared),
        Box::pin(owners.run()),
        responder.stopped(),
        health.follow(NAME, bus, &stop)
    );
    reading.stopped().await;
    typing.and(files)
}

/// What the replicas share: the queues of the sessions, and what is known of messages and contacts.
async fn shared_work(platform: &Platform, reading: &Reading, has_fallback: bool, stop: &CancellationToken) {
    let resolve = |message: &Message| resolve(reading.sessions(), message);
    let on_read = |status| reading.on_read(status);
    tokio::join!(
        router::route(platform.bus.clone(), resolve, stop.clone()),
        statuses::follow_statuses(platform.bus.clone(), has_fallback, on_read, stop.clone()),
        window::keep_windows(platform.bus.clone(), stop.clone()),
    );
}

/// Through which session a message goes.
fn resolve(sessions: &Sessions, message: &Message) -> Resolved {
    let kind = message.channel.as_ref().map_or(ChannelKind::Unspecified, Channel::kind);
    if kind == ChannelKind::Widget {
        return Resolved::NotOurs;
    }
    match sessions.of_message(message) {
        Some((SessionKey { tenant, session }, kind)) => Resolved::Session { tenant, session, kind },
        None => Resolved::Unknown,
    }
}

/// Stops the other parts where one fails.
async fn ending<E>(work: impl Future<Output = Result<(), E>>, stop: &CancellationToken) -> Result<(), Error>
where
    Error: From<E>,
{
    let ended = work.await;
    if ended.is_err() {
        stop.cancel();
    }
    Ok(ended?)
}

/// The number that the configuration gives the default tenant.
fn configured(config: &Config, platform: &Platform) -> Option<SessionKey> {
    let session = NodeToken::new(config.phone_number_id.as_deref()?);
    Some(SessionKey { tenant: platform.tenant.clone(), session })
}
