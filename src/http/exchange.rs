//! What an authority asks servers itself, and short answers.

use std::io::Read;

use super::outgoing::Outgoing;
use super::reason::Explanation;
use super::transport::Response;
use super::{Client, Failure};
use crate::error::Error;
use crate::progress::CancelToken;
use crate::secret::Secret;
use crate::url::Url;

/// Sends the requests that an authority makes itself, such as those to a token service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(super) client: &'a Client,
    pub(super) cancel: &'a CancelToken,
}

impl Exchange<'_> {
    /// Sends a request as it stands, once, and returns the response whatever its status.
    pub(crate) fn send(&self, request: &Outgoing<'_>) -> Result<Response, Failure> {
        self.client.transmit(request, None, self.cancel)
    }

    /// Makes the failure of a response to such a request. `origin` is where the credentials came from that it carried, and
    /// `explanation` what the authority knows about it.
    pub(crate) fn refusal(
        &self,
        url: &Url,
        response: &Response,
        origin: Option<&str>,
        explanation: Explanation,
    ) -> Failure {
        let access = super::answer::Access {
            authorization: origin.map(|_| Secret::new("")),
            origin,
            token_variable: None,
        };
        super::answer::refusal(url.clone(), response, &access, explanation)
    }

    /// The same with something else that cancels it.
    pub(crate) fn with_cancel<'a>(&'a self, cancel: &'a CancelToken) -> Exchange<'a> {
        Exchange {
            client: self.client,
            cancel,
        }
    }

    /// What cancels the operation.
    pub(crate) fn cancel(&self) -> &CancelToken {
        self.cancel
    }
}

impl Response {
    /// Reads a body that is short; `url` names it in errors.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is longer than `most_bytes`; a failure to try again if it ends early.
    pub(crate) fn read_whole(&mut self, most_bytes: u64, url: &Url) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = (&mut self.body)
            .take(most_bytes.saturating_add(1))
            .read_to_end(&mut bytes);
        read.map_err(|error| {
            let message = super::builtin::io_message(&error);
            Failure::transient(super::network(
                url,
                Some(self.status),
                message,
                Some(error.into()),
            ))
        })?;
        if bytes.len() as u64 > most_bytes {
            let message = format!("the response is longer than {most_bytes} bytes");
            return Err(Failure::last(Error::registry(url, message)));
        }
        Ok(bytes)
    }

    /// Whether it says that the request was fulfilled.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
