//! Reading the stream of states: what stood there before anybody listened, and what went past.

use chasqui_kit::Bus;
use chasqui_proto::{stream::STATE, subject};

use crate::{error::Error, feed::Feed, feeds::Feeds, tail};

/// How many campaigns are read at once.
const PAGE_CAMPAIGNS: usize = 1_000;

/// Tells a tenant's feed how its campaigns stand, as far as that has changed since it was read last. A contact's feed has
/// no campaigns.
pub(crate) async fn read(bus: &Bus, feeds: &Feeds, feed: &Feed) -> Result<(), Error> {
    let Some(mut after) = feed.campaigns_read() else { return Ok(()) };
    let states = subject::bulk_progress_of_tenant(feed.scope().tenant());
    loop {
        let page = tail::read(bus, &STATE, &states, after, PAGE_CAMPAIGNS).await?;
        let last = page.events.last().and_then(|event| event.mark.as_ref()).map(|mark| mark.seq);
        for event in page.events.into_iter().filter_map(|event| feeds.place(event)) {
            feed.tell(&event);
        }
        let Some(last) = last else { return Ok(()) };
        feed.mark_campaigns_read(last);
        if !page.truncated {
            return Ok(());
        }
        after = last;
    }
}
