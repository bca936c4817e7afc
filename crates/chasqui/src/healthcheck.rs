//! Asking a process whether it is ready, over plain HTTP/1.1: no client library, no shell, no curl in the image.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, bail};

/// How long connecting, writing and reading may take, each.
const WAIT: Duration = Duration::from_secs(3);
/// More than any readiness report.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The report of a ready process; an error says what is not ready.
pub(crate) fn check(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("only http:// can be asked")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let address = address.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
    let mut stream =
        TcpStream::connect_timeout(&address, WAIT).with_context(|| format!("nobody answers at {host}"))?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).context("the answer broke off")?;
    read_answer(&answer)
}

fn read_answer(answer: &str) -> anyhow::Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_owned()) } else { bail!("{status}: {body}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_ready() {
        assert_eq!(read_answer("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}").unwrap(), "{}");
        let error = read_answer("HTTP/1.1 503 Service Unavailable\r\n\r\nnats: connecting").unwrap_err();
        assert_eq!(error.to_string(), "503: nats: connecting");
        assert!(read_answer("SSH-2.0").is_err());
    }
}
