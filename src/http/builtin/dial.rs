//! TCP connections to the address of a host that answers first ([RFC 8305]).
//!
//! [RFC 8305]: https://www.rfc-editor.org/rfc/rfc8305

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, ShutdownHandle,
    Transport,
};
use ureq::{Error, Timeout};

use super::time_left;
use crate::mutex::Mutex;

/// How long an address may take before the next one is tried as well, as RFC 8305 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to hosts, and remembers which of their addresses answered. Clones share the memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialer {
    answered: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl<In: Transport> Connector<In> for Dialer {
    type Out = Either<In, Tcp>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let stream = Arc::new(self.dial(details, connect)?);
        stream.set_nodelay(true)?;
        let handle: Weak<TcpStream> = Arc::downgrade(&stream);
        (details.register_shutdown)(handle)?;
        let config = details.config;
        Ok(Some(Either::B(Tcp {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            read_limit: None,
            write_limit: None,
            hung_up: None,
        })))
    }
}

/// What happens while addresses are tried.
enum Event<T> {
    Connected(SocketAddr, T),
    Failed(io::Error),
    Cancelled,
}

/// Ends the wait for a connection.
struct Waker<T>(Sender<Event<T>>);

impl<T: Send> ShutdownHandle for Waker<T> {
    fn shutdown(&self) {
        let _ = self.0.send(Event::Cancelled);
    }
}

impl Dialer {
    /// Connects to one of the addresses of a host.
    pub(super) fn dial<T: Send + 'static>(
        &self,
        details: &ConnectionDetails<'_>,
        connect: impl Fn(SocketAddr, Duration) -> io::Result<T> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let events = mpsc::channel();
        let waker = Arc::new(Waker(events.0.clone()));
        let handle: Weak<Waker<T>> = Arc::downgrade(&waker);
        (details.register_shutdown)(handle)?;
        self.race(&details.addrs, *time_left(details).after, events, connect)
    }

    /// Puts the address that answers first before the others, for connections that are made elsewhere.
    pub(super) fn with_answering_first(
        &self,
        addresses: &[SocketAddr],
        limit: Duration,
    ) -> Vec<SocketAddr> {
        if addresses.len() > 1 {
            // Whoever connects meets the error again.
            let _ = self.race(addresses, limit, mpsc::channel(), connect);
        }
        self.in_order(addresses)
    }

    /// Tries the addresses in turn, each a little after the one before, or at once when that has failed.
    fn race<T: Send + 'static>(
        &self,
        addresses: &[SocketAddr],
        limit: Duration,
        (sender, events): (Sender<Event<T>>, Receiver<Event<T>>),
        connect: impl Fn(SocketAddr, Duration) -> io::Result<T> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let mut waiting = self.in_order(addresses).into_iter();
        let mut pending = 0_usize;
        let mut failure = Error::HostNotFound;
        loop {
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout(Timeout::Connect));
            }
            if let Some(address) = waiting.next() {
                let (sender, connect) = (sender.clone(), connect.clone());
                let attempt = move || {
                    // A connection that comes too late is closed with the event.
                    let _ = sender.send(match connect(address, left) {
                        Ok(connection) => Event::Connected(address, connection),
                        Err(error) => Event::Failed(error),
                    });
                };
                thread::Builder::new().spawn(attempt)?;
                pending += 1;
            } else if pending == 0 {
                return Err(failure);
            }
            let is_last = waiting.len() == 0;
            match events.recv_timeout(if is_last {
                left
            } else {
                ATTEMPT_DELAY.min(left)
            }) {
                Ok(Event::Connected(address, connection)) => {
                    let mut answered = self.answered.lock();
                    answered.retain(|other| !addresses.contains(other));
                    answered.insert(address);
                    return Ok(connection);
                }
                Ok(Event::Failed(error)) => {
                    pending -= 1;
                    failure = timed(error, Timeout::Connect);
                }
                Ok(Event::Cancelled) => {
                    return Err(io::Error::from(io::ErrorKind::NotConnected).into());
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// The address that answered before comes first; the others alternate between IPv6 and IPv4.
    fn in_order(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let is_first_kind = |address: &&SocketAddr| address.is_ipv6() == addresses[0].is_ipv6();
        let (first, second): (Vec<&SocketAddr>, Vec<_>) = addresses.iter().partition(is_first_kind);
        let rank = |list: &[&SocketAddr], offset| {
            let list = list.iter().enumerate();
            list.map(|(i, address)| (2 * i + offset, **address))
                .collect::<Vec<_>>()
        };
        let mut ranked = [rank(&first, 0), rank(&second, 1)].concat();
        let answered = self.answered.lock();
        ranked.sort_by_key(|(rank, address)| (!answered.contains(address), *rank));
        ranked.into_iter().map(|(_, address)| address).collect()
    }
}

fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, limit)
}

/// Tells a time-out, of which systems have two names, from other errors.
fn timed(error: io::Error, reason: Timeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(reason),
        // It may be one of ureq's own within.
        _ => error.into(),
    }
}

/// A TCP connection.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
    /// Why nothing can be sent any more: the server has hung up before it took everything, and may have said why.
    hung_up: Option<io::ErrorKind>,
}

/// Whether an error says that the other side takes nothing more.
fn is_hang_up(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

/// Sets the time-out of a socket if it is another one than before.
fn limit(
    timeout: NextTimeout,
    known: &mut Option<Duration>,
    set: impl FnOnce(Option<Duration>) -> io::Result<()>,
) -> Result<(), Error> {
    let wanted = *timeout.after;
    if wanted.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    if *known != Some(wanted) {
        match set(Some(wanted)) {
            Ok(()) => *known = Some(wanted),
            // macOS refuses once the other side has closed, although what it sent can still be read.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.hung_up.is_some() {
            // ureq reads no answer before it has sent everything.
            return Ok(());
        }
        let timeout = timeout.for_write();
        limit(timeout, &mut self.write_limit, |limit| {
            self.stream.set_write_timeout(limit)
        })?;
        let sent = (&*self.stream).write_all(&self.buffers.output()[..amount]);
        match sent {
            Err(error) if is_hang_up(error.kind()) => {
                self.hung_up = Some(error.kind());
                Ok(())
            }
            sent => sent.map_err(|error| timed(error, timeout.reason)),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        limit(timeout, &mut self.read_limit, |limit| {
            self.stream.set_read_timeout(limit)
        })?;
        let buffer = self.buffers.input_append_buf();
        let read = loop {
            // A signal ends a read that has a time-out.
            match (&*self.stream).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|error| timed(error, timeout.reason))?,
            }
        };
        if let Some(kind) = self.hung_up.filter(|_| read == 0) {
            return Err(io::Error::from(kind).into());
        }
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    /// An idle connection has nothing to read: bytes that nobody asked for, and an end, make it useless.
    fn is_open(&mut self) -> bool {
        if self.hung_up.is_some() {
            return false;
        }
        let idle = || -> io::Result<bool> {
            self.stream.set_nonblocking(true)?;
            let read = (&*self.stream).read(&mut [0]);
            self.stream.set_nonblocking(false)?;
            Ok(read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
        };
        idle().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Connects to the addresses with the port 1; those with the port 2 refuse, and the others never answer. Returns the
    /// address that answered, and those that were tried.
    fn race(
        dialer: &Dialer,
        addresses: &[SocketAddr],
    ) -> (Result<SocketAddr, Error>, Vec<SocketAddr>) {
        let tried = Arc::new(Mutex::new(Vec::new()));
        let (never, silence) = mpsc::channel::<()>();
        let silence = Arc::new(Mutex::new(silence));
        let connect = {
            let tried = tried.clone();
            move |address: SocketAddr, _| {
                tried.lock().push(address);
                match address.port() {
                    1 => Ok(address),
                    2 => Err(io::ErrorKind::ConnectionRefused.into()),
                    _ => {
                        let _ = silence.lock().recv();
                        Err(io::ErrorKind::TimedOut.into())
                    }
                }
            }
        };
        let result = dialer.race(addresses, LIMIT, mpsc::channel(), connect);
        drop(never);
        let tried = tried.lock().clone();
        (result, tried)
    }

    #[test]
    fn a_silent_address_does_not_hold_up_the_next_and_is_left_out_later() {
        let dialer = Dialer::default();
        let two = addresses(&["[::1]:3", "127.0.0.1:1"]);
        let (connected, tried) = race(&dialer, &two);
        assert_eq!((connected.unwrap(), tried), (two[1], two.clone()));
        let (connected, tried) = race(&dialer.clone(), &two);
        assert_eq!((connected.unwrap(), tried), (two[1], vec![two[1]]));
    }

    #[test]
    fn the_kinds_of_address_alternate() {
        let given = addresses(&[
            "[::1]:2",
            "[::2]:2",
            "[::3]:2",
            "127.0.0.1:2",
            "127.0.0.2:1",
        ]);
        let (connected, tried) = race(&Dialer::default(), &given);
        assert_eq!(connected.unwrap(), given[4]);
        let expected = ["[::1]:2", "127.0.0.1:2", "[::2]:2", "127.0.0.2:1"];
        assert_eq!(tried, addresses(&expected));
    }

    #[test]
    fn the_address_that_answered_is_forgotten_when_another_one_does() {
        let dialer = Dialer::default();
        let given = addresses(&["127.0.0.1:1", "127.0.0.2:2"]);
        dialer.answered.lock().insert(given[1]);
        assert_eq!(race(&dialer, &given).1, [given[1], given[0]]);
        assert_eq!(race(&dialer, &given).1, [given[0]]);
    }

    #[test]
    fn refusals_of_all_addresses_and_silence_are_errors() {
        let refused = addresses(&["[::1]:2", "127.0.0.1:2"]);
        let error = race(&Dialer::default(), &refused).0.unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        let over =
            Dialer::default().race::<()>(&refused, Duration::ZERO, mpsc::channel(), |_, _| {
                Err(io::ErrorKind::TimedOut.into())
            });
        assert!(
            matches!(over, Err(Error::Timeout(Timeout::Connect))),
            "{over:?}"
        );
    }

    #[test]
    fn an_address_that_answers_is_put_first() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let given = [addresses(&["127.0.0.1:1"])[0], open];
        let ordered = Dialer::default().with_answering_first(&given, LIMIT);
        assert_eq!(ordered, [open, given[0]]);
    }

    #[test]
    fn cancelling_ends_the_wait() {
        let (never, silence) = mpsc::channel::<()>();
        let silence = Arc::new(Mutex::new(silence));
        let (sender, events) = mpsc::channel();
        let begun = sender.clone();
        let connect = move |_: SocketAddr, _: Duration| {
            let _ = begun.send(Event::Cancelled);
            let _ = silence.lock().recv();
            Ok(())
        };
        let one = addresses(&["127.0.0.1:3"]);
        let error = Dialer::default().race(&one, LIMIT, (sender, events), connect);
        drop(never);
        assert!(matches!(error, Err(Error::Io(_))), "{error:?}");
    }
}
