//! Exit codes: which part of a process failed.

use std::process::ExitCode;

use chasqui_kit::config::Problems;

use crate::settings::Service;

/// A tool could not do what it was asked.
pub(crate) const FAILED: u8 = 1;
/// The configuration has problems; nothing was started. The command line's own errors use it too.
pub(crate) const CONFIGURATION: u8 = 2;
/// A port could not be bound.
pub(crate) const DOOR: u8 = 20;
/// A part of `up` that is not a service failed: nats-server, PostgreSQL, or it did not become ready.
pub(crate) const UP: u8 = 21;

/// What a process exits with when this service fails.
pub(crate) fn of(service: Service) -> u8 {
    match service {
        Service::Ingest => 10,
        Service::Edge => 11,
        Service::Persistence => 12,
        Service::Simulator => 13,
        Service::Whatsapp => 14,
        Service::Webhooks => 15,
        Service::Bot => 16,
        Service::Bulk => 17,
    }
}

/// Tells every problem, before there are logs to tell them in.
pub(crate) fn misconfigured(problems: &Problems) -> ExitCode {
    eprint!("{problems}");
    ExitCode::from(CONFIGURATION)
}
