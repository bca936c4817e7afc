//! Listening on the bus without touching it: a plain subscription, which no stream and no consumer notices.

use anyhow::Context;
use async_nats::Message;
use chasqui_kit::Bus;
use chasqui_proto::{
    stream,
    subject::{self, LIVE_PREFIX},
    v1::Canary,
};
use futures::{StreamExt, stream::select_all};
use prost::Name;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    output::{self, Reader},
    shown::Shown,
};

/// Prints what arrives on `subjects` until Ctrl-C, or until nobody reads any more.
pub(crate) async fn run(bus: &Bus, subjects: &[String], live: bool) -> anyhow::Result<()> {
    // Listened for from here on: a signal before that would end the process as a failure.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut subscriptions = Vec::new();
    for subject in patterns(subjects, live) {
        let subscribed = bus.client().subscribe(subject.clone()).await;
        subscriptions.push(subscribed.with_context(|| format!("cannot subscribe to {subject}"))?);
    }
    // What is published after this line is seen.
    bus.barrier().await?;
    let mut messages = select_all(subscriptions);
    loop {
        tokio::select! {
            Some(message) = messages.next() => {
                // The nodes' signs of life are shown to whoever names them.
                if subjects.is_empty() && is_canary(&message) {
                    continue;
                }
                if print(&message)? == Reader::Left {
                    return Ok(());
                }
            }
            _ = interrupts.recv() => return Ok(()),
        }
    }
}

fn is_canary(message: &Message) -> bool {
    subject::payload_type(message.subject.as_str()) == Some(Canary::full_name().as_str())
}

fn print(message: &Message) -> anyhow::Result<Reader> {
    let shown = Shown::new(message.subject.as_str(), message.headers.as_ref(), &message.payload);
    Ok(output::line(shown.line()?)?)
}

fn patterns(subjects: &[String], live: bool) -> Vec<String> {
    let everything = [stream::MESSAGES.subjects[0].to_owned()];
    let named = if subjects.is_empty() { &everything } else { subjects };
    let repeated = |subject: &String| {
        let is_repeated = subject.starts_with(LIVE_PREFIX);
        if live && !is_repeated { format!("{LIVE_PREFIX}{subject}") } else { subject.clone() }
    };
    named.iter().map(repeated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_subjects_all_messages_are_shown() {
        assert_eq!(patterns(&[], false), ["messages.>"]);
        assert_eq!(patterns(&[], true), ["live.messages.>"]);
        assert_eq!(patterns(&["live.stats.>".to_owned()], true), ["live.stats.>"]);
    }
}
