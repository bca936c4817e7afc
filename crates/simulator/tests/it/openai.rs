use std::time::Duration;

use anyhow::Result;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::simulator::{NOWHERE, Simulator, answer};

const KEY: &str = "local-openai-key";
/// Longer than any answer here takes.
const NEVER: Duration = Duration::from_millis(500);

fn ask(simulator: &Simulator, words: &str) -> RequestBuilder {
    let body = json!({
        "model": "any", "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "system", "content": "Be kind." }, { "role": "user", "content": words }],
    });
    ask_as(simulator, KEY, &body)
}

fn ask_as(simulator: &Simulator, key: &str, body: &Value) -> RequestBuilder {
    simulator.client.post(format!("{}/v1/chat/completions", simulator.url)).bearer_auth(key).json(body)
}

async fn befall(simulator: &Simulator, then: Value) -> Result<()> {
    let (status, added) = simulator.post("/openai/faults", json!({ "then": then })).await?;
    anyhow::ensure!(status == 200, "{added}");
    Ok(())
}

/// The lines of a stream, as far as they came.
async fn lines(simulator: &Simulator) -> Result<(Vec<String>, Option<reqwest::Error>)> {
    let mut response = ask(simulator, "hola").timeout(NEVER).send().await?;
    let (mut bytes, mut error) = (Vec::new(), None);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(failure) => {
                error = Some(failure);
                break;
            }
        }
    }
    let data = |line: &str| line.strip_prefix("data: ").map(str::to_owned);
    Ok((String::from_utf8(bytes)?.lines().filter_map(data).collect(), error))
}

/// What the chunks say.
fn said(lines: &[String]) -> String {
    let content = |line: &String| {
        let chunk: Value = serde_json::from_str(line).ok()?;
        chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
    };
    lines.iter().filter_map(content).collect()
}

#[tokio::test]
async fn a_model_says_its_answers_in_turn_and_records_what_it_was_asked() -> Result<()> {
    let simulator = Simulator::start(NOWHERE.to_owned()).await?;
    let (whole, error) = lines(&simulator).await?;
    assert_eq!((said(&whole).as_str(), whole.last().unwrap().as_str()), ("Dijiste: hola", "[DONE]"));
    assert!(error.is_none());
    let settings = json!({ "answers": ["uno", "dos tres"], "usage": "missing" });
    let url = format!("{}/openai/settings", simulator.url);
    assert_eq!(answer(simulator.client.put(&url).json(&settings)).await?.0, 200);
    let (second, _) = lines(&simulator).await?;
    let (third, _) = lines(&simulator).await?;
    assert_eq!([said(&second), said(&third)], ["dos tres", "uno"], "the first answer was its turn before");
    assert!(!second.iter().any(|line| line.contains("total_tokens")));
    let asked = simulator.get("/openai/requests").await?;
    assert_eq!((&asked["count"], &asked["requests"][0]["body"]["model"]), (&json!(3), &json!("any")));
    assert_eq!(simulator.delete("/openai/requests").await?["removed"], 3);
    simulator.stop().await
}

#[tokio::test]
async fn who_has_no_key_or_asks_nonsense_is_refused() -> Result<()> {
    let simulator = Simulator::start(NOWHERE.to_owned()).await?;
    let (status, refused) = answer(ask_as(&simulator, "guess", &json!({}))).await?;
    assert_eq!((status, &refused["error"]["code"]), (401, &json!("invalid_api_key")));
    for wrong in
        [json!({}), json!({ "model": "m", "stream": false }), json!({ "model": "m", "stream": true })]
    {
        assert_eq!(answer(ask_as(&simulator, KEY, &wrong)).await?.0, 400, "{wrong}");
    }
    simulator.stop().await
}

#[tokio::test]
async fn each_fault_befalls_one_request() -> Result<()> {
    let simulator = Simulator::start(NOWHERE.to_owned()).await?;
    for (then, is_broken, is_short) in [
        (json!("cut"), true, true),
        (json!("end"), false, true),
        (json!("silence"), true, true),
        (json!("garbage"), false, false),
        (json!("error"), false, true),
        (json!("empty_choices"), false, false),
        (json!("no_done"), true, false),
        (json!({ "finish_reason": "length" }), false, true),
    ] {
        befall(&simulator, then.clone()).await?;
        let (told, error) = lines(&simulator).await?;
        assert_eq!(error.is_some(), is_broken, "{then}: {error:?}");
        assert_eq!(said(&told) != "Dijiste: hola", is_short, "{then}: {told:?}");
    }
    befall(&simulator, json!({ "http": { "status": 429, "retry_after": "7" } })).await?;
    let slow = ask(&simulator, "x").send().await?;
    assert_eq!((slow.status().as_u16(), slow.headers()["retry-after"].to_str()?), (429, "7"));
    befall(&simulator, json!("html")).await?;
    assert_eq!(ask(&simulator, "x").send().await?.headers()["content-type"], "text/html");
    befall(&simulator, json!("hang")).await?;
    assert!(ask(&simulator, "x").timeout(NEVER).send().await.is_err_and(|error| error.is_timeout()));
    befall(&simulator, json!("reset")).await?;
    assert!(ask(&simulator, "x").timeout(NEVER).send().await.is_err_and(|error| !error.is_timeout()));
    befall(&simulator, json!("empty")).await?;
    assert_eq!(said(&lines(&simulator).await?.0), "");
    assert_eq!(said(&lines(&simulator).await?.0), "Dijiste: hola", "and no fault is left");
    simulator.stop().await
}
