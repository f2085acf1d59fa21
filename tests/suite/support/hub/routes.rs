//! The pages of a Hub.

use serde_json::{Value, json};

use super::super::git::{Commit, File, hex, object};
use super::super::server::{Page, Request, decode, encode};
use super::documents::{folder, page_of, whoami};
use super::refusal::Refusal;
use super::{Contents, Repository};

/// What the storage expects at the end of the query: links to it are signed.
const SIGNATURE: &str = "Expires=4102444800&Signature=c2lnbmVk&Key-Pair-Id=KEY";

impl Contents {
    /// Takes a path apart as it was sent: a revision is one segment, so its slashes are encoded.
    pub(super) fn route(&mut self, request: &Request) -> Page {
        let path = request.raw_path();
        if let Some(path) = path.strip_prefix("/cdn/") {
            return self.stored(path, request);
        }
        let Some(path) = path
            .strip_prefix(&self.below)
            .and_then(|path| path.strip_prefix('/'))
        else {
            return Refusal::Address.page(false);
        };
        let segments: Vec<&str> = path.split('/').collect();
        let page = self.page(&segments, request);
        page.unwrap_or_else(|refusal| refusal.page(segments[0] == "api"))
    }

    /// The table of routes; an id has one segment or two.
    fn page(&self, path: &[&str], request: &Request) -> Result<Page, Refusal> {
        let token = self.token_of(request)?;
        match path {
            // whom a token belongs to
            ["api", "whoami-v2"] => {
                let token = token.ok_or(Refusal::SignIn { explained: false })?;
                Ok(json_page(&whoami(token)))
            }
            // models by `search`, `author`, `pipeline_tag` and `filter`, in pages
            ["api", "models"] => page_of(self.models(request, token), request, &self.url),
            // branches, tags and, with `include_prs`, pull requests
            ["api", "models", id @ .., "refs"] if is_id(id) => self.refs(id, request, token),
            // facts and files of a model; `blobs=true` adds sizes and hashes
            ["api", "models", id @ .., "revision", revision] if is_id(id) => {
                self.info(id, revision, request, token)
            }
            // the files of a folder with sizes and hashes, in pages
            ["api", "models", name, "tree", revision, path @ ..] => {
                self.tree(&[name], revision, path, request, token)
            }
            ["api", "models", owner, name, "tree", revision, path @ ..] => {
                self.tree(&[owner, name], revision, path, request, token)
            }
            ["api", "models", id @ ..] if is_id(id) => self.info(id, "main", request, token),
            // a small file, see `Hub::redirect_small_files`
            [
                "api",
                "resolve-cache",
                "models",
                owner,
                name,
                commit,
                path @ ..,
            ] => self.kept(&[owner, name], commit, path, token),
            ["api", ..] => Err(Refusal::Address),
            // a file, or for a large one a redirect to the storage
            [name, "resolve", revision, path @ ..] => {
                self.resolve(&[name], revision, path, request, token)
            }
            [owner, name, "resolve", revision, path @ ..] => {
                self.resolve(&[owner, name], revision, path, request, token)
            }
            _ => Err(Refusal::Address),
        }
    }

    fn info(
        &self,
        id: &[&str],
        revision: &str,
        request: &Request,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let repository = self.repository(id, token)?;
        if repository.id != id.join("/") {
            return Ok(self.moved("/api/models/", id, repository, request));
        }
        let commit = commit_at(repository, revision)?;
        Ok(json_page(&repository.info(commit, request)))
    }

    fn refs(&self, id: &[&str], request: &Request, token: Option<&str>) -> Result<Page, Refusal> {
        let repository = self.repository(id, token)?;
        if repository.id != id.join("/") {
            return Ok(self.moved("/api/models/", id, repository, request));
        }
        Ok(json_page(&repository.refs(request.flag("include_prs"))))
    }

    fn tree(
        &self,
        id: &[&str],
        revision: &str,
        path: &[&str],
        request: &Request,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let repository = self.repository(id, token)?;
        if repository.id != id.join("/") {
            return Ok(self.moved("/api/models/", id, repository, request));
        }
        let commit = commit_at(repository, revision)?;
        let entries = folder(
            &commit.tree,
            &decode(&path.join("/")),
            request.flag("recursive"),
        );
        let page = page_of(entries.ok_or_else(|| no_entry(commit))?, request, &self.url)?;
        Ok(page.header("x-repo-commit", &commit.id))
    }

    fn resolve(
        &self,
        id: &[&str],
        revision: &str,
        path: &[&str],
        request: &Request,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let repository = self.repository(id, token)?;
        // The oldest repositories are also served under the name they had before they had an owner.
        if repository.id != id.join("/") && id.len() > 1 {
            return Ok(self.moved("/", id, repository, request));
        }
        let (commit, file) = file_at(repository, revision, path, token)?;
        let linked = |status, reason, place: &str, etag: &str| {
            redirect(status, reason, place)
                .header("x-repo-commit", &commit.id)
                .header("x-linked-size", &file.bytes.len().to_string())
                .header("x-linked-etag", &format!("\"{etag}\""))
        };
        if let Some(large) = &file.large {
            let name = path.last().copied().unwrap_or_default();
            let place = format!(
                "{}/cdn/{}/{}?response-content-disposition=inline%3B+filename%3D%22{name}%22%3B&{SIGNATURE}",
                self.storage,
                repository.key,
                storage_key(&large.sha256),
            );
            return Ok(linked(302, "Found", &place, &large.sha256).header("accept-ranges", "bytes"));
        }
        let public = !repository.private && repository.gate.is_none();
        if self.redirects_small_files && public && id.len() > 1 && !file.bytes.is_empty() {
            let from = format!("/{}/resolve/{revision}/{}", id.join("/"), path.join("/"));
            let place = format!(
                "{}/api/resolve-cache/models/{}/{}/{}?{}=&etag={}",
                self.below,
                id.join("/"),
                commit.id,
                path.join("/"),
                encode(&from),
                encode(&format!("\"{}\"", file.blob)),
            );
            return Ok(linked(307, "Temporary Redirect", &place, &file.blob));
        }
        Ok(small_file(commit, file))
    }

    fn kept(
        &self,
        id: &[&str],
        commit: &str,
        path: &[&str],
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let repository = self.repository(id, token)?;
        let (found, file) = file_at(repository, commit, path, token)?;
        if found.id != commit {
            return Err(Refusal::Request("Invalid commit"));
        }
        Ok(small_file(found, file))
    }

    /// A large file, for every client with a link; a token sent here has left the host.
    fn stored(&self, path: &str, request: &Request) -> Page {
        assert!(
            request.header("authorization").is_none(),
            "a token was sent along a redirect to another host"
        );
        if !request.query().ends_with(SIGNATURE) {
            return Page::new(403, *b"SignatureDoesNotMatch\n");
        }
        let (repository, key) = path.split_once('/').unwrap_or_default();
        let mut repositories = self.repositories.values();
        let repository = repositories.find(|found| found.key == repository);
        let commits = repository
            .into_iter()
            .flat_map(|found| found.history.commits.values());
        let mut files = commits.flat_map(|commit| commit.tree.values());
        let file = files.find(|file| {
            file.large
                .as_ref()
                .is_some_and(|large| storage_key(&large.sha256) == key)
        });
        match file {
            Some(file) => Page::file(file.bytes.clone(), key),
            None => Page::new(404, *b"NoSuchKey\n"),
        }
    }

    /// The token of the client, if one was sent and somebody has it.
    fn token_of<'a>(&self, request: &'a Request) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = request.header("authorization") else {
            return Ok(None);
        };
        let token = value
            .strip_prefix("Bearer ")
            .filter(|token| self.tokens.contains(*token));
        token.map(Some).ok_or(Refusal::Token)
    }

    /// The repository that has this id, or had it, if the client may know about it.
    fn repository(&self, id: &[&str], token: Option<&str>) -> Result<&Repository, Refusal> {
        let id = id.join("/").to_ascii_lowercase();
        let repository = self.repositories.get(self.renamed.get(&id).unwrap_or(&id));
        let visible = repository.filter(|repository| repository.is_visible(token));
        visible.ok_or(match token {
            Some(_) => Refusal::Repository,
            None => Refusal::SignIn {
                explained: self.explains_refusals,
            },
        })
    }

    /// Redirects to the present id of a repository, with the rest of the address as it is.
    fn moved(&self, before: &str, id: &[&str], repository: &Repository, request: &Request) -> Page {
        let old = format!("{}{before}{}", self.below, id.join("/"));
        let new = format!("{}{before}{}", self.below, repository.id);
        let mut place = request.raw_path().replacen(&old, &new, 1);
        if !request.query().is_empty() {
            place.extend(["?", request.query()]);
        }
        redirect(307, "Temporary Redirect", &place)
    }
}

fn is_id(segments: &[&str]) -> bool {
    (1..=2).contains(&segments.len())
}

/// The commit that a revision means, given as in a path.
fn commit_at<'a>(repository: &'a Repository, revision: &str) -> Result<&'a Commit, Refusal> {
    let revision = decode(revision);
    let commit = repository.commit_at(&revision);
    commit.ok_or(Refusal::Revision(revision))
}

/// A file that the client may have.
fn file_at<'a>(
    repository: &'a Repository,
    revision: &str,
    path: &[&str],
    token: Option<&str>,
) -> Result<(&'a Commit, &'a File), Refusal> {
    if repository.disabled {
        return Err(Refusal::Disabled);
    }
    if !repository.is_open(token) {
        let id = repository.id.clone();
        return Err(match token {
            Some(_) => Refusal::Access(id),
            None => Refusal::Gate(id),
        });
    }
    let commit = commit_at(repository, revision)?;
    let file = commit.tree.get(&decode(&path.join("/")));
    Ok((commit, file.ok_or_else(|| no_entry(commit))?))
}

fn no_entry(commit: &Commit) -> Refusal {
    Refusal::Entry {
        commit: commit.id.clone(),
    }
}

fn small_file(commit: &Commit, file: &File) -> Page {
    Page::file(file.bytes.clone(), &file.blob)
        .header("x-repo-commit", &commit.id)
        .header("content-type", "text/plain; charset=utf-8")
}

fn redirect(status: u16, reason: &str, place: &str) -> Page {
    Page::new(
        status,
        format!("{reason}. Redirecting to {place}").into_bytes(),
    )
    .header("location", place)
    .header("content-type", "text/plain; charset=utf-8")
}

/// 64 hexadecimal digits by which the storage knows a file, which are not its digest.
fn storage_key(sha256: &str) -> String {
    object("storage", sha256.as_bytes()) + &sha256[..24]
}

pub(super) fn json_page(json: &Value) -> Page {
    let page = Page::of(json.to_string().into_bytes().into());
    page.header("content-type", "application/json; charset=utf-8")
}
