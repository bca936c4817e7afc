//! One simulated number: stopped, waiting for a scan, connected, logged out. Pure: the time is an argument.

use chasqui_proto::v1::{self, SessionStatus};
use uuid::Uuid;

use super::{Key, qr};

/// How long a QR can be scanned, milliseconds (WAB-29).
const QR_LIFETIME_MS: i64 = 3 * 60 * 1_000;

/// One number's session.
#[derive(Debug, Default)]
pub(super) struct Account {
    status: Option<SessionStatus>,
    qr: String,
    qr_expires_at_ms: i64,
    phone: String,
    /// Grows with every change and across restarts: milliseconds, or one more than before.
    version: u64,
    updated_at_ms: i64,
}

impl Account {
    /// Connected, or with a QR that leads to `url` and can still be scanned.
    pub(super) fn open(&mut self, url: &str, now_ms: i64) {
        let connected = self.status == Some(SessionStatus::Connected);
        let scannable = self.status == Some(SessionStatus::ScanQr) && now_ms < self.qr_expires_at_ms;
        if connected || scannable {
            return;
        }
        self.qr = qr::data_url(&format!("{url}/scan?code={}", Uuid::new_v4().simple()));
        self.qr_expires_at_ms = now_ms + QR_LIFETIME_MS;
        self.turn(SessionStatus::ScanQr, now_ms);
    }

    /// The phone scans the QR, if there is one to scan.
    pub(super) fn scan(&mut self, phone: &str, now_ms: i64) {
        if self.status == Some(SessionStatus::ScanQr) && now_ms < self.qr_expires_at_ms {
            phone.clone_into(&mut self.phone);
            self.turn(SessionStatus::Connected, now_ms);
        }
    }

    pub(super) fn log_out(&mut self, now_ms: i64) {
        if self.status != Some(SessionStatus::LoggedOut) {
            self.turn(SessionStatus::LoggedOut, now_ms);
        }
    }

    pub(super) fn state(&self, key: &Key) -> v1::Session {
        let status = self.status.unwrap_or(SessionStatus::Stopped);
        let scanning = status == SessionStatus::ScanQr;
        v1::Session {
            tenant: key.tenant.to_string(),
            id: key.session.to_string(),
            status: status.into(),
            qr: if scanning { self.qr.clone() } else { String::new() },
            qr_expires_at_ms: if scanning { self.qr_expires_at_ms } else { 0 },
            reason: if status == SessionStatus::LoggedOut { status.name().to_owned() } else { String::new() },
            phone: self.phone.clone(),
            version: self.version,
            updated_at_ms: self.updated_at_ms,
        }
    }

    fn turn(&mut self, status: SessionStatus, now_ms: i64) {
        self.status = Some(status);
        self.version = u64::try_from(now_ms).unwrap_or_default().max(self.version + 1);
        self.updated_at_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wab_29_a_qr_is_the_same_for_three_minutes() {
        let mut account = Account::default();
        account.open("http://phone", 1_000);
        let first = account.qr.clone();
        account.open("http://phone", 1_000 + QR_LIFETIME_MS - 1);
        assert_eq!(account.qr, first);
        account.scan("5491100000001", 1_000 + QR_LIFETIME_MS);
        assert_eq!(account.status, Some(SessionStatus::ScanQr), "too late");
        account.open("http://phone", 1_000 + QR_LIFETIME_MS);
        assert_ne!(account.qr, first);
    }

    #[test]
    fn wab_10_who_is_connected_gets_no_qr() {
        let mut account = Account::default();
        account.open("http://phone", 1);
        account.scan("5491100000001", 2);
        account.open("http://phone", 3);
        assert_eq!(account.status, Some(SessionStatus::Connected));
        let version = account.version;
        account.log_out(4);
        assert_eq!((account.status, account.version > version), (Some(SessionStatus::LoggedOut), true));
    }
}
