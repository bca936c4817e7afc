use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below Linux's range for outgoing connections (32,768 up), so that a stopped server finds its port
/// free when it comes back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The first port from `from` upwards that nobody listens on at 127.0.0.1.
pub fn first_free_port(from: u16) -> Option<u16> {
    (from..=u16::MAX).find(|port| is_free(*port))
}

/// A free port that no other call in this process has got. Different processes begin at different places.
pub(crate) fn unused_port() -> u16 {
    let begin = u16::try_from(std::process::id() % 1_000).expect("below 1,000") * 12;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin.wrapping_add(step) % COUNT);
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
