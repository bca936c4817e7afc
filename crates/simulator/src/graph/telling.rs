//! Tells businesses what became of their messages.

use std::{sync::Arc, time::Duration};

use chasqui_kit::clock::now_ms;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    agenda::{News, Update},
    settings::Told,
};
use crate::{history::Progress, payload, world::World};

/// How many webhooks with statuses are on their way at once.
const WEBHOOKS_MAX: usize = 16;
/// How long statuses are gathered: at a thousand messages a second, a webhook each would be most of the work.
const GATHERING: Duration = Duration::from_millis(5);
/// How long nothing may be due before it is looked again.
const IDLE: Duration = Duration::from_mins(1);
/// From this version on, statuses say nothing of the conversation.
const NO_CONVERSATION_VERSION: u32 = 24;

/// Tells every status at its time, until stopped.
pub(crate) async fn tell_statuses(world: Arc<World>) {
    let (places, tasks) = (Arc::new(Semaphore::new(WEBHOOKS_MAX)), TaskTracker::new());
    let stop = world.stop.clone();
    stop.run_until_cancelled(async {
        loop {
            let next = world.book().agenda.next_at_ms();
            let pause = next.map_or(IDLE, |at_ms| {
                Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or_default())
            });
            tokio::select! {
                () = tokio::time::sleep(pause.max(GATHERING)) => {}
                () = world.added.notified() => continue,
            }
            for batch in told(&world) {
                let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
                let world = world.clone();
                tasks.spawn(async move {
                    deliver(&world, &batch).await;
                    drop(place);
                });
            }
        }
    })
    .await;
    tasks.close();
    tasks.wait().await;
}

/// What is due, with the history brought up to date.
fn told(world: &World) -> Vec<Vec<Update>> {
    let mut book = world.book();
    let batches = book.agenda.due(now_ms());
    for update in batches.iter().flatten() {
        book.history.advance(&update.id, progress(&update.news));
    }
    drop(book);
    world.changed();
    batches
}

async fn deliver(world: &World, batch: &[Update]) {
    let Some(first) = batch.first() else { return };
    let statuses: Vec<Value> = batch.iter().map(status).collect();
    let webhook = payload::status_webhook(&first.number, &statuses);
    world.delivery.send(&webhook).await;
    if world.book().settings.duplicates {
        world.delivery.send(&webhook).await;
    }
}

fn progress(news: &News) -> Progress {
    match news {
        News::Told(Told::Sent) => Progress::Sent,
        News::Told(Told::Delivered) => Progress::Delivered,
        News::Told(Told::Read) => Progress::Read,
        News::Failed(_) => Progress::Failed,
    }
}

fn status(update: &Update) -> Value {
    let name = match &update.news {
        News::Told(told) => told.name(),
        News::Failed(_) => "failed",
    };
    let mut status = payload::status(&update.id, &update.contact, name);
    if let News::Failed(error) = &update.news {
        status["errors"] = json!([error.in_status()]);
    }
    if let Some(data) = &update.callback_data {
        status["biz_opaque_callback_data"] = data.as_str().into();
    }
    let category = if update.is_template { "utility" } else { "service" };
    if matches!(update.news, News::Told(Told::Sent | Told::Delivered)) {
        status["pricing"] = json!({
            "billable": update.is_template, "pricing_model": "PMP", "type": "regular", "category": category,
        });
    }
    if update.news == News::Told(Told::Sent) && update.version < NO_CONVERSATION_VERSION {
        let conversation = format!("{}-{}", update.number, update.contact);
        status["conversation"] = json!({ "id": conversation, "origin": { "type": category } });
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(news: News, version: u32) -> Update {
        Update {
            number: "100000000000001".into(),
            contact: "5491100000001".into(),
            id: "wamid.A".to_owned(),
            news,
            callback_data: Some("ours".to_owned()),
            is_template: false,
            version,
        }
    }

    #[test]
    fn a_status_echoes_what_was_sent_and_speaks_the_callers_version() {
        let sent = status(&update(News::Told(Told::Sent), 23));
        assert_eq!((&sent["biz_opaque_callback_data"], &sent["status"]), (&json!("ours"), &json!("sent")));
        assert!(sent["conversation"]["id"].is_string() && sent["pricing"]["pricing_model"] == "PMP");
        let newer = status(&update(News::Told(Told::Sent), 24));
        assert!(newer["conversation"].is_null() && newer["pricing"].is_object());
        assert!(status(&update(News::Told(Told::Read), 23))["pricing"].is_null());
        let failed = status(&update(News::Failed(super::super::error::GraphError::new(131_049, "x")), 23));
        assert_eq!((&failed["status"], &failed["errors"][0]["code"]), (&json!("failed"), &json!(131_049)));
    }
}
