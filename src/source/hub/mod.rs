//! The Hugging Face Hub, or a mirror of it, through its public API.
//!
//! A revision is resolved to a commit once, and every file comes from that commit. The Hub states the size of each file
//! and what it is checked by. It has too many models to list: they are found by name, or by a search.

mod wire;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tracing::debug;

use crate::at_once::at_once;
use crate::catalog::registry::{RemoteListing, SourceKind};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::{Checksum, Digest};
use crate::env::Environment;
use crate::error::{AuthFailure, Error, ErrorKind, Result, is_missing};
use crate::http::call::Call;
use crate::http::token::{Credential, Token, bearer};
use crate::http::{Failure, GetOptions};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::{ModelRef, check_version};
use crate::mutex::Mutex;
use crate::relpath::RelPath;
use crate::source::content_stores::content_stores;
use crate::source::entry::parse_url;
use crate::source::places::{Elsewhere, Location, Naming, Places};
use crate::source::template::UrlTemplate;
use crate::source::unusable::Unusable;
use crate::source::{Context, Entry, Identity, ListFilter, Route, Source};
use crate::url::{Url, encode_component, encode_path};

use wire::{MAX_ANSWER_BYTES, ModelInfo, checksum_of_tag};

/// The environment variable that holds the Hub's token.
const TOKEN: &str = "HF_TOKEN";
// The names that the Hub's own client takes, the older ones last (huggingface_hub 1.33: constants.py, utils/_auth.py).
const TOKENS: [&str; 2] = [TOKEN, "HUGGING_FACE_HUB_TOKEN"];
const CACHES: [&str; 2] = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
const OFFLINE: [&str; 2] = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];
/// Keeps tokens from requests that nobody asked to be sent with one.
const NO_TOKEN: &str = "HF_HUB_DISABLE_IMPLICIT_TOKEN";
/// What the Hub says of a large file: the tag of the file, and not of the redirect.
const LINKED_ETAG: &str = "x-linked-etag";
const LINKED_SIZE: &str = "x-linked-size";
/// The revision that is meant when none is named.
const DEFAULT_REVISION: &str = "main";
/// `OWNER/NAME`, or `NAME` alone.
const MAX_ID_SEGMENTS: usize = 2;
/// How many pages of a search are read at most, and how many results come with each.
const MAX_PAGES: usize = 2;
const PAGE_RESULTS: usize = 100;

/// How sources of the Hub come to be.
pub(super) struct Kind;

#[derive(Debug)]
struct Hub {
    identity: Identity,
    endpoint: Url,
    /// The variable that keeps it off the network.
    offline_by: Option<&'static str>,
    /// Where the Hub's own tools keep what they downloaded.
    cache: Option<PathBuf>,
    /// Where tools of other registries may have the same files.
    content_stores: Vec<Elsewhere>,
    /// Manifests of models that were found at a mirror that does not list all digests, by their own.
    incomplete: Mutex<HashMap<Digest, Manifest>>,
}

#[derive(Deserialize)]
struct EntryWire {
    hub: String,
}

impl super::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &["hub"]
    }

    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>> {
        let wire: EntryWire = entry.read()?;
        let env = &context.environment;
        let mut endpoint = entry.url("hub", &wire.hub)?;
        // The variable replaces the Hub itself, and not a mirror that the configuration names.
        if let Some(url) = env.get("HF_ENDPOINT")
            && endpoint.authority() == "huggingface.co"
        {
            endpoint = match parse_url(&url, "HF_ENDPOINT") {
                Ok(url) => url,
                Err(reason) => {
                    let unusable = Unusable {
                        location: endpoint.to_string(),
                        identity: entry.identity,
                        kind: SourceKind::HUB,
                        can_list: false,
                        reason,
                        cached: None,
                    };
                    return Ok(unusable.into());
                }
            };
        }
        let home = || Some(env.hub_home().ok()?.join("hub"));
        Ok(Arc::new(Hub {
            identity: entry.identity,
            endpoint,
            offline_by: env.first_set(&OFFLINE).filter(|name| env.flag(name)),
            cache: env
                .first_set(&CACHES)
                .and_then(|name| env.path(name))
                .or_else(home),
            content_stores: content_stores(env),
            incomplete: Mutex::default(),
        }))
    }
}

impl Hub {
    fn base(&self) -> String {
        self.endpoint.expose().trim_end_matches('/').to_owned()
    }

    fn url(&self, path_and_query: &str) -> Result<Url> {
        let text = format!("{}/{path_and_query}", self.base());
        Url::parse(&text).map_err(|error| Error::internal(error.to_string()))
    }

    /// Sends a query to the API; returns the answer, and the address of the next page when it is one of several.
    fn query(&self, call: &Call, url: &Url) -> Result<(Vec<u8>, Option<String>)> {
        let call = call.offline(self.offline_by);
        call.retrying(std::slice::from_ref(url), |_, url| {
            let mut body = call.body(url, &GetOptions::default())?;
            let bytes = body.read_whole(MAX_ANSWER_BYTES, &call.cancel)?;
            Ok((bytes, body.next.take()))
        })
    }

    /// Asks for a model at a revision; also returns the URL of the answer. Not every mirror knows the query that adds
    /// sizes and digests.
    fn about(&self, call: &Call, path: &str, revision: &str) -> Result<(ModelInfo, Url)> {
        let revision = encode_component(revision);
        let about = format!("api/models/{}/revision/{revision}", encode_path(path));
        let mut url = self.url(&format!("{about}?blobs=true"))?;
        let mut answer = self.query(call, &url);
        if let Err(error) = &answer
            && let ErrorKind::Network {
                status: Some(400 | 404 | 405 | 501),
                server_code: None,
                ..
            } = error.kind()
        {
            url = self.url(&about)?;
            answer = self.query(call, &url);
        }
        Ok((ModelInfo::parse(&answer?.0, &url)?, url))
    }

    /// Adds the digests that the answer about a model lacks, from where each file is.
    fn with_digests(&self, call: &Call, manifest: &Manifest, pin: &Pin) -> Result<Manifest> {
        let places = self.places_of(pin)?;
        let call = call.offline(self.offline_by);
        let files = at_once(manifest.files(), |file| {
            if file.digest.is_some() {
                return file.clone();
            }
            let tagged = places
                .of_file(&file.path)
                .and_then(|location| match location {
                    Location::Document(urls) => call.retrying(&urls, |_, url| tag(&call, url)),
                    Location::Member(_) => Ok(None),
                });
            // Perhaps it is not wanted; if it is, the pull fails.
            let tagged = tagged.unwrap_or_else(|error| {
                debug!(file = %file.path, %error, "no tag of a file");
                None
            });
            let (digest, size_bytes) = tagged.unzip();
            ManifestFile {
                digest,
                size_bytes: file.size_bytes.or(size_bytes.flatten()),
                ..file.clone()
            }
        });
        call.cancel.check()?;
        manifest.with_files(files, self.label())
    }

    fn remote(
        &self,
        info: &ModelInfo,
        model: ModelRef,
        id: &str,
        url: &Url,
    ) -> Result<RemoteModel> {
        let commit = info.sha.clone().filter(|sha| check_version(sha).is_ok());
        let missing = || Error::registry(url, "the Hub does not state the commit");
        let commit = commit.ok_or_else(missing)?;
        let manifest = info.manifest(&commit, url)?;
        // Names that are refused need no digests.
        let is_complete = manifest.files().iter().all(|file| file.digest.is_some())
            || !manifest.faults().is_empty();
        if !is_complete {
            let mut incomplete = self.incomplete.lock();
            incomplete.insert(manifest.digest(), manifest.clone());
        }
        let remote = RemoteModel::of_contents(model, &self.identity.key, manifest);
        Ok(RemoteModel {
            commit: Some(commit.as_str().into()),
            metadata: info.metadata(),
            pin: Some(Pin::new(id, PinState::Commit(commit), "").into()),
            contents: remote.contents.filter(|_| is_complete),
            ..remote
        })
    }
}

/// Returns what the tag of a file says if it is a digest, and the size if it is known. The Hub tells both of a large file before it redirects
/// to where that is.
fn tag(call: &Call, url: &Url) -> Result<Option<(Checksum, Option<u64>)>, Failure> {
    let options = GetOptions {
        range: Some(0..1),
        until: Some(LINKED_ETAG),
        ..GetOptions::default()
    };
    let body = call.body(url, &options)?;
    let header = |name| body.headers.iter().find(|(other, _)| other == name);
    let (tag, size) = match header(LINKED_ETAG) {
        Some((_, tag)) => {
            let size = header(LINKED_SIZE).and_then(|(_, size)| size.parse().ok());
            (Some(tag), size)
        }
        None => {
            let length = body.length.filter(|_| !body.is_range);
            (body.validators.etag.as_ref(), body.total.or(length))
        }
    };
    let digest = tag.and_then(|tag| checksum_of_tag(tag));
    Ok(digest.map(|digest| (digest, size)))
}

impl Source for Hub {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::HUB
    }

    fn locations(&self) -> Vec<String> {
        vec![self.endpoint.to_string()]
    }

    fn offline_by(&self) -> Option<&str> {
        self.offline_by
    }

    fn default_version(&self) -> Option<&str> {
        Some(DEFAULT_REVISION)
    }

    /// The Hub's token as the Hub's own tools find it, or the endpoint's own credentials.
    fn tokens(&self, env: &Environment) -> Vec<Token> {
        if let Some(credential) = token_of(env) {
            return vec![Token::new(&self.endpoint, TOKEN, Some(credential), bearer)];
        }
        let basic = self.endpoint.basic_authorization();
        let basic =
            basic.map(|basic| Credential::new("the URL of the Hub", Ok::<_, &str>(basic.expose())));
        vec![Token::new(&self.endpoint, TOKEN, basic, str::to_owned)]
    }

    /// Capitals do not count in ids.
    fn is_same(&self, path: &str, pin: &Pin) -> bool {
        pin.repo.eq_ignore_ascii_case(path)
    }

    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let revision = version.unwrap_or(DEFAULT_REVISION);
        let full = self.identity.full_name(path);
        if !self.may_offer(path) {
            return Err(not_found(full));
        }
        let (info, url) = self
            .about(call, path, revision)
            .map_err(|error| read_refusal(error, &full, revision))?;
        // The id says which capitals are meant.
        let path = match info.id().eq_ignore_ascii_case(path) {
            true => info.id(),
            false => path,
        };
        let model = self.identity.model(path, revision, &self.endpoint)?;
        self.remote(&info, model, path, &url)
    }

    fn can_list(&self) -> bool {
        false
    }

    fn may_offer(&self, path: &str) -> bool {
        path.split('/').count() <= MAX_ID_SEGMENTS
    }

    fn list(&self, _: &Call, _: ListFilter<'_>) -> Result<RemoteListing> {
        Err(Error::argument(format!(
            "'{}' has too many models to list: search it instead",
            self.label()
        )))
    }

    fn search(&self, call: &Call, query: &str) -> Result<Vec<RemoteModel>> {
        let mut url = self.url(&format!(
            "api/models?search={}&sort=downloads&direction=-1&limit={PAGE_RESULTS}&full=true",
            encode_component(query)
        ))?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let (json, next) = self.query(call, &url)?;
            for info in ModelInfo::parse_list(&json, &url)? {
                // A name that cannot be a folder here could not be pulled either.
                let model = self.identity.model(info.id(), DEFAULT_REVISION, &url);
                if let (Ok(model), Some(sha)) = (model, &info.sha) {
                    let digest = Digest::of(sha.as_bytes());
                    found.push(RemoteModel {
                        commit: Some(sha.as_str().into()),
                        metadata: info.metadata(),
                        ..RemoteModel::new(model, &*self.identity.key, digest)
                    });
                }
            }
            match next.map(|next| url.resolve(&next)) {
                Some(Ok(next)) if next.same_origin(&url) => url = next,
                _ => break,
            }
        }
        Ok(found)
    }

    fn manifest(&self, call: &Call, model: &RemoteModel, _: Route) -> Result<Manifest> {
        let pin = model.pin.as_deref().ok_or_else(|| super::no_pin(self))?;
        let found = self.incomplete.lock().get(&model.manifest_digest).cloned();
        let manifest = match found {
            Some(manifest) => manifest,
            None => {
                let commit = pin.state.commit().unwrap_or_default();
                let (info, url) = self.about(call, &pin.repo, commit)?;
                info.manifest(commit, &url)?
            }
        };
        self.with_digests(call, &manifest, pin)
    }

    fn places(&self, _: &Call, model: &RemoteModel, _: Route) -> Result<Places> {
        let pin = model.pin.as_deref();
        self.places_of(pin.ok_or_else(|| super::no_pin(self))?)
    }
}

impl Hub {
    fn places_of(&self, pin: &Pin) -> Result<Places> {
        let commit = pin.state.commit().ok_or_else(|| super::no_pin(self))?;
        let template = format!("{}/{{repo}}/resolve/{{ref}}/{{path}}", self.base());
        let cache = self.cache.as_deref();
        Ok(Places::Files {
            url: UrlTemplate::parse(&template)
                .map_err(|error| Error::internal(error.to_string()))?,
            repo: pin.repo.clone(),
            commit: commit.to_owned(),
            root: pin.root.clone(),
            elsewhere: {
                let own = cache.map(|cache| hub_folders(cache, &pin.repo, commit));
                let others = self.content_stores.iter().cloned();
                own.into_iter().flatten().chain(others).collect()
            },
        })
    }
}

impl SourceKind {
    /// The Hugging Face Hub, or a mirror of it; [`SourceKind`] has an example.
    pub const HUB: Self = Self::new("hub");
}

/// The token of a variable, else that of the file where the Hub's own tools keep it.
fn token_of(env: &Environment) -> Option<Credential> {
    if env.flag(NO_TOKEN) {
        return None;
    }
    if let Some(name) = env.first_set(&TOKENS) {
        return Credential::of(name, &env.get(name)?);
    }
    let home = || Some(env.hub_home().ok()?.join("token"));
    let path = env.path("HF_TOKEN_PATH").or_else(home)?;
    let origin = path.display().to_string();
    match std::fs::read(&path) {
        Ok(bytes) => Credential::of(origin, &String::from_utf8_lossy(&bytes)),
        Err(error) if is_missing(&error) => None,
        Err(error) => Some(Credential::new(
            origin,
            Err(format!("cannot be read: {error}")),
        )),
    }
}

/// Where the Hub's own tools keep what they have of a commit.
fn hub_folders(cache: &Path, repo: &str, commit: &str) -> Vec<Elsewhere> {
    let name = format!("models--{}", repo.replace('/', "--"));
    let folder = |below: String, naming| {
        let path = RelPath::parse(&format!("{name}/{below}")).ok()?;
        let folder = path.below(cache);
        Some(Elsewhere { folder, naming })
    };
    // A snapshot has links to the blobs, or files where there are no links.
    let folders = [
        folder(
            "blobs".to_owned(),
            Naming::ByChecksum(|sum| Some(sum.to_string())),
        ),
        folder(format!("snapshots/{commit}"), Naming::ByPath),
    ];
    folders.into_iter().flatten().collect()
}

fn not_found(model: String) -> Error {
    ErrorKind::ModelNotFound {
        model,
        near: Vec::new(),
        sources: Vec::new(),
        token_variable: Some(TOKEN),
        registry: None,
    }
    .into()
}

/// Reads from the Hub's refusal what does not exist. Without a token, it refuses everything that is not public in the
/// same way, whether it exists or not.
fn read_refusal(error: Error, model: &str, revision: &str) -> Error {
    let code = match error.kind() {
        ErrorKind::Network {
            server_code: Some(code),
            ..
        } => code.as_str(),
        ErrorKind::Authentication {
            failure: AuthFailure::Missing,
            ..
        } => "",
        _ => return error,
    };
    if code != "RevisionNotFound" {
        return not_found(model.to_owned());
    }
    Error::from(ErrorKind::VersionNotFound {
        model: model.to_owned(),
        version: revision.to_owned(),
        near: Vec::new(),
        is_revision: true,
    })
}
