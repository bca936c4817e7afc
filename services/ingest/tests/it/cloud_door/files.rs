//! Files: uploaded, shown, sent, deleted.

use std::path::{Path, PathBuf};

use anyhow::Result;
use chasqui_ingest::Config;
use chasqui_media::MediaStore;
use reqwest::multipart::{Form, Part};
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::door::{ACME_NUMBER, Door, MEDIA_BASE_URL, body, media, text};
use crate::world::answer;

fn form(part: Part) -> Form {
    Form::new().text("messaging_product", "whatsapp").part("file", part)
}

fn photo(bytes: usize) -> Result<Part> {
    Ok(Part::bytes(vec![7; bytes]).file_name("foto.jpg").mime_str("image/jpeg")?)
}

#[tokio::test]
async fn a_file_is_uploaded_shown_sent_and_deleted_by_its_tenant_alone() -> Result<()> {
    let door = Door::start().await?;
    let (status, told) = answer(door.upload(form(photo(50_000)?)).send().await?).await?;
    let id = told["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!((status, &told), (200, &json!({ "id": id })));
    let (status, mut shown) = answer(door.get(&id, &door.acme).send().await?).await?;
    let url = shown["url"].take();
    assert!(
        url.as_str()
            .is_some_and(|url| url.starts_with(&format!("{MEDIA_BASE_URL}/media/acme/{id}?expires=")))
    );
    let sha256 = hex::encode(Sha256::digest(vec![7; 50_000]));
    let expected = json!({
        "messaging_product": "whatsapp",
        "url": null,
        "mime_type": "image/jpeg",
        "sha256": sha256,
        "file_size": 50_000,
        "id": id,
    });
    assert_eq!((status, &shown), (200, &expected));
    let kept = MediaStore::open(&media(&door.files))?.head(&"acme".parse()?, id.parse()?).await?;
    assert_eq!((kept.filename.as_str(), kept.size_bytes), ("foto.jpg", 50_000));
    assert_eq!(Door::refusal(door.get(&id, &door.other)).await?.0, 503, "nobody says that it is another's");
    assert_eq!(Door::refusal(door.delete(&id, &door.other)).await?.2, Some(33));
    let path = format!("/v21.0/{ACME_NUMBER}/messages");
    let send = door.post(&path, door.acme.secret.expose_secret()).json(&body("image", &json!({ "id": id })));
    send.send().await?.error_for_status()?;
    assert_eq!(door.sent().await?[0].media.clone().unwrap_or_default().id, id);
    let removed = answer(door.delete(&id, &door.acme).send().await?).await?;
    assert_eq!(removed, (200, json!({ "success": true })));
    assert_eq!(Door::refusal(door.delete(&id, &door.acme)).await?.2, Some(33), "it is gone");
    door.world.stop().await
}

#[tokio::test]
async fn a_form_that_is_none_leaves_no_file_behind() -> Result<()> {
    let door = Door::start().await?;
    let refused = async |form: Form, details: &str| -> Result<()> {
        let refusal = Door::refusal(door.upload(form)).await?;
        assert_eq!(refusal, (400, 100, None, details.to_owned()));
        Ok(())
    };
    refused(Form::new().text("messaging_product", "whatsapp"), "file is needed").await?;
    refused(Form::new().part("file", photo(5)?), "messaging_product must be whatsapp").await?;
    refused(form(photo(5)?).part("file", photo(5)?), "only one file can be uploaded at a time").await?;
    let nonsense = "type must be a type of file such as image/jpeg";
    refused(Form::new().text("type", "photo").part("file", photo(5)?), nonsense).await?;
    refused(form(photo(64 * 1024 + 1)?), "the file has more than 65536 bytes").await?;
    refused(form(photo(4 * 1024 * 1024)?), "the file has more than 65536 bytes").await?;
    let path = format!("/v21.0/{ACME_NUMBER}/media");
    let raw = |body: &str, kind: &str| {
        let request = door.post(&path, door.acme.secret.expose_secret());
        request.header("content-type", kind.to_owned()).body(body.to_owned())
    };
    let headers_without_end = format!("--b\r\nX: {}", "x".repeat(3 * 1024 * 1024));
    for (body, kind) in [
        ("x", "application/json"),
        ("x", "multipart/form-data"),
        (
            "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf",
            "multipart/form-data; boundary=b",
        ),
        ("nothing", "multipart/form-data; boundary=b"),
    ] {
        let (status, code, ..) = Door::refusal(raw(body, kind)).await?;
        assert_eq!((status, code), (400, 100), "{kind}");
    }
    let (status, _, _, details) =
        Door::refusal(raw(&headers_without_end, "multipart/form-data; boundary=b")).await?;
    assert_eq!((status, details.ends_with("the form did not arrive whole")), (400, true), "{details}");
    let kept = walk(door.files.path())?;
    assert!(kept.is_empty(), "{kept:?}");
    door.world.stop().await
}

#[tokio::test]
async fn the_type_before_the_file_counts_and_the_limit_is_that_types() -> Result<()> {
    let door = Door::start().await?;
    let bytes = Part::bytes(vec![7; 100_000]).file_name("a.bin");
    let typed = Form::new()
        .text("messaging_product", "whatsapp")
        .text("type", "audio/ogg; codecs=opus")
        .part("file", bytes);
    let id = answer(door.upload(typed).send().await?.error_for_status()?).await?.1["id"].clone();
    let shown = answer(door.get(id.as_str().unwrap_or_default(), &door.acme).send().await?).await?.1;
    assert_eq!(
        (&shown["mime_type"], &shown["file_size"]),
        (&json!("audio/ogg; codecs=opus"), &json!(100_000))
    );
    door.world.stop().await
}

#[tokio::test]
async fn without_a_key_for_addresses_there_are_no_files_and_messages_go_on() -> Result<()> {
    let door =
        Door::start_with(|config| Config { media: chasqui_media::Config::default(), ..config }).await?;
    let refusal = Door::refusal(door.upload(form(photo(5)?))).await?;
    assert_eq!(refusal, (503, 131_000, None, "no files are kept here: media.url_key is not set".to_owned()));
    assert_eq!(door.message(&text("hola")).send().await?.status(), 200);
    door.world.stop().await
}

/// Every file below a directory.
fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(walk(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
