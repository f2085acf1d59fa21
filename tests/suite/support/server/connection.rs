//! One connection: reads requests, asks rules and site, writes answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::rules::{Behaviour, Event, Framing, Hold, Opening};
use super::site::{Answer, Body, Site};
use super::{Flight, Request, Shared, lock};

/// The most body bytes handled at once.
const PIECE: usize = 256 * 1024;
/// Room for a head or for chunk framing beside a piece.
const MARGIN: usize = 8 * 1024;
/// How often a waiting thread looks whether the server stops, should no socket wake it.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// Requests with a larger head are refused.
const MAX_HEAD: usize = 1024 * 1024;

/// Answers the requests of one connection until either side ends it.
pub(super) fn serve(shared: &Shared, stream: TcpStream, id: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HEARTBEAT))?;
    let out = vec![0; PIECE + MARGIN].into_boxed_slice();
    let mut connection = Connection {
        shared,
        stream,
        id,
        unread: false,
        out,
        used: 0,
        body_used: 0,
    };
    while let Some(request) = connection.read_request()? {
        match connection.answer(&request)? {
            Then::Reset => return Ok(()),
            Then::Close => {
                connection.finish_head()?;
                return connection.stream.shutdown(Shutdown::Write);
            }
            Then::KeepAlive => connection.finish_head()?,
        }
    }
    Ok(())
}

/// How a connection goes on after an answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    KeepAlive,
    Close,
    Reset,
}

impl Then {
    /// Closes a connection that would have been kept, if `closing`.
    fn or_close(self, closing: bool) -> Self {
        if closing && self == Self::KeepAlive {
            Self::Close
        } else {
            self
        }
    }
}

struct Connection<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    id: u64,
    /// The last byte of the request is still in the socket. Closing a socket with unread bytes resets the
    /// connection, which the standard library offers no other way to.
    unread: bool,
    /// Collects head and body until the next write.
    out: Box<[u8]>,
    used: usize,
    /// How many of the collected bytes are body.
    body_used: u64,
}

impl Connection<'_> {
    /// The next request, `None` when the client has closed or the server stops.
    fn read_request(&mut self) -> io::Result<Option<Request>> {
        let mut head = Vec::new();
        let mut window = [0; 4096];
        let end = loop {
            let seen = self.wait_read(&mut window, TcpStream::peek)?;
            if seen == 0 {
                return Ok(None);
            }
            let before = head.len();
            head.extend_from_slice(&window[..seen]);
            let from = before.saturating_sub(3);
            let end = head[from..]
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .map(|at| from + at + 4);
            let take = end.map_or(seen, |end| end - before - 1);
            self.stream.read_exact(&mut window[..take])?;
            if let Some(end) = end {
                break end;
            }
            if head.len() > MAX_HEAD {
                return Err(ErrorKind::InvalidData.into());
            }
        };
        self.unread = true;
        let request = parse(&head[..end], self.id).ok_or(ErrorKind::InvalidData)?;
        let mut body: u64 = request
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if body > 0 {
            self.finish_head()?;
        }
        while body > 0 {
            let want = window
                .len()
                .min(usize::try_from(body).unwrap_or(usize::MAX));
            match self.wait_read(&mut window[..want], |mut stream, piece| stream.read(piece))? {
                0 => return Ok(None),
                read => body -= read as u64,
            }
        }
        Ok(Some(request))
    }

    /// Reads or peeks; 0 when the client has closed or the server stops.
    fn wait_read(
        &self,
        window: &mut [u8],
        read: impl Fn(&TcpStream, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        while !self.shared.stopping.is_open() {
            match read(&self.stream, window) {
                Err(error) if is_pause(error.kind()) => {}
                done => return done,
            }
        }
        Ok(0)
    }

    /// Reads the byte left in the socket, so that closing it does not reset the connection.
    fn finish_head(&mut self) -> io::Result<()> {
        if self.unread {
            self.stream.read_exact(&mut [0])?;
            self.unread = false;
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request) -> io::Result<Then> {
        let behaviour = lock(&self.shared.rules)
            .iter_mut()
            .find_map(|rule| rule.take(request));
        let behaviour = behaviour.unwrap_or_default();
        let mut flight = Flight::begin(self.shared, request.clone());
        for callback in &behaviour.arrival {
            callback();
        }
        self.pause(behaviour.delay)?;
        if let Some(hold) = &behaviour.hold {
            self.hold(hold)?;
        }
        let then = match &behaviour.opening {
            Opening::Answer => {
                let answer = self.prepare(request, &behaviour)?;
                self.send(request, answer, &behaviour, &mut flight)?
            }
            Opening::Raw(bytes) => {
                flight.land();
                self.stream.write_all(bytes)?;
                Then::Close
            }
            Opening::Close => Then::Close,
            Opening::Reset => Then::Reset,
        };
        let asked = request.header("connection");
        Ok(then.or_close(asked.is_some_and(|value| value.eq_ignore_ascii_case("close"))))
    }

    /// Chooses what to say, all headers but those that frame the body.
    fn prepare(&self, request: &Request, behaviour: &Behaviour) -> io::Result<Answer> {
        let mut answer = if behaviour.status.is_some() || behaviour.body.is_some() {
            let body = behaviour.body.clone().map_or_else(Body::empty, Body::bytes);
            Answer::new(behaviour.status.unwrap_or(200), body)
        } else {
            let found = Site::find(&self.shared.site, request);
            Answer::honest(found, request, behaviour.ignore_range)?
        };
        if behaviour.framing != Framing::Length {
            answer.framing = behaviour.framing;
        }
        if let (206, Some(value)) = (answer.status, &behaviour.content_range) {
            answer.set("content-range", Some(value));
        }
        Ok(answer)
    }

    fn send(
        &mut self,
        request: &Request,
        mut answer: Answer,
        behaviour: &Behaviour,
        flight: &mut Flight<'_>,
    ) -> io::Result<Then> {
        let bodiless = matches!(answer.status, 100..=199 | 204 | 304);
        if !bodiless {
            let length = match answer.framing {
                Framing::Length => Some(answer.body.left),
                Framing::Declared(length) => Some(length),
                Framing::Chunked | Framing::UntilClose => None,
            };
            answer.set(
                "content-length",
                length.map(|length| length.to_string()).as_deref(),
            );
        }
        match answer.framing {
            Framing::Chunked if !bodiless => answer.set("transfer-encoding", Some("chunked")),
            Framing::UntilClose => answer.set("connection", Some("close")),
            _ => {}
        }
        for (name, value) in &behaviour.headers {
            answer.set(name, value.as_deref());
        }
        let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
        let mut closing = false;
        for (name, value) in &answer.headers {
            closing |= name == "connection" && value == "close";
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        flight.note(|request| request.status = answer.status);
        self.collect(head.as_bytes(), flight)?;
        let then = if bodiless || request.method == "HEAD" {
            flight.land();
            self.flush(flight)?;
            Then::KeepAlive
        } else {
            self.send_body(answer, behaviour, flight)?
        };
        Ok(then.or_close(closing))
    }

    fn send_body(
        &mut self,
        answer: Answer,
        behaviour: &Behaviour,
        flight: &mut Flight<'_>,
    ) -> io::Result<Then> {
        let Answer {
            mut body, framing, ..
        } = answer;
        let total = body.left.saturating_add(behaviour.surplus);
        let rate = behaviour.bytes_per_second;
        // Twenty slices a second are smooth enough to look like a slow line.
        let slice = rate.map_or(PIECE as u64, |rate| (rate / 20).clamp(1, PIECE as u64));
        let chunked = framing == Framing::Chunked;
        let mut events = behaviour.events.iter().peekable();
        let mut sent = 0;
        loop {
            while let Some((_, event)) = events.next_if(|(offset, _)| *offset <= sent) {
                if sent == total {
                    flight.land();
                }
                self.flush(flight)?;
                match event {
                    Event::Cut => return Ok(Then::Close),
                    Event::Reset => return Ok(Then::Reset),
                    Event::Hold(hold) => self.hold(hold)?,
                    Event::Call(callback) => callback(),
                }
            }
            if sent == total {
                break;
            }
            if let Some(rate) = rate.filter(|_| sent > 0) {
                self.flush(flight)?;
                self.pause(Duration::from_secs_f64(slice as f64 / rate as f64))?;
            }
            let until_event = events.peek().map_or(u64::MAX, |(offset, _)| offset - sent);
            let length = slice.min(total - sent).min(until_event);
            if chunked {
                self.collect(format!("{length:x}\r\n").as_bytes(), flight)?;
            }
            let piece = self.room(usize::try_from(length).map_err(io::Error::other)?, flight)?;
            body.fill(piece)?;
            for offset in &behaviour.flips {
                if let Some(byte) = offset
                    .checked_sub(sent)
                    .and_then(|at| piece.get_mut(usize::try_from(at).ok()?))
                {
                    *byte = !*byte;
                }
            }
            self.body_used += length;
            sent += length;
            if chunked {
                self.collect(b"\r\n", flight)?;
            }
        }
        if chunked {
            self.collect(b"0\r\n\r\n", flight)?;
        }
        // Before the last write, see `Server::max_in_flight`.
        flight.land();
        self.flush(flight)?;
        let honest = chunked || (framing == Framing::Length && behaviour.surplus == 0);
        Ok(if honest { Then::KeepAlive } else { Then::Close })
    }

    /// Sets bytes of a head or of chunk framing down for the next write.
    fn collect(&mut self, bytes: &[u8], flight: &Flight<'_>) -> io::Result<()> {
        if bytes.len() > MARGIN {
            self.flush(flight)?;
            return self.stream.write_all(bytes);
        }
        self.room(bytes.len(), flight)?.copy_from_slice(bytes);
        Ok(())
    }

    /// The place for the next `length` bytes, counted as collected.
    fn room(&mut self, length: usize, flight: &Flight<'_>) -> io::Result<&mut [u8]> {
        if self.used + length > self.out.len() {
            self.flush(flight)?;
        }
        let start = self.used;
        self.used += length;
        Ok(&mut self.out[start..self.used])
    }

    fn flush(&mut self, flight: &Flight<'_>) -> io::Result<()> {
        let (used, body) = (
            std::mem::take(&mut self.used),
            std::mem::take(&mut self.body_used),
        );
        if body > 0 {
            flight.note(|request| request.body_bytes += body);
        }
        let written = self.stream.write_all(&self.out[..used]);
        if written.is_err() && body > 0 {
            flight.note(|request| request.body_bytes -= body);
        }
        written
    }

    fn hold(&mut self, hold: &Hold) -> io::Result<()> {
        match hold {
            Hold::Until(gate) => {
                while !gate.wait(HEARTBEAT) {
                    self.pause(Duration::ZERO)?;
                }
                Ok(())
            }
            Hold::Forever => {
                self.finish_head()?;
                while self.wait_read(&mut [0; 64], |mut stream, piece| stream.read(piece))? > 0 {}
                Err(ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// Waits, or fails as soon as the server stops.
    fn pause(&self, time: Duration) -> io::Result<()> {
        if self.shared.stopping.wait(time) {
            Err(ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
}

/// A read that timed out is one or the other, depending on the system.
fn is_pause(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn parse(head: &[u8], connection: u64) -> Option<Request> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    // A client that takes the server for its proxy sends the whole URL.
    let local = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let query_from = local.find('?').unwrap_or(local.len());
    let mut path = percent_decode(&local[..query_from]);
    let query_at = path.len();
    path.push_str(&local[query_from..]);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let (method, target) = (method.to_owned(), target.to_owned());
    Some(Request {
        method,
        path,
        target,
        headers,
        connection,
        status: 0,
        body_bytes: 0,
        query_at,
    })
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|two| std::str::from_utf8(two).ok());
        let decoded = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
