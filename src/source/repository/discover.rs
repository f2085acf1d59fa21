//! Finding a repository's registry at a ref: a release's asset first, then the file under version control.

use serde::Deserialize;

use crate::catalog::PinState;
use crate::digest::{Digest, is_commit_id};
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::http::{Answer, GetOptions, Validators};
use crate::modelstoml::{MAX_REGISTRY_BYTES, REGISTRY_FILE, is_zip};
use crate::relpath::{RelPath, below, shown};
use crate::source::repository::index::Origin;
use crate::source::repository::place::RepositoryPlace;
use crate::source::repository::refs::{MAX_ADVERTISEMENT_BYTES, RefKind, Refs, may_be_hash};
use crate::url::Url;

/// The largest answer of a server's interface that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// The media type for which the interface sends an asset, and not what it knows of it.
pub(crate) const ASSET_BYTES: &str = "application/octet-stream";

#[derive(Deserialize)]
struct ReleaseWire {
    assets: Vec<AssetWire>,
}

#[derive(Deserialize)]
struct AssetWire {
    name: String,
    /// Where the interface has it; other servers lack it.
    #[serde(default)]
    url: String,
}

/// Asks a repository's server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discovery<'a> {
    pub(crate) call: &'a Call,
    pub(crate) place: &'a RepositoryPlace,
    /// What the source is called in errors.
    pub(crate) label: &'a str,
}

/// A registry as it was served.
#[derive(Debug)]
pub(crate) struct ServedRegistry {
    pub(crate) text: String,
    pub(crate) url: Url,
    pub(crate) validators: Validators,
    /// The commit that it is of; `None` for a release.
    pub(crate) commit: Option<String>,
}

impl ServedRegistry {
    /// Tells this state of the repository from another: the commit, or the digest of a release's registry.
    pub(crate) fn revision(&self) -> String {
        let commit = self.commit.clone();
        commit.unwrap_or_else(|| Digest::of(self.text.as_bytes()).to_string())
    }
}

/// What a server answers for a registry.
#[derive(Debug)]
pub(crate) enum Discovered {
    /// It is the one that is cached.
    Unchanged,
    /// It is another, or none was cached.
    Registry(ServedRegistry),
}

/// The body of an answer.
enum Fetched {
    Bytes(Vec<u8>, Validators),
    Unchanged,
    Missing,
}

impl Discovery<'_> {
    /// Looks for the registry among the assets of a release with this tag; `None` when there is none. `known` is what the
    /// cached copy is of.
    pub(crate) fn in_release(
        &self,
        tag: &str,
        known: Option<&Origin>,
    ) -> Result<Option<Discovered>> {
        let url = self.place.release_url(tag, REGISTRY_FILE);
        self.asset_registry(url, None, known)
    }

    /// Looks for the registry of a release as the server's interface has it: the only way to that of a private one.
    fn in_release_by_interface(
        &self,
        tag: &str,
        known: Option<&Origin>,
    ) -> Result<Option<Discovered>> {
        match self.asset(tag, REGISTRY_FILE)? {
            Some(url) => self.asset_registry(url, Some(ASSET_BYTES), known),
            None => Ok(None),
        }
    }

    fn asset_registry(
        &self,
        url: Url,
        accept: Option<&'static str>,
        known: Option<&Origin>,
    ) -> Result<Option<Discovered>> {
        let known = known.filter(|known| matches!(known.state, PinState::Release { .. }));
        let options = GetOptions {
            known: known
                .map(|known| known.validators.clone())
                .unwrap_or_default(),
            may_be_missing: true,
            accept,
            ..GetOptions::default()
        };
        match optional(self.fetch(&url, &options, MAX_REGISTRY_BYTES))? {
            Fetched::Missing => Ok(None),
            Fetched::Unchanged => Ok(Some(Discovered::Unchanged)),
            Fetched::Bytes(bytes, validators) => served(bytes, url, validators, None).map(Some),
        }
    }

    /// Asks which refs there are.
    pub(crate) fn refs(&self) -> Result<Refs> {
        let url = self.place.advertisement_url();
        let missing = || {
            let repo = &self.place.repo;
            format!("the repository '{repo}' does not exist, or is private")
        };
        match self.fetch(&url, &GetOptions::default(), MAX_ADVERTISEMENT_BYTES) {
            Ok(Fetched::Bytes(bytes, _)) => Refs::parse(&bytes, &url),
            Ok(_) => Err(Error::registry(url, missing())),
            // Some servers deny access in the same way to what does not exist.
            Err(error) if matches!(error.kind(), ErrorKind::Authentication { .. }) => {
                Err(error.step(missing()))
            }
            Err(error) => Err(error),
        }
    }

    /// Looks for the registry under version control, in the commit that the ref names.
    pub(crate) fn under_version_control(
        &self,
        reference: &str,
        refs: &Refs,
        known: Option<&Origin>,
    ) -> Result<Discovered> {
        let is_tag = matches!(refs.resolve(reference), Some((_, RefKind::Tag)));
        if is_tag
            && !is_commit_id(reference)
            && let Some(found) = self.in_release_by_interface(reference, known)?
        {
            return Ok(found);
        }
        let commit = self.commit_of(reference, refs)?;
        if known.is_some_and(|known| known.state.commit() == Some(&commit)) {
            // A commit does not change.
            return Ok(Discovered::Unchanged);
        }
        let folder = match self.place.registry_path.as_str() {
            "." => "",
            folder => folder,
        };
        let url = self.place.raw_url(&commit, &below(folder, REGISTRY_FILE))?;
        match self.fetch(&url, &GetOptions::default(), MAX_REGISTRY_BYTES)? {
            Fetched::Bytes(bytes, validators) => served(bytes, url, validators, Some(commit)),
            _ => Err(self.not_in_commit(reference, &commit, refs, &url)),
        }
    }

    /// The commit that a ref names: git looks for a full hash first, then for tags, branches and the beginning of a hash.
    fn commit_of(&self, reference: &str, refs: &Refs) -> Result<String> {
        if is_commit_id(reference) {
            let known = refs.abbreviated(reference).map(str::to_owned);
            return Ok(known.unwrap_or_else(|| reference.to_ascii_lowercase()));
        }
        if let Some((commit, _)) = refs.resolve(reference) {
            return Ok(commit.to_owned());
        }
        if may_be_hash(reference) {
            if let Some(commit) = refs.abbreviated(reference) {
                return Ok(commit.to_owned());
            }
            if let Some(commit) = self.ask_for_commit(reference)? {
                return Ok(commit);
            }
        }
        Err(self.no_such_ref(reference, refs))
    }

    /// Asks the interface where an asset of a release is; `None` if there is no such release.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if the release lacks it: that is a mistake of its publisher.
    pub(crate) fn asset(&self, tag: &str, name: &str) -> Result<Option<Url>> {
        let Some(assets) = self.assets(tag)? else {
            return Ok(None);
        };
        let asset = assets.into_iter().find(|asset| asset.name == name);
        let place = asset.and_then(|asset| Url::parse(&asset.url).ok());
        place.map(Some).ok_or_else(|| {
            let what = match name {
                REGISTRY_FILE => "Registry file",
                _ => "file",
            };
            let (name, label) = (name.escape_debug(), self.label);
            let message = format!("{what} '{name}' not found as release asset for '{label}@{tag}'");
            Error::registry(self.place.release_url(tag, &name.to_string()), message)
        })
    }

    /// Asks the interface for the assets of a release; `None` if there is no such release.
    fn assets(&self, tag: &str) -> Result<Option<Vec<AssetWire>>> {
        let url = self.place.api_url(&format!("releases/tags/{tag}"));
        let options = GetOptions {
            may_be_missing: true,
            ..GetOptions::default()
        };
        let Fetched::Bytes(json, _) = optional(self.fetch(&url, &options, MAX_ANSWER_BYTES))?
        else {
            return Ok(None);
        };
        let release: Option<ReleaseWire> = serde_json::from_slice(&json).ok();
        Ok(Some(release.map_or(Vec::new(), |release| release.assets)))
    }

    /// Returns the only zip of a release, which must hold the files if nothing says which does.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`], which says which zips there are.
    pub(crate) fn only_zip(&self, tag: &str) -> Result<String> {
        let location = self.place.release_url(tag, REGISTRY_FILE);
        let unknown = |zips: &str| {
            format!(
                "neither the registry nor the source states which zip of the release holds the \
                 files{zips}: set 'asset'"
            )
        };
        let assets = match self.assets(tag) {
            Ok(Some(assets)) => assets,
            Ok(None) => return Err(Error::registry(location, unknown(""))),
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => return Err(Error::registry_from(location, unknown(""), error)),
        };
        let names = assets.into_iter().map(|asset| asset.name);
        let mut zips: Vec<String> = names.filter(|name| is_zip(name)).collect();
        let is_file =
            |name: &String| RelPath::parse(name).is_ok_and(|path| path.components().count() == 1);
        let zips = match zips.as_slice() {
            [only] if is_file(only) => return Ok(zips.swap_remove(0)),
            [] => ", which has none".to_owned(),
            zips => format!(", which has {}", shown(&zips.join(", "))),
        };
        Err(Error::registry(location, unknown(&zips)))
    }

    /// Completes a hash, or finds one that no ref points at.
    fn ask_for_commit(&self, hash: &str) -> Result<Option<String>> {
        let hash = hash.to_ascii_lowercase();
        let url = self.place.api_url(&format!("commits/{hash}"));
        let options = GetOptions {
            accept: Some("application/vnd.github.sha"),
            ..GetOptions::default()
        };
        let bytes = match optional(self.fetch(&url, &options, MAX_ANSWER_BYTES)) {
            Ok(Fetched::Bytes(bytes, _)) => bytes,
            Ok(_) => return Ok(None),
            // GitHub's answer for a hash that no commit has.
            Err(error) if error.status() == Some(422) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Servers that do not know the media type send the commit as JSON.
        let text = String::from_utf8_lossy(&bytes);
        let json = serde_json::from_str::<serde_json::Value>(&text).ok();
        let sha = json.as_ref().and_then(|json| json.get("sha")?.as_str());
        let commit = sha.unwrap_or(text.trim());
        Ok(is_commit_id(commit).then(|| commit.to_ascii_lowercase()))
    }

    fn no_such_ref(&self, reference: &str, refs: &Refs) -> Error {
        let near = refs.near(reference).join(", ");
        let location = self.place.server.join(&self.place.repo);
        let name = format!("{}@{reference}", self.label);
        let message = format!("Registry discovery failed, ref '{name}' does not exist");
        match near.as_str() {
            "" => Error::registry(location, message),
            near => Error::registry_from(location, message, format!("the repository has {near}")),
        }
    }

    /// The file is not there; for a hash that no ref points at, that may be because the commit is not.
    fn not_in_commit(&self, reference: &str, commit: &str, refs: &Refs, url: &Url) -> Error {
        let (folder, name) = (
            &self.place.registry_path,
            format!("{}@{reference}", self.label),
        );
        let message = format!("Registry file '{REGISTRY_FILE}' not found in {folder} for '{name}'");
        let unseen = refs.resolve(reference).is_none() && refs.abbreviated(commit).is_none();
        match unseen.then(|| self.ask_for_commit(commit)) {
            Some(Ok(None)) => self.no_such_ref(reference, refs),
            Some(Err(error)) => Error::registry_from(url, message, error),
            _ => Error::registry(url, message),
        }
    }

    fn fetch(&self, url: &Url, options: &GetOptions, max_bytes: u64) -> Result<Fetched> {
        let fetched = self.call.retrying(std::slice::from_ref(url), |_, url| {
            match self.call.get(url, options)? {
                Answer::Body(mut body) => {
                    let bytes = body.read_whole(max_bytes, &self.call.cancel)?;
                    Ok(Fetched::Bytes(bytes, body.validators))
                }
                Answer::Unchanged => Ok(Fetched::Unchanged),
            }
        });
        match fetched {
            Err(error) if matches!(error.status(), Some(404 | 410)) => Ok(Fetched::Missing),
            result => result,
        }
    }
}

/// Takes a web page for a missing document: the server has nothing else to send.
fn optional(fetched: Result<Fetched>) -> Result<Fetched> {
    match fetched {
        Err(error) if error.is_missing() || matches!(error.kind(), ErrorKind::WebPage { .. }) => {
            Ok(Fetched::Missing)
        }
        result => result,
    }
}

fn served(
    bytes: Vec<u8>,
    url: Url,
    validators: Validators,
    commit: Option<String>,
) -> Result<Discovered> {
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::registry(&url, "the registry is not UTF-8 text"))?;
    Ok(Discovered::Registry(ServedRegistry {
        text,
        url,
        validators,
        commit,
    }))
}
