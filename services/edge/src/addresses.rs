//! The addresses that files of messages are shown at.

use chasqui_kit::clock;
use chasqui_media::{FileId, MediaUrls};
use chasqui_proto::{MessageId, Tenant, v1};

use crate::event::Fact;

/// Gives messages the addresses of their files. Without a key there are none, and messages stay as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Option<MediaUrls>);

impl Addresses {
    pub(crate) fn new(urls: Option<MediaUrls>) -> Self {
        Self(urls)
    }

    /// The address of a file of a tenant.
    pub(crate) fn of_file(&self, tenant: &Tenant, id: FileId) -> Option<String> {
        self.0.as_ref().map(|urls| urls.url(tenant, id, clock::now_ms()))
    }

    /// A provider's own address ends soon and opens with its credentials only: ours takes its place.
    pub(crate) fn give(&self, message: &mut v1::Message) {
        let Some(id) = file_of(message) else { return };
        let Some(url) = message.tenant.parse().ok().and_then(|tenant| self.of_file(&tenant, id)) else {
            return;
        };
        if let Some(media) = &mut message.media {
            media.url = url;
        }
    }

    /// The same for a page of messages.
    pub(crate) fn give_all(&self, messages: &mut [v1::StoredMessage]) {
        messages
            .iter_mut()
            .filter_map(|stored| stored.message.as_mut())
            .for_each(|message| self.give(message));
    }

    /// The same for the message that a conversation ends with.
    pub(crate) fn give_last(&self, conversation: &mut v1::Conversation) {
        if let Some(message) = &mut conversation.last_message {
            self.give(message);
        }
    }

    /// The same for what is shown of a fact.
    pub(crate) fn give_fact(&self, fact: &mut Fact) {
        match fact {
            Fact::Message { message, .. } => self.give(message),
            Fact::Conversation(conversation) => self.give_last(conversation),
            _ => {}
        }
    }
}

/// The file of the media store that a message has. What a contact sent is kept under the message's own id.
fn file_of(message: &v1::Message) -> Option<FileId> {
    let media = message.media.as_ref()?;
    let is_ours = media.id.parse().ok();
    let is_fetched = message.direction() == v1::Direction::In && !media.id.is_empty();
    is_ours.or_else(|| message.id.parse::<MessageId>().ok().filter(|_| is_fetched).map(FileId::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10";
    const FILE: &str = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11";

    fn address(direction: v1::Direction, media: v1::Media) -> String {
        let config = chasqui_media::Config { url_key: Some("a-key-of-sixteen".into()), ..Default::default() };
        let addresses = Addresses::new(Some(MediaUrls::new(&config).unwrap()));
        let mut message = v1::Message {
            id: MESSAGE.to_owned(),
            tenant: "acme".to_owned(),
            direction: direction.into(),
            media: Some(media),
            ..v1::Message::default()
        };
        addresses.give(&mut message);
        message.media.unwrap().url
    }

    fn media(id: &str, url: &str) -> v1::Media {
        v1::Media { id: id.to_owned(), url: url.to_owned(), ..v1::Media::default() }
    }

    #[test]
    fn what_a_contact_sent_is_shown_under_its_messages_id_and_what_we_sent_under_its_own() {
        use v1::Direction::{In, Out};
        let at = |id: &str| format!("/media/acme/{id}?expires=");
        assert!(address(In, media("900000000000009", "https://provider/x")).starts_with(&at(MESSAGE)));
        assert!(address(In, media(FILE, "")).starts_with(&at(FILE)));
        assert!(address(Out, media(FILE, "")).starts_with(&at(FILE)));
        assert_eq!(address(Out, media("900000000000009", "")), "", "the provider has it, we do not");
        assert_eq!(address(Out, media("", "https://example.com/a.jpg")), "https://example.com/a.jpg");
    }

    #[test]
    fn without_a_key_messages_stay_as_they_came() {
        let mut message = v1::Message { media: Some(media(FILE, "u")), ..v1::Message::default() };
        Addresses::default().give(&mut message);
        assert_eq!(message.media.unwrap().url, "u");
    }
}
