//! What the bot says, before it is a message.

/// One message to the contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    /// What it gives to choose from, where the channel shows buttons; the text names them as well.
    pub(crate) options: Vec<ReplyOption>,
}

/// Something to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyOption {
    pub(crate) id: String,
    pub(crate) label: String,
}

impl Reply {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), options: Vec::new() }
    }
}
