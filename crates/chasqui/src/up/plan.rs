//! Which port everything gets. Ports in use are stepped over, and that is said.

use anyhow::Context;
use chasqui_testkit::first_free_port;

/// Where the simulator is looked for by default.
const SIMULATOR_PORT: u16 = 3900;
/// Where NATS servers are looked for by default.
const NATS_PORT: u16 = 4222;

/// The ports of one run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Of each edge; the first is the front door.
    pub(crate) edges: Vec<u16>,
    /// Of the simulator.
    pub(crate) simulator: u16,
    /// What was stepped over, for the screen.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    /// Free ports for `edges` edges from `port` upwards and for the simulator.
    pub(crate) fn new(port: u16, edges: u16) -> anyhow::Result<Self> {
        let mut plan = Self { edges: Vec::new(), simulator: 0, notes: Vec::new() };
        let mut wanted = port;
        for _ in 0..edges {
            let free = plan.step_to_free(wanted)?;
            plan.edges.push(free);
            wanted = free.checked_add(1).context("there is no port after 65535")?;
        }
        plan.simulator = plan.step_to_free(SIMULATOR_PORT)?;
        Ok(plan)
    }

    /// A free port for a private nats-server.
    pub(crate) fn nats(&mut self) -> anyhow::Result<u16> {
        self.step_to_free(NATS_PORT)
    }

    /// The port of ingest and the first edge.
    pub(crate) fn front(&self) -> u16 {
        self.edges[0]
    }

    /// Every port that must be ready.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.edges.iter().copied().chain([self.simulator]).collect()
    }

    fn step_to_free(&mut self, wanted: u16) -> anyhow::Result<u16> {
        let mut from = wanted;
        let free = loop {
            let free = first_free_port(from).with_context(|| format!("no port from {wanted} up is free"))?;
            if !self.edges.contains(&free) && free != self.simulator {
                break free;
            }
            from = free.checked_add(1).context("there is no port after 65535")?;
        };
        if free != wanted {
            self.notes.push(format!("port {wanted} is in use: {free} instead"));
        }
        Ok(free)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_in_use_is_stepped_over_and_said() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let plan = Plan::new(port, 2).unwrap();
        assert!(plan.edges[0] > port && plan.edges[1] > plan.edges[0]);
        assert_eq!(plan.notes[0], format!("port {port} is in use: {} instead", plan.edges[0]));
    }

    #[test]
    fn no_port_is_given_twice() {
        let mut plan = Plan { edges: vec![SIMULATOR_PORT], simulator: 0, notes: Vec::new() };
        assert!(plan.step_to_free(SIMULATOR_PORT).unwrap() > SIMULATOR_PORT);
    }
}
