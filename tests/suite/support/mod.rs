//! What the tests are made of. The server, with the Git host and the Hub on it, serves the benchmarks as well, through
//! `#[path]`; that is why the three find each other by `super`.

pub(crate) mod disk;
pub(crate) mod forge;
pub(crate) mod git;
pub(crate) mod hub;
pub(crate) mod log;
pub(crate) mod mirror;
pub(crate) mod oci;
pub(crate) mod platform;
pub(crate) mod rack;
pub(crate) mod recorder;
pub(crate) mod registry;
pub(crate) mod s3;
pub(crate) mod server;
mod tests;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod tunnel;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use modelrack::{Error, ModelAddress};

use server::Server;

/// Longer than anything takes that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The folder of the crate under test, in whichever package of it the tests are built.
pub(crate) fn root() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("tests").join("suite").is_dir());
    root.unwrap().to_owned()
}

/// Sends a request on a connection of its own, with these headers; returns the head of the answer, and its body.
pub(crate) fn get(server: &Server, path: &str, headers: &[&str]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers = ["host: localhost", "user-agent: test", "connection: close"]
        .iter()
        .chain(headers);
    let lines: String = headers.map(|line| format!("{line}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\n{lines}\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset, too, is an answer.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.map_or(answer.len(), |end| end + 4));
    (String::from_utf8_lossy(&answer).into_owned(), body)
}

/// An address as typed: `group/model`, `group/model version`, `group/model@version`.
pub(crate) fn address(text: &str) -> ModelAddress {
    text.parse().unwrap()
}

/// Bytes that look random and are the same each time; another seed gives others.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// An error with everything below it, as a person would read it.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Runs something on a thread of its own; what it returns comes over the channel.
pub(crate) fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(work()));
    receiver
}
