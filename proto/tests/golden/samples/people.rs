//! The people of a tenant, their chats, and what states there are beside conversations.

use chasqui_proto::v1::{
    AgentEntry, AgentStatus, Announcement, ApiKeyEntry, Appointment, AssignChat, BotState, BotStatus,
    BulkProgress, CampaignStatus, Chat, ChatPage, ChatStatus, CloseChat, CloseSession, Connection,
    ContactFound, DirectoryEntry, EntryKind, EntryPage, EntryRemoved, GetChat, GetEntry, ListChats,
    ListEntries, ListPresence, MessageStatus, NumberEntry, OpenChat, OpenSession, Payment, PersonKind,
    Presence, PresenceBeat, PresencePage, PutEntry, RemoveEntry, SenderType, Session, SessionStatus,
    TenantEntry, Typing, UserEntry, directory_entry::Entry,
};

use super::{Sample, cursor, sample, status, tenant, token};

const AT_MS: i64 = 1_760_000_001_000;
const LATER_MS: i64 = 1_760_000_002_000;
const CHAT_ID: &str = "2ae0196f-15cf-5517-a33e-8d03afa6cbbe";

pub(crate) fn all() -> Vec<Sample> {
    vec![
        sample("contact-absent", &ContactFound { node: "edge-1".to_owned(), absent: true }),
        sample("message-status-reader", &MessageStatus { reader_id: "u-7".to_owned(), ..status() }),
        sample("chat", &chat()),
        sample("chat-page", &ChatPage { chats: vec![chat()], next: cursor() }),
        sample("open-chat", &open_chat()),
        sample("get-chat", &GetChat { tenant: tenant(), chat: CHAT_ID.to_owned() }),
        sample("list-chats", &list_chats()),
        sample("close-chat", &close_chat()),
        sample("assign-chat", &assign_chat()),
        sample("session", &session()),
        sample("open-session", &OpenSession { tenant: tenant(), session: "main".to_owned() }),
        sample("close-session", &CloseSession { tenant: tenant(), session: "main".to_owned() }),
        sample("bot-status", &bot_status()),
        sample("bulk-progress", &bulk_progress()),
        sample("appointment", &appointment()),
        sample("payment", &payment()),
        sample("presence", &presence()),
        sample("presence-beat", &presence_beat()),
        sample("list-presence", &ListPresence { tenant: tenant(), after: token() }),
        sample("presence-page", &presence_page()),
        sample("typing", &typing()),
        sample("announcement", &announcement()),
        sample("directory-tenant", &entry(Entry::Tenant(tenant_entry()))),
        sample("directory-user", &entry(Entry::User(user_entry()))),
        sample("directory-agent", &entry(Entry::Agent(agent_entry()))),
        sample("directory-api-key", &entry(Entry::ApiKey(api_key_entry()))),
        sample("directory-number", &entry(Entry::Number(number_entry()))),
        sample("put-entry", &PutEntry { entry: Some(entry(Entry::Tenant(tenant_entry()))), if_absent: true }),
        sample(
            "get-entry",
            &GetEntry { kind: EntryKind::User.into(), tenant: tenant(), id: "u-7".to_owned() },
        ),
        sample("list-entries", &list_entries()),
        sample("entry-page", &EntryPage { entries: vec![entry(Entry::User(user_entry()))], next: cursor() }),
        sample(
            "remove-entry",
            &RemoveEntry { kind: EntryKind::Agent.into(), tenant: tenant(), id: "a-1".to_owned() },
        ),
        sample("entry-removed", &EntryRemoved { removed: true }),
    ]
}

pub(super) fn entry(entry: Entry) -> DirectoryEntry {
    DirectoryEntry { entry: Some(entry) }
}

fn chat() -> Chat {
    Chat {
        id: CHAT_ID.to_owned(),
        tenant: tenant(),
        conversation: token(),
        episode: 2,
        status: ChatStatus::Closed.into(),
        user_id: "u-7".to_owned(),
        user_name: "Contacto Ñandú".to_owned(),
        agent_id: "a-1".to_owned(),
        agent_user_id: "u-9".to_owned(),
        opened_at_ms: AT_MS,
        assigned_at_ms: AT_MS + 1,
        closed_at_ms: LATER_MS,
        closed_by: "u-9".to_owned(),
        version: 5,
        updated_at_ms: LATER_MS,
        ..Chat::default()
    }
}

fn open_chat() -> OpenChat {
    OpenChat {
        tenant: tenant(),
        conversation: token(),
        user_id: "u-7".to_owned(),
        user_name: "Contacto Ñandú".to_owned(),
        ..OpenChat::default()
    }
}

fn list_chats() -> ListChats {
    ListChats { tenant: tenant(), agent_id: "a-1".to_owned(), cursor: cursor(), limit: 50 }
}

fn close_chat() -> CloseChat {
    CloseChat { tenant: tenant(), chat: CHAT_ID.to_owned(), closed_by: "u-9".to_owned() }
}

fn assign_chat() -> AssignChat {
    AssignChat { tenant: tenant(), chat: CHAT_ID.to_owned(), agent_id: "a-1".to_owned() }
}

pub(super) fn session() -> Session {
    Session {
        tenant: tenant(),
        id: "main".to_owned(),
        status: SessionStatus::ScanQr.into(),
        qr: "data:image/png;base64,iVBORw0KGgo=".to_owned(),
        qr_expires_at_ms: LATER_MS,
        reason: "logged_out".to_owned(),
        phone: "5491100000001".to_owned(),
        version: 3,
        updated_at_ms: AT_MS,
        ..Session::default()
    }
}

fn bot_status() -> BotStatus {
    BotStatus {
        tenant: tenant(),
        state: BotState::Degraded.into(),
        queued: 4,
        answer_time_mean_ms: 850,
        model: "a-model".to_owned(),
        reason: "the model answers slowly".to_owned(),
        updated_at_ms: AT_MS,
        ..BotStatus::default()
    }
}

fn bulk_progress() -> BulkProgress {
    BulkProgress {
        tenant: tenant(),
        campaign: "0d9a4a5e-0000-4000-8000-000000000001".to_owned(),
        status: CampaignStatus::Running.into(),
        sent: 10,
        total: 100,
        failed: 1,
        current_conversation: token(),
        error: "the template was rejected".to_owned(),
        updated_at_ms: AT_MS,
        ..BulkProgress::default()
    }
}

fn appointment() -> Appointment {
    Appointment {
        id: "0d9a4a5e-0000-4000-8000-000000000002".to_owned(),
        tenant: tenant(),
        conversation: token(),
        user_id: "u-7".to_owned(),
        status: "pending".to_owned(),
        city: "Cusco".to_owned(),
        specialty: "Cardiología".to_owned(),
        visit_type: "control".to_owned(),
        description: "Control anual".to_owned(),
        scheduled_at_ms: LATER_MS,
        version: 2,
        updated_at_ms: AT_MS,
        ..Appointment::default()
    }
}

fn payment() -> Payment {
    Payment {
        tenant: tenant(),
        reference: "plan-42".to_owned(),
        conversation: token(),
        user_id: "u-7".to_owned(),
        status: "approved".to_owned(),
        plan: "anual".to_owned(),
        amount_in_cents: 4_990_000,
        currency: "COP".to_owned(),
        version: 2,
        updated_at_ms: AT_MS,
    }
}

fn presence() -> Presence {
    let connection =
        Connection { id: "c-1".to_owned(), session: "s-1".to_owned(), generation: 2, opened_at_ms: AT_MS };
    Presence {
        tenant: tenant(),
        person: token(),
        user_id: "u-7".to_owned(),
        kind: PersonKind::Agent.into(),
        agent_id: "a-1".to_owned(),
        node: "edge-1".to_owned(),
        incarnation: AT_MS,
        version: 9,
        connections: vec![connection],
    }
}

fn presence_beat() -> PresenceBeat {
    PresenceBeat {
        tenant: tenant(),
        node: "edge-1".to_owned(),
        incarnation: AT_MS,
        version: 9,
        leaving: true,
    }
}

fn presence_page() -> PresencePage {
    PresencePage {
        node: "edge-1".to_owned(),
        incarnation: AT_MS,
        version: 9,
        people: vec![presence()],
        next: token(),
    }
}

fn typing() -> Typing {
    Typing {
        tenant: tenant(),
        conversation: token(),
        user_id: "u-9".to_owned(),
        sender_type: SenderType::Agent.into(),
        typing: true,
        at_ms: AT_MS,
        ..Typing::default()
    }
}

fn announcement() -> Announcement {
    Announcement {
        id: "0d9a4a5e-0000-4000-8000-000000000003".to_owned(),
        tenant: tenant(),
        event: "maintenance".to_owned(),
        data: br#"{"minutes":5}"#.to_vec().into(),
        at_ms: AT_MS,
    }
}

fn tenant_entry() -> TenantEntry {
    TenantEntry {
        tenant: tenant(),
        name: "Tienda Ñandú".to_owned(),
        suspended: true,
        ..TenantEntry::default()
    }
}

fn user_entry() -> UserEntry {
    UserEntry {
        tenant: tenant(),
        id: "u-7".to_owned(),
        name: "Contacto Ñandú".to_owned(),
        email: "contacto@example.com".to_owned(),
        suspended: true,
        last_seen_at_ms: AT_MS,
    }
}

fn agent_entry() -> AgentEntry {
    AgentEntry {
        tenant: tenant(),
        id: "a-1".to_owned(),
        user_id: "u-9".to_owned(),
        name: "Mesa 1".to_owned(),
        status: AgentStatus::Active.into(),
        chats_max: 5,
    }
}

fn api_key_entry() -> ApiKeyEntry {
    ApiKeyEntry {
        tenant: tenant(),
        id: "k-1".to_owned(),
        name: "bot".to_owned(),
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        scopes: vec!["send".to_owned()],
        created_at_ms: AT_MS,
        expires_at_ms: LATER_MS,
    }
}

pub(super) fn number_entry() -> NumberEntry {
    NumberEntry {
        tenant: tenant(),
        id: "100000000000001".to_owned(),
        display_phone_number: "5491100000099".to_owned(),
        account_id: "200000000000002".to_owned(),
        ..NumberEntry::default()
    }
}

fn list_entries() -> ListEntries {
    ListEntries { kind: EntryKind::User.into(), tenant: tenant(), cursor: cursor(), limit: 50 }
}
