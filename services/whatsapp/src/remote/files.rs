//! Files of ours as connectors get them: they have no media store, so they are given an address.

use chasqui_kit::clock::now_ms;
use chasqui_media::{Config, FileId, MediaError, MediaStore, MediaUrls};
use chasqui_proto::{
    Tenant,
    v1::{Media, ProviderError},
};

use crate::connector::Outcome;

/// The Graph API's code for a file that cannot be sent: no other attempt would help.
const MEDIA_UPLOAD: i64 = 131_053;

/// The media store, and how its files are addressed.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    store: MediaStore,
    /// Why there are none, where there are none.
    urls: Result<MediaUrls, &'static str>,
}

impl Files {
    pub(crate) fn new(store: MediaStore, config: &Config) -> Self {
        let urls = match MediaUrls::new(config) {
            Err(_) => Err("media.url_key: is needed to give a connector a file"),
            Ok(_) if config.base_url.is_empty() => {
                Err("media.base_url: is empty, and a connector cannot open an address without its beginning")
            }
            Ok(urls) => Ok(urls),
        };
        Self { store, urls }
    }

    /// Gives a file of ours its address, and what is known of it. Links, and what the provider has, stay as they are.
    pub(super) async fn address(&self, tenant: &Tenant, media: &mut Media) -> Result<(), Outcome> {
        let Ok(id) = media.id.parse::<FileId>() else { return Ok(()) };
        let urls = self.urls.as_ref().map_err(|missing| refused(missing))?;
        let file = self.store.head(tenant, id).await.map_err(|error| match error {
            MediaError::NotFound => refused(&format!("media.id: {error}: {id}")),
            _ => Outcome::NotWritten(error.to_string()),
        })?;
        media.url = urls.url(tenant, id, now_ms());
        for (given, known) in [(&mut media.mime_type, file.mime_type), (&mut media.filename, file.filename)] {
            if given.is_empty() {
                *given = known;
            }
        }
        Ok(())
    }
}

fn refused(message: &str) -> Outcome {
    let title = "Not sent".to_owned();
    let error =
        ProviderError { code: MEDIA_UPLOAD, title, message: message.to_owned(), ..ProviderError::default() };
    Outcome::Refused { error, http_status: 0, retry_after: None }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chasqui_media::{Incoming, Properties};
    use futures::{StreamExt, stream};

    use super::*;

    fn config(directory: &tempfile::TempDir) -> Config {
        Config {
            store: directory.path().display().to_string(),
            url_key: Some("a-key-of-sixteen".into()),
            base_url: "https://chat.example.com".to_owned(),
            ..Config::default()
        }
    }

    fn files(config: &Config) -> Files {
        Files::new(MediaStore::open(config).unwrap(), config)
    }

    fn named(id: &str, url: &str) -> Media {
        Media { id: id.to_owned(), url: url.to_owned(), ..Media::default() }
    }

    async fn refusal(files: &Files, tenant: &str, id: FileId) -> (i64, String) {
        let refused = files.address(&tenant.parse().unwrap(), &mut named(&id.to_string(), "")).await;
        let Err(Outcome::Refused { error, http_status: 0, .. }) = refused else { panic!("{refused:?}") };
        (error.code, error.message)
    }

    #[tokio::test]
    async fn a_file_of_ours_is_given_an_address_that_opens_it_and_links_stay() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        let (files, tenant, id) = (files(&config), "default".parse().unwrap(), FileId::now());
        let properties = Properties { mime_type: "image/png".to_owned(), filename: "foto.png".to_owned() };
        let incoming = Incoming { properties, bytes_max: 100, sha256: None };
        let content = stream::iter([Ok::<_, MediaError>(Bytes::from_static(b"picture"))]).boxed();
        files.store.put(&tenant, id, incoming, content).await.unwrap();

        let mut media = named(&id.to_string(), "");
        files.address(&tenant, &mut media).await.unwrap();
        assert!(media.url.starts_with(&format!("https://chat.example.com/media/default/{id}?")), "{media:?}");
        assert_eq!((media.mime_type.as_str(), media.filename.as_str()), ("image/png", "foto.png"));
        for (id, url) in [("", "https://example.com/a.png"), ("900000000000009", "")] {
            let mut media = named(id, url);
            files.address(&tenant, &mut media).await.unwrap();
            assert_eq!(media, named(id, url));
        }
        // Another tenant has no such file.
        assert_eq!(refusal(&files, "other", id).await.0, MEDIA_UPLOAD);
    }

    #[tokio::test]
    async fn what_is_missing_for_an_address_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for (config, setting) in [
            (Config { base_url: String::new(), ..config(&directory) }, "media.base_url"),
            (Config { url_key: None, ..config(&directory) }, "media.url_key"),
            (config(&directory), "media.id"),
        ] {
            let (code, text) = refusal(&files(&config), "default", FileId::now()).await;
            assert_eq!((code, text.starts_with(setting)), (MEDIA_UPLOAD, true), "{text}");
        }
    }
}
