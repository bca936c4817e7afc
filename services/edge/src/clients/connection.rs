//! What every client on Socket.IO has, whatever it becomes.

use std::{sync::Arc, time::Instant};

use chasqui_proto::Tenant;
use chasqui_websocket::Text;

use crate::{
    error::Error,
    limit::Verdict,
    outbox::{Delivery, Outbox},
    service::Edge,
    sockets::SocketPlace,
};

/// One connection to this node. How fast it may send has been judged where its packets come in.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) edge: Arc<Edge>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) place: SocketPlace,
}

impl Connection {
    /// Whether one more frame of a tenant may be obeyed. Asked once it is proved that the client speaks for it: else
    /// anybody could use up what is the tenant's.
    pub(super) fn judge(&self, tenant: &Tenant) -> Result<(), Error> {
        match self.edge.paces.judge_tenant(tenant, Instant::now()) {
            Verdict::Refuse(why) => Err(Error::RateLimited(why)),
            Verdict::Pass | Verdict::Close => Ok(()),
        }
    }

    /// A full outbox closes itself.
    pub(super) fn say(&self, frame: Text) {
        let _ = self.outbox.push(frame, Delivery::Reply);
    }
}
