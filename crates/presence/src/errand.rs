//! What waits to be sent, in order: a tenant is listened to before anything is said in it.

use bytes::Bytes;
use chasqui_proto::{Subject, Tenant};
use prost::Message;
use tokio::sync::{mpsc, oneshot};

/// The most errands that wait. A change that does not fit is not told; the next beat shows that it is missing.
const ERRANDS_MAX: usize = 16_384;

/// Something to be sent.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Listen to a tenant.
    Watch(Tenant),
    /// Publish.
    Publish { subject: String, payload: Bytes },
    /// Nothing comes after this; says that everything before was sent.
    End(oneshot::Sender<()>),
}

/// Where errands are left. Leaving one never waits.
#[derive(Debug, Clone)]
pub(crate) struct Errands(mpsc::Sender<Errand>);

impl Errands {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Errand>) {
        let (errands, waiting) = mpsc::channel(ERRANDS_MAX);
        (Self(errands), waiting)
    }

    pub(crate) fn publish<P: Message>(&self, subject: &Subject<P>, payload: &P) {
        let subject = subject.as_str().to_owned();
        self.leave(Errand::Publish { subject, payload: payload.encode_to_vec().into() });
    }

    /// Whether the errand was taken.
    pub(crate) fn watch(&self, tenant: &Tenant) -> bool {
        self.leave(Errand::Watch(tenant.clone()))
    }

    /// Nothing comes after this. Returns when everything before was sent.
    pub(crate) async fn end(&self) {
        let (all_sent, sent) = oneshot::channel();
        // The other end is gone only when nothing is sent any more anyway.
        if self.0.send(Errand::End(all_sent)).await.is_ok() {
            drop(sent.await);
        }
    }

    fn leave(&self, errand: Errand) -> bool {
        let left = self.0.try_send(errand).is_ok();
        if !left {
            metrics::counter!("chasqui_presence_untold_total").increment(1);
        }
        left
    }
}
