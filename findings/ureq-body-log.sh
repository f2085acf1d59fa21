#!/bin/bash
# Guess:   Turning a log level on for one's own crate costs nothing inside of other crates: what the filter leaves out there
#          is a comparison for each request.
# Truth:   ureq has a trace event for every 16 bytes of every body. One filter that says `trace`, of whichever crate, makes
#          `trace` the level of the whole process that the macros of `log` compare with, and every such event goes through the
#          logger, to be left out there. Behind `tracing_subscriber::fmt().init()`, with its `EnvFilter`, a download takes
#          three times as long: seen were 1.0 s instead of 0.34 s for 256 MiB over loopback.
# Version: ureq 3.5.1 with ureq-proto 0.7.1; log 0.4.35; tracing-subscriber 0.3.23 with tracing-log 0.2.0
# Source:  ureq-proto, src/util.rs, `log_data`, called in src/body.rs for each piece of a body
# Why:     Whoever looks into a slow download with `RUST_LOG=own_crate=trace` measures a far slower one, without a line that
#          says so. `debug` is free of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo init -q --name finding --vcs none
cargo add -q ureq@=3.5.1 --no-default-features
cargo add -q ureq-proto@=0.7.1 log@=0.4.35 tracing-log@=0.2.0
cargo add -q tracing-subscriber@=0.3.23 --features env-filter
cat > src/main.rs <<'RUST'
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};

const BODY_BYTES: usize = 128 << 20;

/// Leaves everything out, and counts it.
struct Counting;

static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

impl Log for Counting {
    fn enabled(&self, _: &Metadata) -> bool {
        false
    }

    fn log(&self, record: &Record) {
        if record.target() == "ureq_proto::util" {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

fn answer(mut client: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.extend(byte);
    }
    write!(client, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    client.write_all(body)
}

fn download(url: &str) -> Duration {
    let started = Instant::now();
    let mut response = ureq::get(url).call().unwrap();
    let read = std::io::copy(&mut response.body_mut().as_reader(), &mut std::io::sink()).unwrap();
    assert_eq!(read, BODY_BYTES as u64);
    started.elapsed()
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let body = vec![7; BODY_BYTES];
        for client in listener.incoming().flatten() {
            let _ = answer(client, &body);
        }
    });
    download(&url);
    let without = download(&url);
    if std::env::args().nth(1).as_deref() == Some("count") {
        log::set_logger(&Counting).unwrap();
        for level in [LevelFilter::Debug, LevelFilter::Trace] {
            log::set_max_level(level);
            let before = LEFT_OUT.load(Ordering::Relaxed);
            download(&url);
            let count = LEFT_OUT.load(Ordering::Relaxed) - before;
            println!("{level}: {count} events left out of {BODY_BYTES} bytes");
            match level {
                LevelFilter::Trace => assert!(count >= BODY_BYTES as u64 / 16),
                _ => assert_eq!(count, 0),
            }
        }
    } else {
        tracing_subscriber::fmt().with_env_filter("own_crate=trace").init();
        assert_eq!(log::max_level(), LevelFilter::Trace, "one filter sets the level of the process");
        println!("no subscriber {without:?}, own_crate=trace {:?}", download(&url));
    }
}
RUST
echo "ureq 3.5.1, ureq-proto 0.7.1, log 0.4.35, tracing-subscriber 0.3.23, tracing-log 0.2.0"
cargo build -q --release
target/release/finding count
target/release/finding time
