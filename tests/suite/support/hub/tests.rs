//! The Hub, asked by hand over raw sockets, and by its own client where there is one.

mod access;
mod client;
mod files;
mod models;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::Hub;

const SOON: Duration = Duration::from_secs(10);

/// An answer: status line and headers as text, and the body.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(key, value)| (key == name).then_some(value))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and error code, which is empty where there is none.
    fn outcome(&self) -> (u16, &str) {
        let code = self.header("x-error-code").unwrap_or_default();
        (self.status(), code)
    }
}

/// Sends one request with more headers, each with a line end behind it, on a connection of its own.
fn ask(hub: &Hub, line: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", hub.server().port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = format!("{line} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    Answer { head, body }
}

fn get(hub: &Hub, path: &str) -> Answer {
    ask(hub, &format!("GET {path}"), "")
}

fn get_as(hub: &Hub, token: &str, path: &str) -> Answer {
    let header = format!("authorization: Bearer {token}\r\n");
    ask(hub, &format!("GET {path}"), &header)
}

/// What stands between the brackets of a link to the next page, without the endpoint.
fn next(hub: &Hub, answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let url = link
        .strip_prefix('<')?
        .strip_suffix(">; rel=\"next\"")
        .unwrap();
    let path = url.strip_prefix(&hub.server().url()).unwrap();
    Some(path.to_owned())
}

fn ids(answer: &Answer) -> Vec<String> {
    let entries = answer.json();
    let id = |entry: &Value| entry["id"].as_str().unwrap().to_owned();
    entries.as_array().unwrap().iter().map(id).collect()
}

/// `hello\n` in git, and in the large file storage.
const HELLO: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
const HELLO_SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
