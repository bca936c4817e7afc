//! Whether a contact wants campaigns: what messages and statuses say of it. Pure.

use std::collections::HashSet;

use chasqui_proto::v1::{self, ChannelKind, Direction, MessageType, Status};
use prost::Message;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::fact::{Body, Fact};

/// The longest text that may be a keyword, bytes: the longest keyword, and room for what people write around it. A longer
/// one is not looked at.
const TEXT_BYTES_MAX: usize = 512;

/// WhatsApp's error for a contact who told WhatsApp that it wants no more marketing messages.
const STOPPED_MARKETING: i64 = 131_050;

/// Who says what a contact wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// The contact, by a keyword.
    Keyword,
    /// The contact, to WhatsApp.
    Provider,
    /// A person or program of the tenant.
    Operator,
}

impl Source {
    /// As it stands in the database and on the bus.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Provider => "provider",
            Self::Operator => "operator",
        }
    }
}

/// What is said of a contact getting campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    /// It wants none; else it wants them again.
    pub(crate) opted_out: bool,
    pub(crate) source: Source,
}

impl Wish {
    /// The wish of a fact. Almost none has one.
    pub(crate) fn of(fact: &Fact, keywords: &Keywords) -> Option<Self> {
        match &fact.body {
            Body::Message(message) => {
                keywords.said(message).map(|opted_out| Self { opted_out, source: Source::Keyword })
            }
            Body::Status { rank, .. } if i32::from(*rank) == i32::from(Status::Failed) => {
                let status = v1::MessageStatus::decode(fact.event.clone()).ok()?;
                let is_refused = status.errors.iter().any(|error| error.code == STOPPED_MARKETING);
                is_refused.then_some(Self { opted_out: true, source: Source::Provider })
            }
            Body::Status { .. } => None,
        }
    }
}

/// The words by which contacts leave and come back, folded.
#[derive(Clone, Debug)]
pub(crate) struct Keywords {
    opt_out: HashSet<String>,
    opt_in: HashSet<String>,
}

impl Keywords {
    pub(crate) fn new(opt_out: &[String], opt_in: &[String]) -> Self {
        let folded = |keywords: &[String]| keywords.iter().map(|keyword| fold(keyword)).collect();
        Self { opt_out: folded(opt_out), opt_in: folded(opt_in) }
    }

    /// Whether one is of both kinds.
    pub(crate) fn contradict(&self) -> bool {
        !self.opt_out.is_disjoint(&self.opt_in)
    }

    /// What a contact says by a message: that it wants no campaigns (`true`), or wants them again. Where it says both,
    /// the first. What a button is called inside (`start`) is the tenant's word, and brings nobody back.
    fn said(&self, message: &v1::Message) -> Option<bool> {
        let folded = |text: &str| (text.len() <= TEXT_BYTES_MAX).then(|| fold(text));
        let (words, id) = texts(message);
        let (words, id) = (words.and_then(folded), id.and_then(folded));
        let is_one = |keywords: &HashSet<String>, said: &Option<String>| {
            said.as_ref().is_some_and(|said| keywords.contains(said))
        };
        if is_one(&self.opt_out, &words) || is_one(&self.opt_out, &id) {
            return Some(true);
        }
        is_one(&self.opt_in, &words).then_some(false)
    }
}

/// What may be a keyword: what a contact wrote over WhatsApp, where campaigns go, and what it chose. A caption is about a
/// picture, and the name of a place or of a shared contact is nobody's wish. Its words, and the id of what it chose.
fn texts(message: &v1::Message) -> (Option<&str>, Option<&str>) {
    let channel = message.channel.as_ref().map_or(ChannelKind::Unspecified, v1::Channel::kind);
    let is_whatsapp = matches!(channel, ChannelKind::WhatsappCloud | ChannelKind::WhatsappLinked);
    let is_heard = is_whatsapp && message.direction() == Direction::In;
    let is_plain = message.media.is_none() && message.location.is_none();
    let is_text = is_plain && matches!(message.r#type(), MessageType::Text | MessageType::Edit);
    let is_choice = matches!(message.r#type(), MessageType::Interactive | MessageType::Button);
    let written = Some(message.text.as_str()).filter(|_| is_heard && is_text);
    let choice = message.choice.as_ref().filter(|_| is_heard && is_choice);
    (written.or(choice.map(|choice| choice.title.as_str())), choice.map(|choice| choice.id.as_str()))
}

/// A text as it is compared: small letters and digits without accents, words with one blank between them.
pub(crate) fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let plain: String = plain.map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{Config, fact::Place};

    fn keywords() -> Keywords {
        Config::default().keywords()
    }

    fn message(kind: MessageType, text: &str) -> v1::Message {
        v1::Message {
            direction: Direction::In.into(),
            channel: Some(v1::Channel { kind: ChannelKind::WhatsappCloud.into(), ..v1::Channel::default() }),
            r#type: kind.into(),
            text: text.to_owned(),
            ..v1::Message::default()
        }
    }

    fn chosen(kind: MessageType, id: &str, title: &str) -> v1::Message {
        let choice = v1::Choice { id: id.to_owned(), title: title.to_owned(), ..v1::Choice::default() };
        v1::Message { choice: Some(choice), ..message(kind, title) }
    }

    fn said(text: &str) -> Option<bool> {
        keywords().said(&message(MessageType::Text, text))
    }

    #[test]
    fn a_keyword_is_the_whole_message_however_it_is_written() {
        for text in [
            "stop",
            " STOP ",
            "¡Baja!",
            "baja.",
            "Dar  de\nBAJA",
            "cancelar suscripción",
            "ＳＴＯＰ",
            "Sair 🙏",
        ] {
            assert_eq!(said(text), Some(true), "{text:?}");
        }
        for text in ["start", "ALTA", "«Quiero recibir»", "suscribír"] {
            assert_eq!(said(text), Some(false), "{text:?}");
        }
    }

    #[test]
    fn a_keyword_inside_a_sentence_is_none() {
        for text in [
            "No quiero la baja",
            "stop it",
            "la presión está baja",
            "don't stop",
            "stopp",
            "ba ja",
            "",
            "¡!",
            "alta médica",
            "dar de baja el servicio",
        ] {
            assert_eq!(said(text), None, "{text:?}");
        }
        assert_eq!(said(&format!("stop{}", " ".repeat(TEXT_BYTES_MAX))), None, "too long to be looked at");
    }

    #[test]
    fn a_button_or_row_counts_by_its_title_and_by_what_stands_behind_it() {
        for kind in [MessageType::Button, MessageType::Interactive] {
            let said = |id, title| keywords().said(&chosen(kind, id, title));
            assert_eq!(said("choice-7", "Dar de baja"), Some(true));
            assert_eq!(said("STOP", "No, gracias"), Some(true));
            assert_eq!(said("choice-7", "Alta"), Some(false));
            assert_eq!(
                said("start", "Empezar"),
                None,
                "the tenant's own word for a button brings nobody back"
            );
            assert_eq!(said("start", "Baja"), Some(true), "who says both leaves");
            assert_eq!(said("choice-7", "Más tarde"), None);
        }
    }

    #[test]
    fn only_what_a_contact_writes_over_whatsapp_is_its_wish() {
        let stop = message(MessageType::Text, "stop");
        let check =
            |message: v1::Message, expected| assert_eq!(keywords().said(&message), expected, "{message:?}");
        check(v1::Message { direction: Direction::Out.into(), ..stop.clone() }, None);
        check(message(MessageType::Edit, "stop"), Some(true));
        for kind in [MessageType::Image, MessageType::Location, MessageType::Contacts, MessageType::System] {
            check(message(kind, "baja"), None);
        }
        let media = Some(v1::Media::default());
        check(v1::Message { media, ..message(MessageType::Edit, "stop") }, None);
        for (kind, expected) in [(ChannelKind::Widget, None), (ChannelKind::WhatsappLinked, Some(true))] {
            let channel = Some(v1::Channel { kind: kind.into(), ..v1::Channel::default() });
            check(v1::Message { channel, ..stop.clone() }, expected);
        }
    }

    #[test]
    fn who_told_whatsapp_to_stop_has_told_us() {
        let wish = |status: Status, code| {
            let error = v1::ProviderError { code, ..v1::ProviderError::default() };
            let status = v1::MessageStatus {
                status: status.into(),
                errors: vec![error],
                ..v1::MessageStatus::default()
            };
            let (tenant, token) = ("default".parse().unwrap(), "5491100000001".parse().unwrap());
            let body = Body::Status {
                message_id: Uuid::nil(),
                provider_message_id: None,
                rank: i16::try_from(status.status).unwrap(),
                occurred_at_ms: 0,
            };
            let event = status.encode_to_vec().into();
            let place = Place { id: Uuid::nil(), tenant, token };
            let fact =
                Fact { id: Uuid::nil(), place, seq: 1, event, received_at_ms: 0, body, repeated: false };
            Wish::of(&fact, &keywords())
        };
        let expected = Wish { opted_out: true, source: Source::Provider };
        assert_eq!(wish(Status::Failed, STOPPED_MARKETING), Some(expected));
        assert_eq!(wish(Status::Failed, 131_026), None);
        assert_eq!(wish(Status::Sent, STOPPED_MARKETING), None, "it was sent all the same");
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,80}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }

        #[test]
        fn what_stands_around_a_keyword_does_not_hide_it(
            before in "[ \t\n.,;:!¡?¿*_~\"'()-]{0,20}", after in "[ \t\n.,;:!¡?¿*_~\"'()-]{0,20}", upper: bool,
        ) {
            let word = if upper { "CANCELAR SUSCRIPCIÓN" } else { "cancelar suscripcion" };
            prop_assert_eq!(said(&format!("{before}{word}{after}")), Some(true));
        }

        #[test]
        fn a_further_word_makes_it_another_message(word in "[a-z0-9ñ]{1,12}", first: bool) {
            let text = if first { format!("{word} remover") } else { format!("remover {word}") };
            prop_assert_eq!(said(&text), None);
        }

        #[test]
        fn no_text_breaks_it(text in any::<String>()) {
            let _ = said(&text);
        }
    }
}
