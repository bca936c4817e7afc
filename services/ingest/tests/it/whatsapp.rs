//! Whoever owns the connections of WhatsApp numbers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use chasqui_kit::serve::Responder;
use chasqui_proto::{
    service,
    v1::{GetSession, OpenSession, Session, SessionStatus},
};
use tokio_util::sync::CancellationToken;

use crate::{
    directory::{NoEntry, bus},
    world::World,
};

/// What a picture of a QR begins with.
pub(crate) const QR: &str = "data:image/png;base64,AA==";

/// By tenant and name; the default session stands under the empty name.
type Held = Arc<Mutex<BTreeMap<(String, String), Session>>>;

/// Answers with the sessions it was given. One that is opened shows its QR.
pub(crate) struct Whatsapp {
    held: Held,
    stop: CancellationToken,
    responder: Responder,
}

impl Whatsapp {
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let (bus, stop, held) = (bus(world).await?, CancellationToken::new(), Held::default());
        let responder = Responder::start(&bus, service::WHATSAPP, "a stand-in", stop.clone()).await?;
        let of = held.clone();
        let get = move |question: GetSession, _| {
            let found = of.lock().expect("no panic").get(&(question.tenant, question.session)).cloned();
            async move { found.ok_or(NoEntry) }
        };
        responder.endpoint(service::SESSIONS_GET, get).await?;
        let of = held.clone();
        let open = move |question: OpenSession, _| {
            let session = Session {
                tenant: question.tenant.clone(),
                id: question.session.clone(),
                status: SessionStatus::ScanQr.into(),
                qr: QR.into(),
                ..Session::default()
            };
            of.lock().expect("no panic").insert((question.tenant, question.session), session.clone());
            async move { Ok::<_, NoEntry>(session) }
        };
        responder.endpoint(service::SESSIONS_OPEN, open).await?;
        bus.barrier().await?;
        Ok(Self { held, stop, responder })
    }

    /// A session stands so, under a name or as the default one.
    pub(crate) fn stands(&self, tenant: &str, name: &str, id: &str, status: SessionStatus) {
        let session =
            Session { tenant: tenant.into(), id: id.into(), status: status.into(), ..Session::default() };
        self.held.lock().expect("no panic").insert((tenant.into(), name.into()), session);
    }

    /// The names under which something waits to be scanned.
    pub(crate) fn opened(&self) -> Vec<String> {
        let held = self.held.lock().expect("no panic");
        let scanned = held.iter().filter(|(_, session)| session.status() == SessionStatus::ScanQr);
        scanned.map(|((_, name), _)| name.clone()).collect()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.responder.stopped().await;
    }
}
