//! Section `media`.

use std::path::PathBuf;

use chasqui_kit::config::{Problems, Section};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::Limits;

/// The shortest key that addresses are signed with, bytes: half of what SHA-256 gives.
const URL_KEY_LENGTH_MIN: usize = 16;
/// The longest time an address may be good for, seconds: seven days.
const URL_LIFETIME_SECS_MAX: u32 = 7 * 24 * 3600;
/// The largest file any setting allows, bytes: 2 GiB, what the Cloud API's largest could become many times over.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Section `media`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where files are kept: a directory, or `s3://bucket/prefix`. Every process that keeps or serves files must see the
    /// same one. Default `media`, in the working directory.
    pub store: String,
    /// Where the bucket is, such as `https://minio.internal:9000`. Default none: Amazon's, by region. `HTTPS_PROXY`,
    /// `HTTP_PROXY` and `NO_PROXY` of the environment count.
    pub s3_endpoint: Option<String>,
    /// The bucket's region. Default `us-east-1`.
    pub s3_region: String,
    /// The access key's name. Default none: the machine's own credentials.
    pub s3_access_key: Option<String>,
    /// The access key's secret. Needed with `s3_access_key`.
    pub s3_secret_key: Option<SecretString>,
    /// Whether the bucket stands in the path of requests and not in their host, as most servers but Amazon's want it.
    /// Default `true`.
    pub s3_path_style: bool,
    /// What addresses of files are signed with, at least 16 bytes; several, separated by commas, while it is being
    /// changed: the first signs, all verify. Default none: needed by whoever gives out or serves addresses.
    pub url_key: Option<SecretString>,
    /// What addresses of files begin with, such as `https://chat.example.com`. Default empty: they are relative.
    pub base_url: String,
    /// How long an address is good for at least, seconds; at most a quarter longer. Default 3600.
    pub url_lifetime_secs: u32,
    /// The most bytes of an image. Default 5 MiB.
    pub image_bytes_max: u64,
    /// The most bytes of an audio or a voice note. Default 16 MiB.
    pub audio_bytes_max: u64,
    /// The most bytes of a video. Default 16 MiB.
    pub video_bytes_max: u64,
    /// The most bytes of a document. Default 100 MiB.
    pub document_bytes_max: u64,
    /// The most bytes of a sticker. Default 500 KiB.
    pub sticker_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: "media".to_owned(),
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_access_key: None,
            s3_secret_key: None,
            s3_path_style: true,
            url_key: None,
            base_url: String::new(),
            url_lifetime_secs: 3_600,
            image_bytes_max: 5 * 1024 * 1024,
            audio_bytes_max: 16 * 1024 * 1024,
            video_bytes_max: 16 * 1024 * 1024,
            document_bytes_max: 100 * 1024 * 1024,
            sticker_bytes_max: 500 * 1024,
        }
    }
}

/// Where files are kept, as configured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    Bucket { name: String, prefix: String },
}

impl Config {
    /// How large files may be.
    pub fn limits(&self) -> Limits {
        Limits {
            image_bytes_max: self.image_bytes_max,
            audio_bytes_max: self.audio_bytes_max,
            video_bytes_max: self.video_bytes_max,
            document_bytes_max: self.document_bytes_max,
            sticker_bytes_max: self.sticker_bytes_max,
        }
    }

    /// Whether addresses can be signed and checked: for the checks of services that need it.
    pub fn has_url_key(&self) -> bool {
        self.url_keys().next().is_some()
    }

    /// Every key an address may be signed with, the one that signs first.
    pub(crate) fn url_keys(&self) -> impl Iterator<Item = SecretString> {
        let all = self.url_key.as_ref().map_or("", |keys| keys.expose_secret());
        all.split(',').map(str::trim).filter(|key| !key.is_empty()).map(SecretString::from)
    }

    pub(crate) fn place(&self) -> Result<Place, &'static str> {
        if let Some(path) = self.store.strip_prefix("s3://") {
            let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
            return match name {
                "" => Err("must name a bucket: s3://bucket/prefix"),
                name => Ok(Place::Bucket { name: name.to_owned(), prefix: prefix.to_owned() }),
            };
        }
        let path = self.store.strip_prefix("file://").unwrap_or(&self.store);
        match path {
            "" => Err("must be a directory or s3://bucket/prefix"),
            path if path.contains("://") => Err("must be a directory or s3://bucket/prefix"),
            path => Ok(Place::Directory(path.into())),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "media";

    fn check(&self, problems: &mut Problems) {
        if let Err(expected) = self.place() {
            problems.add("media.store", expected);
        }
        problems.require(
            self.s3_access_key.is_some() == self.s3_secret_key.is_some(),
            "media.s3_access_key",
            "goes with media.s3_secret_key: give both or neither",
        );
        let is_web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        problems.require(
            self.s3_endpoint.as_deref().is_none_or(is_web),
            "media.s3_endpoint",
            "must begin with https:// or http://",
        );
        problems.require(
            self.base_url.is_empty() || is_web(&self.base_url),
            "media.base_url",
            "must begin with https:// or http://, or be empty",
        );
        problems.require(
            self.url_keys().all(|key| key.expose_secret().len() >= URL_KEY_LENGTH_MIN),
            "media.url_key",
            format!("must have at least {URL_KEY_LENGTH_MIN} bytes, or be left out"),
        );
        problems.require(
            (1..=URL_LIFETIME_SECS_MAX).contains(&self.url_lifetime_secs),
            "media.url_lifetime_secs",
            format!("must be 1 to {URL_LIFETIME_SECS_MAX}"),
        );
        let sizes = [
            ("media.image_bytes_max", self.image_bytes_max),
            ("media.audio_bytes_max", self.audio_bytes_max),
            ("media.video_bytes_max", self.video_bytes_max),
            ("media.document_bytes_max", self.document_bytes_max),
            ("media.sticker_bytes_max", self.sticker_bytes_max),
        ];
        for (setting, size) in sizes {
            let expected = format!("must be 1 to {FILE_BYTES_MAX}");
            problems.require((1..=FILE_BYTES_MAX).contains(&size), setting, expected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Config) -> String {
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.lines().join("\n")
    }

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        let place = |store: &str| Config { store: store.to_owned(), ..Config::default() }.place();
        assert_eq!(place("media"), Ok(Place::Directory("media".into())));
        assert_eq!(place("file:///srv/media"), Ok(Place::Directory("/srv/media".into())));
        let bucket = |name: &str, prefix: &str| Place::Bucket { name: name.into(), prefix: prefix.into() };
        assert_eq!(place("s3://files"), Ok(bucket("files", "")));
        assert_eq!(place("s3://files/chasqui/media"), Ok(bucket("files", "chasqui/media")));
        for wrong in ["", "s3://", "s3:///prefix", "gs://files", "https://files.example.com"] {
            assert!(place(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_defaults_are_right_and_every_wrong_setting_is_named() {
        assert_eq!(told(&Config::default()), "");
        let wrong = Config {
            store: "gs://files".to_owned(),
            s3_endpoint: Some("minio:9000".to_owned()),
            s3_access_key: Some("key".to_owned()),
            base_url: "chat.example.com".to_owned(),
            url_key: Some("a-key-that-is-long-enough,short".into()),
            url_lifetime_secs: 0,
            sticker_bytes_max: 0,
            ..Config::default()
        };
        let told = told(&wrong);
        for name in [
            "store",
            "s3_endpoint",
            "s3_secret_key",
            "base_url",
            "url_key",
            "url_lifetime_secs",
            "sticker_bytes_max",
        ] {
            assert!(told.contains(&format!("media.{name}")), "{name} is missing in {told}");
        }
    }
}
