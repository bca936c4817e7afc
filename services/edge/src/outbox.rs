//! A socket's outgoing queue: many tasks push, the one task that owns the socket takes.
//!
//! Frames are shared, not copied: an event encoded once lies in many outboxes as references to the same bytes.
//! An outbox is bounded in bytes. Past the bound a volatile frame is dropped, and a frame that must arrive closes
//! the outbox as [`CloseCode::SLOW_CONSUMER`]: the client is sent what is queued, comes back and resumes behind it.
//! Heartbeats and close frames do not pass through here.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use thiserror::Error;

use crate::close::CloseCode;

pub use chasqui_websocket::Frame;

/// The most frames one batch holds, so that a writer notices a close and a dead peer in between.
pub const BATCH_FRAMES_MAX: usize = 64;

/// What a queued frame costs beside its bytes, so that a flood of empty frames is bounded too.
const FRAME_OVERHEAD_BYTES: usize = size_of::<Queued>();

/// An emptied queue with room for more frames than this gives its memory back.
const IDLE_CAPACITY_FRAMES: usize = 4;

/// What becomes of a frame when the outbox is full, and whether its arrival is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Must arrive, and the application wants to know that it did: a full outbox closes the socket.
    Durable,
    /// Must arrive, but nobody waits to hear of it (an answer to the client's own request).
    Reply,
    /// May be lost (typing, presence): a full outbox drops it.
    Volatile,
}

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PushError {
    /// The frame did not fit; the outbox is now closed as [`CloseCode::SLOW_CONSUMER`].
    #[error("the outbox is full")]
    Overflow,
    /// The outbox was closed before.
    #[error("the outbox is closed: {}", .0.reason)]
    Closed(CloseCode),
}

/// What [`Outbox::take_batch`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Position of the last frame taken.
    pub position: u64,
    /// Whether a [`Delivery::Durable`] frame is among them.
    pub durable: bool,
}

/// The queue. Held by the socket's task, which takes, and by everyone with something to say to the socket.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    bytes: usize,
    /// Position of the last frame queued.
    position: u64,
    closed: Option<CloseCode>,
    /// The task that waits. The first push of a batch wakes it, and the others find nobody to wake.
    waiting: Option<Waker>,
}

#[derive(Debug)]
struct Queued {
    frame: Frame,
    durable: bool,
    /// The next frame belongs to this one; nothing may be written between them.
    has_more: bool,
}

impl Outbox {
    /// An open, empty outbox for at most `max_bytes`. One frame larger than that passes when it is alone.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), max_bytes })
    }

    /// Queues a frame and returns its position: 1 for the first, then one more each time. A volatile frame that is
    /// dropped has the position of the frame before it.
    pub fn push(&self, frame: impl Into<Frame>, delivery: Delivery) -> Result<u64, PushError> {
        self.queue([frame.into()], delivery)
    }

    /// Queues frames that nothing may be written between, all or none, and returns the position of the last.
    pub fn push_together(&self, frames: Vec<Frame>, delivery: Delivery) -> Result<u64, PushError> {
        self.queue(frames, delivery)
    }

    fn queue(
        &self,
        frames: impl AsRef<[Frame]> + IntoIterator<Item = Frame>,
        delivery: Delivery,
    ) -> Result<u64, PushError> {
        let mut state = self.state();
        if let Some(code) = state.closed {
            return Err(PushError::Closed(code));
        }
        let cost: usize = frames.as_ref().iter().map(cost).sum();
        let has_room = state.bytes == 0 || state.bytes + cost <= self.max_bytes;
        if !has_room && delivery == Delivery::Volatile {
            metrics::counter!("chasqui_edge_dropped_frames_total").increment(1);
            return Ok(state.position);
        }
        let pushed = if has_room {
            state.append(frames, delivery == Delivery::Durable);
            state.bytes += cost;
            Ok(state.position)
        } else {
            // What is queued is still written: a client that missed more than an outbox holds would come back to the same
            // place for ever.
            state.closed = Some(CloseCode::SLOW_CONSUMER);
            Err(PushError::Overflow)
        };
        wake(state);
        pushed
    }

    /// Closes the outbox: nothing more is taken in, what is queued is still written, then the socket is closed
    /// with `code`. The first close wins.
    pub fn close(&self, code: CloseCode) {
        let mut state = self.state();
        state.closed.get_or_insert(code);
        wake(state);
    }

    /// Waits until there is something to take or the outbox is closed. Only one task may wait at a time.
    pub async fn ready(&self) {
        self.until(|state| (!state.queue.is_empty() || state.closed.is_some()).then_some(())).await;
    }

    /// Appends what is queued now to `into`: at most [`BATCH_FRAMES_MAX`] frames and what belongs to the last.
    pub fn take_batch(&self, into: &mut Vec<Frame>) -> Option<Batch> {
        let mut state = self.state();
        let mut count = state.queue.len().min(BATCH_FRAMES_MAX);
        while count > 0 && state.queue[count - 1].has_more {
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let left = state.queue.len() - count;
        let mut batch = Batch { position: state.position - left as u64, durable: false };
        let State { queue, bytes, .. } = &mut *state;
        into.extend(queue.drain(..count).map(|queued| {
            *bytes -= cost(&queued.frame);
            batch.durable |= queued.durable;
            queued.frame
        }));
        if state.queue.is_empty() && state.queue.capacity() > IDLE_CAPACITY_FRAMES {
            state.queue = VecDeque::new();
        }
        Some(batch)
    }

    /// Waits until the outbox is closed, whatever is still queued. Only one task may wait at a time.
    pub async fn closed(&self) -> CloseCode {
        self.until(|state| state.closed).await
    }

    /// The code the outbox was closed with, once everything in it has been taken.
    pub fn drained(&self) -> Option<CloseCode> {
        let state = self.state();
        state.closed.filter(|_| state.queue.is_empty())
    }

    /// Whether everything there was to push has been taken: no longer once it is closed, for then frames are refused,
    /// and a heartbeat must not move its client's cursor past them.
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.queue.is_empty() && state.closed.is_none()
    }

    /// The code the outbox was closed with, if it was.
    pub fn close_code(&self) -> Option<CloseCode> {
        self.state().closed
    }

    async fn until<T>(&self, fact: impl Fn(&State) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut state = self.state();
            let Some(found) = fact(&state) else {
                state.waiting = Some(context.waker().clone());
                return Poll::Pending;
            };
            Poll::Ready(found)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, frames: impl AsRef<[Frame]> + IntoIterator<Item = Frame>, durable: bool) {
        let last = frames.as_ref().len().saturating_sub(1);
        for (index, frame) in frames.into_iter().enumerate() {
            self.position += 1;
            self.queue.push_back(Queued { frame, durable, has_more: index < last });
        }
    }
}

/// Wakes who waits, once the state is free.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

fn cost(frame: &Frame) -> usize {
    frame.len() + FRAME_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    fn take(outbox: &Outbox) -> Vec<Frame> {
        let mut frames = Vec::new();
        outbox.take_batch(&mut frames);
        frames
    }

    #[test]
    fn positions_run_and_a_batch_tells_the_last() {
        let outbox = Outbox::new(10_000);
        assert_eq!(outbox.push("a", Delivery::Volatile), Ok(1));
        assert_eq!(outbox.push("b", Delivery::Durable), Ok(2));
        let mut frames = Vec::new();
        assert!(!outbox.is_empty());
        assert_eq!(outbox.take_batch(&mut frames), Some(Batch { position: 2, durable: true }));
        assert!(outbox.is_empty());
        assert_eq!(frames, [Frame::from("a"), Frame::from("b")]);
        assert_eq!(outbox.push("c", Delivery::Reply), Ok(3));
        assert_eq!(outbox.take_batch(&mut frames), Some(Batch { position: 3, durable: false }));
        assert_eq!(outbox.take_batch(&mut frames), None);
    }

    #[test]
    fn frames_that_belong_together_leave_together() {
        let outbox = Outbox::new(10_000);
        for _ in 1..BATCH_FRAMES_MAX {
            outbox.push("a", Delivery::Durable).unwrap();
        }
        let together = ["b", "c", "d"].map(Frame::from).to_vec();
        assert_eq!(outbox.push_together(together, Delivery::Reply), Ok(BATCH_FRAMES_MAX as u64 + 2));
        outbox.push("e", Delivery::Reply).unwrap();
        assert_eq!(take(&outbox).last(), Some(&Frame::from("d")));
        assert_eq!(take(&outbox), [Frame::from("e")]);
    }

    #[test]
    fn past_the_bound_a_volatile_frame_is_dropped() {
        let outbox = Outbox::new(100);
        outbox.push("x".repeat(40), Delivery::Volatile).unwrap();
        assert_eq!(outbox.push("y".repeat(40), Delivery::Volatile), Ok(1));
        assert_eq!(take(&outbox).len(), 1);
        assert_eq!(outbox.close_code(), None);
        assert_eq!(outbox.push("z", Delivery::Durable), Ok(2));
    }

    #[test]
    fn past_the_bound_a_durable_frame_closes_the_outbox() {
        let outbox = Outbox::new(100);
        outbox.push("x".repeat(40), Delivery::Durable).unwrap();
        assert_eq!(outbox.push("y".repeat(40), Delivery::Durable), Err(PushError::Overflow));
        assert_eq!(outbox.push("z", Delivery::Volatile), Err(PushError::Closed(CloseCode::SLOW_CONSUMER)));
        assert_eq!(
            outbox.drained(),
            None,
            "a client that missed too much gets ahead each time it comes back"
        );
        assert_eq!(take(&outbox).len(), 1);
        assert_eq!(outbox.drained(), Some(CloseCode::SLOW_CONSUMER));
    }

    #[test]
    fn what_was_refused_is_not_said_to_have_left() {
        let outbox = Outbox::new(10_000);
        assert!(outbox.is_empty());
        outbox.close(CloseCode::GOING_AWAY);
        assert!(outbox.push("a", Delivery::Reply).is_err() && !outbox.is_empty());
    }

    #[test]
    fn one_frame_larger_than_the_bound_passes_alone() {
        let outbox = Outbox::new(10);
        assert_eq!(outbox.push("x".repeat(100), Delivery::Durable), Ok(1));
        assert_eq!(take(&outbox).len(), 1);
    }

    #[test]
    fn a_flood_of_empty_frames_is_bounded() {
        let outbox = Outbox::new(1_000);
        let taken = (0..1_000).filter(|_| outbox.push("", Delivery::Durable).is_ok()).count();
        assert!(taken < 100, "{taken} empty frames in 1,000 bytes");
    }

    #[test]
    fn after_a_burst_the_queue_gives_its_memory_back() {
        let outbox = Outbox::new(1_000_000);
        for _ in 0..BATCH_FRAMES_MAX {
            outbox.push("frame", Delivery::Durable).unwrap();
        }
        assert_eq!(take(&outbox).len(), BATCH_FRAMES_MAX);
        assert_eq!(outbox.state().queue.capacity(), 0);
        assert_eq!(outbox.state().bytes, 0);
    }

    #[tokio::test]
    async fn what_is_queued_leaves_before_the_close_and_the_first_close_wins() {
        let outbox = Outbox::new(1_000);
        outbox.push("last words", Delivery::Durable).unwrap();
        outbox.close(CloseCode::GOING_AWAY);
        outbox.close(CloseCode::UNAUTHORIZED);
        outbox.ready().await;
        assert_eq!((outbox.drained(), take(&outbox).len()), (None, 1));
        assert_eq!(
            (outbox.drained(), outbox.closed().await),
            (Some(CloseCode::GOING_AWAY), CloseCode::GOING_AWAY)
        );
    }

    #[test]
    fn a_batch_wakes_its_writer_once() {
        let outbox = Outbox::new(1_000);
        let mut writer = by_hand(outbox.ready());
        assert_eq!(writer(), (false, 0));
        for _ in 0..3 {
            outbox.push("frame", Delivery::Volatile).unwrap();
        }
        assert_eq!(writer(), (true, 1));
        assert_eq!(take(&outbox).len(), 3);
        let mut writer = by_hand(outbox.closed());
        assert_eq!(writer(), (false, 0));
        outbox.close(CloseCode::GOING_AWAY);
        assert_eq!(writer(), (true, 1));
    }

    /// Polls a future by hand: whether it is done, and how often it was woken before.
    fn by_hand<T>(future: impl Future<Output = T>) -> impl FnMut() -> (bool, usize) {
        #[derive(Default)]
        struct Bell(AtomicUsize);
        impl Wake for Bell {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let bell = Arc::new(Bell::default());
        let mut future = Box::pin(future);
        move || {
            let woken = bell.0.swap(0, Ordering::Relaxed);
            let waker = bell.clone().into();
            (future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready(), woken)
        }
    }
}
