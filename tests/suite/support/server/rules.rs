//! Rules: which requests are answered badly, and how.

use std::sync::Arc;
use std::time::Duration;

use super::page::Framing;
use super::{Gate, Request};

type Predicate = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// What to do with matching requests: one or more actions, all applied to the same answer.
///
/// A rule without an action answers as usual, and so hides the rules behind it. A rule counts the requests that match it
/// and that no rule before it took: `times(2).status(503)` and then `times(1).cut_after(9)` on the same path answer 503,
/// 503, a cut body, and from then on as usual.
#[derive(Clone)]
pub(crate) struct Rule {
    predicates: Vec<Predicate>,
    when: When,
    seen: u64,
    behaviour: Arc<Behaviour>,
}

#[derive(Clone, Copy)]
enum When {
    Always,
    First(u64),
    Nth(u64),
}

/// The actions of a rule; the default is an honest answer.
#[derive(Clone, Default)]
pub(super) struct Behaviour {
    /// After how many bytes of what a request carries the connection is reset.
    pub(super) unread_after: Option<u64>,
    /// What is answered before that.
    pub(super) unread_answer: Vec<u8>,
    pub(super) before: Vec<Event>,
    pub(super) status: Option<u16>,
    pub(super) body: Option<Arc<[u8]>>,
    /// Headers to set, or to leave out where there is no value.
    pub(super) headers: Vec<(String, Option<String>)>,
    pub(super) ignore_range: bool,
    pub(super) content_range: Option<String>,
    pub(super) framing: Option<Framing>,
    pub(super) surplus: u64,
    pub(super) flips: Vec<u64>,
    /// What happens at which offset of the body, in order.
    pub(super) events: Vec<(u64, Event)>,
    pub(super) bytes_per_second: Option<u64>,
    pub(super) is_rate_shared: bool,
}

/// What happens before an answer or in the middle of its body.
#[derive(Clone)]
pub(super) enum Event {
    Call(Arc<dyn Fn() + Send + Sync>),
    Delay(Duration),
    Hold(Gate),
    /// Nothing more is sent until the server stops or the client hangs up.
    Stall,
    Close,
    Reset,
    Raw(Vec<u8>),
}

/// Which requests.
impl Rule {
    /// Every request.
    pub(crate) fn any() -> Self {
        Self {
            predicates: Vec::new(),
            when: When::Always,
            seen: 0,
            behaviour: Arc::default(),
        }
    }

    /// Requests for which `predicate` holds. It must not call the server.
    pub(crate) fn when(predicate: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        Self::any().and(predicate)
    }

    /// The path is `path`, with or without the query.
    pub(crate) fn path(path: impl Into<String>) -> Self {
        let path = path.into();
        Self::when(move |request| request.path == path || request.path_only() == path)
    }

    pub(crate) fn path_starts(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Self::when(move |request| request.path.starts_with(&prefix))
    }

    /// The path ends with `suffix`, with or without the query.
    pub(crate) fn path_ends(suffix: impl Into<String>) -> Self {
        let suffix = suffix.into();
        Self::when(move |request| {
            request.path.ends_with(&suffix) || request.path_only().ends_with(&suffix)
        })
    }

    /// The path or the query contains `part`.
    pub(crate) fn path_contains(part: impl Into<String>) -> Self {
        let part = part.into();
        Self::when(move |request| request.path.contains(&part))
    }

    /// Narrows the rule to requests for which `predicate` holds as well.
    pub(crate) fn and(
        mut self,
        predicate: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.predicates.push(Arc::new(predicate));
        self
    }

    /// Only the first `count` matching requests; without this or `nth`, all.
    pub(crate) fn times(mut self, count: u64) -> Self {
        self.when = When::First(count);
        self
    }

    /// Only the matching request with this number, counted from 1.
    pub(crate) fn nth(mut self, number: u64) -> Self {
        self.when = When::Nth(number);
        self
    }
}

/// What happens before the answer, or in its place: callbacks first, the rest in the order given.
impl Rule {
    /// Runs `callback` when the request has arrived and is recorded; the answer waits for it to return.
    pub(crate) fn on_request(self, callback: impl Fn() + Send + Sync + 'static) -> Self {
        self.with(|to| to.before.insert(0, Event::Call(Arc::new(callback))))
    }

    pub(crate) fn delay(self, latency: Duration) -> Self {
        self.before(Event::Delay(latency))
    }

    /// Sends nothing until `gate` opens. A client that hangs up meanwhile goes unnoticed.
    pub(crate) fn hold(self, gate: &Gate) -> Self {
        self.before(Event::Hold(gate.clone()))
    }

    /// Sends nothing until the server stops or the client hangs up.
    pub(crate) fn stall(self) -> Self {
        self.before(Event::Stall)
    }

    /// Sends `bytes` instead of an HTTP answer, then closes.
    pub(crate) fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.before(Event::Raw(bytes.into()))
    }

    /// Closes the connection without an answer.
    pub(crate) fn close(self) -> Self {
        self.before(Event::Close)
    }

    /// Reads only so many bytes of what a request carries, and resets the connection.
    pub(crate) fn reset_sender_after(self, bytes: u64) -> Self {
        self.with(|to| to.unread_after = Some(bytes))
    }

    /// Reads only so many bytes of what a request carries, answers this status, and hangs up.
    pub(crate) fn refuse_sender_after(self, bytes: u64, status: u16) -> Self {
        let answer = format!(
            "HTTP/1.1 {status} Status\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        self.with(|to| (to.unread_after, to.unread_answer) = (Some(bytes), answer.into_bytes()))
    }

    /// Resets the connection without an answer.
    pub(crate) fn reset(self) -> Self {
        self.before(Event::Reset)
    }
}

/// What is answered. Names of headers are in lower case.
impl Rule {
    /// Answers this status with an empty body, or with that of [`Rule::body`].
    pub(crate) fn status(self, status: u16) -> Self {
        self.with(|to| to.status = Some(status))
    }

    /// Answers this body, whole, with status 200 unless [`Rule::status`] says otherwise.
    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|to| to.body = Some(body.into().into()))
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.with(|to| to.headers.push((name.to_owned(), Some(value.to_owned()))))
    }

    pub(crate) fn without_header(self, name: &str) -> Self {
        self.with(|to| to.headers.push((name.to_owned(), None)))
    }

    /// Redirects with this status (302, 307, 308) to `url`.
    pub(crate) fn redirect(self, status: u16, url: &str) -> Self {
        self.status(status).header("location", url)
    }

    /// Answers 200 with a web page, as a login portal does.
    pub(crate) fn html(self) -> Self {
        self.body("<!DOCTYPE html>\n<html><body>Please sign in.</body></html>\n")
            .header("content-type", "text/html; charset=utf-8")
    }

    /// Answers 200 and the whole body although a range was requested.
    pub(crate) fn ignore_range(self) -> Self {
        self.with(|to| to.ignore_range = true)
    }

    /// Puts `value` into `Content-Range` of a 206; other answers stay as they are.
    pub(crate) fn wrong_content_range(self, value: &str) -> Self {
        self.with(|to| to.content_range = Some(value.to_owned()))
    }
}

/// What becomes of the body. Offsets count the bytes of the body as sent, so a range starts at 0 again; what is planned
/// for an offset beyond the body does not happen. `HEAD` sees changed headers only.
impl Rule {
    /// Announces `length` in `Content-Length`, sends the body as it is, then closes.
    pub(crate) fn declare_length(self, length: u64) -> Self {
        self.with(|to| to.framing = Some(Framing::Declared(length)))
    }

    /// Sends `surplus` bytes more than announced, then closes.
    pub(crate) fn overlong(self, surplus: u64) -> Self {
        self.with(|to| to.surplus = surplus)
    }

    /// Sends the body in chunks, without a length.
    pub(crate) fn chunked(self) -> Self {
        self.with(|to| to.framing = Some(Framing::Chunked))
    }

    /// Sends the body in chunks and goes on until the client hangs up.
    pub(crate) fn endless(self) -> Self {
        self.chunked().overlong(u64::MAX)
    }

    /// Sends the body without any length; it ends with the connection.
    pub(crate) fn until_close(self) -> Self {
        self.with(|to| to.framing = Some(Framing::UntilClose))
    }

    /// Inverts the byte at `offset`.
    pub(crate) fn flip(self, offset: u64) -> Self {
        self.with(|to| to.flips.push(offset))
    }

    /// Closes the connection after `bytes` bytes, whatever length was announced.
    pub(crate) fn cut_after(self, bytes: u64) -> Self {
        self.after(bytes, Event::Close)
    }

    /// Resets the connection after `bytes` bytes, some of which the client may lose, too.
    pub(crate) fn reset_after(self, bytes: u64) -> Self {
        self.after(bytes, Event::Reset)
    }

    /// Sends nothing more after `bytes` bytes until the server stops or the client hangs up.
    pub(crate) fn stall_after(self, bytes: u64) -> Self {
        self.after(bytes, Event::Stall)
    }

    /// Sends nothing more after `bytes` bytes until `gate` opens.
    pub(crate) fn hold_after(self, bytes: u64, gate: &Gate) -> Self {
        self.after(bytes, Event::Hold(gate.clone()))
    }

    /// Runs `callback` when `bytes` bytes have been handed to the socket; the rest waits for it to return.
    pub(crate) fn on_bytes(self, bytes: u64, callback: impl Fn() + Send + Sync + 'static) -> Self {
        self.after(bytes, Event::Call(Arc::new(callback)))
    }

    /// Sends at most `bytes` bytes per second on each connection.
    pub(crate) fn throttle(self, bytes: u64) -> Self {
        self.with(|to| to.bytes_per_second = Some(bytes.max(1)))
    }

    /// Sends at most `bytes` bytes per second on all connections together.
    pub(crate) fn throttle_all(self, bytes: u64) -> Self {
        self.throttle(bytes).with(|to| to.is_rate_shared = true)
    }
}

impl Rule {
    fn with(mut self, change: impl FnOnce(&mut Behaviour)) -> Self {
        change(Arc::make_mut(&mut self.behaviour));
        self
    }

    fn before(self, event: Event) -> Self {
        self.with(|to| to.before.push(event))
    }

    fn after(self, offset: u64, event: Event) -> Self {
        self.with(|to| {
            to.events.push((offset, event));
            // Stable: what happens at one offset happens in the order given.
            to.events.sort_by_key(|(offset, _)| *offset);
        })
    }

    /// After how many bytes of a request to reset its connection, and what to answer before, if the rule is about that, and due.
    pub(super) fn take_reset(&mut self, request: &Request) -> Option<(u64, Vec<u8>)> {
        let bytes = self.behaviour.unread_after?;
        self.take(request)
            .map(|behaviour| (bytes, behaviour.unread_answer.clone()))
    }

    /// Counts a request that matches, and returns the actions if the rule is due.
    pub(super) fn take(&mut self, request: &Request) -> Option<Arc<Behaviour>> {
        if !self.predicates.iter().all(|predicate| predicate(request)) {
            return None;
        }
        self.seen += 1;
        let due = match self.when {
            When::Always => true,
            When::First(count) => self.seen <= count,
            When::Nth(number) => self.seen == number,
        };
        due.then(|| Arc::clone(&self.behaviour))
    }
}
