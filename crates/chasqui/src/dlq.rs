//! The dead letters: messages a service gave up, with the reason in their headers.

use anyhow::{Context, bail};
use async_nats::{
    HeaderMap,
    jetstream::{
        message::StreamMessage,
        stream::{DirectGetErrorKind, Stream},
    },
};
use chasqui_kit::{Bus, clock};
use chasqui_proto::{header, stream::DLQ};
use serde::Serialize;

use crate::{
    cli::DeadLetters,
    output::{self, Reader},
    shown::Shown,
};

/// Does what the command says.
pub(crate) async fn run(bus: &Bus, command: &DeadLetters) -> anyhow::Result<()> {
    let opened = bus.jetstream().get_stream(DLQ.name).await;
    let letters = Letters {
        bus,
        stream: opened.with_context(|| {
            format!("the stream {} is not there; services make it when they start", DLQ.name)
        })?,
    };
    match command {
        DeadLetters::List { limit } => letters.list(*limit).await,
        DeadLetters::Show { seq } => letters.show(*seq).await,
        DeadLetters::Replay { seq: Some(seq), .. } => {
            let letter = letters.get(*seq).await?;
            letters.replay(&letter).await
        }
        DeadLetters::Replay { seq: None, .. } => letters.replay_all().await,
        DeadLetters::Purge { seq } => letters.purge(*seq).await,
    }
}

struct Letters<'a> {
    bus: &'a Bus,
    stream: Stream,
}

impl Letters<'_> {
    async fn list(&self, limit: usize) -> anyhow::Result<()> {
        let (mut after, mut listed) = (0, 0);
        while listed < limit {
            let Some(letter) = self.next(after + 1).await? else { break };
            if output::line(serde_json::to_string(&Summary::of(&letter))?)? == Reader::Left {
                return Ok(());
            }
            (after, listed) = (letter.sequence, listed + 1);
        }
        let total = self.stream.get_info().await?.state.messages;
        eprintln!("{listed} of {total} dead letters");
        Ok(())
    }

    async fn show(&self, seq: u64) -> anyhow::Result<()> {
        let letter = self.get(seq).await?;
        let headers = original_headers(&letter);
        let whole = Whole {
            letter: Summary::of(&letter),
            first_error: text(&letter, header::DEAD_FIRST_ERROR),
            stream: text(&letter, header::DEAD_STREAM),
            stream_seq: text(&letter, header::DEAD_SEQUENCE).parse().ok(),
            message: Shown::new(&original_subject(&letter)?, Some(&headers), &letter.payload),
        };
        output::line(serde_json::to_string_pretty(&whole)?)?;
        Ok(())
    }

    /// Publishes the original again and, once it is stored, removes the letter. The id is the letter's own: whoever is
    /// interrupted in between and replays again stores nothing twice.
    async fn replay(&self, letter: &StreamMessage) -> anyhow::Result<()> {
        let subject = original_subject(letter)?;
        let id = format!("replay:{}:{}", letter.sequence, letter.time.unix_timestamp_nanos());
        let headers = original_headers(letter);
        let stored = self.bus.publish_bytes(&subject, letter.payload.clone(), headers, &id).await?;
        self.stream
            .delete_message(letter.sequence)
            .await
            .context("it was published, but the letter is still there")?;
        output::line(format!("letter {} is message {} on {subject}", letter.sequence, stored.seq))?;
        Ok(())
    }

    async fn replay_all(&self) -> anyhow::Result<()> {
        // Those that die again meanwhile are not replayed again.
        let last = self.stream.get_info().await?.state.last_sequence;
        let mut after = 0;
        while let Some(letter) = self.next(after + 1).await?.filter(|letter| letter.sequence <= last) {
            after = letter.sequence;
            self.replay(&letter).await?;
        }
        Ok(())
    }

    async fn purge(&self, seq: u64) -> anyhow::Result<()> {
        self.get(seq).await?;
        self.stream.delete_message(seq).await?;
        output::line(format!("letter {seq} is gone"))?;
        Ok(())
    }

    async fn get(&self, seq: u64) -> anyhow::Result<StreamMessage> {
        match self.stream.direct_get(seq).await {
            Ok(letter) => Ok(letter),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => bail!("there is no letter {seq}"),
            Err(error) => Err(error).with_context(|| format!("letter {seq} cannot be read")),
        }
    }

    async fn next(&self, from: u64) -> anyhow::Result<Option<StreamMessage>> {
        match self.stream.direct_get_next_for_subject(DLQ.subjects[0], Some(from)).await {
            Ok(letter) => Ok(Some(letter)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the dead letters cannot be read"),
        }
    }
}

/// A letter in one line.
#[derive(Serialize)]
struct Summary<'a> {
    seq: u64,
    age: String,
    /// Who gave it up: several services may read one message.
    service: &'a str,
    reason: &'a str,
    attempts: Option<u64>,
    subject: &'a str,
    last_error: &'a str,
}

impl<'a> Summary<'a> {
    fn of(letter: &'a StreamMessage) -> Self {
        let age_secs = (clock::now_ms() / 1_000).saturating_sub(letter.time.unix_timestamp());
        Self {
            seq: letter.sequence,
            age: age(age_secs),
            service: letter.subject.split('.').nth(1).unwrap_or_default(),
            reason: text(letter, header::DEAD_REASON),
            attempts: text(letter, header::DEAD_ATTEMPTS).parse().ok(),
            subject: text(letter, header::DEAD_SUBJECT),
            last_error: text(letter, header::DEAD_LAST_ERROR),
        }
    }
}

/// A letter whole, with its message as it was before it died.
#[derive(Serialize)]
struct Whole<'a> {
    letter: Summary<'a>,
    first_error: &'a str,
    stream: &'a str,
    stream_seq: Option<u64>,
    message: Shown,
}

fn original_subject(letter: &StreamMessage) -> anyhow::Result<String> {
    let subject = text(letter, header::DEAD_SUBJECT);
    if subject.is_empty() {
        bail!("letter {} does not say which subject it came from", letter.sequence);
    }
    Ok(subject.to_owned())
}

fn original_headers(letter: &StreamMessage) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [header::TYPE, header::ID, header::TRACEPARENT] {
        if let Some(value) = letter.headers.get(name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

fn text<'a>(letter: &'a StreamMessage, name: &str) -> &'a str {
    letter.headers.get(name).map_or("", async_nats::HeaderValue::as_str)
}

/// In the largest unit that leaves a whole number: `45s`, `12m`, `3h`, `9d`.
fn age(secs: i64) -> String {
    match secs {
        ..60 => format!("{}s", secs.max(0)),
        60..3_600 => format!("{}m", secs / 60),
        3_600..86_400 => format!("{}h", secs / 3_600),
        86_400.. => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        for (secs, told) in [(-1, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (200_000, "2d")] {
            assert_eq!(age(secs), told);
        }
    }
}
