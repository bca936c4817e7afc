//! Recipients in a file.

use std::sync::atomic::Ordering;

use anyhow::Result;
use chasqui_testkit::wait_for;
use futures::{StreamExt, stream};
use reqwest::{Body, multipart};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Office, greeting, with};
use crate::world::{API_KEY, SOON, answer};

/// A body that begins well and whose end does not come.
fn endless() -> Body {
    let head = "--b\r\ncontent-disposition: form-data; name=\"campaign\"\r\n\r\n".to_owned()
        + &greeting().to_string()
        + "\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nto,nombre\r\n5491100000001,Ana\r\n";
    let never = stream::pending::<Result<Vec<u8>, std::io::Error>>();
    Body::wrap_stream(stream::iter([Ok(head.into_bytes())]).chain(never))
}

#[tokio::test]
async fn crm_20_the_columns_of_a_spreadsheet_are_the_variables_of_a_template() -> Result<()> {
    let office = Office::open().await?;
    office.store.opted_out.lock().expect("no panic").insert("5491100000003".into());
    let template = json!({ "name": "turno", "language": { "code": "es_AR" } });
    let definition = json!({
        "name": "turnos", "message": { "type": "template", "template": template },
        "template_variables": ["Nombre", "fecha"],
    });
    let file = "\u{feff}Nombre;Teléfono;fecha\r\nAna;5491100000001;1/12\r\nAna;+54 911 0000-0001;2/12\r\n\
                José;11;3/12\r\nEva;5491100000003;4/12\r\nLuz;5491100000004;\r\n";
    let (code, told) = office.uploaded(&definition, file).await?;
    assert_eq!(code, 201, "{told}");
    let problems: Vec<(u64, &str, &str)> = told["report"]["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap_or_default();
            (problem["line"].as_u64().unwrap_or_default(), text("kind"), text("field"))
        })
        .collect();
    let expected =
        [(3, "duplicate", ""), (4, "invalid", "Teléfono"), (5, "opted_out", ""), (6, "invalid", "fecha")];
    assert_eq!(problems, expected);
    assert_eq!((&told["report"]["rows"], &told["report"]["accepted"]), (&json!(5), &json!(1)));
    let kept = office.store.only();
    let ana = &kept.recipients[0];
    assert_eq!((ana.line, ana.name.as_str(), ana.variables["fecha"].as_str()), (2, "Ana", "1/12"));
    let raw = kept.campaign.plan.unwrap_or_default().message.unwrap_or_default().raw;
    let raw: Value = serde_json::from_slice(&raw)?;
    assert_eq!(raw["template"]["components"][0]["parameters"][1]["text"], "{{fecha}}");
    office.close().await
}

#[tokio::test]
async fn a_hundred_thousand_rows_go_on_in_bounded_batches_one_after_the_other() -> Result<()> {
    let office = Office::open().await?;
    let rows = (0..100_000).map(|at| format!("54911{at:08},Ana {at},{}\n", "x".repeat(60)));
    let file =
        "telefono,nombre,notas\n".to_owned() + &rows.collect::<String>() + "5491100000000,Ana,otra vez\n";
    let definition = with(greeting(), &json!({ "message": "Hola {{nombre}}: {{notas}}" }));
    let (code, told) = office.uploaded(&definition, &file).await?;
    assert_eq!((code, &told["report"]["accepted"]), (201, &json!(100_000)), "{told}");
    let expected = json!([{
        "line": 100_002, "kind": "duplicate", "field": "", "problem": "the same contact stands in line 2",
    }]);
    assert_eq!(told["report"]["problems"], expected);
    let batches = office.store.batches.lock().expect("no panic").clone();
    assert!(batches.iter().all(|(rows, bytes)| *rows <= 5_000 && *bytes <= 512 * 1024), "{batches:?}");
    assert_eq!(batches.iter().map(|(rows, _)| rows).sum::<usize>(), 100_001);
    assert_eq!(office.store.at_once.load(Ordering::Relaxed), 1, "the first of two is told by their order");
    let kept = office.store.only().recipients;
    assert!(kept.windows(2).all(|two| two[0].line < two[1].line));
    office.close().await
}

#[tokio::test]
async fn a_message_that_mentions_a_column_the_file_does_not_have_is_refused_before_a_row_is_stored()
-> Result<()> {
    let office = Office::open().await?;
    let (code, told) = office.uploaded(&greeting(), "telefono,Nombre\n5491100000001,Ana\n").await?;
    let error = "message: the file has no column nombre; its columns are telefono, Nombre";
    assert_eq!((code, &told["error"]), (400, &json!(error)));
    assert!(office.store.batches.lock().expect("no panic").is_empty());
    assert!(office.store.held().is_empty());
    office.close().await
}

#[tokio::test]
async fn a_form_that_is_none_is_told_what_was_expected_and_leaves_nothing() -> Result<()> {
    let office = Office::open().await?;
    let text = |text: &str| multipart::Part::text(text.to_owned());
    let (form, definition) = (multipart::Form::new, greeting().to_string());
    let file = || text("to,nombre\n5491100000001,Ana\n");
    let torn = "to,nombre\n5491100000001,\"".to_owned() + &"x".repeat(200_000);
    for (form, code, expected) in [
        (form().part("file", file()), 400, "campaign: must come next"),
        (form().text("campaign", definition.clone()), 400, "file: is needed: the second part"),
        (form().text("campaign", definition.clone()).text("a", "b"), 400, "file: must come next"),
        (
            form().text("campaign", definition.clone()).part("file", file()).part("file", file()),
            400,
            "file: must be the last part",
        ),
        (form().text("campaign", "x".repeat(70_000)), 413, "campaign: must not be larger than 65536 bytes"),
        (form().text("campaign", "{}").part("file", file()), 400, "name: must have 1 to 200 characters"),
        (form().text("campaign", definition.clone()).text("file", torn), 400, "file: line 2 has more than"),
        (form().text("campaign", definition.clone()).text("file", ""), 400, "file: must begin with a line"),
        (
            form().text("campaign", definition.clone()).text("file", "to,nombre\n"),
            400,
            "recipients: there is none",
        ),
        (
            form()
                .text("campaign", definition.clone())
                .text("file", "to,nombre\n5491100000001,\"Ana\n5491100000002,Eva\n"),
            400,
            "file: the row of line 2 has a quote that is never closed",
        ),
    ] {
        let (told_code, told) = answer(office.post("/api/campaigns").multipart(form).send().await?).await?;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(told_code == code && error.starts_with(expected), "{told_code} {told} should say {expected}");
        assert!(office.store.held().is_empty(), "{expected}");
    }
    let cut = "--b\r\ncontent-disposition: form-data; name=\"campaign\"\r\n\r\n{}";
    for (content_type, body, expected) in [
        ("multipart/form-data; boundary=b", "--b--\r\n", "campaign: is needed: the first part"),
        ("multipart/form-data; boundary=b", cut, "body: must be a form"),
        ("multipart/form-data", cut, "Content-Type: must be multipart/form-data with a boundary"),
        ("text/csv", "to\n5491100000001", "body: must be a JSON object"),
    ] {
        let request = office.post("/api/campaigns").header("content-type", content_type).body(body);
        let (code, told) = answer(request.send().await?).await?;
        assert!(code == 400 && told["error"].as_str().unwrap_or_default().starts_with(expected), "{told}");
    }
    office.close().await
}

#[tokio::test]
async fn who_sends_everything_before_it_listens_hears_why_it_was_refused() -> Result<()> {
    let office = Office::open().await?;
    let form = "content-type: multipart/form-data; boundary=b\r\n";
    let without_file = "--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n";
    for (headers, begins, code) in [
        (String::new(), "", "401"),
        (format!("x-api-key: {API_KEY}\r\nidempotency-key: {}\r\n", "k".repeat(256)), "", "400"),
        (format!("x-api-key: {API_KEY}\r\n{form}"), without_file, "400"),
        // Who asks first sends nothing, and is answered all the same.
        ("expect: 100-continue\r\n".to_owned(), "", "401"),
    ] {
        let url = office.world.get("/").build()?.url().clone();
        let address = (url.host_str().unwrap_or_default().to_owned(), url.port().unwrap_or_default());
        let mut connection = TcpStream::connect(address).await?;
        let head = "POST /api/campaigns HTTP/1.1\r\nhost: ingest\r\nconnection: close\r\n";
        let length = 24 * 1024 * 1024;
        let head = format!("{head}{headers}content-length: {length}\r\n\r\n{begins}");
        connection.write_all(head.as_bytes()).await?;
        if !headers.starts_with("expect") {
            connection.write_all(&vec![b'x'; length - begins.len()]).await?;
        }
        let mut told = String::new();
        connection.read_to_string(&mut told).await?;
        assert!(told.starts_with(&format!("HTTP/1.1 {code} ")), "{headers}: {told}");
    }
    office.close().await
}

#[tokio::test]
async fn where_persistence_is_away_in_the_middle_the_caller_tries_again_and_nothing_is_left() -> Result<()> {
    let office = Office::open().await?;
    office.store.is_away.store(true, Ordering::Relaxed);
    let file = "to,nombre\n5491100000001,Ana\n";
    let response = office.upload(&greeting(), file).send().await?;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(answer(response).await?.0, 503);
    assert!(office.store.held().is_empty());
    office.store.is_away.store(false, Ordering::Relaxed);
    assert_eq!(office.uploaded(&greeting(), file).await?.0, 201);
    office.close().await
}

#[tokio::test]
async fn who_goes_away_in_the_middle_leaves_its_place_to_others() -> Result<()> {
    let office = Office::open().await?;
    let uploads: Vec<_> = (0..8)
        .map(|_| {
            let request =
                office.post("/api/campaigns").header("content-type", "multipart/form-data; boundary=b");
            tokio::spawn(request.body(endless()).send())
        })
        .collect();
    wait_for(SOON, "eight campaigns are being handed in", async || {
        (office.store.opened.load(Ordering::Relaxed) == 8).then_some(())
    })
    .await;
    let file = "to,nombre\n5491100000001,Ana\n";
    let (code, told) = office.uploaded(&greeting(), file).await?;
    let error = "8 campaigns are being handed in already; try again when one of them is done";
    assert_eq!((code, &told["error"]), (503, &json!(error)));
    uploads.iter().for_each(tokio::task::JoinHandle::abort);
    wait_for(SOON, "their places are free", async || {
        (office.uploaded(&greeting(), file).await.ok()?.0 == 201).then_some(())
    })
    .await;
    office.close().await
}
