//! A contact in its widget: what it is shown, what it says, what it has certainly received.

mod screen;

use std::sync::{Arc, Mutex, PoisonError};

use chasqui_proto::{ConversationToken, Tenant};
use serde::Deserialize;
use serde_json::{Value, json};

use self::screen::Screen;
use super::connection::Connection;
use crate::{
    auth::{Hold, Identity},
    dialect::{view::iso, widget},
    error::Error,
    feed::Membership,
    hub::{Cursor, Wish},
    roster::Stay,
    scope::Scope,
    socketio::{Event, Pid, Recovery},
    speech,
    verdict::{Claim, Ticket},
};

/// What a widget brings of an earlier connection.
pub(super) struct Earlier {
    pub(super) cursor: Option<Cursor>,
    /// The ticket of its session.
    pub(super) ticket: Option<Ticket>,
    /// What a client of Socket.IO brings by itself.
    pub(super) recovery: Option<Recovery>,
}

impl Earlier {
    /// What a broken connection left is the client's own; a ticket may have been copied.
    fn claim(&self) -> Option<Claim> {
        let own = self.recovery.as_ref().and_then(|recovery| Ticket::parse(recovery.pid.session()));
        own.map(Claim::Same).or(self.ticket.map(Claim::TakeOver))
    }
}

/// A contact that was let in.
#[derive(Debug)]
pub(super) struct Contact {
    identity: Arc<Identity>,
    /// Whatever its token says; renewed by `refresh-token`.
    lease: Mutex<Hold>,
    screen: Arc<Screen>,
    _membership: Membership,
    _stay: Stay,
}

impl Contact {
    /// Lets a contact in, and what it comes back with.
    pub(super) async fn enter(
        connection: &Connection,
        identity: Arc<Identity>,
        earlier: Earlier,
    ) -> Result<(Self, Pid), Error> {
        let Connection { edge, outbox, place } = connection;
        place.attach(&identity, outbox);
        let lease = edge.leases.hold(identity.expires_at_ms, outbox, widget::token_expiring);
        let entered = edge.roster.enter((&*identity).into(), earlier.claim(), outbox.clone());
        let stay = entered.map_err(|code| Error::RateLimited(code.reason))?;
        let scope = Scope::Contact(identity.tenant.clone(), identity.person.clone());
        let shown = show(connection, &scope, &stay, &earlier).await;
        let (screen, membership) = shown.map_err(|error| {
            tracing::warn!(%error, "a widget could not be let in");
            Error::NotNow("the node cannot reach the stream; try again")
        })?;
        tracing::debug!(tenant = identity.tenant.as_str(), "a widget connected");
        let pid = screen.pid(earlier.recovery.map(|recovery| recovery.pid));
        let lease = Mutex::new(lease);
        Ok((Self { identity, lease, screen, _membership: membership, _stay: stay }, pid))
    }

    /// Whom its frames count for.
    pub(super) fn tenant(&self) -> &Tenant {
        &self.identity.tenant
    }

    fn conversation(&self) -> &ConversationToken {
        &self.identity.person
    }

    /// `user-message`: stores what the contact says.
    pub(super) async fn write(&self, connection: &Connection, event: &Event) -> Result<Value, Error> {
        #[derive(Deserialize)]
        struct UserMessage {
            text: String,
        }
        let message: UserMessage = event
            .argument(0)
            .map_err(|_| Error::Invalid("user-message expects {\"text\":string}".to_owned()))?;
        let text = widget::user_message(&message.text).map_err(Error::Invalid)?;
        let bus = &connection.edge.bus;
        let accepted = speech::contact_wrote(bus, self.tenant(), self.conversation(), text).await?;
        Ok(json!({ "success": true, "id": accepted.message_id, "seq": accepted.seq }))
    }

    /// `refresh-token`: the connection goes on with another token of the same contact.
    pub(super) async fn refresh_token(&self, connection: &Connection, event: &Event) -> Result<Value, Error> {
        #[derive(Deserialize)]
        struct RefreshToken {
            token: String,
        }
        let given: RefreshToken = event
            .argument(0)
            .map_err(|_| Error::Invalid("refresh-token expects {\"token\":string}".to_owned()))?;
        let new = connection.edge.gate.identify(&given.token).await?;
        self.identity.may_become(&new)?;
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).renew(new.expires_at_ms);
        connection.say(widget::token_refreshed(new.expires_at_ms));
        Ok(json!({ "success": true, "expires_at": new.expires_at_ms.map(iso) }))
    }

    /// Records what has arrived with everything up to this position of the outbox.
    pub(super) fn confirmed(&self, connection: &Connection, position: u64) {
        for message in self.screen.take_confirmed(position) {
            let (edge, identity) = (connection.edge.clone(), self.identity.clone());
            connection.edge.tasks.spawn(async move {
                let Identity { tenant, person, .. } = &*identity;
                // Not told, the message is shown once more on the next connection: better than lost.
                if let Err(error) = speech::widget_received(&edge.bus, tenant, person, message).await {
                    tracing::warn!(%error, "a delivery could not be recorded");
                }
            });
        }
    }
}

/// Lets a widget into its feed: with everything since its cursor or its offset; where it has none, or its offset is too
/// old, with what was written to it and not confirmed.
async fn show(
    Connection { edge, outbox, .. }: &Connection,
    scope: &Scope,
    stay: &Stay,
    earlier: &Earlier,
) -> Result<(Arc<Screen>, Membership), Error> {
    let offset = || earlier.recovery.as_ref().and_then(|recovery| recovery.offset.as_deref()?.parse().ok());
    let screen = Screen::new(outbox.clone(), stay);
    let wish = earlier.cursor.clone().or_else(offset).map_or(Wish::Undelivered, Wish::Since);
    let membership = edge.hub.join(scope, screen.clone(), &wish).await?;
    Ok((screen, membership))
}
