//! Bodies of requests, read within bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use chasqui_kit::{Code, Coded};
use futures::{Stream, StreamExt};

/// How long a caller may take to send a body.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// How much of a body that is too large is read and thrown away: who is still sending when the connection closes
/// sees a reset instead of the answer.
pub(crate) const DISCARDED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A body that was not read to its end.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is larger than this route takes.
    #[error("the body must not be larger than {0} bytes")]
    TooLarge(usize),
    /// A part of the form is larger than this route takes.
    #[error("{0}: must not be larger than {1} bytes")]
    PartTooLarge(&'static str, usize),
    /// The caller stopped sending.
    #[error("the body did not arrive whole")]
    Incomplete,
}

impl Coded for BodyError {
    fn code(&self) -> Code {
        match self {
            Self::TooLarge(_) | Self::PartTooLarge(..) => Code::TooLarge,
            Self::Incomplete => Code::InvalidInput,
        }
    }
}

/// Reads a body of at most `bytes_max`.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    tokio::time::timeout(BODY_WAIT, collect(body, bytes_max)).await.unwrap_or(Err(BodyError::Incomplete))
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    let (mut collected, mut size) = (BytesMut::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        size = size.saturating_add(chunk.len());
        if size > bytes_max + DISCARDED_BYTES_MAX {
            break;
        }
        if size <= bytes_max {
            collected.extend_from_slice(&chunk);
        }
    }
    if size > bytes_max { Err(BodyError::TooLarge(bytes_max)) } else { Ok(collected.freeze()) }
}

/// The pieces of a body, until the client falls silent for `silence_max` or `held_max` bytes came that nobody could pass
/// on; whoever passes them on sets `held` to nothing.
pub(crate) fn pieces(
    body: &mut BodyDataStream,
    silence_max: Duration,
    held: Arc<AtomicUsize>,
    held_max: usize,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    futures::stream::unfold((body, held), move |(body, held)| async move {
        let piece = match tokio::time::timeout(silence_max, body.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(piece))) if held.fetch_add(piece.len(), Ordering::Relaxed) < held_max => Ok(piece),
            _ => Err(BodyError::Incomplete),
        };
        Some((piece, (body, held)))
    })
}

/// Reads on what is refused, at most so many bytes for so long.
pub(crate) async fn discard(body: &mut BodyDataStream, bytes_max: usize, wait: Duration) {
    let reading = async {
        let mut left = bytes_max;
        while let Some(Ok(piece)) = body.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return;
            }
        }
    };
    if tokio::time::timeout(wait, reading).await.is_err() {
        tracing::debug!("a body that was refused did not end");
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn the_limit_is_the_last_size_that_is_taken() {
        assert_eq!(read(Body::from("12345"), 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Body::from("123456"), 5).await, Err(BodyError::TooLarge(5)));
    }

    #[tokio::test]
    async fn what_is_too_large_is_read_on_for_a_while_so_that_its_sender_sees_the_answer() {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
        let endless = futures::stream::repeat_with(move || {
            counted.fetch_add(chunk.len(), Ordering::Relaxed);
            Ok::<Bytes, Infallible>(chunk.clone())
        });
        assert_eq!(read(Body::from_stream(endless), 5).await, Err(BodyError::TooLarge(5)));
        let sent = sent.load(Ordering::Relaxed);
        assert!((DISCARDED_BYTES_MAX..=DISCARDED_BYTES_MAX + 1024 * 1024).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_falls_silent_is_not_waited_for() {
        let given = futures::stream::iter([Ok::<_, Infallible>(Bytes::from("12345"))]);
        let silent = given.chain(futures::stream::pending());
        let mut body = Body::from_stream(silent).into_data_stream();
        let pieces = pieces(&mut body, Duration::from_secs(30), Arc::default(), 5);
        let mut pieces = std::pin::pin!(pieces);
        assert_eq!(pieces.next().await, Some(Ok(Bytes::from("12345"))));
        assert_eq!(pieces.next().await, Some(Err(BodyError::Incomplete)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_read_on_within_bounds() {
        let endless = futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from("12345")));
        let mut body = Body::from_stream(endless.take(3)).into_data_stream();
        discard(&mut body, 10, Duration::from_secs(30)).await;
        assert!(body.next().await.is_some(), "no more than asked");
        let began = tokio::time::Instant::now();
        let trickle = futures::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Bytes::from("1")), ()))
        });
        let mut body = Body::from_stream(trickle).into_data_stream();
        discard(&mut body, 1_000, Duration::from_secs(30)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(30), "nor for longer, however little comes");
    }

    #[tokio::test]
    async fn what_nobody_can_pass_on_is_held_up_to_a_bound() {
        let held = Arc::new(AtomicUsize::new(0));
        let endless = futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from("12345")));
        let mut body = Body::from_stream(endless).into_data_stream();
        let pieces = pieces(&mut body, Duration::from_secs(30), held.clone(), 10);
        let mut pieces = std::pin::pin!(pieces);
        for _ in 0..2 {
            assert!(pieces.next().await.is_some_and(|piece| piece.is_ok()));
        }
        held.store(0, Ordering::Relaxed);
        assert!(pieces.next().await.is_some_and(|piece| piece.is_ok()), "it was passed on");
        assert!(pieces.next().await.is_some_and(|piece| piece.is_ok()));
        assert_eq!(pieces.next().await, Some(Err(BodyError::Incomplete)));
    }
}
