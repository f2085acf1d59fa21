//! Requests of any method.

use super::transport::{Method, Payload};
use crate::digest::Digest;
use crate::secret::Secret;
use crate::url::Url;

/// The name of a header, in lower case, and its value.
pub(crate) type Header = (&'static str, Secret);

/// A request of any method.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: Vec<Header>,
    pub(crate) payload: Option<&'a dyn Payload>,
    /// The digest of what it carries, if known.
    pub(crate) digest: Option<Digest>,
}

impl<'a> Outgoing<'a> {
    /// A request that carries nothing.
    pub(crate) fn new(method: Method, url: &'a Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            payload: None,
            digest: None,
        }
    }

    /// The request with one more header, whose name is in lower case.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value)));
        self
    }
}
