//! Contacts write what the built-in bot answers: how soon each answer is decided.

mod contacts;
mod ear;
mod report;
mod script;
mod tally;
mod writer;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use chasqui_kit::Bus;
use chasqui_proto::Tenant;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    address::Address,
    clock::Clock,
    letter::Entrance,
    options::Options,
    process::{self, Snapshot},
};

use contacts::Contacts;
use ear::Ear;
use script::Kind;
use tally::Tally;
use writer::{Kept, Manner, Writer};

pub use report::AnswersReport;
pub use tally::{Answered, Webhook};

/// How long the contacts' first messages may take to be answered.
const OPENING_WAIT: Duration = Duration::from_secs(5);
/// How long further replies are listened for after everything was answered.
const FURTHER_WAIT: Duration = Duration::from_secs(1);
/// How late the sender may be at the 99th percentile before the report says so, microseconds.
const LATENESS_US_MAX: u64 = 3_000;

/// Lets contacts write at this rate, first for the warm-up and then for so long, and hears what they are answered.
pub(crate) async fn measure(
    options: &Options,
    rate_per_s: u32,
    seconds: u32,
) -> anyhow::Result<AnswersReport> {
    let Entrance::Webhook { app_secret } = &options.entrance else { bail!("contacts write by the webhook") };
    let ingest = Address::parse(&options.ingest)?;
    let bus = Bus::connect("bench answers", &options.nats).await?;
    let mut disruptions = bus.disruptions();
    disruptions.mark_unchanged();
    let (id, clock) = (Uuid::new_v4(), Clock::start());
    let run = id.simple().to_string()[..8].to_owned();
    let (contacts, waiting) = Contacts::new(id, options.conversations);
    let contacts = Arc::new(contacts);
    let ear = Ear::open(&bus).await?.hear_messages(run.clone(), contacts.clone(), clock);
    let _hearing = AbortOnDropHandle::new(tokio::spawn(ear));
    let manner = Manner { run, ingest, app_secret: app_secret.clone(), text_bytes: options.text_bytes };
    let mut writer = Writer::open(manner, options.connections, contacts.clone(), waiting, clock).await?;

    writer.write(options.conversations, rate_per_s).await?;
    contacts.until(Instant::now() + OPENING_WAIT, Tally::is_complete).await;
    let appointments = Ear::open_for_appointments(&bus, opened(&contacts)?).await?;
    let appointments = appointments.hear_appointments(contacts.clone());
    let _hearing_appointments = AbortOnDropHandle::new(tokio::spawn(appointments));

    let warm_us = clock.now_us() + u64::from(options.warmup_seconds) * 1_000_000;
    let before = Snapshot::take(&options.processes, clock)?;
    let messages = rate_per_s.saturating_mul(options.warmup_seconds.saturating_add(seconds));
    let kept = writer.write(messages, rate_per_s).await?;
    let deadline = Instant::now() + Duration::from_secs(options.stragglers_seconds.into());
    contacts.until(deadline, Tally::is_complete).await;
    let cpu = Snapshot::take(&options.processes, clock)?.since(&before, kept.written);
    contacts.until(deadline, Tally::has_all_appointments).await;
    tokio::time::sleep(FURTHER_WAIT).await;
    let is_disrupted = disruptions.has_changed().unwrap_or(true);
    ensure!(!is_disrupted, "the connection to NATS was lost meanwhile, or could not keep up");

    let report = report_of(&contacts.tally(), options.conversations, warm_us);
    let report = AnswersReport { rate_per_s, achieved_per_s: kept.rate_per_s(), cpu, ..report };
    Ok(AnswersReport { warnings: warnings(&report, kept), ..report }.judged())
}

/// What the tally knows of the report.
fn report_of(tally: &Tally, conversations: u32, warm_us: u64) -> AnswersReport {
    let (walks, appointments) = tally.walks_and_appointments();
    AnswersReport {
        conversations,
        flow: tally.answered(&[Kind::Flow], warm_us),
        plain: tally.answered(&[Kind::Plain], warm_us),
        both: tally.answered(&[Kind::Flow, Kind::Plain], warm_us),
        openings_never: tally.answered(&[Kind::Opening], warm_us).never,
        walks,
        appointments,
        webhook: tally.webhook(warm_us),
        ..AnswersReport::default()
    }
}

/// The tenant of the contacts, as soon as any of them was answered. If none was, an error says what is probably missing.
fn opened(contacts: &Contacts) -> anyhow::Result<&Tenant> {
    let tally = contacts.tally();
    let (stored, answered) = tally.stored_and_answered();
    let Webhook { sent, acknowledged, refused, .. } = tally.webhook(0);
    ensure!(
        acknowledged > 0,
        "no message was accepted: {sent} were sent, and by status {refused:?} were refused"
    );
    let tenant = contacts.tenant().filter(|_| stored > 0).with_context(|| {
        format!(
            "the webhook took {acknowledged} messages, and none was heard at NATS: the broker must be the deployment's own"
        )
    })?;
    ensure!(
        answered > 0,
        "nothing was answered: {stored} contacts wrote, and no reply to any of them was heard within {} s. The responder \
         of tenant {tenant} must be the built-in bot (DEFAULT_RESPONDER=builtin, as `chasqui up` has), and the bot must run",
        OPENING_WAIT.as_secs()
    );
    Ok(tenant)
}

fn warnings(report: &AnswersReport, kept: Kept) -> Vec<String> {
    let mut warnings = Vec::new();
    if !report.is_rate_kept() {
        warnings.push(format!(
            "the rate was not held: {} messages found none of {} contacts that did not wait for an answer (more \
             --conversations), and {} no connection (more --connections)",
            kept.for_want_of_contacts, report.conversations, kept.for_want_of_connections
        ));
    }
    if report.walks == 0 {
        warnings.push("no walk through the flow came to its end: the run was too short".to_owned());
    } else if report.walks != report.appointments {
        warnings.push(
            "walks and appointments differ: the deployment has another flow or register than `chasqui up`, or errs"
                .to_owned(),
        );
    }
    let late_us = report.webhook.lateness.p99_us;
    if report.is_rate_kept() && late_us > LATENESS_US_MAX {
        warnings
            .push(format!("the sender was {late_us} µs late at p99; from the webhook, what is late counts"));
    }
    if let Some(cores) = process::others_cores(&report.cpu) {
        warnings.push(format!("other processes used {cores:.2} cores meanwhile"));
    }
    warnings
}
