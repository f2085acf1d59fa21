//! A real HTTP/1.1 server on the loopback interface that counts its requests and misbehaves on demand.
//!
//! Used by the test suite as `mod server;` and by the benches through
//! `#[path = "../tests/suite/support/server/mod.rs"] mod server;`. Standard library only.
//!
//! ```ignore
//! let server = Server::start().folder(temp.path());
//! server.put("/index.json", "{}");
//! server.rule(Rule::path_contains("/data/").times(2).status(503).header("retry-after", "0"));
//! // … run the client against server.url() …
//! assert_eq!(server.count("/data/"), 3);
//! ```
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary and bench uses its own part"
)]

mod connection;
mod rules;
mod site;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use rules::Rule;
pub(crate) use site::Page;
use site::Site;

/// How long a stopping server waits for its threads; one still stuck in a callback is then left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// A running server; it stops and closes every connection when dropped.
///
/// Dropping it panics if a callback of a rule did, so an assertion made there is not lost.
pub(crate) struct Server {
    shared: Arc<Shared>,
    port: u16,
    acceptors: Vec<(SocketAddr, JoinHandle<()>)>,
}

impl Server {
    /// Starts an empty server on a free port of 127.0.0.1, and of `::1` where there is one.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let mut port = 0;
        let acceptors = listen()
            .into_iter()
            .map(|listener| {
                let address = listener
                    .local_addr()
                    .expect("a bound socket has an address");
                port = address.port();
                let shared = Arc::clone(&shared);
                (address, thread::spawn(move || accept(&shared, &listener)))
            })
            .collect();
        Self {
            shared,
            port,
            acceptors,
        }
    }

    /// Serves the files of `folder`, read anew on each request, at `/`.
    pub(crate) fn folder(self, folder: impl Into<PathBuf>) -> Self {
        self.mount("/", folder);
        self
    }

    /// Serves the files of `folder` under `prefix`. Later mounts are asked first; a missing file falls through.
    pub(crate) fn mount(&self, prefix: &str, folder: impl Into<PathBuf>) {
        lock(&self.shared.site).mount(prefix, folder.into());
    }

    /// Serves `bytes` at `path`, ahead of any folder. A path with a query answers that very query only.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        lock(&self.shared.site).put(path, bytes.into());
    }

    /// Asks `program` for what [`Server::put`] did not place, ahead of any folder; it replaces the program before.
    ///
    /// Rules apply to its pages as to anything else that is served.
    pub(crate) fn program(
        &self,
        program: impl Fn(&Request) -> Option<Page> + Send + Sync + 'static,
    ) {
        lock(&self.shared.site).program(Arc::new(program));
    }

    /// Takes back what [`Server::put`] placed at `path`.
    pub(crate) fn remove(&self, path: &str) {
        lock(&self.shared.site).remove(path);
    }

    /// Adds a rule behind the others; the first that matches and is due decides a request alone.
    pub(crate) fn rule(&self, rule: Rule) -> &Self {
        lock(&self.shared.rules).push(rule);
        self
    }

    /// Forgets all rules; requests already being answered are not affected.
    pub(crate) fn clear_rules(&self) {
        lock(&self.shared.rules).clear();
    }

    /// The root, without a slash at the end: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same server under another host name: `http://localhost:PORT`, or where nobody knows that name, under a short
    /// form of its address.
    pub(crate) fn localhost_url(&self) -> String {
        let known = ("localhost", self.port).to_socket_addrs().is_ok();
        let host = if known { "localhost" } else { "127.1" };
        format!("http://{host}:{}", self.port)
    }

    /// The port, the same for IPv4 and IPv6.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Every request since the start or the last reset, in order of arrival, those under way included.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).requests.clone()
    }

    /// How many requests had a path starting with `prefix`.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        lock(&self.shared.log).count(prefix)
    }

    /// Waits until [`Server::count`] of `prefix` has reached `wanted`; false if it has not in time.
    pub(crate) fn wait_for(&self, prefix: &str, wanted: usize, timeout: Duration) -> bool {
        let log = lock(&self.shared.log);
        let waited = self
            .shared
            .arrived
            .wait_timeout_while(log, timeout, |log| log.count(prefix) < wanted);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Body bytes sent, headers and chunk framing left out.
    pub(crate) fn bytes_sent(&self) -> u64 {
        lock(&self.shared.log)
            .requests
            .iter()
            .map(|request| request.body_bytes)
            .sum()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> u64 {
        lock(&self.shared.log).connections
    }

    /// The most requests that were being answered at once.
    ///
    /// An answer counts until its last piece is handed to the socket, so a client that sends its requests one
    /// after the other, each on a connection of its own, never counts twice.
    pub(crate) fn max_in_flight(&self) -> usize {
        lock(&self.shared.log).max_in_flight
    }

    /// Forgets the requests and connections counted so far; rules keep their own counts.
    pub(crate) fn reset_counts(&self) {
        let mut log = lock(&self.shared.log);
        log.forgotten += log.requests.len();
        log.requests.clear();
        log.connections = 0;
        log.max_in_flight = log.in_flight;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        self.shared.stopping.open();
        for (address, _) in &self.acceptors {
            // Closing a listener does not wake its accept everywhere; a connection does.
            let _ = TcpStream::connect_timeout(address, Duration::from_secs(1));
        }
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let mut threads: Vec<_> = self.acceptors.drain(..).map(|(_, thread)| thread).collect();
        threads.append(&mut lock(&self.shared.workers));
        while !threads.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let panicked = self.shared.panicked.load(Ordering::SeqCst);
        assert!(
            !panicked || thread::panicking(),
            "a thread of the test server panicked, see above"
        );
    }
}

/// What the server remembers of one request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As sent, in capitals: `GET`.
    pub(crate) method: String,
    /// The path, percent-decoded, and the query behind it as sent: `/a b?c=%20`.
    pub(crate) path: String,
    /// What stood in the request line; a whole URL when the server was used as a proxy.
    pub(crate) target: String,
    /// Names in lower case, in the order sent.
    pub(crate) headers: Vec<(String, String)>,
    /// The connection it came on, counted from 1 over the life of the server.
    pub(crate) connection: u64,
    /// The status answered; 0 while there is none.
    pub(crate) status: u16,
    /// Body bytes sent, without chunk framing.
    pub(crate) body_bytes: u64,
    /// Where the query begins in `path`.
    query_at: usize,
}

impl Request {
    /// The first header of that name; give it in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The decoded path without the query.
    pub(crate) fn path_only(&self) -> &str {
        &self.path[..self.query_at]
    }
}

/// A latch: closed at first, open for good once opened. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets everyone through who waits now or later.
    pub(crate) fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// Whether it has been opened.
    pub(crate) fn is_open(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Waits until it is open; false if that took longer than `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let waited = self
            .0
            .1
            .wait_timeout_while(lock(&self.0.0), timeout, |open| !*open);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the threads of one server have in common.
#[derive(Default)]
struct Shared {
    site: Mutex<Site>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Log>,
    arrived: Condvar,
    stopping: Gate,
    panicked: AtomicBool,
    /// Clones of the sockets in use, to shut them down from outside.
    open: Mutex<HashMap<u64, TcpStream>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    accepted: Mutex<u64>,
}

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    /// How many requests were dropped from the front, so that a number given out stays valid.
    forgotten: usize,
    connections: u64,
    in_flight: usize,
    max_in_flight: usize,
}

impl Log {
    fn count(&self, prefix: &str) -> usize {
        self.requests
            .iter()
            .filter(|request| request.path.starts_with(prefix))
            .count()
    }
}

/// One request being answered. Counts run ahead of the socket: what a client has seen is always counted.
struct Flight<'a> {
    shared: &'a Shared,
    number: usize,
    landed: bool,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, request: Request) -> Self {
        let mut log = lock(&shared.log);
        let number = log.forgotten + log.requests.len();
        log.requests.push(request);
        log.in_flight += 1;
        log.max_in_flight = log.max_in_flight.max(log.in_flight);
        drop(log);
        shared.arrived.notify_all();
        Self {
            shared,
            number,
            landed: false,
        }
    }

    fn note(&self, change: impl FnOnce(&mut Request)) {
        let mut log = lock(&self.shared.log);
        let index = self.number.checked_sub(log.forgotten);
        if let Some(request) = index.and_then(|index| log.requests.get_mut(index)) {
            change(request);
        }
    }

    fn land(&mut self) {
        if !self.landed {
            self.landed = true;
            lock(&self.shared.log).in_flight -= 1;
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.land();
    }
}

/// Forgets the socket of a connection at its end, however that comes about.
struct Departure<'a>(&'a Shared, u64);

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.panicked.store(true, Ordering::SeqCst);
        }
        lock(&self.0.open).remove(&self.1);
    }
}

/// Binds one port on both loopback addresses, so that `localhost` cannot reach somebody else.
fn listen() -> Vec<TcpListener> {
    for _ in 0..16 {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let port = four
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Ok(six) => return vec![four, six],
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(_) => return vec![four],
        }
    }
    panic!("no port is free on both 127.0.0.1 and ::1");
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if shared.stopping.is_open() {
            return;
        }
        let Ok((stream, clone)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream)))
        else {
            // Out of file descriptors, most likely.
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let id = {
            let mut accepted = lock(&shared.accepted);
            *accepted += 1;
            *accepted
        };
        lock(&shared.log).connections += 1;
        lock(&shared.open).insert(id, clone);
        let worker = thread::spawn({
            let shared = Arc::clone(shared);
            move || {
                let _departure = Departure(&shared, id);
                // A client that went away is no failure of the server.
                let _ = connection::serve(&shared, stream, id);
            }
        });
        let mut workers = lock(&shared.workers);
        workers.retain(|worker| !worker.is_finished());
        workers.push(worker);
    }
}

/// Locks even when a callback panicked elsewhere; that panic is reported on its own.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
