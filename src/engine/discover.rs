//! Finding a registry as it is served now, without keeping anything.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::check_reference;
use crate::progress::CancelToken;
use crate::setters::setters;
use crate::source::discovered::DiscoveredRegistry;

/// Which registry to discover.
///
/// ```
/// use modelrack::CancelToken;
/// use modelrack::remote::DiscoverOptions;
///
/// let options = DiscoverOptions::default()
///     .source("mf6/test")
///     .reference("develop")
///     .offline(false)
///     .cancel(CancelToken::new());
/// // A branch of a fork, or of a repository that no source names:
/// let fork = DiscoverOptions::default().source("mf6/test").repo("me/modflow6-testmodels").reference("fix");
/// let other = DiscoverOptions::default().repo("MODFLOW-ORG/modflow6-largetestmodels");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DiscoverOptions {
    /// The key or name of the source. It is required without [`repo`](field@Self::repo).
    pub source: Option<String>,
    /// The repository, as `OWNER/NAME`, if it is not that of the source.
    pub repo: Option<String>,
    /// The ref. Default: the only one that the configuration lists, else the default branch.
    pub reference: Option<String>,
    /// Fail with [`ErrorKind::Offline`](crate::ErrorKind::Offline). Default: as configured.
    pub offline: bool,
    /// Cancels the discovery.
    pub cancel: CancelToken,
}

setters!(DiscoverOptions {
    source: Some(impl Into<String>),
    repo: Some(impl Into<String>),
    reference: Some(impl Into<String>),
    offline: bool,
    cancel: CancelToken,
});

impl Engine {
    pub(crate) fn discover(&self, options: &DiscoverOptions) -> Result<DiscoveredRegistry> {
        let call = self.call(options.offline, &options.cancel);
        if call.is_offline() {
            return Err(call.client.offline_error("registries"));
        }
        let reference = options.reference.as_deref();
        reference.map_or(Ok(()), check_reference)?;
        let source = match (options.repo.as_deref(), options.source.as_deref()) {
            (Some(repo), wanted) => self.sources.of_repo(repo, wanted)?,
            (None, Some(wanted)) => self.sources.named(wanted)?,
            (None, None) => return Err(Error::argument("no source is named")),
        };
        source.discover(&call, reference)
    }
}
