use anyhow::Result;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::{
    receiver::Receiver,
    simulator::{CONTACT, NUMBER, Simulator, TOKEN, answer},
};

fn form(content: Vec<u8>, mime_type: &str) -> Form {
    let file = Part::bytes(content).file_name("foto.png").mime_str(mime_type).expect("a type");
    Form::new().text("messaging_product", "whatsapp").text("type", mime_type.to_owned()).part("file", file)
}

#[tokio::test]
async fn a_file_goes_up_is_sent_comes_down_and_is_removed() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    let (client, base) = (&simulator.client, format!("{}/v23.0", simulator.url));
    let upload = |form| client.post(format!("{base}/{NUMBER}/media")).bearer_auth(TOKEN).multipart(form);
    let (status, uploaded) = answer(upload(form(vec![7; 3_000_000], "image/png"))).await?;
    let id = uploaded["id"].as_str().unwrap_or_default().to_owned();
    assert!(status == 200 && id.bytes().all(|byte| byte.is_ascii_digit()), "{uploaded}");
    let (status, refused) = answer(upload(form(vec![7; 5 * 1024 * 1024 + 1], "image/png"))).await?;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!(100)));
    assert_eq!(answer(upload(Form::new())).await?.0, 400);

    let image =
        json!({ "messaging_product": "whatsapp", "to": CONTACT, "type": "image", "image": { "id": id } });
    assert_eq!(answer(simulator.ask(&image)).await?.0, 200);
    let (_, file) = answer(client.get(format!("{base}/{id}")).bearer_auth(TOKEN)).await?;
    assert_eq!((&file["mime_type"], &file["file_size"]), (&json!("image/png"), &json!(3_000_000)));
    let url = file["url"].as_str().unwrap();
    assert_eq!(client.get(url).send().await?.status().as_u16(), 401, "without the token");
    assert_eq!(client.get(url).bearer_auth(TOKEN).send().await?.bytes().await?.len(), 3_000_000);
    let expired = format!("{}?expires=1", url.split_once('?').unwrap().0);
    assert_eq!(client.get(expired).bearer_auth(TOKEN).send().await?.status().as_u16(), 404);

    let remove = || client.delete(format!("{base}/{id}")).bearer_auth(TOKEN);
    assert_eq!(answer(remove()).await?.1, json!({ "success": true }));
    assert_eq!(answer(remove()).await?.1["error"]["error_subcode"], 33);
    assert_eq!(answer(simulator.ask(&image)).await?.1["error"]["code"], 100);
    simulator.stop().await
}

#[tokio::test]
async fn what_a_phone_sends_can_be_downloaded() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    let (client, base) = (&simulator.client, &simulator.url);
    let own = client
        .post(format!("{base}/phones/{CONTACT}/media"))
        .header("content-type", "image/png")
        .body("mine");
    let own = answer(own).await?.1["id"].clone();
    for (wanted, kind, mime_type) in [
        (json!({ "type": "image" }), "image", "image/jpeg"),
        (json!({ "type": "audio" }), "audio", "audio/ogg; codecs=opus"),
        (json!({ "type": "document" }), "document", "application/pdf"),
        (json!({ "type": "sticker" }), "sticker", "image/webp"),
        (json!({ "type": "video" }), "video", "video/mp4"),
        (json!({ "type": "image", "image": { "id": own } }), "image", "image/png"),
    ] {
        simulator.post("/phones/5491100000001/messages", wanted).await?;
        let webhook = receiver.inbox().pop().unwrap();
        let media = webhook["entry"][0]["changes"][0]["value"]["messages"][0][kind].clone();
        assert_eq!(media["mime_type"], mime_type);
        let id = media["id"].as_str().unwrap();
        let (_, file) = answer(client.get(format!("{base}/v23.0/{id}")).bearer_auth(TOKEN)).await?;
        let content =
            client.get(file["url"].as_str().unwrap()).bearer_auth(TOKEN).send().await?.bytes().await?;
        assert_eq!(json!(content.len()), file["file_size"], "{kind}");
        assert!(media["sha256"].is_string() && !content.is_empty());
    }
    simulator.stop().await
}
