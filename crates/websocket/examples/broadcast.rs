//! Sends one event after another to many sockets from one thread: frames a second, and memory of an idle socket.
//! Arguments: how many sockets (default 5,000), how many events (default 50), and `deflate` to negotiate compression.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use axum::{Router, extract::State, response::Response, routing::get};
use chasqui_websocket::{Deflate, Frame, Upgrade, WebSocket};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const PAGE_BYTES: usize = 4096;
const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

type Sockets = mpsc::UnboundedSender<WebSocket>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (sockets, events): (usize, usize) = (number(0, 5_000), number(1, 50));
    let offer = if arguments.iter().any(|argument| argument == "deflate") {
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    } else {
        ""
    };

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, mut upgraded) = mpsc::unbounded_channel();
    tokio::spawn(serve(listener, Router::new().route("/", get(open)).with_state(sender)));
    let connect = move || (0..sockets).map(|_| client(address, offer)).collect::<Result<Vec<_>>>();
    let connecting = tokio::task::spawn_blocking(connect);
    let before = resident_bytes()?;
    let mut audience = Vec::with_capacity(sockets);
    while audience.len() < sockets {
        audience.push(upgraded.recv().await.ok_or(ErrorKind::BrokenPipe)?);
    }
    let _clients = connecting.await.map_err(Error::other)??;
    println!(
        "{} bytes resident a socket, {} of them its struct",
        resident_bytes()?.saturating_sub(before) / sockets,
        size_of::<WebSocket>()
    );

    let began = Instant::now();
    for event in 0..events {
        let frame = Frame::text(format!(
            "{{\"type\":\"new_message\",\"seq\":{event},\"data\":\"{}\"}}",
            "¡hola! ".repeat(50)
        ));
        for socket in &mut audience {
            socket.send(frame.clone()).await.map_err(Error::other)?;
        }
    }
    let frames = u32::try_from(sockets * events).map_err(Error::other)?;
    println!("{:.0} frames a second on one core", f64::from(frames) / began.elapsed().as_secs_f64());
    Ok(())
}

async fn serve(listener: TcpListener, routes: Router) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(routes.clone());
        let http = hyper::server::conn::http1::Builder::new();
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

async fn open(State(sockets): State<Sockets>, upgrade: Upgrade) -> Response {
    upgrade.compression(Some(Deflate::default())).on_upgrade(async move |socket| {
        // The audience may be complete.
        let _ = sockets.send(socket);
    })
}

/// Connects and waits for the answer; what comes later stays in the kernel.
fn client(address: SocketAddr, offer: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("{HANDSHAKE}{offer}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    Ok(stream)
}

fn resident_bytes() -> Result<usize> {
    let statistics = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statistics.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    Ok(pages.ok_or(ErrorKind::InvalidData)? * PAGE_BYTES)
}
