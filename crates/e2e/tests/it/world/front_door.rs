use chasqui_testkit::Proxy;

use super::{Cluster, process::Process};

/// What of the base URL is for machines. Everything else is the front ends'.
const FOR_INGEST: [&str; 12] = [
    "/webhooks/",
    "/api/bot-reply",
    "/api/admin/",
    "/api/campaigns",
    "/api/opt-outs",
    "/api/whatsapp/send",
    "/api/whatsapp/status",
    "/api/whatsapp/register-listener",
    "/api/whatsapp/unregister-listener",
    "/haby/api/wapp-session/",
    "/api/status",
    "/v23.0/",
];

/// The cluster's one address: each request goes to the next node, nobody stays where it was.
pub(crate) struct FrontDoor(Proxy);

impl FrontDoor {
    pub(crate) async fn open(cluster: &Cluster) -> Self {
        let addresses = |processes: &[Process]| {
            processes.iter().map(|process| process.address().parse().unwrap()).collect::<Vec<_>>()
        };
        let machines = FOR_INGEST.map(|path| (path, addresses(&cluster.ingests)));
        let people = ("/", addresses(&cluster.edges));
        Self(Proxy::start(machines.into_iter().chain([people]).collect()).await.unwrap())
    }

    /// As Socket.IO clients and REST know it.
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// As a native WebSocket knows it.
    pub(crate) fn web_socket(&self) -> String {
        format!("ws://{}", self.0.address())
    }

    /// The CRM's, with its token.
    pub(crate) fn crm_url(&self, token: &str) -> String {
        format!("{}/ws?token={token}", self.web_socket())
    }
}
