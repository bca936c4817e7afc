//! Header names on the bus. All of them are readable in any NATS tool.

/// The protobuf type of the payload, such as `chasqui.v1.Message`.
pub const TYPE: &str = "Chasqui-Type";
/// The id of the fact in the payload.
pub const ID: &str = "Chasqui-Id";
/// The position in `MESSAGES` of what waits in another stream.
pub const MESSAGE_SEQUENCE: &str = "Chasqui-Message-Sequence";
/// Of a delivery that is parked: where it stood in its stream while it was due.
pub const DUE_SEQUENCE: &str = "Chasqui-Due-Sequence";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// In the dead-letter stream: why the message could not be handled.
pub const DEAD_REASON: &str = "Chasqui-Dead-Reason";
/// In the dead-letter stream: how often it was tried.
pub const DEAD_ATTEMPTS: &str = "Chasqui-Dead-Attempts";
/// In the dead-letter stream: the subject it came from.
pub const DEAD_SUBJECT: &str = "Chasqui-Dead-Subject";
/// In the dead-letter stream: the stream it came from.
pub const DEAD_STREAM: &str = "Chasqui-Dead-Stream";
/// In the dead-letter stream: its sequence in that stream.
pub const DEAD_SEQUENCE: &str = "Chasqui-Dead-Sequence";
/// In the dead-letter stream: the error of the first attempt this process saw.
pub const DEAD_FIRST_ERROR: &str = "Chasqui-Dead-First-Error";
/// In the dead-letter stream: the error of the last attempt.
pub const DEAD_LAST_ERROR: &str = "Chasqui-Dead-Last-Error";
