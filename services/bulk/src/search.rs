//! Who wants a runner.

use std::time::Duration;

use chasqui_kit::{Bus, TraceContext, request::RequestError};
use chasqui_proto::{service::CAMPAIGNS_DUE, v1::ListDueCampaigns};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{key::CampaignKey, pause, runs::Runs};

/// How many campaigns are asked for: more than one replica runs, so that those beyond its room are seen by another.
const DUE_MAX: u32 = 1_024;
/// How many failures in a row nobody is told of: services start in any order, and half a second later all are there.
const FAILURES_UNTOLD: u32 = 3;

/// Looks for campaigns that nobody runs, and runs them, until stopped; then all are finished.
pub(crate) async fn search(bus: &Bus, mut runs: Runs, every: Duration, stop: &CancellationToken) {
    let (mut pause, mut failures) = (pause::pause(), 0_u32);
    while !stop.is_cancelled() {
        let wait = match due(bus).await {
            Ok(due) => {
                runs.take(due).await;
                (pause, failures) = (pause::pause(), 0);
                every
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                if failures == FAILURES_UNTOLD + 1 {
                    tracing::warn!(%error, "which campaigns want a runner is not known now; asking again");
                }
                pause.lengthen()
            }
        };
        stop.run_until_cancelled(sleep(wait)).await;
    }
    runs.finish().await;
}

async fn due(bus: &Bus) -> Result<Vec<CampaignKey>, RequestError> {
    let question = ListDueCampaigns { limit: DUE_MAX };
    let answer = bus.ask(CAMPAIGNS_DUE, &question, TraceContext::root()).await?;
    Ok(answer.campaigns.iter().filter_map(CampaignKey::read).collect())
}
