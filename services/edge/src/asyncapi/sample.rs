//! One fact of each kind, as the documents show them. Invented.

use chasqui_proto::{
    address::phone,
    v1::{self, BotState, CampaignStatus, ChatStatus, SessionStatus, Status},
};

use crate::event::{Fact, Mark};

pub(super) const ID: &str = "0d9a4a5e-0000-4000-8000-000000000001";
/// 2023-11-14T22:13:20Z
pub(super) const AT_MS: i64 = 1_700_000_000_000;

const TENANT: &str = "default";
const CONVERSATION: &str = "5491100000001";

/// One of each kind, and both ways of a message.
pub(super) fn facts() -> Vec<Fact> {
    let message =
        |direction| Fact::Message { message: Box::new(message(direction)), status: Status::Unspecified };
    vec![
        message(v1::Direction::In),
        Fact::Message { message: Box::new(of_bot()), status: Status::Unspecified },
        message(v1::Direction::Out),
        Fact::Status(Box::new(status())),
        Fact::Conversation(Box::new(conversation())),
        Fact::Stats(Box::new(v1::Stats {
            tenant: TENANT.to_owned(),
            messages_in: 7,
            ..v1::Stats::default()
        })),
        Fact::Chat(Box::new(chat())),
        Fact::Session(Box::new(session(SessionStatus::ScanQr))),
        Fact::Session(Box::new(session(SessionStatus::Connected))),
        Fact::Session(Box::new(session(SessionStatus::LoggedOut))),
        Fact::Bot(Box::new(bot())),
        Fact::Bulk(Box::new(bulk(CampaignStatus::Running))),
        Fact::Bulk(Box::new(bulk(CampaignStatus::Completed))),
        Fact::Bulk(Box::new(bulk(CampaignStatus::Failed))),
        Fact::Appointment(Box::new(appointment())),
        Fact::Payment(Box::new(payment())),
        Fact::Typing(Box::new(typing())),
        Fact::Draft(Box::new(draft())),
        Fact::Announcement(Box::new(announcement())),
        Fact::Presence(Box::new(presence())),
        Fact::Online(Box::new(["u1".to_owned()])),
    ]
}

fn message(direction: v1::Direction) -> v1::Message {
    let is_out = direction == v1::Direction::Out;
    let sender = if is_out { v1::SenderType::Agent } else { v1::SenderType::User };
    v1::Message {
        id: ID.to_owned(),
        tenant: TENANT.to_owned(),
        conversation: CONVERSATION.to_owned(),
        contact: Some(contact()),
        channel: Some(v1::Channel { kind: v1::ChannelKind::Widget.into(), ..v1::Channel::default() }),
        direction: direction.into(),
        sender_type: sender.into(),
        r#type: v1::MessageType::Text.into(),
        text: "hola".to_owned(),
        occurred_at_ms: AT_MS,
        received_at_ms: AT_MS,
        ..v1::Message::default()
    }
}

fn of_bot() -> v1::Message {
    let sender_type = v1::SenderType::Ai.into();
    v1::Message { sender_type, sender_id: "bot".to_owned(), ..message(v1::Direction::Out) }
}

fn bot() -> v1::BotStatus {
    v1::BotStatus {
        tenant: TENANT.to_owned(),
        state: BotState::Degraded.into(),
        queued: 3,
        answer_time_mean_ms: 800,
        model: "some-model".to_owned(),
        model_state: "failing".to_owned(),
        answers: 4_711,
        handoffs: 42,
        reason: "the language model fails".to_owned(),
        updated_at_ms: AT_MS,
    }
}

fn contact() -> v1::Contact {
    v1::Contact { aliases: vec![phone(CONVERSATION)], name: "Contact".to_owned(), ..v1::Contact::default() }
}

fn status() -> v1::MessageStatus {
    v1::MessageStatus {
        tenant: TENANT.to_owned(),
        conversation: CONVERSATION.to_owned(),
        message_id: ID.to_owned(),
        status: Status::Read.into(),
        occurred_at_ms: AT_MS,
        ..v1::MessageStatus::default()
    }
}

fn conversation() -> v1::Conversation {
    v1::Conversation {
        id: ID.to_owned(),
        number: 7,
        tenant: TENANT.to_owned(),
        token: CONVERSATION.to_owned(),
        contact: Some(contact()),
        last_message: Some(message(v1::Direction::In)),
        last_message_at_ms: AT_MS,
        unread_count: 1,
        ..v1::Conversation::default()
    }
}

fn chat() -> v1::Chat {
    v1::Chat {
        id: ID.to_owned(),
        tenant: TENANT.to_owned(),
        conversation: "web_u1".to_owned(),
        episode: 1,
        status: ChatStatus::Assigned.into(),
        user_id: "u1".to_owned(),
        agent_id: "a1".to_owned(),
        reason: "keyword".to_owned(),
        opened_at_ms: AT_MS,
        assigned_at_ms: AT_MS,
        ..v1::Chat::default()
    }
}

fn session(status: SessionStatus) -> v1::Session {
    let qr = if status == SessionStatus::ScanQr { "data:image/png;base64,AA==" } else { "" };
    v1::Session {
        tenant: TENANT.to_owned(),
        id: "main".to_owned(),
        status: status.into(),
        qr: qr.to_owned(),
        updated_at_ms: AT_MS,
        ..v1::Session::default()
    }
}

/// Where the state of a campaign stands.
pub(super) fn mark() -> Mark {
    Mark { life: "18ea78d5a29d3ad5".into(), seq: 815 }
}

fn bulk(status: CampaignStatus) -> v1::BulkProgress {
    let failure = v1::FailureCount { code: 131_026, title: "Message undeliverable".to_owned(), count: 1 };
    let is_running = status == CampaignStatus::Running;
    let error = if status == CampaignStatus::Failed { "spam limit (131048)" } else { "" };
    v1::BulkProgress {
        tenant: TENANT.to_owned(),
        campaign: ID.to_owned(),
        status: status.into(),
        sent: 300,
        total: 1_000,
        failed: 1,
        current_conversation: CONVERSATION.to_owned(),
        error: error.to_owned(),
        updated_at_ms: AT_MS,
        name: "Vacunación".to_owned(),
        delivered: 290,
        read: 120,
        skipped: 2,
        queued: 64,
        failures: vec![failure],
        rate_per_second: if is_running { 20.0 } else { 0.0 },
        remaining_secs: is_running.then_some(35),
        version: 12,
        started_at_ms: AT_MS,
        ended_at_ms: if is_running { 0 } else { AT_MS },
        ..v1::BulkProgress::default()
    }
}

fn appointment() -> v1::Appointment {
    v1::Appointment {
        id: ID.to_owned(),
        tenant: TENANT.to_owned(),
        conversation: "web_u1".to_owned(),
        user_id: "u1".to_owned(),
        status: "confirmed".to_owned(),
        city: "Bogotá".to_owned(),
        specialty: "Cardiología".to_owned(),
        visit_type: "control".to_owned(),
        description: "Control anual".to_owned(),
        scheduled_at_ms: AT_MS,
        version: 2,
        updated_at_ms: AT_MS,
        patient_document: "12345678".to_owned(),
        patient_name: "Contact".to_owned(),
        created_at_ms: AT_MS,
    }
}

fn payment() -> v1::Payment {
    v1::Payment {
        tenant: TENANT.to_owned(),
        reference: "r1".to_owned(),
        conversation: "web_u1".to_owned(),
        user_id: "u1".to_owned(),
        status: "approved".to_owned(),
        plan: "monthly".to_owned(),
        ..v1::Payment::default()
    }
}

fn typing() -> v1::Typing {
    v1::Typing {
        tenant: TENANT.to_owned(),
        conversation: "web_u1".to_owned(),
        user_id: "u1".to_owned(),
        sender_type: v1::SenderType::User.into(),
        typing: true,
        at_ms: AT_MS,
        draft: None,
    }
}

fn draft() -> v1::Typing {
    let draft = v1::Draft { message_id: ID.to_owned(), index: 0, delta: "Buenas".to_owned() };
    let sender_type = v1::SenderType::Ai.into();
    v1::Typing { user_id: "bot".to_owned(), sender_type, draft: Some(draft), ..typing() }
}

fn announcement() -> v1::Announcement {
    v1::Announcement {
        id: ID.to_owned(),
        tenant: TENANT.to_owned(),
        event: "maintenance".to_owned(),
        data: br#"{"minutes":5}"#[..].into(),
        at_ms: AT_MS,
    }
}

fn presence() -> v1::Presence {
    v1::Presence {
        tenant: TENANT.to_owned(),
        person: "web_u1".to_owned(),
        user_id: "u1".to_owned(),
        ..v1::Presence::default()
    }
}
