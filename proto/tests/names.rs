//! The names on the bus, as operators and other programs rely on them: a change here breaks them.

use std::fmt::Write as _;

use chasqui_proto::{
    ConversationToken, MessageId, Tenant, header,
    service::{
        APPOINTMENTS_BOOK, APPOINTMENTS_CHANGE, APPOINTMENTS_GET, APPOINTMENTS_LIST, CAMPAIGNS_ADVANCE,
        CAMPAIGNS_APPEND, CAMPAIGNS_CHANGE, CAMPAIGNS_CREATE, CAMPAIGNS_DUE, CAMPAIGNS_GET, CAMPAIGNS_LIST,
        CAMPAIGNS_RECIPIENTS, CAMPAIGNS_SEAL, CAMPAIGNS_UNSETTLED, CHATS_ASSIGN, CHATS_CLOSE, CHATS_GET,
        CHATS_LIST, CHATS_OPEN, CITIES_LIST, CONVERSATIONS_GET, CONVERSATIONS_LIST, CONVERSATIONS_MARK_READ,
        CONVERSATIONS_STEER, DELIVERIES_LIST, DELIVERIES_REPLAY, DIRECTORY_GET, DIRECTORY_LIST,
        DIRECTORY_PUT, DIRECTORY_REMOVE, EVENTS_SINCE, Endpoint, LINKS_START, LISTENERS_TEST, MEDIA_FETCH,
        MESSAGES_GET, MESSAGES_LIST, MESSAGES_UNDELIVERED, OPT_OUTS_LIST, OPT_OUTS_PUT, OPT_OUTS_REMOVE,
        PATIENTS_FIND, SESSIONS_CLOSE, SESSIONS_GET, SESSIONS_OPEN, SPECIALTIES_SEARCH, STATS_GET,
        WHATSAPP_READ,
    },
    stream, subject,
    v1::Priority,
};
use prost::Name;

#[test]
fn streams_keep_their_names_subjects_and_limits() {
    let mut table = String::new();
    for stream in stream::ALL {
        writeln!(
            table,
            "{} | {} | per subject {} | days {} | window {} s | republished {} | queue {}",
            stream.name,
            stream.subjects.join(" "),
            stream.per_subject_max.map_or("all".to_owned(), |max| max.to_string()),
            stream.age_max_secs.map_or("for ever".to_owned(), |age| (age / 86_400).to_string()),
            stream.duplicate_window_secs,
            stream.republish,
            stream.is_queue,
        )
        .unwrap();
    }
    assert_eq!(
        table,
        "\
MESSAGES | messages.> | per subject all | days 7 | window 1200 s | republished true | queue false
STATE | conversations.updated.> stats.updated.> bulk.progress.> sessions.updated.> bot.updated.> \
appointments.updated.> payments.updated.> chats.updated.> listeners.updated.> | per subject 1 | days for ever | window 120 s \
| republished true | queue false
DLQ | dlq.> | per subject all | days 30 | window 1200 s | republished false | queue false
OUTBOX | sends.due.> sends.later.> | per subject all | days for ever | window 1200 s | republished false | queue true
DELIVERIES | deliveries.due.> deliveries.later.> deliveries.parked.> | per subject all | days for ever | window 1200 s \
| republished false | queue true
DELIVERY_LOG | deliveries.attempted.> | per subject all | days 1 | window 120 s | republished false | queue false
"
    );
    assert_eq!(
        (stream::REPUBLISH_TO, stream::DIRECTORY_BUCKET, stream::PERSISTENCE_CONSUMER),
        ("live.>", "directory", "persistence")
    );
    assert_eq!(
        [
            stream::DELIVERY_LOG_CONSUMER,
            stream::OUTBOX_ROUTER_CONSUMER,
            stream::SEND_STATUS_CONSUMER,
            stream::WINDOW_CONSUMER,
            stream::DELIVERY_ROUTER_CONSUMER,
        ],
        [
            "persistence-deliveries",
            "whatsapp-router",
            "whatsapp-statuses",
            "whatsapp-windows",
            "webhooks-router"
        ]
    );
}

#[test]
fn buckets_and_their_keys_keep_their_names() {
    let bucket = |bucket: stream::Bucket| (bucket.name, bucket.age_max_secs, bucket.has_ttls);
    assert_eq!(
        stream::BUCKETS.map(bucket),
        [
            ("directory", None, false),
            ("leases", None, true),
            ("sends", Some(8 * 86_400), false),
            ("windows", Some(2 * 86_400), false),
            ("bot", Some(30 * 86_400), false),
        ]
    );
    let tenant: Tenant = "default".parse().unwrap();
    let conversation: ConversationToken = "5491100000001".parse().unwrap();
    let (session, message) = (subject::NodeToken::new("main"), MessageId(uuid::Uuid::nil()));
    assert_eq!(stream::session_lease(&tenant, &session), "session.default.main");
    assert_eq!(stream::delivery_lease(3), "deliveries.3");
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(stream::send_key(&tenant, &session, &message), format!("default.main.{nil}"));
    assert_eq!(stream::sends_of(&tenant, &session), "default.main.*");
    assert_eq!(stream::window_key(&tenant, &session, &conversation), "default.main.5491100000001");
    assert_eq!(stream::listener_key(&tenant, nil), format!("listener.default.{nil}"));
    assert_eq!(stream::bucket_subject(&stream::SENDS, "x"), "$KV.sends.x");
    assert_eq!(stream::bucket_stream(&stream::SENDS), "KV_sends");
    assert_eq!(stream::sends_consumer(&tenant, &session, Priority::Reply), "default-main-reply");
    assert_eq!(stream::deliveries_consumer(3), "partition-3");
    assert_eq!(stream::campaign_lease(&tenant, uuid::Uuid::nil()), format!("campaign.default.{nil}"));
    assert_eq!(stream::bot_key(&tenant, &conversation), "conversation.default.5491100000001");
    assert_eq!(stream::bot_budget_key(&tenant, "20261123"), "budget.default.20261123");
    assert_eq!((stream::BOT_CONSUMER, stream::BOT_STATUS_LEASE), ("bot", "bot.status"));
}

#[test]
fn subjects_keep_their_names() {
    let tenant: Tenant = "default".parse().unwrap();
    let conversation: ConversationToken = "5491100000001".parse().unwrap();
    let fact = subject::messages_in(&tenant, &conversation);
    assert_eq!(fact.as_str(), "messages.in.default.5491100000001");
    assert_eq!(subject::live(&fact).as_str(), "live.messages.in.default.5491100000001");
    assert_eq!(subject::live_tenant(&tenant).as_str(), "live.*.*.default.>");
    assert_eq!(subject::live_conversation(&tenant, &conversation).as_str(), "live.*.*.default.5491100000001");
    assert_eq!(
        subject::edge_contacts(&tenant, &conversation).as_str(),
        "edge.contacts.default.5491100000001"
    );
    assert_eq!(
        subject::dead_letter("persistence", fact.as_str()).as_str(),
        "dlq.persistence.messages.in.default.5491100000001"
    );
    let node = subject::NodeToken::new("edge-1");
    assert_eq!(subject::edge_contacts_of_tenant(&tenant).as_str(), "edge.contacts.default.*");
    assert_eq!(subject::edge_presence(&node).as_str(), "edge.presence.edge-1");
    assert_eq!(subject::edge_engineio(&node).as_str(), "edge.engineio.edge-1");
    assert_eq!(subject::presence_of_tenant(&tenant).as_str(), "presence.*.default.*");
    assert_eq!(subject::presence_of_all().as_str(), "presence.*.*.*");
    assert_eq!(subject::typing_of_tenant(&tenant).as_str(), "typing.changed.default.*");
    assert_eq!(subject::sends_of_session(&tenant, &node, Priority::Campaign).as_str(), {
        "sends.due.default.edge-1.campaign.*"
    });
    assert_eq!(subject::deliveries_of_partition(3).as_str(), "deliveries.due.3.>");
    assert_eq!(subject::deliveries_attempted_of_all().as_str(), "deliveries.attempted.>");
    assert_eq!(subject::live_sessions().as_str(), "live.sessions.updated.*.*");
    assert_eq!(subject::sessions_of_all().as_str(), "sessions.updated.*.*");
    assert_eq!(subject::typing_of_all().as_str(), "typing.changed.*.*");
    assert_eq!(subject::bot_worked_of_all().as_str(), "bot.worked.*.*");
    assert_eq!(subject::bulk_progress_of_tenant(&tenant).as_str(), "bulk.progress.default.*");
    assert_eq!(
        subject::persisted().map(|pattern| pattern.as_str().to_owned()),
        ["messages.in.>", "messages.out.>", "messages.status.>"]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one line a request")]
fn requests_keep_their_subjects_and_types() {
    fn line<Q: Name, A: Name>(endpoint: Endpoint<Q, A>) -> String {
        format!("{} {} {} -> {}", endpoint.service, endpoint.subject, Q::NAME, A::NAME)
    }
    let table = [
        line(CONVERSATIONS_LIST),
        line(CONVERSATIONS_GET),
        line(CONVERSATIONS_MARK_READ),
        line(MESSAGES_LIST),
        line(MESSAGES_UNDELIVERED),
        line(EVENTS_SINCE),
        line(STATS_GET),
        line(CHATS_OPEN),
        line(CHATS_GET),
        line(CHATS_LIST),
        line(CHATS_CLOSE),
        line(CHATS_ASSIGN),
        line(DIRECTORY_PUT),
        line(DIRECTORY_GET),
        line(DIRECTORY_LIST),
        line(DIRECTORY_REMOVE),
        line(SESSIONS_OPEN),
        line(SESSIONS_CLOSE),
        line(SESSIONS_GET),
        line(WHATSAPP_READ),
        line(MEDIA_FETCH),
        line(LINKS_START),
        line(DELIVERIES_REPLAY),
        line(LISTENERS_TEST),
        line(DELIVERIES_LIST),
        line(MESSAGES_GET),
        line(CONVERSATIONS_STEER),
        line(APPOINTMENTS_GET),
        line(APPOINTMENTS_LIST),
        line(APPOINTMENTS_CHANGE),
        line(PATIENTS_FIND),
        line(CITIES_LIST),
        line(SPECIALTIES_SEARCH),
        line(APPOINTMENTS_BOOK),
        line(CAMPAIGNS_CREATE),
        line(CAMPAIGNS_APPEND),
        line(CAMPAIGNS_SEAL),
        line(CAMPAIGNS_GET),
        line(CAMPAIGNS_LIST),
        line(CAMPAIGNS_CHANGE),
        line(CAMPAIGNS_RECIPIENTS),
        line(CAMPAIGNS_DUE),
        line(CAMPAIGNS_ADVANCE),
        line(CAMPAIGNS_UNSETTLED),
        line(OPT_OUTS_PUT),
        line(OPT_OUTS_REMOVE),
        line(OPT_OUTS_LIST),
    ];
    assert_eq!(
        table,
        [
            "persistence persistence.conversations.list ListConversations -> ConversationPage",
            "persistence persistence.conversations.get GetConversation -> Conversation",
            "persistence persistence.conversations.mark-read MarkRead -> Conversation",
            "persistence persistence.messages.list ListMessages -> MessagePage",
            "persistence persistence.messages.undelivered ListUndelivered -> UndeliveredPage",
            "persistence persistence.events.since ListEvents -> EventPage",
            "persistence persistence.stats.get GetStats -> Stats",
            "persistence persistence.chats.open OpenChat -> Chat",
            "persistence persistence.chats.get GetChat -> Chat",
            "persistence persistence.chats.list ListChats -> ChatPage",
            "persistence persistence.chats.close CloseChat -> Chat",
            "persistence persistence.chats.assign AssignChat -> Chat",
            "persistence persistence.directory.put PutEntry -> DirectoryEntry",
            "persistence persistence.directory.get GetEntry -> DirectoryEntry",
            "persistence persistence.directory.list ListEntries -> EntryPage",
            "persistence persistence.directory.remove RemoveEntry -> EntryRemoved",
            "whatsapp whatsapp.sessions.open OpenSession -> Session",
            "whatsapp whatsapp.sessions.close CloseSession -> Session",
            "whatsapp whatsapp.sessions.get GetSession -> Session",
            "whatsapp whatsapp.messages.read ReadMessage -> MessageRead",
            "whatsapp whatsapp.media.fetch FetchMedia -> StoredMedia",
            "linked linked.sessions.start StartLink -> LinkStarted",
            "webhooks webhooks.deliveries.replay ReplayDeliveries -> DeliveriesReplayed",
            "webhooks webhooks.listeners.test TestListener -> DeliveryAttempt",
            "persistence persistence.deliveries.list ListDeliveries -> DeliveryPage",
            "persistence persistence.messages.get GetMessage -> StoredMessage",
            "persistence persistence.conversations.steer SteerConversation -> Conversation",
            "persistence persistence.appointments.get GetAppointment -> Appointment",
            "persistence persistence.appointments.list ListAppointments -> AppointmentPage",
            "persistence persistence.appointments.change ChangeAppointment -> Appointment",
            "persistence flows.patients.find FlowRequest -> FlowAnswer",
            "persistence flows.cities.list FlowRequest -> FlowAnswer",
            "persistence flows.specialties.search FlowRequest -> FlowAnswer",
            "persistence flows.appointments.book FlowRequest -> FlowAnswer",
            "persistence persistence.campaigns.create CreateCampaign -> Campaign",
            "persistence persistence.campaigns.append AppendRecipients -> RecipientsAppended",
            "persistence persistence.campaigns.seal SealCampaign -> Campaign",
            "persistence persistence.campaigns.get GetCampaign -> Campaign",
            "persistence persistence.campaigns.list ListCampaigns -> CampaignPage",
            "persistence persistence.campaigns.change ChangeCampaign -> Campaign",
            "persistence persistence.campaigns.recipients ListRecipients -> RecipientPage",
            "persistence persistence.campaigns.due ListDueCampaigns -> DueCampaigns",
            "persistence persistence.campaigns.advance AdvanceCampaign -> CampaignAdvanced",
            "persistence persistence.campaigns.unsettled ListUnsettled -> UnsettledPage",
            "persistence persistence.opt-outs.put PutOptOut -> OptOut",
            "persistence persistence.opt-outs.remove RemoveOptOut -> OptOutRemoved",
            "persistence persistence.opt-outs.list ListOptOuts -> OptOutPage",
        ]
    );
}

#[test]
fn headers_keep_their_names() {
    let names = [
        header::TYPE,
        header::ID,
        header::MESSAGE_SEQUENCE,
        header::TRACEPARENT,
        header::DEAD_REASON,
        header::DEAD_ATTEMPTS,
        header::DEAD_SUBJECT,
        header::DEAD_STREAM,
        header::DEAD_SEQUENCE,
        header::DEAD_FIRST_ERROR,
        header::DEAD_LAST_ERROR,
    ];
    assert_eq!(
        names,
        [
            "Chasqui-Type",
            "Chasqui-Id",
            "Chasqui-Message-Sequence",
            "traceparent",
            "Chasqui-Dead-Reason",
            "Chasqui-Dead-Attempts",
            "Chasqui-Dead-Subject",
            "Chasqui-Dead-Stream",
            "Chasqui-Dead-Sequence",
            "Chasqui-Dead-First-Error",
            "Chasqui-Dead-Last-Error",
        ]
    );
}
