//! States and signs of life as dashboards see them. What is not known is `null`.

use chasqui_proto::v1::{self, CampaignStatus, SessionStatus};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use utoipa::ToSchema;

use crate::dialect::view::{conversation_names, conversation_number, iso_unless_zero};

fn unless_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// CRM-05: the built-in bot.
#[derive(Debug, Serialize)]
pub(super) struct BotView<'a> {
    state: &'static str,
    queued: u32,
    answer_time_mean_ms: u64,
    model: Option<&'a str>,
    /// `ok`, `failing`, `over_budget`.
    model_state: Option<&'a str>,
    /// Since the bot was first started.
    answers: u64,
    handoffs: u64,
    reason: Option<&'a str>,
    updated_at: Option<String>,
}

impl<'a> BotView<'a> {
    pub(super) fn new(bot: &'a v1::BotStatus) -> Self {
        Self {
            state: bot.state().name(),
            queued: bot.queued,
            answer_time_mean_ms: bot.answer_time_mean_ms,
            model: unless_empty(&bot.model),
            model_state: unless_empty(&bot.model_state),
            answers: bot.answers,
            handoffs: bot.handoffs,
            reason: unless_empty(&bot.reason),
            updated_at: iso_unless_zero(bot.updated_at_ms),
        }
    }
}

/// CRM-06: the connection to a WhatsApp number.
#[derive(Debug, Serialize)]
pub(super) struct WhatsappView<'a> {
    session: &'a str,
    status: &'static str,
    connected: bool,
    /// A data URL.
    qr: Option<&'a str>,
    qr_expires_at: Option<String>,
    reason: Option<&'a str>,
    phone: Option<&'a str>,
    /// Why campaigns are held back, though answers go on.
    campaigns_halted: Option<&'a str>,
    campaigns_halted_until: Option<String>,
    updated_at: Option<String>,
}

impl<'a> WhatsappView<'a> {
    pub(super) fn new(session: &'a v1::Session) -> Self {
        Self {
            session: &session.id,
            status: session.status().name(),
            connected: session.status() == SessionStatus::Connected,
            qr: unless_empty(&session.qr),
            qr_expires_at: iso_unless_zero(session.qr_expires_at_ms),
            reason: unless_empty(&session.reason),
            phone: unless_empty(&session.phone),
            campaigns_halted: unless_empty(&session.campaigns_halted),
            campaigns_halted_until: iso_unless_zero(session.campaigns_halted_until_ms),
            updated_at: iso_unless_zero(session.updated_at_ms),
        }
    }
}

/// CRM-07, CRM-08, CRM-09: a campaign on its way, at its end, or failed as a whole. `None` for one that nobody has started,
/// and for what becomes of its messages after its end.
pub(super) fn bulk(progress: &v1::BulkProgress) -> Option<impl Serialize> {
    if progress.after_end {
        return None;
    }
    let told = match progress.status() {
        CampaignStatus::Completed | CampaignStatus::Cancelled => json!({
            "successCount": progress.sent,
            "errorCount": progress.failed,
        }),
        CampaignStatus::Failed => {
            json!({ "error": progress.error, "sent": progress.sent, "failed": progress.failed })
        }
        CampaignStatus::Running | CampaignStatus::Paused | CampaignStatus::Scheduled => json!({
            "progress": {
                "sent": progress.sent,
                "total": progress.total,
                "currentConversation": progress.current_conversation,
            },
            "failed": progress.failed,
            "rate": progress.rate_per_second,
            "remaining_secs": progress.remaining_secs,
            "waits_for": unless_empty(&progress.waits_for),
            "waits_until": iso_unless_zero(progress.waits_until_ms),
        }),
        CampaignStatus::Draft | CampaignStatus::Uploading | CampaignStatus::Unspecified => return None,
    };
    Some(Bulk { told, campaign: CampaignView::new(progress) })
}

/// What the kind of a frame says, and beside it what every frame of a campaign says.
#[derive(Debug, Serialize)]
struct Bulk<'a> {
    #[serde(flatten)]
    told: Value,
    #[serde(flatten)]
    campaign: CampaignView<'a>,
}

/// What every frame of a campaign says of it.
#[derive(Debug, Serialize)]
struct CampaignView<'a> {
    campaign: &'a str,
    name: &'a str,
    status: &'static str,
    total: u32,
    delivered: u32,
    read: u32,
    skipped: u32,
    queued: u32,
    failures: Vec<Failure<'a>>,
    started_at: Option<String>,
    ended_at: Option<String>,
    updated_at: Option<String>,
}

/// How many failed for one reason.
#[derive(Debug, Serialize)]
struct Failure<'a> {
    /// The provider's; `null` where it has none.
    code: Option<i64>,
    title: &'a str,
    count: u32,
}

impl<'a> CampaignView<'a> {
    fn new(progress: &'a v1::BulkProgress) -> Self {
        let failures = progress.failures.iter().map(|failure| Failure {
            code: Some(failure.code).filter(|code| *code != 0),
            title: &failure.title,
            count: failure.count,
        });
        Self {
            campaign: &progress.campaign,
            name: &progress.name,
            status: progress.status().name(),
            total: progress.total,
            delivered: progress.delivered,
            read: progress.read,
            skipped: progress.skipped,
            queued: progress.queued,
            failures: failures.collect(),
            started_at: iso_unless_zero(progress.started_at_ms),
            ended_at: iso_unless_zero(progress.ended_at_ms),
            updated_at: iso_unless_zero(progress.updated_at_ms),
        }
    }
}

/// A chat with an agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatView<'a> {
    id: &'a str,
    conversation_id: u64,
    external_id: String,
    episode: u32,
    status: &'static str,
    user_id: &'a str,
    user_name: Option<&'a str>,
    agent_id: Option<&'a str>,
    agent_user_id: Option<&'a str>,
    opened_at: Option<String>,
    assigned_at: Option<String>,
    closed_at: Option<String>,
    closed_by: Option<&'a str>,
    /// Why people have it: `keyword`, `failure`, `taken`, …; `null` where the contact opened it.
    reason: Option<&'a str>,
}

impl<'a> ChatView<'a> {
    pub(crate) fn new(chat: &'a v1::Chat) -> Self {
        let (conversation_id, external_id) = conversation_names(&chat.tenant, &chat.conversation);
        Self {
            id: &chat.id,
            conversation_id,
            external_id,
            episode: chat.episode,
            status: chat.status().name(),
            user_id: &chat.user_id,
            user_name: unless_empty(&chat.user_name),
            agent_id: unless_empty(&chat.agent_id),
            agent_user_id: unless_empty(&chat.agent_user_id),
            opened_at: iso_unless_zero(chat.opened_at_ms),
            assigned_at: iso_unless_zero(chat.assigned_at_ms),
            closed_at: iso_unless_zero(chat.closed_at_ms),
            closed_by: unless_empty(&chat.closed_by),
            reason: unless_empty(&chat.reason),
        }
    }
}

/// A payment.
#[derive(Debug, Serialize)]
pub(super) struct PaymentView<'a> {
    reference: &'a str,
    conversation_id: u64,
    user_id: &'a str,
    status: &'a str,
    plan: &'a str,
    amount_in_cents: u64,
    currency: &'a str,
    updated_at: Option<String>,
}

impl<'a> PaymentView<'a> {
    pub(super) fn new(payment: &'a v1::Payment) -> Self {
        Self {
            reference: &payment.reference,
            conversation_id: conversation_number(&payment.tenant, &payment.conversation),
            user_id: &payment.user_id,
            status: &payment.status,
            plan: &payment.plan,
            amount_in_cents: payment.amount_in_cents,
            currency: &payment.currency,
            updated_at: iso_unless_zero(payment.updated_at_ms),
        }
    }
}

/// Somebody types, or stopped.
#[derive(Debug, Serialize)]
pub(super) struct TypingView<'a> {
    conversation_id: u64,
    external_id: String,
    user_id: &'a str,
    sender_type: &'static str,
    typing: bool,
}

impl<'a> TypingView<'a> {
    pub(super) fn new(typing: &'a v1::Typing) -> Self {
        let (conversation_id, external_id) = conversation_names(&typing.tenant, &typing.conversation);
        Self {
            conversation_id,
            external_id,
            user_id: &typing.user_id,
            sender_type: typing.sender_type().name(),
            typing: typing.typing,
        }
    }
}

/// A piece of what a bot is writing.
#[derive(Debug, Serialize)]
pub(super) struct DraftView<'a> {
    /// Of the message that it becomes.
    message_id: &'a str,
    conversation_id: u64,
    /// Counts the pieces from 0.
    index: u32,
    delta: &'a str,
}

impl<'a> DraftView<'a> {
    /// `None` for typing that carries no piece.
    pub(super) fn new(typing: &'a v1::Typing) -> Option<Self> {
        let draft = typing.draft.as_ref()?;
        Some(Self {
            message_id: &draft.message_id,
            conversation_id: conversation_number(&typing.tenant, &typing.conversation),
            index: draft.index,
            delta: &draft.delta,
        })
    }
}

/// Somebody came online or left.
#[derive(Debug, Serialize)]
pub(super) struct PresenceView<'a> {
    user_id: &'a str,
    kind: &'static str,
    agent_id: Option<&'a str>,
    online: bool,
}

impl<'a> PresenceView<'a> {
    pub(super) fn new(presence: &'a v1::Presence) -> Self {
        Self {
            user_id: &presence.user_id,
            kind: presence.kind().name(),
            agent_id: unless_empty(&presence.agent_id),
            online: !presence.connections.is_empty(),
        }
    }
}

/// Something told to everyone of the tenant.
#[derive(Debug, Serialize)]
pub(super) struct AnnouncementView<'a> {
    id: &'a str,
    event: &'a str,
    data: &'a RawValue,
    at: Option<String>,
}

impl<'a> AnnouncementView<'a> {
    /// `None` for data that is no JSON.
    pub(super) fn new(announcement: &'a v1::Announcement) -> Option<Self> {
        Some(Self {
            id: &announcement.id,
            event: &announcement.event,
            data: serde_json::from_slice(&announcement.data).ok()?,
            at: iso_unless_zero(announcement.at_ms),
        })
    }
}
