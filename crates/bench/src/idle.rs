//! What a socket costs that only stands open.

use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::{
    audience::Audience,
    descriptors,
    options::Options,
    plan::{Pace, Plan},
    process::{listener_of, resident_kib},
    socket::Socket,
};

/// How many sockets are opened at once.
const OPENING_MAX: usize = 64;
/// Pause between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many looks in a row must agree.
const LOOKS_ALIKE: u32 = 4;
/// How many looks at most.
const LOOKS_MAX: u32 = 60;

/// What the sockets cost.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// How many stood open.
    pub sockets: u32,
    /// How long opening them took, seconds.
    pub opening_seconds: f64,
    /// The edge's resident memory before, KiB.
    pub before_kib: u32,
    /// With all sockets open and settled, KiB.
    pub open_kib: u32,
    /// After they were closed, KiB. What an allocator keeps is used again by the next sockets.
    pub closed_kib: u32,
    /// Resident KiB for each socket. The kernel's own buffers are not in it.
    pub kib_per_socket: f64,
    /// Sockets that the edge closed while they stood idle.
    pub closed_early: usize,
}

/// Opens the sockets on the first edge, waits until its memory has settled, and closes them.
pub(crate) async fn measure(
    options: &Options,
    sockets: u32,
    process: Option<u32>,
) -> anyhow::Result<IdleReport> {
    descriptors::allow(sockets)?;
    let edge = options.edge_addresses()?.swap_remove(0);
    let process = match process {
        Some(process) => process,
        None => listener_of(edge.port)?,
    };
    let before_kib = resident_kib(process)?;
    let mut audience = Audience::new(&Plan::new(Pace::Closed, 0, 1, 1));
    let clock = audience.clock;
    let opening =
        (0..sockets).map(|number| Socket::open(options.dialect, &edge, &options.credential, number));
    let mut opened = futures::stream::iter(opening).buffer_unordered(OPENING_MAX);
    while let Some(socket) =
        opened.try_next().await.with_context(|| format!("after {} sockets", audience.size()))?
    {
        audience.join(None, socket);
    }
    let opening_seconds = Duration::from_micros(clock.now_us()).as_secs_f64();
    let open_kib = settled(process).await?;
    let inboxes = audience.leave(0, Duration::ZERO).await;
    let closed_kib = settled(process).await?;
    Ok(IdleReport {
        sockets,
        opening_seconds,
        before_kib,
        open_kib,
        closed_kib,
        kib_per_socket: (f64::from(open_kib) - f64::from(before_kib)) / f64::from(sockets),
        closed_early: inboxes.iter().filter(|inbox| inbox.closed_early).count(),
    })
}

/// The memory once it stands still: several looks within half a percent of each other.
async fn settled(process: u32) -> anyhow::Result<u32> {
    let mut last_kib = resident_kib(process)?;
    let mut alike = 0;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let now_kib = resident_kib(process)?;
        alike = if now_kib.abs_diff(last_kib) <= last_kib / 200 { alike + 1 } else { 0 };
        last_kib = now_kib;
        if alike == LOOKS_ALIKE {
            break;
        }
    }
    Ok(last_kib)
}
