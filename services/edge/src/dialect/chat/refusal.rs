//! What a client of this dialect is told when something is wrong: the words its front ends know.

use chasqui_websocket::Text;
use serde_json::json;

/// Which of the two ways to write a message was used; each has its own errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `chat_message`
    Chat,
    /// `agent_chat_message`
    AgentChat,
}

/// Why a frame had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// BEN-20, BEN-24: a message without all it needs.
    Incomplete(Style),
    /// BEN-22, BEN-26: a message that could not be stored.
    Failed(Style, &'static str),
    /// A message that may not be written as it is; what is wrong with it.
    Unwelcome(Style, String),
    /// BEN-32: no JSON object.
    Garbage,
    /// BEN-33: it claims to be from somebody else.
    NotYou,
    /// Anything else; what is wrong and what was expected.
    Invalid(String),
}

impl Refusal {
    /// Its name in metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "incomplete",
            Self::Failed(..) => "failed",
            Self::Unwelcome(..) => "unwelcome",
            Self::Garbage => "garbage",
            Self::NotYou => "not_you",
            Self::Invalid(_) => "invalid",
        }
    }

    /// The frame that says so.
    pub(crate) fn frame(&self) -> Text {
        let error = |text: &str| json!({ "error": text });
        let event = |text: &str| json!({ "event": "error", "message": text });
        let detailed = |detail: &str| event(&format!("Error al enviar el mensaje: {detail}"));
        let frame = match self {
            Self::Incomplete(Style::Chat) => error("Datos incompletos para enviar el mensaje"),
            Self::Incomplete(Style::AgentChat) => event("Se requieren chat_id y message"),
            Self::Failed(Style::Chat, _) => error("Error interno al enviar el mensaje"),
            Self::Failed(Style::AgentChat, detail) => detailed(detail),
            Self::Unwelcome(Style::Chat, detail) | Self::Invalid(detail) => error(detail),
            Self::Unwelcome(Style::AgentChat, detail) => detailed(detail),
            Self::Garbage => error("Error al procesar el mensaje"),
            Self::NotYou => error("sender_id no es el del usuario conectado"),
        };
        frame.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(refusal: &Refusal, frame: &str) {
        assert_eq!(&*refusal.frame(), frame);
    }

    #[test]
    fn ben_20_22_24_26_32_errors_are_word_for_word_what_front_ends_know() {
        check(&Refusal::Incomplete(Style::Chat), r#"{"error":"Datos incompletos para enviar el mensaje"}"#);
        check(&Refusal::Failed(Style::Chat, "away"), r#"{"error":"Error interno al enviar el mensaje"}"#);
        check(
            &Refusal::Incomplete(Style::AgentChat),
            r#"{"event":"error","message":"Se requieren chat_id y message"}"#,
        );
        check(
            &Refusal::Failed(Style::AgentChat, "sin conexión"),
            r#"{"event":"error","message":"Error al enviar el mensaje: sin conexión"}"#,
        );
        check(&Refusal::Garbage, r#"{"error":"Error al procesar el mensaje"}"#);
    }

    #[test]
    fn ben_33_and_whatever_may_not_be_written_is_refused_by_name() {
        check(&Refusal::NotYou, r#"{"error":"sender_id no es el del usuario conectado"}"#);
        check(&Refusal::Unwelcome(Style::Chat, "message: x".to_owned()), r#"{"error":"message: x"}"#);
        check(
            &Refusal::Unwelcome(Style::AgentChat, "chat_id: x".to_owned()),
            r#"{"event":"error","message":"Error al enviar el mensaje: chat_id: x"}"#,
        );
    }
}
