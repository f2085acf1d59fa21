//! One connection: reads requests, looks for a rule and a page, writes answers.

use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::page::{Framing, Page};
use super::rules::{Behaviour, Event};
use super::{Flight, Request, Shared, lock};

/// The most body bytes written at once.
const PIECE: usize = 256 * 1024;
/// How often a waiting thread checks whether the server stops.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// Requests with a longer head are refused.
const MAX_HEAD: usize = 64 * 1024;
/// Requests that carry more end their connection.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Answers the requests of one connection until either side ends it.
pub(super) fn serve(shared: &Shared, stream: TcpStream, id: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HEARTBEAT))?;
    let mut window = vec![0; MAX_HEAD];
    let mut connection = Connection {
        shared,
        stream: stream.try_clone()?,
        out: BufWriter::new(stream),
        piece: vec![0; PIECE],
        head_bytes: 0,
    };
    while let Some(mut request) = connection.read_request(&mut window, id)? {
        if let Some((bytes, answer)) = connection.reset_after(&request) {
            connection.read_part(&request, bytes)?;
            return connection.stream.write_all(&answer);
        }
        connection.read_body(&mut request)?;
        let then = connection.answer(&mut request)?;
        if then == Then::Reset {
            return Ok(());
        }
        connection.finish_head()?;
        if then == Then::Close {
            return connection.stream.shutdown(Shutdown::Write);
        }
    }
    Ok(())
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    KeepAlive,
    Close,
    Reset,
}

struct Connection<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    /// The length of the request, which stays in the socket until it is answered: closing a socket with unread bytes
    /// resets the connection, which the standard library has no other way to do.
    head_bytes: usize,
    /// Brings small bodies together with their heads.
    out: BufWriter<TcpStream>,
    piece: Vec<u8>,
}

impl Connection<'_> {
    /// The next request; `None` when the client has closed or the server stops.
    fn read_request(&mut self, window: &mut [u8], id: u64) -> io::Result<Option<Request>> {
        loop {
            let seen = self.wait_read(window, TcpStream::peek)?;
            let end = window[..seen]
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                self.head_bytes = end + 4;
                let request = Request::parse(&window[..end], id).ok_or(ErrorKind::InvalidData)?;
                return Ok(Some(request));
            }
            if seen == 0 || seen == MAX_HEAD {
                return Ok(None);
            }
            std::thread::yield_now();
        }
    }

    /// After how many bytes of this request the connection is to be reset, and what is answered before.
    fn reset_after(&self, request: &Request) -> Option<(u64, Vec<u8>)> {
        let mut rules = lock(&self.shared.rules);
        rules.iter_mut().find_map(|rule| rule.take_reset(request))
    }

    /// Reads so many bytes of what a request carries, and leaves the rest in the socket, which resets the connection once it is
    /// closed.
    fn read_part(&mut self, request: &Request, bytes: u64) -> io::Result<()> {
        drop(Flight::begin(self.shared, &mut request.clone()));
        self.finish_head()?;
        let mut part = (&self.stream).take(bytes);
        loop {
            match io::copy(&mut part, &mut io::sink()) {
                Err(error) if is_pause(error.kind()) => {}
                done => return done.map(drop),
            }
        }
    }

    /// Reads what a request carries, and its head before it.
    fn read_body(&mut self, request: &mut Request) -> io::Result<()> {
        let length = request.header("content-length").unwrap_or("0");
        let length: usize = length.parse().map_err(|_| ErrorKind::InvalidData)?;
        match length {
            0 => return Ok(()),
            1..=MAX_BODY => self.finish_head()?,
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        let mut body = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let read = |mut stream: &TcpStream, window: &mut [u8]| stream.read(window);
            match self.wait_read(&mut body[filled..], read)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        request.body = body;
        Ok(())
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

    fn finish_head(&mut self) -> io::Result<()> {
        let mut head = vec![0; std::mem::take(&mut self.head_bytes)];
        self.stream.read_exact(&mut head)
    }

    fn answer(&mut self, request: &mut Request) -> io::Result<Then> {
        let mut flight = Flight::begin(self.shared, request);
        let behaviour = {
            let mut rules = lock(&self.shared.rules);
            rules.iter_mut().find_map(|rule| rule.take(request))
        };
        let behaviour = behaviour.unwrap_or_default();
        for event in &behaviour.before {
            if matches!(event, Event::Raw(_)) {
                flight.land();
            }
            if let Some(then) = self.happen(event)? {
                return Ok(then);
            }
        }
        let page = self.page(request, &behaviour)?;
        let then = self.send(request, page, &behaviour, &mut flight)?;
        let close = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(if close && then == Then::KeepAlive {
            Then::Close
        } else {
            then
        })
    }

    /// Chooses the answer, with all headers but those that the rule sets and those that frame the body.
    fn page(&self, request: &Request, behaviour: &Behaviour) -> io::Result<Page> {
        let mut page = if behaviour.status.is_some() || behaviour.body.is_some() {
            let body = behaviour.body.clone().unwrap_or_default();
            Page::new(behaviour.status.unwrap_or(200), body)
        } else {
            // Only a table of routes knows other methods.
            let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
            match self.shared.find(request, is_read) {
                Some(page) if is_read => page.for_request(request, behaviour.ignore_range)?,
                Some(page) => page,
                None if is_read => Page::new(404, *b"not found\n"),
                None => Page::new(405, []).header("allow", "GET, HEAD"),
            }
        };
        if let Some(framing) = behaviour.framing {
            page.framing = framing;
        }
        if let (206, Some(value)) = (page.status, &behaviour.content_range) {
            page.set("content-range", Some(value));
        }
        Ok(page)
    }

    fn send(
        &mut self,
        request: &Request,
        mut page: Page,
        behaviour: &Behaviour,
        flight: &mut Flight<'_>,
    ) -> io::Result<Then> {
        let bodiless = matches!(page.status, 100..=199 | 204 | 304);
        match page.framing {
            _ if bodiless => {}
            Framing::Length => page.set("content-length", Some(&page.left.to_string())),
            Framing::Declared(length) => page.set("content-length", Some(&length.to_string())),
            Framing::Chunked => page.set("transfer-encoding", Some("chunked")),
            Framing::UntilClose => page.set("connection", Some("close")),
        }
        for (name, value) in &behaviour.headers {
            page.set(name, value.as_deref());
        }
        // Clients look at the number alone.
        let mut head = format!("HTTP/1.1 {} Status\r\n", page.status);
        for (name, value) in &page.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        flight.note(|request| request.status = page.status);
        self.out.write_all(head.as_bytes())?;
        let mut honest = Then::KeepAlive;
        if page
            .headers
            .iter()
            .any(|(name, value)| name == "connection" && value == "close")
        {
            honest = Then::Close;
        }
        if bodiless || request.method == "HEAD" {
            flight.land();
            self.out.flush()?;
            return Ok(honest);
        }
        if matches!(page.framing, Framing::Declared(_)) || behaviour.surplus > 0 {
            honest = Then::Close;
        }
        let then = self.send_body(page, behaviour, flight)?;
        Ok(then.unwrap_or(honest))
    }

    /// Sends the body, and what the rule makes of it; says whether an event ended the connection.
    fn send_body(
        &mut self,
        mut page: Page,
        behaviour: &Behaviour,
        flight: &mut Flight<'_>,
    ) -> io::Result<Option<Then>> {
        let total = page.left.saturating_add(behaviour.surplus);
        let rate = behaviour.bytes_per_second;
        // Twenty slices a second are smooth enough to look like a slow line.
        let slice = rate.map_or(PIECE as u64, |rate| (rate / 20).clamp(1, PIECE as u64));
        let chunked = page.framing == Framing::Chunked;
        let mut events = behaviour.events.iter().peekable();
        let mut sent = 0;
        loop {
            while let Some((_, event)) = events.next_if(|(offset, _)| *offset <= sent) {
                if sent == total {
                    flight.land();
                }
                self.out.flush()?;
                if let Some(then) = self.happen(event)? {
                    return Ok(Some(then));
                }
            }
            if sent == total {
                break;
            }
            if let Some(rate) = rate.filter(|_| sent > 0) {
                self.out.flush()?;
                let sharing = match behaviour.is_rate_shared {
                    true => lock(&self.shared.log).in_flight,
                    false => 1,
                };
                let time = slice as f64 * sharing as f64 / rate as f64;
                self.pause(Duration::from_secs_f64(time))?;
            }
            let until_event = events.peek().map_or(u64::MAX, |(offset, _)| offset - sent);
            let length = slice.min(total - sent).min(until_event);
            if chunked {
                write!(self.out, "{length:x}\r\n")?;
            }
            let piece = &mut self.piece[..usize::try_from(length).map_err(io::Error::other)?];
            page.fill(piece)?;
            let flips = behaviour.flips.iter();
            for offset in flips.filter(|offset| (sent..sent + length).contains(offset)) {
                let at = usize::try_from(offset - sent).map_err(io::Error::other)?;
                piece[at] = !piece[at];
            }
            flight.note(|request| request.body_bytes += length);
            if let Err(error) = self.out.write_all(piece) {
                flight.note(|request| request.body_bytes -= length);
                return Err(error);
            }
            sent += length;
            if chunked {
                self.out.write_all(b"\r\n")?;
            }
        }
        if chunked {
            self.out.write_all(b"0\r\n\r\n")?;
        }
        // Before the last write, see `Server::max_in_flight`.
        flight.land();
        self.out.flush()?;
        Ok(None)
    }

    fn happen(&mut self, event: &Event) -> io::Result<Option<Then>> {
        match event {
            Event::Call(callback) => callback(),
            Event::Delay(time) => self.pause(*time)?,
            Event::Hold(gate) => {
                while !gate.wait(HEARTBEAT) {
                    self.pause(Duration::ZERO)?;
                }
            }
            Event::Stall => {
                self.finish_head()?;
                while self.wait_read(&mut [0; 64], |mut stream, piece| stream.read(piece))? > 0 {}
                return Err(ErrorKind::ConnectionAborted.into());
            }
            Event::Close => return Ok(Some(Then::Close)),
            Event::Reset => return Ok(Some(Then::Reset)),
            Event::Raw(bytes) => {
                self.stream.write_all(bytes)?;
                return Ok(Some(Then::Close));
            }
        }
        Ok(None)
    }

    /// Waits, or fails as soon as the server stops.
    fn pause(&self, time: Duration) -> io::Result<()> {
        if self.shared.stopping.wait(time) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

fn is_pause(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
