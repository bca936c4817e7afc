//! A message of a business: taken, refused, or befallen by a fault.

use std::sync::Arc;

use chasqui_kit::clock::now_ms;
use serde_json::value::RawValue;

use super::{
    agenda::{News, Update},
    error::{GraphError, NUMBER_LIMIT, PAIR_LIMIT, PARAMETER, VALUE, WINDOW_CLOSED},
    fault::Fault,
    limit::{Broken, Pair},
    settings::Window,
    validation::Outgoing,
};
use crate::{
    history::{Direction, Progress, Written},
    payload,
    world::{Book, World},
};

/// What the business is answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was taken, under this id; the answer is held back so many milliseconds.
    Taken { id: String, after_ms: u64 },
    /// It was not.
    Refused(GraphError),
    /// Nothing, ever.
    Nothing,
    /// The connection is closed.
    Closed,
    /// What a proxy says whose server is away.
    Html,
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) number: Arc<str>,
    /// The Graph API's version it came through.
    pub(super) version: u32,
    pub(super) outgoing: Outgoing,
    pub(super) body: Box<RawValue>,
}

impl World {
    /// Judges a message as WhatsApp would, and records it when it is taken.
    pub(super) fn take(&self, arrived: Arrived) -> Answer {
        let outgoing = &arrived.outgoing;
        let is_there = outgoing.file.as_deref().is_none_or(|id| self.files.get(id).is_some());
        let mut book = self.book();
        let fault = book.faults.befall(&arrived.number, outgoing);
        let refusal = match &fault {
            Some(Fault::Refuse(error)) => Some(error.clone()),
            Some(Fault::TimeoutBefore) => return Answer::Nothing,
            Some(Fault::Reset) => return Answer::Closed,
            Some(Fault::Html) => return Answer::Html,
            _ if !is_there => {
                let details = format!("Param {}['id'] is not the id of an uploaded file", outgoing.kind);
                Some(GraphError::new(PARAMETER, details))
            }
            _ => None,
        };
        let taken = match refusal {
            Some(error) => Err(error),
            None => judge(&mut book, &arrived, now_ms()),
        };
        let failure = match taken {
            Ok(failure) => failure,
            Err(error) => {
                book.stats.refused(error.code);
                return Answer::Refused(error);
            }
        };
        let failure = match &fault {
            Some(Fault::Fail(error)) => Some(error.clone()),
            _ => failure,
        };
        let id = record(&mut book, arrived, failure, now_ms());
        drop(book);
        self.changed();
        self.added.notify_one();
        match fault {
            Some(Fault::TimeoutAfterWrite) => Answer::Nothing,
            Some(Fault::Slow(after_ms)) => Answer::Taken { id, after_ms },
            _ => Answer::Taken { id, after_ms: 0 },
        }
    }

    /// A business has read a contact's message, and perhaps writes an answer.
    pub(super) fn mark_read(
        &self,
        number: &Arc<str>,
        message_id: &str,
        typing: bool,
    ) -> Result<(), GraphError> {
        let mut book = self.book();
        let Some(sender) = book.history.find(message_id).map(|message| message.contact.clone()) else {
            // Messages that did not pass through here may be real all the same.
            let is_wamid = message_id.starts_with("wamid.");
            return if is_wamid {
                Ok(())
            } else {
                Err(GraphError::new(VALUE, "message_id is not the id of a message"))
            };
        };
        book.history.advance(message_id, Progress::Read);
        if typing {
            book.history.type_to(number.clone(), sender, now_ms());
        }
        drop(book);
        self.changed();
        Ok(())
    }
}

/// Whether WhatsApp takes a message: if so, the error it fails with later, if any.
fn judge(book: &mut Book, arrived: &Arrived, now_ms: i64) -> Result<Option<GraphError>, GraphError> {
    let pair: Pair = (arrived.number.clone(), arrived.outgoing.to.as_str().into());
    let closed = arrived.outgoing.template.is_none() && !book.limits.is_open(&pair, now_ms);
    let outside = match book.settings.window {
        Window::Off => None,
        _ if !closed => None,
        Window::Refuse | Window::Fail => {
            book.stats.window_violations += 1;
            let details = "Message failed to send because more than 24 hours have passed since the customer last \
                           replied to this number.";
            Some(GraphError::new(WINDOW_CLOSED, details))
        }
    };
    if let (Window::Refuse, Some(error)) = (book.settings.window, &outside) {
        return Err(error.clone());
    }
    book.limits.take(&pair, &book.settings, now_ms).map_err(|broken| match broken {
        Broken::Number => {
            book.stats.number_violations += 1;
            GraphError::new(NUMBER_LIMIT, "Cloud API message throughput has been reached.")
        }
        Broken::Pair => {
            book.stats.pair_violations += 1;
            let details = "Message failed to send because there were too many messages sent from this phone number to \
                           the same phone number in a short period of time.";
            GraphError::new(PAIR_LIMIT, details)
        }
    })?;
    Ok(outside)
}

fn record(book: &mut Book, arrived: Arrived, failure: Option<GraphError>, now_ms: i64) -> String {
    let Arrived { number, version, outgoing, body } = arrived;
    let (id, contact) = (payload::wamid(), Arc::<str>::from(outgoing.to.as_str()));
    book.stats.accepted(&number, outgoing.callback_data.as_deref());
    let update = |news| Update {
        number: number.clone(),
        contact: contact.clone(),
        id: id.clone(),
        news,
        callback_data: outgoing.callback_data.clone(),
        is_template: outgoing.template.is_some(),
        version,
    };
    let at = |delay_ms: u64| now_ms.saturating_add_unsigned(delay_ms);
    if let Some(failure) = failure {
        book.agenda.add(at(book.settings.sent_after_ms), update(News::Failed(failure)));
    } else {
        for told in &book.settings.statuses {
            book.agenda.add(at(book.settings.delay_ms(*told)), update(News::Told(*told)));
        }
    }
    book.history.add(Written {
        number,
        contact,
        direction: Direction::Received,
        id: id.clone(),
        time_ms: now_ms,
        body,
        callback_data: outgoing.callback_data,
        progress: Progress::Accepted,
    });
    id
}
