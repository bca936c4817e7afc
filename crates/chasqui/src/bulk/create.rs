//! Making a campaign of a file: it is streamed to the ingest, which checks every row.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use reqwest::{
    Client, Response, StatusCode,
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{arguments::Create, shown::PROBLEM_COLUMNS};
use crate::{output, table};

const KEY_HEADER: &str = "x-api-key";
/// How long connecting may take.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long the largest file may take, checked row by row.
const ANSWER_WAIT: Duration = Duration::from_mins(10);
/// More than an answer with the most problems that are listed.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest content of a message that the ingest takes, bytes.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024;
/// How many problems are shown; all that were listed are in the JSON form.
const PROBLEMS_SHOWN: usize = 20;

/// What the ingest says.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    campaign: Value,
    report: Option<Report>,
    error: Option<String>,
}

/// What it found in the file.
#[derive(Deserialize)]
struct Report {
    rows: u64,
    accepted: u64,
    invalid: u64,
    duplicates: u64,
    opted_out: u64,
    #[serde(default)]
    problems: Vec<Value>,
}

/// Hands a file in and shows what was found in it.
pub(super) async fn create(
    create: &Create,
    ingest: &str,
    key: Option<&SecretString>,
    json: bool,
) -> anyhow::Result<()> {
    let key =
        key.context("an API key is needed: set WHATSAPP_API_KEY, or ingest.api_key in the configuration")?;
    let message = create.message.as_deref().map(read_message).transpose()?;
    let definition = definition(create, message);
    let shown = create.file.display();
    ensure!(!create.file.is_dir(), "{shown} is a directory");
    let file = Part::file(&create.file).await.with_context(|| format!("{shown} cannot be read"))?;
    // In this order: the file is checked against the campaign while it comes in.
    let form = Form::new().text("campaign", definition.to_string()).part("file", file.mime_str("text/csv")?);
    let client = Client::builder().connect_timeout(CONNECT_WAIT).timeout(ANSWER_WAIT).build()?;
    let url = format!("{}/api/campaigns", ingest.trim_end_matches('/'));
    ask(&client, &url, key).await?;
    let mut request = client.post(&url).header(KEY_HEADER, key.expose_secret()).multipart(form);
    if let Some(key) = &create.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let response = request.send().await.with_context(|| format!("{url} did not answer"))?;
    let status = response.status();
    let body = read(response).await?;
    let answer: Value =
        serde_json::from_slice(&body).with_context(|| format!("{url} answered {status} without a reason"))?;
    if json {
        output::line(&answer)?;
    }
    let answer: Answer = serde_json::from_value(answer).context("the answer is none of an ingest")?;
    if let Some(report) = answer.report.as_ref().filter(|_| !json) {
        for line in report.lines() {
            output::line(line)?;
        }
    }
    if !status.is_success() {
        bail!("{status}: {}", answer.error.as_deref().unwrap_or("the campaign was refused"));
    }
    if !json {
        for line in next(&answer.campaign, create, status) {
            output::line(line)?;
        }
    }
    Ok(())
}

/// Whether the key opens the door is asked before the file is sent: who is refused in the middle of it may not hear why.
async fn ask(client: &Client, url: &str, key: &SecretString) -> anyhow::Result<()> {
    let request = client.get(format!("{url}?limit=1")).header(KEY_HEADER, key.expose_secret());
    let response = request.send().await.with_context(|| format!("{url} did not answer"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let answer: Option<Answer> = serde_json::from_slice(&read(response).await?).ok();
    let reason = answer.and_then(|answer| answer.error);
    bail!("{status}: {}", reason.as_deref().unwrap_or("the ingest cannot be asked"))
}

/// A message as the Cloud API takes it.
fn read_message(file: &Path) -> anyhow::Result<Value> {
    let shown = file.display();
    let length = std::fs::metadata(file).with_context(|| format!("{shown} cannot be read"))?.len();
    ensure!(
        length <= MESSAGE_BYTES_MAX,
        "{shown} has {length} bytes; a message has at most {MESSAGE_BYTES_MAX}"
    );
    let bytes = std::fs::read(file).with_context(|| format!("{shown} cannot be read"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{shown} is no JSON"))
}

/// The part `campaign`. `message` is that of a file, where one was named.
fn definition(create: &Create, message: Option<Value>) -> Value {
    let of_file = || create.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = create.name.clone().or_else(of_file).unwrap_or_default();
    let message = message.unwrap_or_else(|| match (&create.template, &create.language) {
        (Some(name), language) => {
            let template = json!({ "name": name, "language": { "code": language } });
            json!({ "type": "template", "template": template })
        }
        (None, _) => json!({ "type": "text", "text": { "body": create.text } }),
    });
    let quiet = create.quiet.as_ref().map(|(from, to)| json!({ "from": from, "to": to }));
    let ramp = create.ramp.map(|(from, over)| json!({ "from_per_minute": from, "over_secs": over }));
    let given = [
        ("name", Some(name.into())),
        ("message", Some(message)),
        ("template_variables", (!create.variables.is_empty()).then(|| json!(create.variables))),
        ("phone_column", create.phone_column.clone().map(Value::from)),
        ("session", create.session.clone().map(Value::from)),
        ("rate_per_minute", create.rate.map(Value::from)),
        ("ramp", ramp),
        ("scheduled_at", create.at.clone().map(Value::from)),
        ("time_zone", create.time_zone.clone().map(Value::from)),
        ("quiet_hours", quiet),
        ("start", create.start.then_some(Value::from(true))),
        ("dry_run", create.dry_run.then_some(Value::from(true))),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<String, Value>>())
}

async fn read(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the answer broke off")? {
        ensure!(
            body.len() + chunk.len() <= ANSWER_BYTES_MAX,
            "the answer is too long to be one of an ingest"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let Self { rows, accepted, invalid, duplicates, opted_out, problems } = self;
        let mut lines = vec![format!(
            "{rows} rows: {accepted} accepted, {invalid} invalid, {duplicates} duplicates, {opted_out} opted out"
        )];
        let shown = &problems[..problems.len().min(PROBLEMS_SHOWN)];
        if !shown.is_empty() {
            lines.extend(table::columns(&PROBLEM_COLUMNS, shown));
        }
        let more = (invalid + duplicates + opted_out).saturating_sub(u64::try_from(shown.len()).unwrap_or(0));
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

/// What was made, and what to type next.
fn next(campaign: &Value, create: &Create, status: StatusCode) -> Vec<String> {
    if create.dry_run {
        return vec!["nothing was kept; without --dry-run it is".to_owned()];
    }
    let text = |name: &str| campaign[name].as_str().unwrap_or("?").to_owned();
    let (id, standing) = (text("id"), text("status"));
    // A repeated request is answered with what it made the first time.
    let made = if status == StatusCode::CREATED { "is" } else { "was there already; it is" };
    let command = if standing == "draft" { "start" } else { "watch" };
    vec![format!("campaign {id} {made} {standing}"), format!("next: chasqui bulk {command} {id}")]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn parsed(arguments: &[&str]) -> Result<Create, clap::Error> {
        Line::try_parse_from([&["create"], arguments].concat()).map(|line| line.create)
    }

    #[test]
    fn what_is_typed_is_what_the_ingest_reads() {
        let plain = parsed(&["lists/octubre.csv", "--text", "Hola {{nombre}}"]).unwrap();
        let message = json!({ "type": "text", "text": { "body": "Hola {{nombre}}" } });
        assert_eq!(definition(&plain, None), json!({ "name": "octubre", "message": message }));
        let all = parsed(&[
            "a.csv",
            "--name",
            "Octubre",
            "--template",
            "promo",
            "--language",
            "es_AR",
            "--variables",
            "nombre,monto",
            "--session",
            "main",
            "--rate",
            "600",
            "--ramp",
            "60/900",
            "--at",
            "2026-12-01T09:00",
            "--time-zone",
            "Europe/Madrid",
            "--quiet",
            "21:00-09:00",
            "--start",
            "--phone-column",
            "fono",
        ])
        .unwrap();
        let expected = json!({
            "name": "Octubre",
            "message": { "type": "template", "template": { "name": "promo", "language": { "code": "es_AR" } } },
            "template_variables": ["nombre", "monto"],
            "phone_column": "fono",
            "session": "main",
            "rate_per_minute": 600,
            "ramp": { "from_per_minute": 60, "over_secs": 900 },
            "scheduled_at": "2026-12-01T09:00",
            "time_zone": "Europe/Madrid",
            "quiet_hours": { "from": "21:00", "to": "09:00" },
            "start": true,
        });
        assert_eq!(definition(&all, None), expected);
        let dry = parsed(&["a.csv", "--message", "m.json", "--dry-run"]).unwrap();
        let expected = json!({ "name": "a", "message": { "type": "x" }, "dry_run": true });
        assert_eq!(definition(&dry, Some(json!({ "type": "x" }))), expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_read() {
        for (wrong, told) in [
            (&["a.csv"][..], "required"),
            (&["a.csv", "--text", "x", "--template", "y", "--language", "es"], "cannot be used with"),
            (&["a.csv", "--template", "y"], "--language"),
            (&["a.csv", "--text", "x", "--variables", "a"], "--template"),
            (&["a.csv", "--text", "x", "--ramp", "60"], "must be such as 60/600"),
            (&["a.csv", "--text", "x", "--quiet", "21"], "must be such as 21:00-09:00"),
            (&["a.csv", "--text", "x", "--start", "--dry-run"], "cannot be used with"),
        ] {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(error.contains(told), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn the_first_problems_are_shown_with_their_lines() {
        let problem = |line: usize| json!({ "line": line, "kind": "invalid", "field": "telefono", "problem": "must be a phone number" });
        let report = |problems: usize| Report {
            rows: 100,
            accepted: 60,
            invalid: 30,
            duplicates: 9,
            opted_out: 1,
            problems: (2..2 + problems).map(problem).collect(),
        };
        let lines = report(30).lines();
        assert_eq!(lines[0], "100 rows: 60 accepted, 30 invalid, 9 duplicates, 1 opted out");
        assert_eq!(lines[1], "line  kind     field     problem");
        assert_eq!(lines[2], "2     invalid  telefono  must be a phone number");
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (23, "and 20 more"));
        let clean = Report { invalid: 0, duplicates: 0, opted_out: 0, ..report(0) };
        assert_eq!(clean.lines().len(), 1);
    }

    #[test]
    fn who_made_a_campaign_is_told_what_to_type_next() {
        let typed = parsed(&["a.csv", "--text", "x"]).unwrap();
        let campaign = |status: &str| json!({ "id": "c-1", "status": status });
        let made = next(&campaign("draft"), &typed, StatusCode::CREATED);
        assert_eq!(made, ["campaign c-1 is draft", "next: chasqui bulk start c-1"]);
        let repeated = next(&campaign("running"), &typed, StatusCode::OK);
        assert_eq!(
            repeated,
            ["campaign c-1 was there already; it is running", "next: chasqui bulk watch c-1"]
        );
        let dry = parsed(&["a.csv", "--text", "x", "--dry-run"]).unwrap();
        assert_eq!(
            next(&campaign("draft"), &dry, StatusCode::OK),
            ["nothing was kept; without --dry-run it is"]
        );
    }
}
