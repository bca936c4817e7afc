//! Sends everything of one session while this process owns it.

mod attempt;
mod conclusion;
mod deferral;
mod desk;
mod hand;
mod intake;
mod meter;
mod parcel;
mod past;

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_proto::v1::ChannelKind;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    consumer::until_open,
    line::{Halt, Line},
    pace::gate::Gate,
    priority::PRIORITIES,
    sends::Sends,
    window::Windows,
};
use desk::Desk;
use hand::Hand;

/// How many messages that were read may wait to be put into their lanes.
const ARRIVALS_MAX: usize = 256;

/// How a session sends.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long the provider's word on a message is waited for after its answer was lost. Default 10 min.
    pub(crate) uncertain_wait: Duration,
    /// Whether a message whose fate stays unknown is sent again, at the risk of sending it twice, instead of failing.
    /// Default false.
    pub(crate) uncertain_resend: bool,
    /// How often a message is tried before it goes to the dead letters. Default 5.
    pub(crate) attempts_max: u32,
    /// The first short pause before a message is tried again; it doubles, up to a minute. Default 1 s.
    pub(crate) retry_pause: Duration,
    /// How many messages may be on their way to the provider at once. A provider that answers in 300 ms needs 300 for
    /// 1,000 a second. Default 512.
    pub(crate) in_flight_max: usize,
    /// How many messages of each priority are held, sent or waiting, at once; the rest waits in the stream.
    /// Default 2,048.
    pub(crate) queue_max: usize,
    /// How long the provider may take to answer; then the message is uncertain. Default 30 s.
    pub(crate) send_wait: Duration,
    /// How long campaigns pause after the provider refused one for the number's sake. Default 15 min.
    pub(crate) campaign_pause: Duration,
    /// Longer waits are spent with the broker instead of in this process. Default 5 min.
    pub(crate) later_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uncertain_wait: Duration::from_mins(10),
            uncertain_resend: false,
            attempts_max: 5,
            retry_pause: Duration::from_secs(1),
            in_flight_max: 512,
            queue_max: 2_048,
            send_wait: Duration::from_secs(30),
            campaign_pause: Duration::from_mins(15),
            later_after: Duration::from_mins(5),
        }
    }
}

/// What ties sending to the rest of its session.
#[derive(Debug)]
pub(crate) struct Ties {
    /// Whether the session is connected.
    pub(crate) open: watch::Receiver<bool>,
    /// What providers said of messages that they had taken, and that concerns all of them.
    pub(crate) told: mpsc::Receiver<Halt>,
    /// Where the provider's refusal of the whole number is told.
    pub(crate) halts: mpsc::Sender<Halt>,
    /// Until when campaigns wait, as the owner before has left it.
    pub(crate) campaigns_held_until: Option<Instant>,
}

/// The sending half of a session with an owner.
#[derive(Debug)]
pub(crate) struct Sending;

impl Sending {
    /// Sends until `line.stop`, and while `ties.open` says that the session is connected. Returning means that nothing is
    /// under way any more: what was has ended, and is recorded.
    pub(crate) async fn run(line: Line, settings: Settings, ties: Ties) {
        let stop = line.stop.clone();
        let Some(sends) = until_open(&stop, || Sends::open(&line.bus)).await else { return };
        let Some(windows) = until_open(&stop, || Windows::open(&line.bus)).await else { return };
        let gate = Gate::new(line.messages_per_second_max);
        let hand = Arc::new(Hand { line, settings, sends, windows, gate });
        let mut desk = Desk::new(Arc::clone(&hand), ties);
        desk.hold_campaigns(Instant::now());
        let remembered = past::remember(&hand, &mut desk);
        if stop.run_until_cancelled(remembered).await.is_none() {
            return;
        }
        let (arrives, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let mut readers = JoinSet::new();
        for priority in PRIORITIES {
            readers.spawn(intake::read(Arc::clone(&hand), priority, arrives.clone()));
        }
        drop(arrives);
        desk.run(arrivals).await;
        readers.join_all().await;
    }
}

/// Whether the provider of this kind of number limits what goes to one contact.
fn limits_pairs(kind: ChannelKind) -> bool {
    kind == ChannelKind::WhatsappCloud
}
