//! The contacts of a run, and who of them may write.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use chasqui_proto::Tenant;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::tally::Tally;
use crate::{letter::phone, options::PHONES_MAX};

/// Contacts with numbers of their own: what another run left open, such as a chat with people, is seldom theirs.
#[derive(Debug)]
pub(super) struct Contacts {
    /// The number of the first one, as `phone` counts.
    first: u32,
    count: u32,
    tally: Mutex<Tally>,
    /// Whose contacts they are, as soon as a message was stored.
    tenant: OnceLock<Tenant>,
    /// Takes those who were answered back to the queue of those who may write.
    free: mpsc::Sender<u32>,
    news: Notify,
}

impl Contacts {
    /// So many of them, and the queue of those who may write: all.
    pub(super) fn new(run: Uuid, count: u32) -> (Self, mpsc::Receiver<u32>) {
        let (free, waiting) = mpsc::channel(count as usize);
        let first = run.as_fields().0 % (PHONES_MAX - count + 1);
        let contacts = Self {
            first,
            count,
            tally: Mutex::new(Tally::new(count)),
            tenant: OnceLock::new(),
            free,
            news: Notify::new(),
        };
        (0..count).for_each(|conversation| contacts.may_write(Some(conversation)));
        (contacts, waiting)
    }

    /// The phone number of one.
    pub(super) fn phone(&self, conversation: u32) -> String {
        phone(self.first + conversation)
    }

    /// Whether a conversation is one of theirs.
    pub(super) fn include(&self, conversation: &str) -> bool {
        (0..self.count).any(|own| self.phone(own) == conversation)
    }

    /// What has happened so far.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose contacts they are.
    pub(super) fn tenant(&self) -> Option<&Tenant> {
        self.tenant.get()
    }

    /// Something happened, after which one of them may write again.
    pub(super) fn note(&self, happened: impl FnOnce(&mut Tally) -> Option<u32>) {
        let free = happened(&mut self.tally());
        self.may_write(free);
        self.news.notify_waiters();
    }

    /// A message of theirs was stored for this tenant.
    pub(super) fn belong_to(&self, tenant: &str) {
        if let Ok(tenant) = tenant.parse() {
            self.tenant.get_or_init(|| tenant);
        }
    }

    /// Waits until enough has happened, at most until the deadline.
    pub(super) async fn until(&self, deadline: Instant, is_enough: impl Fn(&Tally) -> bool) {
        let enough = async {
            loop {
                let news = self.news.notified();
                if is_enough(&self.tally()) {
                    return;
                }
                news.await;
            }
        };
        // What is missing then is told by the report.
        let _ = timeout_at(deadline, enough).await;
    }

    fn may_write(&self, conversation: Option<u32>) {
        if let Some(conversation) = conversation {
            // There is room for each of them once, and a run that has ended takes nobody.
            let _ = self.free.try_send(conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_run_belong_to_nobody_else() {
        for run in [0, 1, u32::MAX, 99_949, 99_950] {
            let (contacts, mut waiting) = Contacts::new(Uuid::from_fields(run, 0, 0, &[0; 8]), 50);
            let last = contacts.phone(49);
            assert!(
                last.as_str() <= "5491100099999" && contacts.phone(0).as_str() >= "5491100000001",
                "{last}"
            );
            assert!(contacts.include(&last) && !contacts.include("5491200000000"));
            assert_eq!((waiting.try_recv(), waiting.len()), (Ok(0), 49));
        }
    }
}
