//! What a client may send.

/// Bounds on what comes in. Whatever exceeds them ends the connection with close code 1009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most payload bytes of one frame. Default 1 MiB.
    pub frame_bytes_max: usize,
    /// The most bytes of one message, all its frames together and after inflation. Default 1 MiB.
    pub message_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(1024 * 1024)
    }
}

impl Limits {
    /// The same bound for frames and messages.
    pub const fn of(bytes_max: usize) -> Self {
        Self { frame_bytes_max: bytes_max, message_bytes_max: bytes_max }
    }
}
