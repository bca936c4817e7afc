use serde_json::{Value, json};

use super::{Cluster, http, process::Process};

/// Linked phones of a connected cluster.
pub(crate) struct Phone<'a>(&'a Process);

impl<'a> Phone<'a> {
    pub(crate) fn of(cluster: &'a Cluster) -> Self {
        Self(&cluster.outside)
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
