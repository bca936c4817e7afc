//! What operators see of it, at the replica that tells.

use chasqui_proto::v1::BotState;

/// How many tenants' bots are in each state.
pub(super) fn bots(number_in: impl Fn(BotState) -> usize) {
    for state in [BotState::Running, BotState::Degraded, BotState::Off] {
        let number = u32::try_from(number_in(state)).unwrap_or(u32::MAX);
        metrics::gauge!("chasqui_bot_tenants", "state" => state.name()).set(f64::from(number));
    }
}

/// Messages that wait for an answer, of all tenants.
pub(super) fn queued(length: u32) {
    metrics::gauge!("chasqui_bot_queued").set(f64::from(length));
}
