//! Dialect `chat`: users, agents and their chats over a plain WebSocket, `{event,…}` with the fields beside the name.

mod command;
mod frame;
mod refusal;

use chasqui_proto::v1::{self, Direction, SenderType, Status};
use chasqui_responder::is_for_flow;

pub(crate) use self::{
    command::{Command, Write, parse},
    frame::{
        Agent, active_chats, agent_connected, chat, message_accepted, online_users, reader_of,
        token_expiring, token_refreshed,
    },
    refusal::{Refusal, Style},
};
use crate::event::{Event, Fact};

/// What everyone of a chat, or of the tenant, is shown of an event.
pub(crate) fn encode(event: &Event) -> Option<String> {
    match &event.fact {
        Fact::Message { message, status } => Some(frame::chat_message(message, *status, event.seq)),
        Fact::Status(status) if status.status() == Status::Read => {
            Some(frame::message_read(status, event.seq))
        }
        Fact::Chat(chat) => Some(frame::chat_changed(chat)),
        Fact::Typing(typing) => Some(frame::typing(typing)),
        Fact::Draft(typing) => frame::chatbot_draft(typing),
        Fact::Appointment(appointment) => Some(frame::appointment_updated(appointment)),
        Fact::Payment(payment) if payment.status == "approved" => Some(frame::payment_succeeded(payment)),
        Fact::Announcement(announcement) => frame::announcement(announcement),
        Fact::Presence(presence) => Some(frame::presence(presence)),
        Fact::Online(users) => Some(frame::online(users)),
        _ => None,
    }
}

/// What only the one a message was written to is shown of it.
pub(crate) fn encode_notice(event: &Event) -> Option<String> {
    let Fact::Message { message, status } = &event.fact else { return None };
    Some(if is_from_bot(message) {
        frame::chatbot_message(message, event.seq)
    } else {
        frame::new_message(message, *status, event.seq)
    })
}

/// Written by a bot, to the contact.
pub(crate) fn is_from_bot(message: &v1::Message) -> bool {
    message.direction() == Direction::Out
        && !matches!(message.sender_type(), SenderType::Agent | SenderType::User)
}

/// Written to the guided flow, which answers in the same place: its writer's screen shows it already.
pub(crate) fn is_to_bot(message: &v1::Message) -> bool {
    message.direction() == Direction::In && is_for_flow(message)
}
