//! W3C trace context: one id that follows a fact through every service (<https://www.w3.org/TR/trace-context/>).

use std::fmt::Write as _;

use async_nats::HeaderMap as NatsHeaders;
use chasqui_proto::header;
use http::HeaderMap;
use rand::Rng;

/// Where an action belongs: the trace it is part of and the span that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// The beginning of a new trace.
    pub fn root() -> Self {
        let mut random = rand::rng();
        // All-zero ids are invalid by the specification.
        Self { trace_id: random.random::<u128>() | 1, span_id: random.random::<u64>() | 1, sampled: true }
    }

    /// The next span of the same trace.
    pub fn child(&self) -> Self {
        Self { span_id: rand::rng().random::<u64>() | 1, ..*self }
    }

    /// Continues what an HTTP caller began, or begins anew.
    pub fn of_http(headers: &HeaderMap) -> Self {
        let given = headers.get(header::TRACEPARENT).and_then(|value| value.to_str().ok());
        given.and_then(Self::parse).map_or_else(Self::root, |parent| parent.child())
    }

    /// Continues what a message carries, or begins anew.
    pub fn of_nats(headers: Option<&NatsHeaders>) -> Self {
        let given =
            headers.and_then(|headers| headers.get(header::TRACEPARENT)).map(async_nats::HeaderValue::as_str);
        given.and_then(Self::parse).map_or_else(Self::root, |parent| parent.child())
    }

    /// The trace's id as it stands in logs.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The header's value.
    pub fn to_header(self) -> String {
        let mut text = String::with_capacity(55);
        write!(text, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
            .expect("writing to a string does not fail");
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // Version 00 has exactly four fields; later versions may add some.
        if version.len() != 2 || version == "ff" || (version == "00" && fields.next().is_some()) {
            return None;
        }
        let lower = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !lower(trace, 32) || !lower(span, 16) || !lower(flags, 2) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { trace_id, span_id, sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_under_a_new_span() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", given.parse().unwrap());
        let here = TraceContext::of_http(&headers);
        assert_eq!(here.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(here.to_header(), given);
        assert_eq!(TraceContext::parse(&here.to_header()), Some(here));
    }

    #[test]
    fn a_malformed_header_begins_a_new_trace() {
        for text in [
            "",
            "00",
            "00-0-0-0",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }
}
