//! Which page a request gets.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::advertisement::advertisement;
use super::repository::{Blob, Repository};
use super::{API, API_LIMIT, Contents, Page, Request};

/// Where assets are, below the storage's host.
const STORAGE: &str = "/storage/";
/// What the storage wants to see: links to it are signed.
const SIGNATURE: &str = "signature=c2lnbmVk";
/// The seconds until the API answers again.
const API_PAUSE: u64 = 600;
/// Whoever asks for this is answered the bare hash.
const BARE_HASH: &str = "application/vnd.github.sha";

impl Contents {
    pub(super) fn answer(&mut self, request: &Request) -> Page {
        let path = request.path_only();
        if let Some(path) = path.strip_prefix(API) {
            self.api(path, request)
        } else if let Some(path) = path.strip_prefix(STORAGE) {
            self.storage(path, request)
        } else {
            self.site(path.trim_start_matches('/'), request)
        }
    }

    fn site(&mut self, path: &str, request: &Request) -> Page {
        let (repo, path) = split_repo(path);
        if path == "info/refs" {
            return self.refs(repo.strip_suffix(".git").unwrap_or(repo), request);
        }
        let (keeps_archives, storage) = (self.keeps_archives, self.storage.clone());
        let Some(repository) = self.visible(repo, request) else {
            return not_found();
        };
        if let Some(file) = path.strip_prefix("raw/") {
            repository.file_at(file).map_or_else(not_found, file_page)
        } else if let Some(reference) = path
            .strip_prefix("archive/")
            .and_then(|path| path.strip_suffix(".zip"))
        {
            let short = reference
                .strip_prefix("refs/heads/")
                .or_else(|| reference.strip_prefix("refs/tags/"))
                .unwrap_or(reference);
            let (_, name) = repository.name.split_once('/').unwrap_or_default();
            let folder = format!("{name}-{}", short.replace('/', "-"));
            zip_page(repository.zip_of(reference, &folder), keeps_archives)
        } else if let Some(asset) = path.strip_prefix("releases/download/") {
            // As sent, so that what was percent-encoded still is.
            let sent = request.target.split_once("/releases/download/");
            match (asset_of(repository, asset), sent) {
                (Some(_), Some((_, sent))) => Page::new(302, []).header(
                    "location",
                    &format!("{storage}{STORAGE}{}/{sent}?{SIGNATURE}", repository.name),
                ),
                _ => not_found(),
            }
        } else {
            not_found()
        }
    }

    fn refs(&mut self, repo: &str, request: &Request) -> Page {
        if !request.path.ends_with("?service=git-upload-pack") {
            return Page::new(403, *b"Please upgrade your git client.\n");
        }
        let asks_to_sign_in = self.asks_to_sign_in;
        match self.visible(repo, request) {
            // For git's own requests GitHub takes a token as the password of basic credentials only.
            Some(repository) if repository.token.is_none() || !is_bearer(request) => {
                Page::new(200, advertisement(repository).into_bytes())
                    .header(
                        "content-type",
                        "application/x-git-upload-pack-advertisement",
                    )
                    .header("cache-control", "no-cache, max-age=0, must-revalidate")
            }
            _ if asks_to_sign_in => Page::new(401, *b"Repository not found.\n")
                .header("www-authenticate", "Basic realm=\"GitHub\""),
            _ => not_found(),
        }
    }

    /// Assets, for whoever has a link; a token sent here has left the host.
    fn storage(&self, path: &str, request: &Request) -> Page {
        assert!(
            request.header("authorization").is_none(),
            "a token was sent along a redirect to another host"
        );
        if !request.path.ends_with(SIGNATURE) {
            return Page::new(403, *b"SignatureDoesNotMatch\n");
        }
        let (repo, path) = split_repo(path);
        let repository = self.repositories.get(&repo.to_ascii_lowercase());
        repository
            .and_then(|repository| asset_of(repository, path))
            .map_or_else(not_found, file_page)
    }

    fn api(&mut self, path: &str, request: &Request) -> Page {
        let left = self.api_left.checked_sub(1);
        self.api_left = left.unwrap_or(0);
        let page = if left.is_none() {
            message(403, "API rate limit exceeded for 127.0.0.1.")
        } else if request.header("user-agent").is_none() {
            message(403, "Please make sure your request has a User-Agent header")
        } else if self.is_token_unknown(request) {
            message(401, "Bad credentials")
        } else {
            self.api_page(path, request)
        };
        let reset = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs() + API_PAUSE);
        page.header("x-ratelimit-limit", &API_LIMIT.to_string())
            .header(
                "x-ratelimit-remaining",
                &self.api_left.min(API_LIMIT).to_string(),
            )
            .header("x-ratelimit-reset", &reset.to_string())
            .header("x-ratelimit-resource", "core")
    }

    fn api_page(&mut self, path: &str, request: &Request) -> Page {
        let keeps_archives = self.keeps_archives;
        let (repo, path) = split_repo(path.strip_prefix("repos/").unwrap_or_default());
        let Some(repository) = self.visible(repo, request) else {
            return message(404, "Not Found");
        };
        if let Some(tag) = path.strip_prefix("releases/tags/") {
            let Some(assets) = repository.releases.get(tag) else {
                return message(404, "Not Found");
            };
            let assets: Vec<Value> = assets
                .iter()
                .map(|(name, blob)| json!({"name": name, "size": blob.bytes.len()}))
                .collect();
            json_page(&json!({"tag_name": tag, "draft": false, "assets": assets}))
        } else if let Some(reference) = path.strip_prefix("commits/") {
            match repository.commit_like(reference) {
                Some(commit) if request.header("accept") == Some(BARE_HASH) => {
                    file_page(&Blob::new(commit.into()))
                        .header("content-type", &format!("{BARE_HASH}; charset=utf-8"))
                }
                Some(commit) => json_page(&json!({"sha": commit})),
                None => message(422, &format!("No commit found for SHA: {reference}")),
            }
        } else if let Some(reference) = path.strip_prefix("zipball/") {
            let commit = repository.commit_at(reference).unwrap_or_default();
            let short = commit.get(..7).unwrap_or_default();
            let folder = format!("{}-{short}", repository.name.replace('/', "-"));
            zip_page(repository.zip_of(reference, &folder), keeps_archives)
        } else {
            message(404, "Not Found")
        }
    }

    /// A repository that there is and that the caller may see.
    fn visible(&mut self, repo: &str, request: &Request) -> Option<&mut Repository> {
        let repository = self.repositories.get_mut(&repo.to_ascii_lowercase())?;
        let allowed = match &repository.token {
            Some(token) => has_token(request, token),
            None => true,
        };
        allowed.then_some(repository)
    }

    /// Whether the caller sent a token that no repository wants, where some want one.
    fn is_token_unknown(&self, request: &Request) -> bool {
        let mut tokens = self
            .repositories
            .values()
            .filter_map(|repository| repository.token.as_ref())
            .peekable();
        request.header("authorization").is_some()
            && tokens.peek().is_some()
            && !tokens.any(|token| has_token(request, token))
    }
}

/// `owner/name`, and what stands behind it.
fn split_repo(path: &str) -> (&str, &str) {
    let second = path.match_indices('/').nth(1);
    second.map_or((path, ""), |(at, _)| (&path[..at], &path[at + 1..]))
}

/// The asset that `{tag}/{name}` means; a tag may have slashes.
fn asset_of<'a>(repository: &'a Repository, tag_and_name: &str) -> Option<&'a Blob> {
    let (tag, name) = tag_and_name.rsplit_once('/')?;
    repository.releases.get(tag)?.get(name)
}

fn has_token(request: &Request, token: &str) -> bool {
    let basic = BASE64_STANDARD.encode(format!("x-access-token:{token}"));
    request
        .header("authorization")
        .and_then(|value| value.split_once(' '))
        .is_some_and(|(scheme, value)| {
            let expected = if scheme.eq_ignore_ascii_case("basic") {
                &basic
            } else {
                token
            };
            value == expected
        })
}

fn is_bearer(request: &Request) -> bool {
    request
        .header("authorization")
        .is_some_and(|value| !value.to_ascii_lowercase().starts_with("basic "))
}

fn not_found() -> Page {
    Page::new(404, *b"Not Found").header("content-type", "text/plain; charset=utf-8")
}

fn file_page(blob: &Blob) -> Page {
    Page::file(blob.bytes.clone(), &format!("\"{}\"", blob.id))
}

fn zip_page(zip: Option<&Blob>, kept: bool) -> Page {
    let Some(zip) = zip else {
        return not_found();
    };
    let page = file_page(zip).header("content-type", "application/zip");
    if kept { page } else { page.streamed() }
}

fn json_page(json: &Value) -> Page {
    let blob = Blob::new(json.to_string().into_bytes());
    file_page(&blob).header("content-type", "application/json; charset=utf-8")
}

/// An error of the API.
fn message(status: u16, message: &str) -> Page {
    Page::new(status, json!({"message": message}).to_string().into_bytes())
        .header("content-type", "application/json; charset=utf-8")
}
