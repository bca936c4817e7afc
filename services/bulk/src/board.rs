//! Where everybody reads how far a campaign is: its newest word in the stream, written by compare and set, so that a runner
//! that has lost the campaign writes over nobody, and nothing is said twice.

use async_nats::{
    HeaderMap, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, jetstream::stream::LastRawMessageErrorKind,
};
use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{header, stream::STATE, v1::BulkProgress};
use prost::{Message, Name};
use uuid::Uuid;

use crate::{key::CampaignKey, meter, trouble::Trouble};

/// What was told of one campaign.
#[derive(Debug)]
pub(crate) struct Board {
    bus: Bus,
    key: CampaignKey,
    told: Option<BulkProgress>,
    /// Where it stands in the stream; 0 where there is nothing.
    seq: u64,
}

impl Board {
    /// Reads what was told last, by whomever.
    pub(crate) async fn read(bus: &Bus, key: &CampaignKey) -> Result<Self, Trouble> {
        let mut board = Self { bus: bus.clone(), key: key.clone(), told: None, seq: 0 };
        board.read_again().await?;
        Ok(board)
    }

    /// What was told last.
    pub(crate) fn told(&self) -> Option<&BulkProgress> {
        self.told.as_ref()
    }

    /// The version that was told last; 0 is none.
    pub(crate) fn told_version(&self) -> u64 {
        self.told.as_ref().map_or(0, |told| told.version)
    }

    /// Tells everybody. Where it is not known whether it was stored, what stands there is read before the next word.
    pub(crate) async fn tell(&mut self, mut progress: BulkProgress) -> Result<(), Trouble> {
        if progress.after_end {
            progress.end_seq = self.end_seq();
        }
        let (subject, id) = (self.key.progress(), Uuid::now_v7().to_string());
        let mut headers = HeaderMap::new();
        headers.insert(header::TYPE, BulkProgress::full_name());
        headers.insert(header::ID, id.as_str());
        headers.insert(header::TRACEPARENT, TraceContext::root().to_header());
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, self.seq.to_string());
        let payload = progress.encode_to_vec().into();
        match self.bus.publish_bytes(subject.as_str(), payload, headers, &id).await {
            Ok(stored) => {
                (self.told, self.seq) = (Some(progress), stored.seq);
                meter::told();
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, campaign = %self.key, "how far a campaign is may not be told");
                self.read_again().await?;
                Err(error.into())
            }
        }
    }

    /// Where it was told that the campaign has ended: whoever was away learns it from later words too.
    fn end_seq(&self) -> u64 {
        self.told.as_ref().filter(|told| told.after_end).map_or(self.seq, |told| told.end_seq)
    }

    async fn read_again(&mut self) -> Result<(), Trouble> {
        let away = |error: &dyn std::fmt::Display| Trouble::Away(error.to_string());
        let stream =
            self.bus.jetstream().get_stream_no_info(STATE.name).await.map_err(|error| away(&error))?;
        match stream.get_last_raw_message_by_subject(self.key.progress().as_str()).await {
            // What cannot be read is written over.
            Ok(found) => (self.told, self.seq) = (BulkProgress::decode(found.payload).ok(), found.sequence),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                (self.told, self.seq) = (None, 0);
            }
            Err(error) => return Err(away(&error)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use chasqui_kit::bus::NatsConfig;
    use chasqui_testkit::NatsServer;

    use super::*;

    fn word(version: u64) -> BulkProgress {
        BulkProgress { version, ..BulkProgress::default() }
    }

    #[tokio::test]
    async fn a_runner_that_lost_its_campaign_writes_over_nobody_and_learns_what_was_told() -> Result<()> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        chasqui_kit::stream::ensure_all(&bus).await?;
        let id = "0d9a4a5e-0000-4000-8000-000000000005".parse()?;
        let key = CampaignKey { tenant: "default".parse()?, id };
        let (mut lost, mut next) = (Board::read(&bus, &key).await?, Board::read(&bus, &key).await?);
        assert_eq!(lost.told(), None);
        lost.tell(word(1)).await?;
        // The next one began to write before it had heard of that.
        assert!(next.tell(word(1)).await.is_err());
        assert_eq!(next.told_version(), 1);
        next.tell(word(3)).await?;
        assert!(lost.tell(word(2)).await.is_err());
        assert_eq!(lost.told(), Some(&word(3)));
        assert_eq!(Board::read(&bus, &key).await?.told(), Some(&word(3)));
        Ok(())
    }
}
