//! A real HTTP/1.1 server on the loopback interface that counts its requests and misbehaves on demand.
//!
//! What it serves is, in this order: single documents ([`Server::put`]), a table of routes ([`Server::routes`]), folders
//! ([`Server::mount`]). Whatever that is, [`Rule`]s say which requests go wrong.
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
    reason = "each test binary and benchmark uses its own part"
)]

mod connection;
mod page;
mod request;
mod rules;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use page::Page;
pub(crate) use request::{Request, decode, encode};
pub(crate) use rules::Rule;

/// How long a stopping server waits for its threads; one that is stuck in a callback is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

type Routes = Arc<dyn Fn(&Request) -> Page + Send + Sync>;

/// A running server; it stops and closes every connection when dropped.
///
/// Dropping it panics if a callback or a route did, so an assertion made there is not lost.
pub(crate) struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    /// Each thread has a clone.
    running: Option<Sender<()>>,
    ended: Mutex<Receiver<()>>,
}

/// What the threads of one server have in common.
#[derive(Default)]
struct Shared {
    documents: Mutex<HashMap<String, Arc<[u8]>>>,
    routes: Mutex<Option<Routes>>,
    /// Prefixes, which begin and end with a slash, and folders.
    mounts: Mutex<Vec<(String, PathBuf)>>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Log>,
    arrived: Condvar,
    stopping: Gate,
    panicked: AtomicBool,
    /// Clones of the sockets in use, to shut them down from outside.
    open: Mutex<HashMap<u64, TcpStream>>,
    accepted: AtomicU64,
    /// How many connections may be open; 0 for any number.
    most: AtomicUsize,
    refused: AtomicU64,
}

#[derive(Default)]
struct Log {
    requests: Vec<Arc<Mutex<Request>>>,
    connections: u64,
    in_flight: usize,
    max_in_flight: usize,
}

impl Server {
    /// Starts an empty server on a free port of 127.0.0.1, and of `::1` where there is one.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (running, ended) = channel();
        let mut addresses = Vec::new();
        for listener in listen() {
            addresses.push(
                listener
                    .local_addr()
                    .expect("a bound socket has an address"),
            );
            let (shared, running) = (Arc::clone(&shared), running.clone());
            thread::spawn(move || accept(&shared, &listener, &running));
        }
        Self {
            shared,
            addresses,
            running: Some(running),
            ended: Mutex::new(ended),
        }
    }

    /// Serves the files of `folder`, read anew on each request, at `/`.
    pub(crate) fn folder(self, folder: impl Into<PathBuf>) -> Self {
        self.mount("/", folder);
        self
    }

    /// Serves the files of `folder` under `prefix`. Later mounts are tried first; a missing file falls through.
    pub(crate) fn mount(&self, prefix: &str, folder: impl Into<PathBuf>) {
        let prefix = format!("/{}/", prefix.trim_matches('/')).replace("//", "/");
        lock(&self.shared.mounts).push((prefix, folder.into()));
    }

    /// Serves `bytes` at `path`. A path with a query answers exactly that query.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        lock(&self.shared.documents).insert(path.to_owned(), bytes.into().into());
    }

    /// Takes back what [`Server::put`] placed at `path`.
    pub(crate) fn remove(&self, path: &str) {
        lock(&self.shared.documents).remove(path);
    }

    /// Serves the pages of a table of routes over `state`, which answers every request.
    pub(crate) fn routes<S: Send + 'static>(
        &self,
        state: &Arc<Mutex<S>>,
        table: fn(&mut S, &Request) -> Page,
    ) {
        let state = Arc::clone(state);
        let routes: Routes = Arc::new(move |request| table(&mut lock(&state), request));
        *lock(&self.shared.routes) = Some(routes);
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
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The same server under another host name: `http://localhost:PORT`, or where that name is unknown, a short form of
    /// its address.
    pub(crate) fn localhost_url(&self) -> String {
        let known = ("localhost", self.port()).to_socket_addrs().is_ok();
        let host = if known { "localhost" } else { "127.1" };
        format!("http://{host}:{}", self.port())
    }

    /// The port, the same for IPv4 and IPv6.
    pub(crate) fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// Every request since the start or the last reset, in order of arrival, unfinished ones included.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let log = self.log();
        log.requests
            .iter()
            .map(|request| lock(request).clone())
            .collect()
    }

    /// How many requests had a path starting with `prefix`.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.log().count(prefix)
    }

    /// Waits until [`Server::count`] of `prefix` has reached `wanted`; false if it has not in time.
    pub(crate) fn wait_for(&self, prefix: &str, wanted: usize, timeout: Duration) -> bool {
        let arrived = &self.shared.arrived;
        let waited =
            arrived.wait_timeout_while(self.log(), timeout, |log| log.count(prefix) < wanted);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Hangs up on all clients, and waits until nothing more happens of what they asked for; false if something still does after
    /// this time. Not all systems tell a server at once that a client was killed.
    pub(crate) fn hang_up(&self, timeout: Duration) -> bool {
        let begun = Instant::now();
        while !lock(&self.shared.open).is_empty() {
            for stream in lock(&self.shared.open).values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            if begun.elapsed() > timeout {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    /// Body bytes sent, without headers and the framing of chunks.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.requests()
            .iter()
            .map(|request| request.body_bytes)
            .sum()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.log().connections
    }

    /// From now on, closes each connection that would be one more than `most` as soon as it is there.
    pub(crate) fn limit_connections(&self, most: usize) {
        self.shared.most.store(most, Ordering::SeqCst);
    }

    /// How many connections were closed for that.
    pub(crate) fn connections_refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// The most requests that were being answered at once.
    ///
    /// An answer counts until its last piece is handed to the socket, so a client that sends its requests one after the
    /// other, each on a connection of its own, never counts twice.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.log().max_in_flight
    }

    /// Forgets the requests and connections counted so far; rules keep their own counts.
    pub(crate) fn reset_counts(&self) {
        let mut log = self.log();
        log.requests.clear();
        log.connections = 0;
        log.max_in_flight = log.in_flight;
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.shared.log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.open();
        for address in &self.addresses {
            // Closing a listener does not wake its accept on every system; a connection does.
            let _ = TcpStream::connect_timeout(address, Duration::from_secs(1));
        }
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.running.take();
        // Nothing is ever sent: this waits until all threads have dropped their senders.
        let _ = lock(&self.ended).recv_timeout(STOP_PATIENCE);
        let panicked = self.shared.panicked.load(Ordering::SeqCst);
        assert!(
            !panicked || thread::panicking(),
            "a thread of the test server panicked, see above"
        );
    }
}

impl Shared {
    /// What answers a request; one that is not only read is answered by routes alone.
    fn find(&self, request: &Request, is_read: bool) -> Option<Page> {
        let path = request.path_only();
        let documents = lock(&self.documents);
        let document = documents.get(&request.path).or_else(|| documents.get(path));
        let document = document.filter(|_| is_read);
        if let Some(bytes) = document.cloned() {
            return Some(Page::of(bytes));
        }
        drop(documents);
        let routes = lock(&self.routes).clone();
        if let Some(routes) = routes {
            return Some(routes(request));
        }
        if !is_read {
            return None;
        }
        let mounts = lock(&self.mounts);
        mounts.iter().rev().find_map(|(prefix, folder)| {
            let inside = Path::new(path.strip_prefix(prefix.as_str())?);
            let mut parts = inside.components();
            let plain = parts.all(|part| matches!(part, Component::Normal(_)));
            plain.then(|| Page::open(&folder.join(inside)))?
        })
    }
}

impl Log {
    fn count(&self, prefix: &str) -> usize {
        let requests = self.requests.iter();
        requests
            .filter(|request| lock(request).path.starts_with(prefix))
            .count()
    }
}

/// One request being answered. Counts run ahead of the socket: what a client has seen is always counted.
struct Flight<'a> {
    shared: &'a Shared,
    request: Arc<Mutex<Request>>,
    landed: bool,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, request: &mut Request) -> Self {
        let mut log = lock(&shared.log);
        log.in_flight += 1;
        request.in_flight = log.in_flight;
        request.refused = shared.refused.load(Ordering::SeqCst);
        let request = Arc::new(Mutex::new(request.clone()));
        log.requests.push(Arc::clone(&request));
        log.max_in_flight = log.max_in_flight.max(log.in_flight);
        drop(log);
        shared.arrived.notify_all();
        Self {
            shared,
            request,
            landed: false,
        }
    }

    fn note(&self, change: impl FnOnce(&mut Request)) {
        change(&mut lock(&self.request));
    }

    fn land(&mut self) {
        if !std::mem::replace(&mut self.landed, true) {
            lock(&self.shared.log).in_flight -= 1;
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.land();
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

    /// Lets everything through that waits now or later.
    pub(crate) fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Waits until it is open; false if that took longer than `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let (open, opened) = &*self.0;
        let waited = opened.wait_timeout_while(lock(open), timeout, |open| !*open);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Binds one port on both loopback addresses, so that `localhost` cannot reach another program.
fn listen() -> Vec<TcpListener> {
    for _ in 0..16 {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let address = four.local_addr().expect("a bound socket has an address");
        let port = address.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Ok(six) => return vec![four, six],
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(_) => return vec![four],
        }
    }
    panic!("no port is free on both 127.0.0.1 and ::1");
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, running: &Sender<()>) {
    for stream in listener.incoming() {
        if shared.stopping.is_open() {
            return;
        }
        let Ok((stream, clone)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream)))
        else {
            // Out of file descriptors, most likely.
            thread::yield_now();
            continue;
        };
        let most = shared.most.load(Ordering::SeqCst);
        if most > 0 && lock(&shared.open).len() >= most {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let id = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        lock(&shared.log).connections += 1;
        lock(&shared.open).insert(id, clone);
        let (shared, running) = (Arc::clone(shared), running.clone());
        thread::spawn(move || {
            // A client that hangs up is no failure of the server, a panic is one.
            let serve = || connection::serve(&shared, stream, id);
            let served = catch_unwind(AssertUnwindSafe(serve));
            lock(&shared.open).remove(&id);
            shared.panicked.fetch_or(served.is_err(), Ordering::SeqCst);
            drop(running);
        });
    }
}

/// Locks even when a thread has panicked; that panic is reported on its own.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
