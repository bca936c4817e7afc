//! What a service is given to stand on.

use chasqui_proto::{Tenant, subject::NodeToken, v1::Responder};
use serde::Deserialize;

use crate::{
    Bus,
    config::{Problems, Section},
    door::Door,
    health::Health,
};

/// Section `tenant`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantConfig {
    /// The tenant of whatever names none. Default `default`.
    pub default: String,
    /// Who answers contacts where neither a tenant nor a conversation says otherwise: `builtin` (the bot of the pipeline)
    /// or `external` (a bot outside, or nobody). Default `external`.
    pub responder: String,
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self { default: "default".to_owned(), responder: Responder::External.name().to_owned() }
    }
}

impl Section for TenantConfig {
    const NAME: &'static str = "tenant";

    fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.default.parse::<Tenant>() {
            problems.add("tenant.default", error);
        }
        problems.require(self.responder().is_some(), "tenant.responder", "must be builtin or external");
    }
}

impl TenantConfig {
    /// The default tenant of a checked configuration.
    pub fn tenant(&self) -> Tenant {
        self.default.parse().expect("the section was checked")
    }

    /// Who answers where nothing else says so; `None` if that is no bot's name, which the check refuses.
    pub fn responder(&self) -> Option<Responder> {
        let is_bot = |responder: &Responder| matches!(responder, Responder::Builtin | Responder::External);
        Responder::of_name(&self.responder).filter(is_bot)
    }
}

/// The chassis of one service in one process: its own connection to NATS, and the door and health board that it
/// shares with the others in the process.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The service's own connection.
    pub bus: Bus,
    /// Where its HTTP routes are mounted.
    pub door: Door,
    /// Where it says whether it works.
    pub health: Health,
    /// This process's name on the bus, different in each replica.
    pub node: NodeToken,
    /// The tenant of whatever names none.
    pub tenant: Tenant,
}
