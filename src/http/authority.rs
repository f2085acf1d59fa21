//! Authorizing requests in a way that depends on the request, or on what the server says.

use std::fmt;
use std::sync::MutexGuard;

use super::Failure;
use super::exchange::Exchange;
use super::outgoing::{Header, Outgoing};
use super::reason::Reason;
use super::transport::Response;
use crate::secret::Secret;
use crate::url::Url;

/// Authorizes the requests of a source where one fixed header cannot: servers that hand out tokens when asked, or that want
/// each request signed. Many threads ask it at once.
pub(crate) trait Authority: Send + Sync + fmt::Debug {
    /// Whether it authorizes requests for this URL. It is asked anew for each hop of a redirect.
    fn is_for(&self, url: &Url) -> bool;

    /// Returns what authorizes a request; nothing where the request needs nothing.
    fn authorize(
        &self,
        request: &Outgoing<'_>,
        exchange: &Exchange<'_>,
    ) -> Result<Authorization, Failure>;

    /// Learns from a response that is neither a success nor a 304, to a request that was `sent` with this. Returns whether
    /// the same request, authorized anew, may succeed.
    fn refused(
        &self,
        request: &Outgoing<'_>,
        sent: &Authorization,
        response: &mut Response,
        exchange: &Exchange<'_>,
    ) -> Result<bool, Failure>;

    /// Waits while the first request of its kind finds out how the server lets somebody in; that one gets a turn, during which
    /// the others wait.
    fn turn(&self, _request: &Outgoing<'_>) -> Option<MutexGuard<'_, bool>> {
        None
    }

    /// Finds the reason of a refusal in its body, of which at most [`MAX_REASON_BYTES`](super::reason::MAX_REASON_BYTES) are given.
    fn reason(&self, _body: &[u8]) -> Option<Reason> {
        None
    }

    /// Returns the name that people log in to, if it is for an OCI registry.
    fn registry(&self) -> Option<&str> {
        None
    }

    /// Returns where it has looked for credentials, each place with what came of it, as short sentences.
    fn looked_at(&self) -> Vec<String> {
        Vec::new()
    }

    /// How often a request is sent again at most because something was learned.
    fn most_repeats(&self) -> u32 {
        1
    }
}

/// What authorizes a request.
#[derive(Debug, Default)]
pub(crate) struct Authorization {
    pub(crate) headers: Vec<Header>,
    /// Which file, variable or program the credentials came from, for messages; `None` without credentials.
    pub(crate) origin: Option<String>,
    /// Where the request goes, if that is not its own URL; messages name the latter.
    pub(crate) url: Option<Url>,
    /// Whether the headers sign the request, so that nobody on the way learns the credentials: it may go over plain http.
    pub(crate) is_signature: bool,
}

impl Authorization {
    /// Returns the value of a header, whose name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&Secret> {
        let mut headers = self.headers.iter();
        headers
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}
