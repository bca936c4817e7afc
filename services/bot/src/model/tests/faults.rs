use std::time::{Duration, Instant};

use chasqui_proto::v1::ChannelKind;
use serde_json::{Value, json};

use super::{
    super::{ModelError, ModelState},
    world::{self, KEY, World, heard},
};

fn refused(status: u16, reason: &str) -> ModelError {
    ModelError::Refused { status, reason: reason.to_owned() }
}

fn http(status: u16, more: &Value) -> Value {
    let mut error = json!({ "status": status });
    error.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "http": error })
}

/// What comes of a question when so many requests are befallen, and how many are made.
async fn check(then: &Value, times: u64, expected: Result<&str, ModelError>, requests: usize) {
    let world = World::new().await;
    world.befall(then, times).await;
    let answered = world.answer().await;
    let said = answered.as_ref().map(|answer| answer.texts.join("|"));
    assert_eq!(said, expected.as_ref().map(|text| (*text).to_owned()), "{then} {times} times");
    assert_eq!(world.asked().await.len(), requests, "{then} {times} times");
    assert!(!format!("{answered:?}").contains(KEY), "{answered:?}");
}

#[tokio::test]
async fn what_may_help_is_tried_again_and_at_most_three_times() {
    let whole = || Ok("Dijiste: hola");
    for then in [json!("cut"), json!("end"), json!("garbage"), json!("error")] {
        check(&then, 2, whole(), 3).await;
        check(&then, 3, Err(ModelError::Broken), 3).await;
    }
    check(&json!("reset"), 1, whole(), 2).await;
    check(&json!("reset"), 3, Err(ModelError::Away), 3).await;
    for status in [408, 429, 500, 503] {
        let then = http(status, &json!({ "code": "overloaded" }));
        check(&then, 1, whole(), 2).await;
        check(&then, 3, Err(refused(status, "overloaded")), 3).await;
    }
}

#[tokio::test]
async fn what_will_not_help_is_not_tried_again() {
    let key_shown = json!({ "code": KEY, "message": format!("Incorrect API key provided: {KEY}") });
    for (then, expected) in [
        (http(400, &json!({ "code": "context_length_exceeded" })), refused(400, "context_length_exceeded")),
        (http(401, &key_shown), refused(401, "simulated")),
        (http(404, &json!({ "code": "model_not_found" })), refused(404, "model_not_found")),
        (http(429, &json!({ "code": "insufficient_quota" })), refused(429, "insufficient_quota")),
        (http(429, &json!({ "retry_after": "3600", "code": "slow_down" })), refused(429, "slow_down")),
        (http(503, &json!({ "retry_after": u64::MAX.to_string() })), refused(503, "asked_for")),
        (json!("html"), refused(200, "answered with something else than a stream")),
        (json!("redirect"), refused(307, "")),
        (json!("empty"), ModelError::Empty),
        (json!({ "finish_reason": "content_filter" }), refused(200, "content_filter")),
    ] {
        check(&then, 0, Err(expected), 1).await;
    }
}

#[tokio::test]
async fn what_is_only_odd_is_no_failure() {
    for then in [json!("empty_choices"), json!("no_done"), json!({ "finish_reason": "length" })] {
        let expected = if then.is_object() { "Dijiste:…" } else { "Dijiste: hola" };
        check(&then, 0, Ok(expected), 1).await;
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_is_given_it() {
    let world = World::new().await;
    world.befall(&http(429, &json!({ "retry_after": "1" })), 1).await;
    let began = Instant::now();
    assert!(world.answer().await.is_ok());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_ends_in_time_whatever_the_server_does() {
    for then in [json!("hang"), json!("silence")] {
        let world = World::with(|config| config.model_timeout_ms = 800).await;
        world.befall(&then, 0).await;
        let began = Instant::now();
        assert_eq!(world.answer().await, Err(ModelError::TimedOut), "{then}");
        assert!(began.elapsed() <= Duration::from_secs(4), "{then}: {:?}", began.elapsed());
        assert_eq!(world.asked().await.len(), 1, "{then}");
        assert!(!world.typed().await.last().unwrap().typing);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away() {
    let nowhere =
        |config: &mut crate::Config| "http://127.0.0.1:9/v1".clone_into(&mut config.openai_base_url);
    let world = World::with(nowhere).await;
    assert_eq!(world.answer().await, Err(ModelError::Away));
    assert_eq!(world.models.state(&world.tenant), ModelState::Failing);
}

#[tokio::test]
async fn a_model_that_fails_too_often_is_left_alone_and_others_are_not() {
    let world = World::new().await;
    world.befall(&http(500, &json!({})), 0).await;
    assert_eq!(world.answer().await, Err(refused(500, "asked_for")));
    // The fifth failure in a row is the second of this answer.
    assert_eq!(world.answer().await, Err(refused(500, "asked_for")));
    assert_eq!(world.asked().await.len(), 5);
    assert_eq!(world.answer().await, Err(ModelError::Open));
    assert_eq!(world.models.state(&world.tenant), ModelState::Failing);
    world.forget().await;
    assert_eq!(world.answer().await, Err(ModelError::Open), "though the server works again");
    assert_eq!(world.asked().await.len(), 0);
    let settings = crate::definition::ModelSettings { model: Some("other".to_owned()), ..world::settings() };
    let heard = [heard(1, "hola")];
    let other = world.question(&settings, &heard, ChannelKind::WhatsappCloud);
    assert!(world.models.answer(other).await.is_ok());
    assert_eq!(world.models.state(&world.tenant), ModelState::Ok);
}

#[tokio::test]
async fn questions_that_are_wrong_in_themselves_do_not_stop_those_of_others() {
    let world = World::new().await;
    world.befall(&http(404, &json!({ "code": "model_not_found" })), 8).await;
    for _ in 0..8 {
        assert_eq!(world.answer().await, Err(refused(404, "model_not_found")));
    }
    assert!(world.answer().await.is_ok());
}
