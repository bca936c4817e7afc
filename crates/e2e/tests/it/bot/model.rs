//! A language model answers, and people do when it cannot.

use serde_json::json;

use crate::world::{Cluster, Outside, Staff, Widget, text_of};

const DEFINITION: &str = r#"
language = "es"

[model]
debounce_ms = 0
on_failure.handoff = "Una persona te va a responder."

[[personalities]]
id = "0192f0c1-2f3a-7d57-8d0e-2f4a5c6b7a80"
name = "recepción"
prompt = "Atiendes la recepción de una clínica."
default = true
"#;
const ANSWER: &str = "Abrimos de lunes a viernes. Los sábados cerramos al mediodía.";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_grows_in_the_widget_comes_whole_to_the_phone_and_a_broken_model_leaves_nobody_alone() {
    let cluster = Cluster::defined("bot-model", DEFINITION).await;
    let (outside, staff) = (Outside::of(&cluster), Staff::open(&cluster, 1).await);
    outside.model_says(&[ANSWER]).await;

    let mut widget = Widget::open(&cluster, 2, "5491100000541").await;
    widget.types("¿qué días abren?").await;
    let first = widget.event("bot-draft").await;
    assert_eq!(first["index"], 0);
    assert!(ANSWER.starts_with(first["delta"].as_str().unwrap()), "{first}");
    let reply = widget.reply().await;
    assert_eq!((&reply["text"], &reply["id"]), (&json!(ANSWER), &first["id"]), "the draft becomes the reply");
    let drafted: String =
        staff.frames("message_draft").iter().filter_map(|frame| frame["data"]["delta"].as_str()).collect();
    assert!(ANSWER.starts_with(&drafted) && !drafted.is_empty(), "{drafted:?}");

    // On the phone nothing is shown until all of it is there.
    outside.writes("5491100000542", json!({ "text": "¿y los sábados?" })).await;
    let received = outside.phone_has("5491100000542", 1).await;
    assert_eq!(received.iter().map(text_of).collect::<Vec<_>>(), [ANSWER]);

    // The stream breaks every time.
    outside.model_fails(json!({ "then": "cut", "times": 10 })).await;
    outside.writes("5491100000543", json!({ "text": "¿hola?" })).await;
    let received = outside.phone_has("5491100000543", 1).await;
    assert_eq!(text_of(&received[0]), "Una persona te va a responder.");
    assert_eq!(cluster.chat_of("5491100000543").await.reason, "failure");
}
