//! A proxy that only knows CONNECT.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Connects to ports of 127.0.0.1, whatever the host is called, or refuses each request with a status.
pub(crate) struct Tunnel {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub(crate) fn start(refusal: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || serve(client, refusal, &seen));
            }
        });
        Self { port, heads }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, refusal: Option<u16>, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    seen.lock().unwrap().push(head.clone());
    if let Some(status) = refusal {
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        return client.write_all(answer.as_bytes()).ok();
    }
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let port: u16 = target.rsplit_once(':')?.1.parse().ok()?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\nvia: a\r\n\r\n")
        .ok()?;
    let (mut from_server, mut to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    io::copy(&mut client, &mut server).ok()?;
    server.shutdown(Shutdown::Write).ok()
}
