use async_nats::jetstream;
use chasqui_proto::stream;
use chasqui_testkit::wait_for;
use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};

use super::{Cluster, DEADLINE, FrontDoor, http, meta::NUMBER, process::Process};

/// A back end that makes campaigns and looks after them.
pub(crate) struct Campaigns<'a>(&'a FrontDoor);

impl<'a> Campaigns<'a> {
    pub(crate) fn of(door: &'a FrontDoor) -> Self {
        Self(door)
    }

    /// Makes a campaign of a file of recipients; the answer.
    pub(crate) async fn uploads(&self, definition: &Value, file: String) -> Value {
        let (status, answer) = self.tries(definition, file, None).await;
        assert!(status.is_success(), "{status} {answer}");
        answer
    }

    /// Status and body of the answer to an upload.
    pub(crate) async fn tries(
        &self,
        definition: &Value,
        file: String,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let file = multipart::Part::text(file).file_name("contacts.csv").mime_str("text/csv").unwrap();
        let form = multipart::Form::new().text("campaign", definition.to_string()).part("file", file);
        let mut request = self.request(Method::POST, "").multipart(form);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Starts, pauses, resumes, cancels or retries a campaign; its state after it.
    pub(crate) async fn does(&self, id: &str, action: &str) -> Value {
        let answer = self.request(Method::POST, &format!("/{id}/{action}")).send().await.unwrap();
        let (status, answer): (_, Value) = (answer.status(), answer.json().await.unwrap());
        assert!(status.is_success(), "{action}: {status} {answer}");
        answer["campaign"].clone()
    }

    /// A campaign as it stands.
    pub(crate) async fn shows(&self, id: &str) -> Value {
        let answer = self.request(Method::GET, &format!("/{id}")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["campaign"].clone()
    }

    /// What is answered under a path of a campaign.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Waits until `wanted` finds something in a campaign.
    pub(crate) async fn becomes<T>(&self, id: &str, claim: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(DEADLINE, &format!("the campaign {claim}"), async || wanted(&self.shows(id).await)).await
    }

    /// Waits until a campaign has a status.
    pub(crate) async fn is(&self, id: &str, status: &str) -> Value {
        let has = |campaign: &Value| (campaign["status"] == status).then(|| campaign.clone());
        self.becomes(id, &format!("is {status}"), has).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/campaigns{path}", self.0.http());
        http().request(method, url).header("x-api-key", Cluster::api_key())
    }
}

impl Cluster {
    /// Its number sends a thousand a second.
    pub(crate) async fn has_a_fast_number(&self) {
        let put = ["admin", "number", "put", NUMBER, "--tenant", "default"];
        let limits = ["--messages-per-second", "1000"];
        self.tool(&[&put[..], &limits[..]].concat()).await;
    }

    /// The process that runs a campaign, once one does.
    pub(crate) async fn runner_of(&self, campaign: &str) -> &Process {
        let key = stream::campaign_lease(&"default".parse().unwrap(), campaign.parse().unwrap());
        let nats = async_nats::connect(self.nats.url()).await.unwrap();
        let leases = jetstream::new(nats).get_key_value(stream::LEASES.name).await.unwrap();
        wait_for(DEADLINE, "somebody runs the campaign", async || {
            let claim = leases.get(key.as_str()).await.ok()??;
            let holder = String::from_utf8_lossy(&claim).into_owned();
            self.bulks.iter().find(|bulk| holder.split(' ').next() == Some(bulk.name()))
        })
        .await
    }
}

/// A campaign that greets, not started.
pub(crate) fn greeting(name: &str) -> Value {
    json!({ "name": name, "message": { "type": "text", "text": { "body": "Hola {{nombre}}" } } })
}

/// A file of so many contacts, numbered from `first`.
pub(crate) fn contacts(first: usize, count: usize) -> String {
    let row = |number: usize| format!("5491100{number:06},Contacto {number}\n");
    let rows: String = (first..first + count).map(row).collect();
    format!("telefono,nombre\n{rows}")
}
