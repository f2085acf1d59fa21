//! Which documents a bucket has.

use std::collections::HashMap;
use std::slice;

use tracing::debug;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::aws::list::Listing;
use crate::http::call::Call;
use crate::http::outgoing::Outgoing;
use crate::http::transport::Method;
use crate::mutex::Mutex;
use crate::url::Url;

/// How many pages are listed at most, of 1,000 documents each. In a larger registry, the others are asked for one by one:
/// the list would take longer than most of what is published.
const MAX_PAGES: usize = 16;

/// Which documents a bucket has, as far as it was listed.
#[derive(Debug, Default)]
pub(super) struct Documents(Mutex<Option<Known>>);

#[derive(Debug, Default)]
struct Known {
    sizes: HashMap<Digest, u64>,
    /// All documents up to this one were listed; `None` if there are no more.
    until: Option<String>,
}

impl Known {
    fn list(base: &Url, call: &Call) -> Result<Self> {
        let mut known = Self::default();
        let folder = base.join("data");
        let mut listing = Listing::new(call, &folder);
        for _ in 0..MAX_PAGES {
            let page = match listing.next_page() {
                // Some may write and not list.
                Err(error) if is_denied(&error) => {
                    debug!(url = %folder, error = %error, "not listing");
                    known.until = Some(String::new());
                    return Ok(known);
                }
                page => page?,
            };
            if let Some(last) = page.last() {
                known.until = Some(last.path.clone());
            }
            let named = page.iter();
            let named = named.filter_map(|object| {
                Some((object.path.parse::<Digest>().ok()?, object.size_bytes))
            });
            known.sizes.extend(named);
            if listing.is_complete() {
                known.until = None;
                break;
            }
        }
        Ok(known)
    }
}

impl Documents {
    /// Whether the bucket has the document of a digest, in this size.
    pub(super) fn is_there(
        &self,
        digest: &Digest,
        size_bytes: u64,
        base: &Url,
        call: &Call,
    ) -> Result<bool> {
        // All wait for the list.
        let mut known = self.0.lock();
        if known.is_none() {
            *known = Some(Known::list(base, call)?);
        }
        let known_here = known.as_ref().map(|known| {
            let size = known.sizes.get(digest).copied();
            let is_listed = |until: &String| digest.to_string() <= *until;
            (size, known.until.as_ref().is_none_or(is_listed))
        });
        drop(known);
        match known_here.unwrap_or_default() {
            (Some(size), _) => Ok(size == size_bytes),
            (None, true) => Ok(false),
            (None, false) => {
                let found = find(digest, base, call)?;
                if let Some(size_bytes) = found {
                    self.add(digest, size_bytes);
                }
                Ok(found == Some(size_bytes))
            }
        }
    }

    /// Whether the bucket has a document, and not in the size that was asked for.
    pub(super) fn is_damaged(&self, digest: &Digest) -> bool {
        let known = self.0.lock();
        known
            .as_ref()
            .is_some_and(|known| known.sizes.contains_key(digest))
    }

    /// Notes what was written.
    pub(super) fn add(&self, digest: &Digest, size_bytes: u64) {
        let mut known = self.0.lock();
        let known = known.get_or_insert_default();
        known.sizes.insert(*digest, size_bytes);
    }
}

/// Asks for the size of one document.
fn find(digest: &Digest, base: &Url, call: &Call) -> Result<Option<u64>> {
    let url = base.join(&format!("data/{digest}"));
    let response = call.retrying(slice::from_ref(&url), |_, url| {
        // Who may not list is told that what is not there is forbidden.
        call.send(&Outgoing::new(Method::Head, url), &[403, 404])
    })?;
    let size = response
        .header("content-length")
        .filter(|_| response.is_success());
    Ok(size.and_then(|size| size.parse().ok()))
}

fn is_denied(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Authentication { .. })
}
