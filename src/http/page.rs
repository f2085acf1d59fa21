//! Web pages that come instead of data: to sign in, from the portal of a network, or to say that there is nothing.
//!
//! A page is told by its first bytes, together with what the server says that it is. Where a digest is known, it decides:
//! a file of a model may be a web page, and what only looks like one is right if its digest is.

use std::io::{self, Cursor, Read};
use std::mem;

use super::outgoing::Outgoing;
use super::transport::{Method, Response};
use super::{Body, Failure};
use crate::error::{ErrorKind, Result};
use crate::progress::CancelToken;
use crate::url::Url;

/// How many first bytes are looked at.
const HEAD_BYTES: usize = 512;
/// How pages begin, in lower case.
const BEGINNINGS: [&str; 5] = ["<!doctype html", "<html", "<head", "<body", "<script"];

/// What tells whether a body is a web page.
#[derive(Debug)]
pub(super) struct PageSigns {
    /// The URL that the caller requested: it differs from the body's after redirects.
    requested: Url,
    token_variable: Option<&'static str>,
    /// Whether the server says that it is a page.
    is_labelled: bool,
    /// Whether a page is refused as soon as something is read.
    is_refused: bool,
    /// The first bytes, and how many of them have been passed on.
    head: Vec<u8>,
    passed: usize,
}

impl PageSigns {
    pub(super) fn new(
        requested: &Url,
        token_variable: Option<&'static str>,
        content_type: Option<&str>,
    ) -> Self {
        Self {
            requested: requested.clone(),
            token_variable,
            is_labelled: is_label(content_type),
            is_refused: false,
            head: Vec::new(),
            passed: 0,
        }
    }

    /// States whether a page is refused, unless the name of what was requested is that of a page.
    pub(super) fn refused(self, is_refused: bool) -> Self {
        let path = self.requested.path().to_ascii_lowercase();
        let mut names = [".html", ".htm", ".xhtml"].iter();
        Self {
            is_refused: is_refused && !names.any(|name| path.ends_with(name)),
            ..self
        }
    }

    /// Passes on what was read ahead; returns 0 once all of it has been.
    pub(super) fn replay(&mut self, buffer: &mut [u8]) -> usize {
        let ahead = &self.head[self.passed..];
        let length = ahead.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ahead[..length]);
        self.passed += length;
        length
    }

    /// Keeps the first bytes that are passed on without being read ahead.
    pub(super) fn passed(&mut self, piece: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        self.passed = self.head.len();
    }

    /// The first bytes as text in lower case, without what may stand before a page.
    fn beginning(&self) -> String {
        beginning(&self.head)
    }

    fn is_page(&self) -> bool {
        let beginning = self.beginning();
        let is_one = |tag| beginning.starts_with(tag);
        BEGINNINGS.into_iter().any(is_one) || (self.is_labelled && is_one("<"))
    }
}

fn beginning(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    text.to_ascii_lowercase()
}

/// Whether this is the media type of pages.
fn is_label(content_type: Option<&str>) -> bool {
    let content_type = content_type.unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let mut pages = ["text/html", "application/xhtml+xml"].iter();
    pages.any(|page| media_type.eq_ignore_ascii_case(page))
}

impl Response {
    /// Refuses a web page in place of what the interface of a server answers: a success that is labelled as one, and that
    /// begins like one if it has a body.
    pub(super) fn refuse_page(&mut self, request: &Outgoing<'_>) -> Result<(), Failure> {
        if !self.is_success() || !is_label(self.header("content-type")) {
            return Ok(());
        }
        let mut head = Vec::new();
        let begun = (&mut self.body)
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head);
        let is_page = match request.method {
            Method::Head => true,
            _ => begun.is_ok() && beginning(&head).starts_with('<'),
        };
        if is_page {
            return Err(Failure::last(ErrorKind::WebPage {
                url: Box::new(request.url.clone()),
                requested: Box::new(request.url.clone()),
                token_variable: None,
            }));
        }
        let rest = mem::replace(&mut self.body, Box::new(io::empty()));
        self.body = Box::new(Cursor::new(head).chain(rest));
        Ok(())
    }
}

impl Body {
    /// Refuses a web page by its first bytes, before any are passed on.
    pub(super) fn refuse_page(&mut self, cancel: &CancelToken) -> Result<(), Failure> {
        if !std::mem::take(&mut self.page.is_refused) {
            return Ok(());
        }
        self.read_ahead(cancel)?;
        match self.page.is_page() {
            true => Err(self.page_failure()),
            false => Ok(()),
        }
    }

    /// Explains a wrong size or digest by the web page that came, if one did.
    pub(crate) fn explain(&mut self, failure: Failure, cancel: &CancelToken) -> Failure {
        let is_mismatch = matches!(
            failure.error.kind(),
            ErrorKind::SizeMismatch { .. } | ErrorKind::HashMismatch { .. }
        );
        if is_mismatch && self.read_ahead(cancel).is_ok() && self.page.is_page() {
            return self.page_failure();
        }
        failure
    }

    fn read_ahead(&mut self, cancel: &CancelToken) -> Result<(), Failure> {
        let longest = BEGINNINGS[0].len();
        let mut buffer = [0; HEAD_BYTES];
        while self.page.head.len() < HEAD_BYTES && self.page.beginning().len() < longest {
            let room = HEAD_BYTES - self.page.head.len();
            match self.receive(&mut buffer[..room], cancel)? {
                0 => break,
                read => self.page.head.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(())
    }

    /// The same request would bring the same page.
    fn page_failure(&self) -> Failure {
        Failure::last(ErrorKind::WebPage {
            url: Box::new(self.url.clone()),
            requested: Box::new(self.page.requested.clone()),
            token_variable: self.page.token_variable,
        })
    }
}
