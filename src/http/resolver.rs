//! Name lookups that are remembered for a while.
//!
//! ureq resolves a host's name for each request, also when a connection to it is kept alive, and with a time-out it does
//! so on a thread of its own. A pull sends thousands of requests to one host.

use crate::mutex::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an address is good for: names that move are often given so many seconds.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Asks the system once, and itself for a while after.
#[derive(Debug, Default)]
pub(super) struct RememberingResolver {
    system: DefaultResolver,
    known: Mutex<HashMap<String, (Instant, Vec<SocketAddr>)>>,
}

impl Resolver for RememberingResolver {
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
        let known = |at: &(Instant, Vec<SocketAddr>)| at.0.elapsed() < REMEMBERED;
        {
            let all = self.known.lock();
            if let Some((_, addresses)) = all.get(&place).filter(|at| known(at)) {
                let mut resolved = self.empty();
                addresses.iter().for_each(|address| resolved.push(*address));
                return Ok(resolved);
            }
        }
        let resolved = self.system.resolve(uri, config, timeout)?;
        let mut all = self.known.lock();
        all.insert(place, (Instant::now(), resolved.iter().copied().collect()));
        Ok(resolved)
    }
}
