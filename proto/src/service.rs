//! Request subjects: what each service answers, as NATS micro services.

use std::marker::PhantomData;

use crate::v1;

/// A request subject with the types of its question and answer.
#[derive(Debug)]
pub struct Endpoint<Q, A> {
    /// The micro service that answers, as `nats micro ls` shows it.
    pub service: &'static str,
    /// The request's subject.
    pub subject: &'static str,
    types: PhantomData<fn(Q) -> A>,
}

impl<Q, A> Clone for Endpoint<Q, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, A> Copy for Endpoint<Q, A> {}

impl<Q, A> Endpoint<Q, A> {
    const fn new(service: &'static str, subject: &'static str) -> Self {
        Self { service, subject, types: PhantomData }
    }

    /// The endpoint's own name: the subject without the service.
    pub fn name(&self) -> String {
        self.subject.trim_start_matches(self.service).trim_start_matches('.').replace('.', "-")
    }
}

/// Where every running instance of a micro service answers, once each.
pub fn instances(service: &str) -> String {
    format!("$SRV.PING.{service}")
}

/// The micro service of `persistence`.
pub const PERSISTENCE: &str = "persistence";

/// Conversations of a tenant, newest first.
pub const CONVERSATIONS_LIST: Endpoint<v1::ListConversations, v1::ConversationPage> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.list");
/// One conversation.
pub const CONVERSATIONS_GET: Endpoint<v1::GetConversation, v1::Conversation> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.get");
/// An agent has seen a conversation: nothing in it is unread any more. Answers with the state after it.
pub const CONVERSATIONS_MARK_READ: Endpoint<v1::MarkRead, v1::Conversation> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.mark-read");
/// Messages of a conversation, newest first.
pub const MESSAGES_LIST: Endpoint<v1::ListMessages, v1::MessagePage> =
    Endpoint::new(PERSISTENCE, "persistence.messages.list");
/// One message.
pub const MESSAGES_GET: Endpoint<v1::GetMessage, v1::StoredMessage> =
    Endpoint::new(PERSISTENCE, "persistence.messages.get");
/// What was written to a web widget while nobody had it open.
pub const MESSAGES_UNDELIVERED: Endpoint<v1::ListUndelivered, v1::UndeliveredPage> =
    Endpoint::new(PERSISTENCE, "persistence.messages.undelivered");
/// What a client missed.
pub const EVENTS_SINCE: Endpoint<v1::ListEvents, v1::EventPage> =
    Endpoint::new(PERSISTENCE, "persistence.events.since");
/// The counters of a tenant.
pub const STATS_GET: Endpoint<v1::GetStats, v1::Stats> = Endpoint::new(PERSISTENCE, "persistence.stats.get");

/// Opens the chat of a conversation, or answers with the open one.
pub const CHATS_OPEN: Endpoint<v1::OpenChat, v1::Chat> = Endpoint::new(PERSISTENCE, "persistence.chats.open");
/// One chat.
pub const CHATS_GET: Endpoint<v1::GetChat, v1::Chat> = Endpoint::new(PERSISTENCE, "persistence.chats.get");
/// Open chats, oldest first.
pub const CHATS_LIST: Endpoint<v1::ListChats, v1::ChatPage> =
    Endpoint::new(PERSISTENCE, "persistence.chats.list");
/// Closes a chat. Answers with the state after it.
pub const CHATS_CLOSE: Endpoint<v1::CloseChat, v1::Chat> =
    Endpoint::new(PERSISTENCE, "persistence.chats.close");
/// Gives a chat to an agent, or back to the queue. Answers with the state after it.
pub const CHATS_ASSIGN: Endpoint<v1::AssignChat, v1::Chat> =
    Endpoint::new(PERSISTENCE, "persistence.chats.assign");

/// Says how the bot behaves in a conversation. Answers with the state after it.
pub const CONVERSATIONS_STEER: Endpoint<v1::SteerConversation, v1::Conversation> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.steer");

/// One appointment.
pub const APPOINTMENTS_GET: Endpoint<v1::GetAppointment, v1::Appointment> =
    Endpoint::new(PERSISTENCE, "persistence.appointments.get");
/// Appointments of a tenant, newest first.
pub const APPOINTMENTS_LIST: Endpoint<v1::ListAppointments, v1::AppointmentPage> =
    Endpoint::new(PERSISTENCE, "persistence.appointments.list");
/// Changes an appointment. Answers with the state after it.
pub const APPOINTMENTS_CHANGE: Endpoint<v1::ChangeAppointment, v1::Appointment> =
    Endpoint::new(PERSISTENCE, "persistence.appointments.change");

/// Makes a campaign that takes recipients.
pub const CAMPAIGNS_CREATE: Endpoint<v1::CreateCampaign, v1::Campaign> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.create");
/// Adds recipients to a campaign.
pub const CAMPAIGNS_APPEND: Endpoint<v1::AppendRecipients, v1::RecipientsAppended> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.append");
/// Ends the list of a campaign's recipients. Answers with the state after it.
pub const CAMPAIGNS_SEAL: Endpoint<v1::SealCampaign, v1::Campaign> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.seal");
/// One campaign.
pub const CAMPAIGNS_GET: Endpoint<v1::GetCampaign, v1::Campaign> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.get");
/// Campaigns of a tenant, newest first.
pub const CAMPAIGNS_LIST: Endpoint<v1::ListCampaigns, v1::CampaignPage> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.list");
/// Starts, pauses, resumes, cancels, retries or stops a campaign. Answers with the state after it.
pub const CAMPAIGNS_CHANGE: Endpoint<v1::ChangeCampaign, v1::Campaign> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.change");
/// Recipients of a campaign, by line.
pub const CAMPAIGNS_RECIPIENTS: Endpoint<v1::ListRecipients, v1::RecipientPage> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.recipients");
/// Which campaigns want a runner.
pub const CAMPAIGNS_DUE: Endpoint<v1::ListDueCampaigns, v1::DueCampaigns> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.due");
/// How a campaign stands, and who is next.
pub const CAMPAIGNS_ADVANCE: Endpoint<v1::AdvanceCampaign, v1::CampaignAdvanced> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.advance");
/// Recipients whose message may never have been published.
pub const CAMPAIGNS_UNSETTLED: Endpoint<v1::ListUnsettled, v1::UnsettledPage> =
    Endpoint::new(PERSISTENCE, "persistence.campaigns.unsettled");
/// A contact is to get no campaigns.
pub const OPT_OUTS_PUT: Endpoint<v1::PutOptOut, v1::OptOut> =
    Endpoint::new(PERSISTENCE, "persistence.opt-outs.put");
/// A contact may get campaigns again.
pub const OPT_OUTS_REMOVE: Endpoint<v1::RemoveOptOut, v1::OptOutRemoved> =
    Endpoint::new(PERSISTENCE, "persistence.opt-outs.remove");
/// Contacts who get no campaigns, newest first.
pub const OPT_OUTS_LIST: Endpoint<v1::ListOptOuts, v1::OptOutPage> =
    Endpoint::new(PERSISTENCE, "persistence.opt-outs.list");

/// For flows: the patient with a document.
pub const PATIENTS_FIND: Endpoint<v1::FlowRequest, v1::FlowAnswer> =
    Endpoint::new(PERSISTENCE, "flows.patients.find");
/// For flows: the cities in which there are specialties.
pub const CITIES_LIST: Endpoint<v1::FlowRequest, v1::FlowAnswer> =
    Endpoint::new(PERSISTENCE, "flows.cities.list");
/// For flows: the specialties of a city that a text may mean.
pub const SPECIALTIES_SEARCH: Endpoint<v1::FlowRequest, v1::FlowAnswer> =
    Endpoint::new(PERSISTENCE, "flows.specialties.search");
/// For flows: makes an appointment, once a request.
pub const APPOINTMENTS_BOOK: Endpoint<v1::FlowRequest, v1::FlowAnswer> =
    Endpoint::new(PERSISTENCE, "flows.appointments.book");

/// Makes or replaces an entry of the directory.
pub const DIRECTORY_PUT: Endpoint<v1::PutEntry, v1::DirectoryEntry> =
    Endpoint::new(PERSISTENCE, "persistence.directory.put");
/// One entry.
pub const DIRECTORY_GET: Endpoint<v1::GetEntry, v1::DirectoryEntry> =
    Endpoint::new(PERSISTENCE, "persistence.directory.get");
/// Entries of a kind, by id.
pub const DIRECTORY_LIST: Endpoint<v1::ListEntries, v1::EntryPage> =
    Endpoint::new(PERSISTENCE, "persistence.directory.list");
/// Removes an entry.
pub const DIRECTORY_REMOVE: Endpoint<v1::RemoveEntry, v1::EntryRemoved> =
    Endpoint::new(PERSISTENCE, "persistence.directory.remove");

/// The micro service that owns the connection to each WhatsApp number.
pub const WHATSAPP: &str = "whatsapp";

/// Starts a session, or answers with the one that runs. What becomes of it is told by its state.
pub const SESSIONS_OPEN: Endpoint<v1::OpenSession, v1::Session> =
    Endpoint::new(WHATSAPP, "whatsapp.sessions.open");
/// Logs a session out. Answers with the state after it.
pub const SESSIONS_CLOSE: Endpoint<v1::CloseSession, v1::Session> =
    Endpoint::new(WHATSAPP, "whatsapp.sessions.close");
/// A session as it stands, or the tenant's default one.
pub const SESSIONS_GET: Endpoint<v1::GetSession, v1::Session> =
    Endpoint::new(WHATSAPP, "whatsapp.sessions.get");
/// Tells a contact that its message was read, and that an answer is being written.
pub const WHATSAPP_READ: Endpoint<v1::ReadMessage, v1::MessageRead> =
    Endpoint::new(WHATSAPP, "whatsapp.messages.read");
/// Brings a file of the provider into the media store, unless it is there.
pub const MEDIA_FETCH: Endpoint<v1::FetchMedia, v1::StoredMedia> =
    Endpoint::new(WHATSAPP, "whatsapp.media.fetch");

/// The micro service of the connectors of linked devices.
pub const LINKED: &str = "linked";

/// A connector takes a session, or has it already.
pub const LINKS_START: Endpoint<v1::StartLink, v1::LinkStarted> =
    Endpoint::new(LINKED, "linked.sessions.start");

/// The micro service that brings events to listeners.
pub const WEBHOOKS: &str = "webhooks";

/// Brings events to a listener once more.
pub const DELIVERIES_REPLAY: Endpoint<v1::ReplayDeliveries, v1::DeliveriesReplayed> =
    Endpoint::new(WEBHOOKS, "webhooks.deliveries.replay");
/// Sends a listener a made-up event and tells how it went.
pub const LISTENERS_TEST: Endpoint<v1::TestListener, v1::DeliveryAttempt> =
    Endpoint::new(WEBHOOKS, "webhooks.listeners.test");

/// What was delivered to a listener, newest first.
pub const DELIVERIES_LIST: Endpoint<v1::ListDeliveries, v1::DeliveryPage> =
    Endpoint::new(PERSISTENCE, "persistence.deliveries.list");
