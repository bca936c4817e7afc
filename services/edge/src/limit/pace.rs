//! How fast one connection may send frames, and all of a tenant together.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chasqui_proto::Tenant;

use super::{Bucket, Rate};

/// A client whose frames are refused for this long without a rest is closed.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client that had no frame refused for this long has rested.
const REST: Duration = Duration::from_secs(2);
/// With more tenants than this, those that have rested are forgotten.
const TENANTS_KEPT_MAX: usize = 1_024;

/// The rates of a node's frames, and what its tenants have used up.
#[derive(Debug)]
pub(crate) struct Paces {
    connection: Rate,
    tenant: Rate,
    tenants: Mutex<HashMap<Tenant, Bucket>>,
}

/// What one connection has used up.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    bucket: Bucket,
    /// Since when its frames are refused, and when the last one was.
    refused: Option<(Instant, Instant)>,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is obeyed.
    Pass,
    /// It is dropped, and answered with an error `rate_limited` in these words.
    Refuse(&'static str),
    /// It is dropped, and the connection closed with [`crate::close::CloseCode::RATE_LIMITED`].
    Close,
}

impl Paces {
    /// Frames a second; twice as many may come at once.
    pub(crate) fn new(connection_per_second: u32, tenant_per_second: u32) -> Self {
        Self {
            connection: Pace::rate(connection_per_second),
            tenant: Pace::rate(tenant_per_second),
            tenants: Mutex::default(),
        }
    }

    /// Judges one frame of a connection that speaks for a tenant.
    pub(crate) fn judge(&self, pace: &mut Pace, tenant: &Tenant, now: Instant) -> Verdict {
        match pace.judge(self.connection, now) {
            Verdict::Pass => self.judge_tenant(tenant, now),
            other => other,
        }
    }

    /// The same once the connection's own pace has been judged: whoever speaks for no tenant uses up nothing of any.
    pub(crate) fn judge_tenant(&self, tenant: &Tenant, now: Instant) -> Verdict {
        if self.tenant_has_one(tenant, now) {
            return Verdict::Pass;
        }
        metrics::counter!("chasqui_edge_limited_total", "limit" => "tenant_frames").increment(1);
        Verdict::Refuse("the tenant sends more frames a second than edge.tenant_frames_per_second_max")
    }

    fn tenant_has_one(&self, tenant: &Tenant, now: Instant) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = tenants.get_mut(tenant) {
            return bucket.take(self.tenant, now).is_ok();
        }
        if tenants.len() >= TENANTS_KEPT_MAX {
            tenants.retain(|_, bucket| !bucket.is_full(now));
        }
        tenants.entry(tenant.clone()).or_default().take(self.tenant, now).is_ok()
    }
}

impl Pace {
    /// Frames a second; twice as many may come at once.
    pub(crate) fn rate(per_second: u32) -> Rate {
        Rate::new(per_second, per_second.saturating_mul(2))
    }

    /// Judges one frame by what its connection has used up.
    pub(crate) fn judge(&mut self, rate: Rate, now: Instant) -> Verdict {
        if self.bucket.take(rate, now).is_ok() {
            return Verdict::Pass;
        }
        metrics::counter!("chasqui_edge_limited_total", "limit" => "connection_frames").increment(1);
        self.refuse(now)
    }

    fn refuse(&mut self, now: Instant) -> Verdict {
        let since = match self.refused {
            Some((since, last)) if now - last < REST => since,
            _ => now,
        };
        self.refused = Some((since, now));
        if now - since >= PATIENCE {
            Verdict::Close
        } else {
            Verdict::Refuse("more frames a second than edge.frames_per_second_max; this one was dropped")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    #[test]
    fn whoever_never_rests_is_closed_and_whoever_rests_is_not() {
        let paces = Paces::new(1, 1_000);
        let (start, acme) = (Instant::now(), tenant("acme"));
        let judged = |pace: &mut Pace, after_ms: u64| {
            paces.judge(pace, &acme, start + Duration::from_millis(after_ms))
        };
        let (mut greedy, mut hasty) = (Pace::default(), Pace::default());
        let verdicts: Vec<Verdict> = (0..120).map(|tick| judged(&mut greedy, tick * 100)).collect();
        assert_eq!(verdicts[..2], [Verdict::Pass, Verdict::Pass]);
        assert!(matches!(verdicts[2], Verdict::Refuse(_)));
        assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::Close), Some(102));
        for burst in 0..10 {
            for frame in 0..5 {
                assert_ne!(judged(&mut hasty, burst * 3_000 + frame), Verdict::Close, "it rests in between");
            }
        }
    }

    #[test]
    fn a_tenant_s_flood_is_no_fault_of_one_connection_and_of_no_other_tenant() {
        let paces = Paces::new(100, 1);
        let now = Instant::now();
        let judged = |name: &str| paces.judge(&mut Pace::default(), &tenant(name), now);
        assert_eq!([judged("acme"), judged("acme")], [Verdict::Pass; 2]);
        assert!(matches!(judged("acme"), Verdict::Refuse(why) if why.contains("tenant")));
        assert_eq!(judged("other"), Verdict::Pass);
    }
}
