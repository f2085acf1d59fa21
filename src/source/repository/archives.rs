//! Zips of releases, and archives of commits, which are fetched when files of many models are wanted at once.

use std::collections::BTreeMap;
use std::path::Path;

use tracing::{debug, info, warn};

use super::Repository;
use super::discover::{ASSET_BYTES, Discovery};
use super::place::RepositoryPlace;
use crate::catalog::{Pin, RemoteModel};
use crate::error::{ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::relpath::below;
use crate::source::cache::cached_refs;
use crate::source::places::Places;
use crate::source::zips::{Opening, ZipOpener};
use crate::source::{Prefetched, Source};

/// From so many files on, an archive is worth asking for: a server takes seconds to make one that does not exist yet.
const MIN_FILES: u64 = 64;
/// Which share of a repository's files must be wanted: an archive has all of them, and what lies beside them.
const MIN_SHARE: u64 = 3;

impl Repository {
    pub(super) fn opener<'a>(&'a self, call: &'a Call) -> ZipOpener<'a> {
        ZipOpener {
            call,
            opened: &self.zips,
            accept: None,
        }
    }

    /// Opens a zip of a release; if its own URL leads nowhere, where the interface has it: the only way to that of a private
    /// release.
    pub(super) fn open_asset(
        &self,
        call: &Call,
        place: &RepositoryPlace,
        (tag, name): (&str, &str),
        keep: &Path,
    ) -> Result<Opening> {
        let opener = self.opener(call);
        let label = self.label();
        let discovery = Discovery {
            call,
            place,
            label: &label,
        };
        let opened = opener.open(&[place.release_url(tag, name)], keep);
        let Some(missing) = opened.as_ref().err().filter(|it| it.status() == Some(404)) else {
            return opened;
        };
        debug!(tag, name, error = %missing, "asking the interface for the asset");
        match discovery.asset(tag, name) {
            Ok(Some(url)) => {
                let accept = Some(ASSET_BYTES);
                ZipOpener { accept, ..opener }.open(&[url], keep)
            }
            Err(error) if matches!(error.kind(), ErrorKind::Authentication { .. }) => Err(error),
            _ => opened,
        }
    }

    /// Opens the archive of a commit that was fetched for many models, at the folder that everything in it is in.
    pub(super) fn shared_archive(
        &self,
        call: &Call,
        pin: &Pin,
        commit: &str,
    ) -> Result<Option<Places>> {
        for reference in cached_refs(&self.cache_dir, &self.identity.key) {
            let path = self.cache(&reference).archive_path(commit);
            if path.is_file() {
                let zip = self.opener(call).open_kept(&path)?;
                let top = zip.directory.top_folder().unwrap_or_default();
                let root = below(top, &pin.root).trim_end_matches('/').to_owned();
                return Ok(Some(Places::Zip {
                    zip,
                    root,
                    is_shared: true,
                }));
            }
        }
        Ok(None)
    }

    /// Fetches the archive of each commit that enough files are wanted of.
    pub(super) fn fetch_archives(
        &self,
        call: &Call,
        models: &[&RemoteModel],
    ) -> Result<Prefetched> {
        let mut wanted: BTreeMap<(&str, &str), (u64, &str)> = BTreeMap::new();
        for remote in models {
            if let (Some(commit), Some(files), Some(pin)) =
                (&remote.commit, remote.files, &remote.pin)
            {
                let of_commit = wanted.entry((remote.model.version(), &**commit));
                of_commit.or_insert((0, &pin.repo)).0 += files;
            }
        }
        let mut prefetched = Prefetched::default();
        for ((reference, commit), (files, repo)) in wanted {
            let keep = self.cache(reference).archive_path(commit);
            if keep.is_file() {
                prefetched.files.push(keep);
                continue;
            }
            let is_cheaper = files >= MIN_FILES
                && files.saturating_mul(MIN_SHARE) >= self.listed_files(reference);
            if !is_cheaper || call.is_offline() {
                continue;
            }
            let urls = self.place.with_repo(repo)?.archive_urls(commit)?;
            info!(commit, files, "fetching an archive for many models");
            let opener = self.opener(call);
            let fetched = opener.fetch(&urls, &keep);
            match fetched.and_then(|bytes| opener.open_kept(&keep).map(|_| bytes)) {
                Ok(bytes) => {
                    prefetched.bytes += bytes;
                    prefetched.files.push(keep);
                }
                Err(error) if error.is_cancelled() => return Err(error),
                // The files come one by one then.
                Err(error) => {
                    let error = chain(&error);
                    warn!(%error, "the archive of {repo} at {commit} cannot be used; fetching each file instead");
                }
            }
        }
        Ok(prefetched)
    }
}
