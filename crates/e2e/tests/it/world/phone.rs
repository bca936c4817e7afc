use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Cluster, http, process::Process};

/// Linked phones: the simulator, in the shared cluster.
pub(crate) struct Phone(&'static Process);

impl Phone {
    /// The phones of the shared cluster, whose numbers the simulator owns.
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        static SIMULATOR: OnceCell<Process> = OnceCell::const_new();
        let start = || async {
            let simulator = cluster.simulator().await;
            simulator.start().await;
            simulator.is_ready(true).await;
            simulator
        };
        Self(SIMULATOR.get_or_init(start).await)
    }

    /// Scans the QR of an account.
    pub(crate) async fn scan(&self, account: &str) {
        self.act(account, "scan", json!({ "phone": "5491100000090" })).await;
    }

    /// A contact writes to the account's number.
    pub(crate) async fn writes(&self, account: &str, contact: &str, text: &str) {
        self.act(account, "messages", json!({ "from": contact, "text": text })).await;
    }

    pub(crate) async fn logs_out(&self, account: &str) {
        self.act(account, "logout", json!({})).await;
    }

    async fn act(&self, account: &str, action: &str, body: Value) {
        let url = self.0.url(&format!("/linked/{account}/main/{action}"));
        let answer = http().post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{action}: {}", answer.text().await.unwrap());
    }
}
