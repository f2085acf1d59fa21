//! Cached name lookups.
//!
//! ureq resolves the host for every request, even on a persistent connection, and starts a thread for it when there is a
//! timeout. A pull sends thousands of requests to one host.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::mutex::Mutex;

/// How long an address is used: a common time to live of names whose address changes.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);

/// A resolver that caches what the system's resolver returns.
#[derive(Debug, Default)]
pub(super) struct CachingResolver {
    system: DefaultResolver,
    known: Mutex<HashMap<String, (Instant, Vec<SocketAddr>)>>,
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let place = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        if let Some((since, addresses)) = self.known.lock().get(&place)
            && since.elapsed() < TIME_TO_LIVE
        {
            let mut resolved = self.empty();
            addresses.iter().for_each(|address| resolved.push(*address));
            return Ok(resolved);
        }
        let resolved = self.system.resolve(uri, config, timeout);
        let resolved = resolved.map_err(|error| match error {
            // The system's error has no kind of its own.
            ureq::Error::Io(error) => io::Error::new(io::ErrorKind::NotFound, error).into(),
            other => other,
        })?;
        let entry = (Instant::now(), resolved.iter().copied().collect());
        self.known.lock().insert(place, entry);
        Ok(resolved)
    }
}
