//! The bot: its state, what flows ask, and the fields that came with it.

use chasqui_proto::v1::{
    Appointment, AppointmentPage, BotBudget, BotConversation, BotStatus, BotWork, ChangeAppointment, Chat,
    Conversation, Draft, FlowAnswer, FlowOption, FlowRequest, FlowState, GetAppointment, Heard,
    ListAppointments, ListenerEntry, Message, OpenChat, Responder, SteerConversation, TenantEntry, Typing,
    Waiting, directory_entry::Entry,
};

use super::{Sample, contact, cursor, message, people, sample, tenant, token};

const AT_MS: i64 = 1_760_000_005_000;
const LATER_MS: i64 = 1_760_000_006_000;
const ID: &str = "0d9a4a5e-0000-4000-8000-000000000004";

pub(crate) fn all() -> Vec<Sample> {
    vec![
        sample("bot-conversation", &conversation()),
        sample("bot-conversation-front-end", &in_front_end()),
        sample("message-answers", &Message { answers: ID.to_owned(), ..Message::default() }),
        sample("flow-request", &request()),
        sample("flow-answer", &answer()),
        sample("bot-work", &work()),
        sample("bot-budget", &BotBudget { tokens: 120_000, answers: 310 }),
        sample("typing-draft", &Typing { draft: Some(draft()), ..Typing::default() }),
        sample("tenant-responder", &people::entry(Entry::Tenant(responder()))),
        sample(
            "listener-answers",
            &people::entry(Entry::Listener(ListenerEntry { answers: true, ..ListenerEntry::default() })),
        ),
        sample("bot-status-model", &status()),
        sample("chat-reason", &Chat { reason: "keyword".to_owned(), ..Chat::default() }),
        sample("open-chat-reason", &OpenChat { reason: "failure".to_owned(), ..OpenChat::default() }),
        sample("open-chat-agent", &OpenChat { agent_id: "a-1".to_owned(), ..OpenChat::default() }),
        sample("steer-conversation", &steer()),
        sample("conversation-steered", &Conversation { steered_at_ms: AT_MS, ..Conversation::default() }),
        sample("appointment-patient", &appointment()),
        sample("get-appointment", &GetAppointment { tenant: tenant(), id: ID.to_owned() }),
        sample("list-appointments", &list()),
        sample("appointment-page", &AppointmentPage { appointments: vec![appointment()], next: cursor() }),
        sample("change-appointment", &change()),
    ]
}

fn option() -> FlowOption {
    FlowOption {
        id: "cardiology".to_owned(),
        label: "Cardiología".to_owned(),
        description: "Adultos".to_owned(),
        values: [("code".to_owned(), "12".to_owned())].into(),
    }
}

fn conversation() -> BotConversation {
    BotConversation {
        tenant: tenant(),
        conversation: token(),
        handled_seq: 42,
        pending: vec![message()],
        decided_at_ms: AT_MS,
        flow: Some(FlowState {
            flow: "appointment".to_owned(),
            run: ID.to_owned(),
            state: "awaiting_specialty_selection".to_owned(),
            values: [("city".to_owned(), "Bogotá".to_owned())].into(),
            options: vec![option()],
            reprompts: 1,
            failures: 2,
            started_at_ms: AT_MS,
            expires_at_ms: LATER_MS,
            ..FlowState::default()
        }),
        waiting: Some(Waiting {
            heard: vec![Heard { message_id: ID.to_owned(), seq: 43, text: "Hola".to_owned(), at_ms: AT_MS }],
            rule: "hours".to_owned(),
            due_at_ms: LATER_MS,
            holder: "bot-1".to_owned(),
            held_until_ms: LATER_MS,
            attempts: 1,
        }),
        language: "es".to_owned(),
        greeted_at_ms: AT_MS,
        quiet_until_ms: LATER_MS,
        handoff: "keyword".to_owned(),
        chat_version: 3,
        updated_at_ms: AT_MS,
    }
}

fn in_front_end() -> BotConversation {
    BotConversation {
        flow: Some(FlowState { from_front_end: true, ..FlowState::default() }),
        ..BotConversation::default()
    }
}

fn request() -> FlowRequest {
    FlowRequest {
        tenant: tenant(),
        conversation: token(),
        contact: Some(contact()),
        name: "patients.find".to_owned(),
        parameters: [("document".to_owned(), "12345678".to_owned())].into(),
        request_id: ID.to_owned(),
        language: "es".to_owned(),
    }
}

fn answer() -> FlowAnswer {
    FlowAnswer {
        options: vec![option()],
        values: [("patient".to_owned(), ID.to_owned())].into(),
        refused: "not_found".to_owned(),
    }
}

fn work() -> BotWork {
    BotWork {
        tenant: tenant(),
        node: "bot-1".to_owned(),
        answers: 12,
        answer_time_total_ms: 90,
        handoffs: 1,
        model: "small".to_owned(),
        model_state: "failing".to_owned(),
        definition_problem: "default.toml:3:1: unknown rule".to_owned(),
        at_ms: AT_MS,
    }
}

fn draft() -> Draft {
    Draft { message_id: ID.to_owned(), index: 3, delta: "Buen".to_owned() }
}

fn responder() -> TenantEntry {
    TenantEntry { tenant: tenant(), responder: Responder::Builtin.into(), ..TenantEntry::default() }
}

fn status() -> BotStatus {
    BotStatus { model_state: "ok".to_owned(), answers: 12, handoffs: 1, ..BotStatus::default() }
}

fn steer() -> SteerConversation {
    SteerConversation {
        tenant: tenant(),
        conversation: token(),
        ai_active: Some(true),
        no_ac_ai: Some(false),
        personality_id: Some(ID.to_owned()),
    }
}

fn appointment() -> Appointment {
    Appointment {
        id: ID.to_owned(),
        patient_document: "12345678".to_owned(),
        patient_name: "Contact".to_owned(),
        created_at_ms: AT_MS,
        ..Appointment::default()
    }
}

fn list() -> ListAppointments {
    ListAppointments {
        tenant: tenant(),
        status: "pending".to_owned(),
        conversation: token(),
        cursor: cursor(),
        limit: 50,
    }
}

fn change() -> ChangeAppointment {
    ChangeAppointment {
        tenant: tenant(),
        id: ID.to_owned(),
        status: Some("confirmed".to_owned()),
        scheduled_at_ms: Some(LATER_MS),
        description: Some("Control".to_owned()),
    }
}
