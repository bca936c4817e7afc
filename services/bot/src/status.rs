//! How the bot of each tenant stands: what every replica tells of itself, and what one of them tells everybody.

mod board;
mod keeper;
mod meter;
mod queue;
mod stand;
mod teller;

use std::{sync::Arc, time::Duration};

use chasqui_directory::Directory;
use chasqui_kit::{Bus, clock, lease::Leases};
use chasqui_proto::{
    Tenant,
    subject::{NodeToken, bot_worked},
    v1::{BotWork, Responder},
};
use chasqui_responder::Responders;
use futures::StreamExt;
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::{
    stand::{Health, Seen},
    teller::Teller,
};
use crate::{
    Config,
    definition::{Definitions, ModelSettings},
    model::{ModelState, Models},
    work::Works,
};

/// What is wrong where a definition has a model and the configuration none.
const NO_KEY: &str = "the definition has a language model, and bot.openai_api_key is not set";
/// How often a replica tells what it did.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// How long it waits until that is counted: a word is counted with the next look of whoever counts, once a second.
const COUNTED_WAIT: Duration = Duration::from_secs(4);
/// How long an answer is put off at most: ten pauses of the longest that a definition may ask for.
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// What an answer may take beyond the pause and the model: another replica goes on where one died.
const ANSWER_SLACK: Duration = Duration::from_mins(1);
/// How many tenants it tells of at once.
const TOLD_AT_ONCE: usize = 32;

/// What the status of the bot is made of.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) bus: Bus,
    pub(crate) node: NodeToken,
    pub(crate) leases: Leases,
    /// Has a status from the start; other tenants once they have a file or something to answer.
    pub(crate) tenant: Tenant,
    pub(crate) directory: Directory,
    pub(crate) responders: Responders,
    pub(crate) definitions: Definitions,
    pub(crate) models: Arc<Models>,
    pub(crate) works: Arc<Works>,
    pub(crate) config: Config,
}

impl Status {
    /// Tells what this replica did, and, while it holds the lease, everybody how the bots stand. Until stopped, which is
    /// after the last answer: what was done is told once more then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        // Who counts goes on until the others have told their last.
        let counting = CancellationToken::new();
        let telling = async {
            self.tell(&stop).await;
            counting.cancel();
        };
        tokio::join!(telling, keeper::keep(&self, &counting));
    }

    async fn tell(&self, stop: &CancellationToken) {
        let mut teller = Teller::new(self.node.clone());
        let mut tick = interval(TELL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.tell_once(&mut teller).await;
        }
        // First what was told in vain, then what was done since.
        self.tell_once(&mut teller).await;
        self.tell_once(&mut teller).await;
    }

    async fn tell_once(&self, teller: &mut Teller) {
        let untold =
            teller.gather(self.works.drain(), self.tenants(), |tenant| self.health(tenant), clock::now_ms());
        let told = futures::stream::iter(untold).map(async |(tenant, work)| {
            let is_counted = self.is_counted(&tenant, &work).await;
            is_counted.then_some((tenant, work))
        });
        for (tenant, work) in
            told.buffer_unordered(TOLD_AT_ONCE).filter_map(std::future::ready).collect::<Vec<_>>().await
        {
            teller.counted(&tenant, &work);
        }
    }

    /// Tells it to whoever counts; false while nobody does.
    async fn is_counted(&self, tenant: &Tenant, work: &BotWork) -> bool {
        let request =
            async_nats::Request::new().payload(work.encode_to_vec().into()).timeout(Some(COUNTED_WAIT));
        let subject = bot_worked(tenant, &self.node);
        self.bus.client().send_request(subject.as_str().to_owned(), request).await.is_ok()
    }

    /// The tenants that have a status even if nothing is to be answered.
    fn tenants(&self) -> Vec<Tenant> {
        let mut tenants = self.definitions.tenants();
        tenants.push(self.tenant.clone());
        tenants
    }

    /// How well this replica can answer the contacts of a tenant.
    fn health(&self, tenant: &Tenant) -> Health {
        let state = self.models.state(tenant);
        let definition_problem = self.definitions.problem(tenant).unwrap_or_default();
        match self.definitions.of(tenant).model() {
            None => Health { definition_problem, ..Health::default() },
            Some(_) if state == ModelState::Off && definition_problem.is_empty() => {
                Health { definition_problem: NO_KEY.to_owned(), ..Health::default() }
            }
            Some(settings) => Health {
                model: self.model(settings),
                model_state: state.name().to_owned(),
                definition_problem,
            },
        }
    }

    fn model(&self, settings: &ModelSettings) -> String {
        settings.model.clone().unwrap_or_else(|| self.config.openai_model.clone())
    }

    /// How long an answer may take until its message is waited for in vain.
    fn answer_time_max(&self) -> Duration {
        PAUSE_MAX + Duration::from_millis(self.config.model_timeout_ms) + ANSWER_SLACK
    }

    fn seen(&self, tenant: &Tenant) -> Seen {
        Seen {
            is_suspended: self.directory.is_suspended(tenant),
            is_builtin: self.responders.of_tenant(tenant) == Responder::Builtin,
            health: self.health(tenant),
        }
    }
}

#[cfg(test)]
mod tests;
