use bytes::Bytes;
use chasqui_websocket::{Error, Frame, Message};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::client::{Client, frame};
use crate::server::{BYTES_MAX, Server, heard, within};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const COMPRESSED_TEXT: u8 = 0xc1;
const PLAIN_TEXT: u8 = 0x81;

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(message.len() + 100);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(message, &mut deflated, FlushCompress::Sync).unwrap();
    deflated.strip_suffix(&TAIL).expect("a flush ends so").to_vec()
}

fn inflated(compressed: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::with_capacity(BYTES_MAX);
    let whole = [compressed, &TAIL].concat();
    Decompress::new(false).decompress_vec(&whole, &mut inflated, FlushDecompress::Sync).unwrap();
    inflated
}

#[tokio::test]
async fn long_frames_go_compressed_to_those_who_agreed_and_plain_to_the_others() {
    let mut server = Server::start().await;
    let (mut compressed, answer) = Client::open(server.address, OFFER).await;
    let mut to_compressed = server.socket().await;
    let (mut plain, _) = Client::open(server.address, "").await;
    let mut to_plain = server.socket().await;
    assert!(answer.contains(
        "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    ));
    assert!(to_compressed.is_compressed() && !to_plain.is_compressed());

    let (long, short) = ("hola, ".repeat(1_000), "hola");
    let frames = [Frame::text(long.clone()), Frame::text(short)];
    for socket in [&mut to_compressed, &mut to_plain] {
        within(socket.write(&mut frames.to_vec())).await.unwrap();
    }
    let (first, payload) = compressed.hear().await;
    assert_eq!(first, COMPRESSED_TEXT);
    assert!(payload.len() < 100, "{} bytes", payload.len());
    assert_eq!(inflated(&payload), long.as_bytes());
    assert_eq!(compressed.hear().await, (PLAIN_TEXT, short.into()));
    assert_eq!(plain.hear().await, (PLAIN_TEXT, long.into()));
    assert_eq!(plain.hear().await, (PLAIN_TEXT, short.into()));
}

#[tokio::test]
async fn a_client_with_a_small_window_is_not_sent_back_further_than_it_sees() {
    let mut server = Server::start().await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n";
    let (mut client, answer) = Client::open(server.address, offer).await;
    assert!(answer.contains("; server_max_window_bits=9\r\n"), "{answer}");
    let mut socket = server.socket().await;
    // Says everything twice, but too far apart for the window.
    let text: String = (0_u32..500).map(|number| number.wrapping_mul(2_654_435_761).to_string()).collect();
    let text = format!("{text}{text}");
    within(socket.send(text.clone())).await.unwrap();
    let (first, payload) = client.hear().await;
    assert_eq!(first, COMPRESSED_TEXT);
    assert_eq!(inflated(&payload), text.as_bytes());
    let with_large_window = deflated(text.as_bytes());
    assert!(payload.len() > with_large_window.len() * 3 / 2, "the second half repeats nothing");
}

#[tokio::test]
async fn compressed_and_plain_messages_of_one_client_are_read() {
    let mut server = Server::start().await;
    let (mut client, _) = Client::open(server.address, OFFER).await;
    let mut socket = server.socket().await;
    let text = "¿qué tal? ".repeat(100);
    let compressed = deflated(text.as_bytes());
    let (head, tail) = compressed.split_at(5);
    client.say(&[frame(0x41, head), frame(0x89, b"?"), frame(0x80, tail)].concat()).await;
    client.say(&[frame(PLAIN_TEXT, b"bien"), frame(0xc2, &deflated(&[7; 5_000]))].concat()).await;
    assert_eq!(heard(&mut socket).await, Message::Ping(Bytes::from_static(b"?")));
    assert_eq!(heard(&mut socket).await, Message::Text(text.into()));
    assert_eq!(heard(&mut socket).await, Message::Text("bien".into()));
    assert_eq!(heard(&mut socket).await, Message::Binary(vec![7; 5_000].into()));
    assert_eq!(client.hear().await, (0x8a, b"?".to_vec()));
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let mut server = Server::start().await;
    let (mut client, _) = Client::open(server.address, OFFER).await;
    let mut socket = server.socket().await;
    client.say(&frame(0xc2, &deflated(&vec![0; 20_000_000]))).await;
    let error = within(socket.recv()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::InflatesTooLarge { bytes_max: BYTES_MAX }), "{error:?}");
    assert_eq!(error.close_code(), Some(1009));
}
