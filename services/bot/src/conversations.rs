//! The bucket `bot`: where the bot stands in each conversation, changed by compare and set only.

use async_nats::jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind, Stream};
use chasqui_kit::{Bus, bucket::CompareAndSetError, clock};
use chasqui_proto::{
    stream::{BOT, bot_key, bucket_stream, bucket_subject},
    v1::BotConversation,
};
use prost::Message as _;

use crate::{obstacle::Obstacle, place::Place};

/// Where the bot stands, as it was read or written.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) state: BotConversation,
    revision: u64,
}

impl Record {
    /// A conversation in which nothing was ever decided.
    fn none(place: &Place) -> Self {
        let (tenant, conversation) = (place.tenant.to_string(), place.conversation.to_string());
        Self { state: BotConversation { tenant, conversation, ..BotConversation::default() }, revision: 0 }
    }

    /// Whether there is anything in the bucket.
    pub(crate) fn is_written(&self) -> bool {
        self.revision > 0
    }
}

/// The bucket.
#[derive(Clone, Debug)]
pub(crate) struct Conversations {
    bus: Bus,
    stream: Stream,
}

impl Conversations {
    /// Opens the bucket, which must be there.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, Obstacle> {
        let opened = bus.jetstream().get_stream(bucket_stream(&BOT)).await;
        Ok(Self { bus: bus.clone(), stream: opened.map_err(Obstacle::away)? })
    }

    /// Where the bot stands, as the nearest copy of the bucket knows it. An old copy costs a conflict, nothing else.
    pub(crate) async fn get(&self, place: &Place) -> Result<Record, Obstacle> {
        match self.stream.direct_get_last_for_subject(subject(place)).await {
            Ok(found) => Ok(read(place, found.payload, found.sequence)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(Record::none(place)),
            Err(error) => Err(Obstacle::away(error)),
        }
    }

    /// Where the bot stands, as the leader of the bucket knows it.
    pub(crate) async fn get_newest(&self, place: &Place) -> Result<Record, Obstacle> {
        match self.stream.get_last_raw_message_by_subject(&subject(place)).await {
            Ok(found) => Ok(read(place, found.payload, found.sequence)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(Record::none(place)),
            Err(error) => Err(Obstacle::away(error)),
        }
    }

    /// Writes what becomes of `record`, unless somebody else changed it.
    pub(crate) async fn put(
        &self,
        place: &Place,
        record: &Record,
        mut state: BotConversation,
    ) -> Result<Record, Obstacle> {
        state.updated_at_ms = clock::now_ms();
        let (key, value) = (bot_key(&place.tenant, &place.conversation), state.encode_to_vec().into());
        match self.bus.compare_and_set(&BOT, &key, value, record.revision).await {
            Ok(revision) => Ok(Record { state, revision }),
            Err(CompareAndSetError::Overtaken) => Err(Obstacle::Overtaken),
            Err(error @ CompareAndSetError::Away(_)) => Err(Obstacle::away(error)),
        }
    }
}

fn subject(place: &Place) -> String {
    bucket_subject(&BOT, &bot_key(&place.tenant, &place.conversation))
}

/// What cannot be read is begun anew: waiting would not mend it, and the contact would never be answered again.
fn read(place: &Place, payload: bytes::Bytes, revision: u64) -> Record {
    match BotConversation::decode(payload) {
        Ok(state) => Record { state, revision },
        Err(error) => {
            tracing::error!(%error, revision, conversation = %place, "where the bot stood cannot be read");
            Record { revision, ..Record::none(place) }
        }
    }
}
