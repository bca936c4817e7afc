//! What is for the guided flow, whoever answers otherwise. Pure.

use chasqui_proto::v1::Message;

/// `Message.provider_type` of what a front end hands to the flow (BEN-17).
pub const TO_FLOW: &str = "chatbot";
/// `Message.provider_type` of the frame that begins the flow anew (BEN-18).
pub const FLOW_START: &str = "chatbot_init";

/// Whether a message is the flow's: the bot of the pipeline takes it, and no bot outside is to answer it.
pub fn is_for_flow(message: &Message) -> bool {
    [TO_FLOW, FLOW_START].contains(&message.provider_type.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ben_17_ben_18_what_a_front_end_marks_is_for_the_flow() {
        let of =
            |provider_type: &str| Message { provider_type: provider_type.to_owned(), ..Message::default() };
        assert!(is_for_flow(&of("chatbot")) && is_for_flow(&of("chatbot_init")));
        assert!(!is_for_flow(&of("")) && !is_for_flow(&of("text")));
    }
}
