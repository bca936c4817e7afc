//! What this replica did for each tenant since it was last asked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chasqui_proto::Tenant;

/// What was done for one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Messages of contacts that were answered.
    pub(crate) answers: u64,
    /// From when they were stored until their answers were, all together.
    pub(crate) answer_time_total_ms: u64,
    /// Conversations that people were given.
    pub(crate) handoffs: u64,
}

/// What was done for every tenant.
#[derive(Debug, Default)]
pub(crate) struct Works(Mutex<HashMap<Tenant, Work>>);

impl Works {
    /// A contact was answered, so long after it wrote.
    pub(crate) fn answered(&self, tenant: &Tenant, answer_time_ms: u64) {
        self.change(tenant, |work| {
            work.answers += 1;
            work.answer_time_total_ms += answer_time_ms;
        });
    }

    /// People were given a conversation.
    pub(crate) fn handed_over(&self, tenant: &Tenant) {
        self.change(tenant, |work| work.handoffs += 1);
    }

    /// What was done since this was last called.
    pub(crate) fn drain(&self) -> HashMap<Tenant, Work> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, tenant: &Tenant, change: impl FnOnce(&mut Work)) {
        let mut works = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = works.get_mut(tenant) {
            return change(work);
        }
        change(works.entry(tenant.clone()).or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again() {
        let (works, tenant) = (Works::default(), "default".parse::<Tenant>().unwrap());
        works.answered(&tenant, 7);
        works.answered(&tenant, 5);
        works.handed_over(&tenant);
        let expected = Work { answers: 2, answer_time_total_ms: 12, handoffs: 1 };
        assert_eq!(works.drain(), HashMap::from([(tenant, expected)]));
        assert!(works.drain().is_empty());
    }
}
