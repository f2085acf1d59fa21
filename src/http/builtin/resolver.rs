//! Cached name lookups.
//!
//! ureq resolves the host for every request, even on a persistent connection, and starts a thread for it when there is a
//! timeout. A pull sends thousands of requests to one host.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::dial::Dialer;
use crate::mutex::Mutex;

/// How long an address is used: a common time to live of names whose address changes.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);

/// The addresses of hosts, and when they were looked up.
type Known = HashMap<String, (Instant, Vec<SocketAddr>)>;

/// A resolver that caches what the system's resolver returns. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct CachingResolver {
    dialer: Dialer,
    known: Arc<Mutex<Known>>,
}

impl CachingResolver {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            known: Arc::default(),
        }
    }

    fn look_up(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<Vec<SocketAddr>, ureq::Error> {
        let resolved = DefaultResolver::default().resolve(uri, config, timeout);
        let resolved = resolved.map_err(|error| match error {
            // The system's error has no kind of its own.
            ureq::Error::Io(error) => io::Error::new(io::ErrorKind::NotFound, error).into(),
            other => other,
        })?;
        // ureq itself connects to SOCKS proxies, and waits long for the first address.
        let is_socks = uri
            .scheme_str()
            .is_some_and(|name| name.starts_with("socks"));
        Ok(match is_socks {
            true => self.dialer.with_answering_first(&resolved, *timeout.after),
            false => resolved.to_vec(),
        })
    }
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let place = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let known = self.known.lock().get(&place).cloned();
        let addresses = match known {
            Some((since, addresses)) if since.elapsed() < TIME_TO_LIVE => addresses,
            _ => {
                let addresses = self.look_up(uri, config, timeout)?;
                let entry = (Instant::now(), addresses.clone());
                self.known.lock().insert(place, entry);
                addresses
            }
        };
        let mut resolved = self.empty();
        addresses.iter().for_each(|address| resolved.push(*address));
        Ok(resolved)
    }
}
