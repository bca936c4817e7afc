//! The whole configuration of a process: every section read once, judged as far as the process needs it.

use std::{collections::HashMap, fmt::Debug, path::Path};

use chasqui_kit::{
    bus::NatsConfig,
    config::{Problems, Section, Settings},
    door::HttpConfig,
    platform::TenantConfig,
    telemetry::LogConfig,
};

/// The environment of a process.
pub(crate) type Variables = HashMap<String, String>;

/// What runs in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// Takes what machines send over HTTP.
    Ingest,
    /// Stores and answers queries.
    Persistence,
    /// Holds the sockets of front ends.
    Edge,
    /// Owns the connections of WhatsApp numbers.
    Whatsapp,
    /// Posts events to registered listeners.
    Webhooks,
    /// Answers contacts.
    Bot,
    /// Runs campaigns.
    Bulk,
    /// Plays the outside world for local work.
    Simulator,
}

impl Service {
    /// What `chasqui all` runs.
    pub(crate) const ALL: [Self; 7] =
        [Self::Ingest, Self::Persistence, Self::Edge, Self::Whatsapp, Self::Webhooks, Self::Bot, Self::Bulk];

    /// Its name in logs, health reports and NATS connections.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Persistence => "persistence",
            Self::Edge => "edge",
            Self::Whatsapp => "whatsapp",
            Self::Webhooks => "webhooks",
            Self::Bot => "bot",
            Self::Bulk => "bulk",
            Self::Simulator => "simulator",
        }
    }
}

/// Every section.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) nats: NatsConfig,
    pub(crate) http: HttpConfig,
    pub(crate) log: LogConfig,
    pub(crate) tenant: TenantConfig,
    pub(crate) media: chasqui_media::Config,
    pub(crate) ingest: chasqui_ingest::Config,
    pub(crate) edge: chasqui_edge::Config,
    pub(crate) persistence: chasqui_persistence::Config,
    pub(crate) whatsapp: chasqui_whatsapp::Config,
    pub(crate) webhooks: chasqui_webhooks::Config,
    pub(crate) bot: chasqui_bot::Config,
    pub(crate) bulk: chasqui_bulk::Config,
    pub(crate) simulator: chasqui_simulator::Config,
}

/// Reads the file and the variables. The sections of `services` must be complete; what is set in the others must only
/// make sense, since one file usually serves every process.
pub(crate) fn read(
    file: Option<&Path>,
    variables: Variables,
    services: &[Service],
) -> Result<Configuration, Problems> {
    let mut settings = Settings::read(file, with_simulator_secrets(variables))?;
    let mut problems = Problems::default();
    let needs = |service: Service| services.contains(&service);
    let mut configuration = Configuration {
        nats: settings.take(&mut problems),
        http: settings.take(&mut problems),
        log: settings.take(&mut problems),
        tenant: settings.take(&mut problems),
        media: take(&mut settings, &mut problems, MEDIA_USERS.into_iter().any(needs)),
        ingest: take(&mut settings, &mut problems, needs(Service::Ingest)),
        edge: take(&mut settings, &mut problems, needs(Service::Edge)),
        persistence: take(&mut settings, &mut problems, needs(Service::Persistence)),
        whatsapp: take(&mut settings, &mut problems, needs(Service::Whatsapp)),
        webhooks: take(&mut settings, &mut problems, needs(Service::Webhooks)),
        bot: take(&mut settings, &mut problems, needs(Service::Bot)),
        bulk: take(&mut settings, &mut problems, needs(Service::Bulk)),
        simulator: take(&mut settings, &mut problems, needs(Service::Simulator)),
    };
    settings.finish(&mut problems);
    configuration.share();
    if problems.is_empty() { Ok(configuration) } else { Err(problems) }
}

/// The simulator signs with the secret that ingest checks, and wants the token that whatsapp has; saying each once is
/// enough.
fn with_simulator_secrets(mut variables: Variables) -> Variables {
    // An empty variable is one that is not set: so compose passes those that nobody gave.
    let given = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let token = given("WHATSAPP_ACCESS_TOKEN").or_else(|| given("CHASQUI__WHATSAPP__ACCESS_TOKEN")).cloned();
    // The first of several is the newest.
    let secret = given("WHATSAPP_APP_SECRET")
        .or_else(|| given("CHASQUI__INGEST__APP_SECRET"))
        .and_then(|secrets| secrets.split(',').next())
        .map(|secret| secret.trim().to_owned());
    if let Some(token) = token {
        variables.entry("CHASQUI__SIMULATOR__ACCESS_TOKEN".to_owned()).or_insert(token);
    }
    if let Some(secret) = secret {
        variables.entry("CHASQUI__SIMULATOR__APP_SECRET".to_owned()).or_insert(secret);
    }
    variables
}

fn take<S: Section>(settings: &mut Settings, problems: &mut Problems, is_needed: bool) -> S {
    if is_needed {
        return settings.take(problems);
    }
    let (mut found, mut missing) = (Problems::default(), Problems::default());
    S::default().check(&mut missing);
    let section = settings.take(&mut found);
    for line in found.lines().iter().filter(|line| !missing.lines().contains(line)) {
        let (setting, expected) = line.split_once(": ").unwrap_or((S::NAME, line));
        problems.add(setting, expected);
    }
    section
}

/// The services that keep, sign or serve files.
const MEDIA_USERS: [Service; 4] = [Service::Ingest, Service::Edge, Service::Whatsapp, Service::Webhooks];

impl Configuration {
    /// What several services need is said once: where files are, what tokens are checked by, which number is the default
    /// tenant's, who answers.
    fn share(&mut self) {
        self.ingest.media = self.media.clone();
        self.edge.media = self.media.clone();
        self.whatsapp.media = self.media.clone();
        self.webhooks.media = self.media.clone();
        if let Some(responder) = self.tenant.responder() {
            self.bot.responder = responder;
            self.ingest.responder = responder;
            self.webhooks.responder = responder;
        }
        self.ingest.tokens = self.edge.token_settings();
        self.ingest.phone_number_id = self.whatsapp.phone_number_id.clone();
    }

    /// Every setting with its value, one a line; secrets are only said to be set.
    pub(crate) fn lines(&self) -> Vec<String> {
        [
            section_lines(&self.nats),
            section_lines(&self.http),
            section_lines(&self.log),
            section_lines(&self.tenant),
            section_lines(&self.media),
            section_lines(&self.ingest),
            section_lines(&self.edge),
            section_lines(&self.persistence),
            section_lines(&self.whatsapp),
            section_lines(&self.webhooks),
            section_lines(&self.bot),
            section_lines(&self.bulk),
            section_lines(&self.simulator),
        ]
        .concat()
    }
}

/// Debug output is the one form that every section has and that hides secrets. A field begins at an indentation of
/// four; what is deeper belongs to the field before.
fn section_lines<S: Section + Debug>(section: &S) -> Vec<String> {
    let text = format!("{section:#?}");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("    ")) {
        match line.strip_prefix("    ").filter(|line| !line.starts_with([' ', ')', ']', '}'])) {
            Some(field) => lines.push(format!("{}.{field}", S::NAME)),
            None => lines.last_mut().expect("a field comes first").push_str(line.trim()),
        }
    }
    lines.into_iter().map(|line| readable(&line)).collect()
}

fn readable(line: &str) -> String {
    let line = line.trim_end_matches(',').replace("SecretBox<str>([REDACTED])", "(set)").replace(",)", ")");
    let line = line.replacen(": ", " = ", 1).replace(",]", "]");
    let value =
        |text: &str| text.strip_prefix("Some(").and_then(|text| text.strip_suffix(')')).map(str::to_owned);
    let (setting, text) = line.split_once(" = ").unwrap_or((&line, ""));
    let text =
        if text == "None" { "(not set)".to_owned() } else { value(text).unwrap_or_else(|| text.to_owned()) };
    format!("{setting} = {}", without_credentials(&text))
}

/// `nats://user:password@host` → `nats://(set)@host`
pub(crate) fn without_credentials(text: &str) -> String {
    let server = |server: &str| match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://(set)@{host}"),
        _ => server.to_owned(),
    };
    text.split(',').map(server).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read_variables(variables: &[(&str, &str)], services: &[Service]) -> Result<Configuration, Problems> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(None, variables, services)
    }

    #[test]
    fn a_process_needs_only_what_its_own_services_need() {
        assert!(read_variables(&[("WHATSAPP_API_KEY", "k")], &[]).is_ok());
        let problems = read_variables(&[], &[Service::Ingest, Service::Edge]).unwrap_err().to_string();
        for expected in ["ingest.api_key (WHATSAPP_API_KEY)", "edge.jwt_secret (JWT_SECRET)"] {
            assert!(problems.contains(expected), "{expected} is missing in {problems}");
        }
        assert!(!problems.contains("simulator."), "{problems}");
    }

    #[test]
    fn what_is_wrong_is_told_even_where_it_is_not_needed() {
        let variables = [("CHASQUI__EDGE__SOCKETS_MAX", "many"), ("CHASQUI__EGDE__SOCKETS_MAX", "1")];
        let problems = read_variables(&variables, &[Service::Simulator]).unwrap_err().to_string();
        for expected in ["edge.sockets_max", "egde: there is no such section", "simulator.app_secret"] {
            assert!(problems.contains(expected), "{expected} is missing in {problems}");
        }
    }

    #[test]
    fn the_simulator_signs_with_the_secret_the_ingest_checks() {
        let configuration =
            read_variables(&[("WHATSAPP_APP_SECRET", "new, old")], &[Service::Simulator]).unwrap();
        assert_eq!(configuration.simulator.app_secret.unwrap().expose_secret(), "new");
    }

    #[test]
    fn whatsapp_starts_without_an_access_token_and_ingest_with_a_number_alone() {
        let unset = [("WHATSAPP_ACCESS_TOKEN", ""), ("WHATSAPP_PHONE_NUMBER_ID", "")];
        assert!(read_variables(&unset, &[Service::Whatsapp]).is_ok());
        let number = [("WHATSAPP_PHONE_NUMBER_ID", "100000000000001"), ("WHATSAPP_ACCESS_TOKEN", "")];
        for services in [&[Service::Whatsapp][..], &[]] {
            assert!(read_variables(&number, services).is_ok(), "{services:?}");
        }
    }

    #[test]
    fn effective_values_are_listed_without_secrets() {
        let variables = [
            ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            ("NATS_URL", "nats://me:mine@a:4222,nats://b:4222"),
            ("PORT", "3005"),
        ];
        let lines = read_variables(&variables, &[]).unwrap().lines();
        for expected in [
            "http.port = 3005",
            "edge.jwt_secret = (set)",
            "ingest.api_key = (not set)",
            "edge.allowed_origins = []",
            "nats.url = \"nats://(set)@a:4222,nats://b:4222\"",
            "nats.user = (not set)",
        ] {
            assert!(lines.contains(&expected.to_owned()), "{expected} is missing in {lines:#?}");
        }
        assert!(!lines.concat().contains("0123456789") && !lines.concat().contains("mine"));
    }
}
