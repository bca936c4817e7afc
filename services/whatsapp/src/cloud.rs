//! A number of the Cloud API: everything it does goes over the Graph API.

mod answer;
mod body;
mod budget;
mod graph;
mod origin;
mod probe;
mod uploads;

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use chasqui_media::{FileId, Limits, MediaStore};
use chasqui_proto::{
    Tenant,
    v1::{LinkEvent, Media},
};
use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, ConnectorError, Fetched, Outcome, Outgoing};

use answer::Read;
use body::Draft;
use budget::Budget;
use graph::{Failed, UPLOAD_WAIT};
pub(crate) use graph::{Graph, GraphError};
use uploads::Uploads;

/// How the Graph API is reached.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where it is, such as `https://graph.facebook.com`.
    pub(crate) graph_url: String,
    /// Which version is spoken, such as `v23.0`.
    pub(crate) graph_version: String,
    /// How long connecting may take.
    pub(crate) connect_wait: Duration,
    /// How long an answer may take, from the beginning of the request to the last byte of the answer.
    pub(crate) answer_wait: Duration,
}

/// Which number it is, and what opens it.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    /// Whose files it sends.
    pub(crate) tenant: Tenant,
    /// Digits.
    pub(crate) phone_number_id: String,
    /// Never shown.
    pub(crate) access_token: SecretString,
}

/// One number. It keeps nothing that another process would miss: files it uploaded are uploaded again.
pub(crate) struct CloudApi {
    graph: Graph,
    number: Number,
    store: MediaStore,
    limits: Limits,
    /// The ids of files that were uploaded for this number.
    uploads: Uploads,
    /// How many more downloads may fail before WhatsApp closes them for an hour.
    downloads: Budget,
}

impl fmt::Debug for CloudApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudApi")
            .field("phone_number_id", &self.number.phone_number_id)
            .finish_non_exhaustive()
    }
}

impl CloudApi {
    /// The connector of a number. Nothing is asked yet.
    pub(crate) fn new(graph: Graph, number: Number, store: MediaStore, limits: Limits) -> Self {
        let (uploads, downloads) = (Uploads::default(), Budget::default());
        Self { graph, number, store, limits, uploads, downloads }
    }

    /// Where the number's own things are, such as `messages`.
    fn own(&self, what: &str) -> String {
        format!("{}/{what}", self.number.phone_number_id)
    }

    async fn send_once(&self, outgoing: &Outgoing) -> Outcome {
        let draft = match Draft::of(outgoing) {
            Ok(draft) => draft,
            Err(error) => return answer::refused_by_us(answer::INVALID_PARAMETER, &error.to_string()),
        };
        let files = draft.files();
        let (outcome, was_remembered) = self.post(draft.clone(), &files).await;
        if !(was_remembered && answer::is_about_media(&outcome)) {
            return outcome;
        }
        // Refused, so nothing was sent: perhaps because the provider no longer has what it was given before.
        for &file in &files {
            self.uploads.forget(file);
        }
        self.post(draft, &files).await.0
    }

    /// Posts a message with its files, and tells whether one of them had been uploaded before.
    async fn post(&self, mut draft: Draft, files: &[FileId]) -> (Outcome, bool) {
        let mut was_remembered = false;
        for &file in files {
            match self.media_id(file).await {
                Ok((id, remembered)) => {
                    draft.put_media_id(file, &id);
                    was_remembered |= remembered;
                }
                Err(outcome) => return (outcome, false),
            }
        }
        let posted =
            self.graph.post(&self.own("messages"), &self.number.access_token, draft.into_bytes()).await;
        let outcome = match posted {
            Ok(answered) => answer::outcome(&answered),
            Err(Failed::NotWritten(cause)) => Outcome::NotWritten(cause),
            Err(Failed::Unknown(cause)) => Outcome::Unknown(cause),
        };
        (outcome, was_remembered)
    }

    /// The provider's id of a file of ours, uploaded unless that was done before, and whether it was. Whatever goes wrong
    /// here, the message itself was not written.
    async fn media_id(&self, file: FileId) -> Result<(String, bool), Outcome> {
        let slot = self.uploads.slot(file);
        let mut known = slot.lock().await;
        if let Some(id) = known.id() {
            return Ok((id.to_owned(), true));
        }
        let form = uploads::form(&self.store, &self.number.tenant, file, &self.limits).await?;
        let path = self.own("media");
        let id = match self.graph.upload(&path, &self.number.access_token, form).await {
            Ok(answered) => answer::uploaded(&answered)?,
            Err(Failed::NotWritten(cause) | Failed::Unknown(cause)) => {
                return Err(Outcome::NotWritten(cause));
            }
        };
        known.remember(id.clone());
        Ok((id, false))
    }

    async fn mark_read(&self, provider_message_id: &str, typing: bool) -> Result<(), ConnectorError> {
        let body = body::read_mark(provider_message_id, typing);
        let answered = self.graph.post(&self.own("messages"), &self.number.access_token, body).await?;
        match answer::read(&answered) {
            Read::Json(_) => Ok(()),
            odd => Err(odd.into()),
        }
    }

    async fn open(&self, media: &Media) -> Result<Fetched, ConnectorError> {
        let path = origin::path_of(&media.id)?;
        let pass = self.downloads.enter().await?;
        let found = async {
            let answered = self.graph.get(&path, &self.number.access_token).await?;
            let file = answer::file(answer::read(&answered))?;
            let bytes_max = self.limits.of_mime_type(&file.mime_type);
            if file.size_bytes.is_some_and(|size| size > bytes_max) {
                return Err(ConnectorError::TooLarge(bytes_max));
            }
            let url = self.graph.trusted(&file.url)?;
            let content = self.graph.download(url, &self.number.access_token, bytes_max).await?;
            Ok(Fetched { mime_type: file.mime_type, content })
        };
        let found = found.await;
        if matches!(found, Err(ConnectorError::Refused(_))) {
            pass.failed();
        }
        found
    }
}

impl Connector for CloudApi {
    fn run(&self, events: mpsc::Sender<LinkEvent>, stop: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            stop.run_until_cancelled(probe::run(&self.graph, &self.number, &events)).await;
        })
    }

    fn preparation_max(&self, outgoing: &Outgoing) -> Duration {
        let files = Draft::of(outgoing).map_or(0, |draft| draft.files().len());
        let uploads = UPLOAD_WAIT.saturating_mul(u32::try_from(files).unwrap_or(u32::MAX));
        // Twice: what the provider no longer has is uploaded again, and the message is refused before that.
        if files == 0 { Duration::ZERO } else { uploads.saturating_add(self.graph.answer_wait()) * 2 }
    }

    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Outcome> {
        Box::pin(self.send_once(outgoing))
    }

    fn read<'a>(
        &'a self,
        provider_message_id: &'a str,
        typing: bool,
    ) -> BoxFuture<'a, Result<(), ConnectorError>> {
        Box::pin(self.mark_read(provider_message_id, typing))
    }

    fn fetch<'a>(&'a self, media: &'a Media) -> BoxFuture<'a, Result<Fetched, ConnectorError>> {
        Box::pin(self.open(media))
    }

    fn log_out(&self) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async { Err(ConnectorError::Unsupported("log a number of the Cloud API out")) })
    }
}
