//! The pages of a Hub.

use serde_json::{Value, json};

use super::super::git::{Commit, File, object};
use super::super::server::{Page, Request, decode, encode};
use super::documents::{folder, whoami};
use super::refusal::Refusal;
use super::{Contents, Repository};

/// What the storage expects at the end of the query: links to it are signed.
const SIGNATURE: &str = "Expires=4102444800&Signature=c2lnbmVk&Key-Pair-Id=KEY";

impl Contents {
    /// Takes the path apart as it was sent: a revision is one segment, so its slashes are encoded.
    pub(super) fn route(&mut self, request: &Request) -> Page {
        let path = request.raw_path();
        if let Some(path) = path.strip_prefix("/cdn/") {
            return self.stored(path, request);
        }
        let below = path.strip_prefix(&self.below);
        let Some(path) = below.and_then(|path| path.strip_prefix('/')) else {
            return Refusal::Address.page(false);
        };
        let segments: Vec<&str> = path.split('/').collect();
        let page = self.page(&segments, request);
        page.unwrap_or_else(|refusal| refusal.page(segments[0] == "api"))
    }

    /// The table of routes.
    fn page(&self, path: &[&str], request: &Request) -> Result<Page, Refusal> {
        let token = self.token_of(request)?;
        match path {
            // Whom a token belongs to.
            ["api", "whoami-v2"] => {
                let token = token.ok_or(Refusal::SignIn { explained: false })?;
                Ok(json_page(&whoami(token)))
            }
            // Models by `search`, `author`, `pipeline_tag` and `filter`.
            ["api", "models"] => self.in_pages(self.models(request, token), request),
            ["api", "models", rest @ ..] => self.model(rest, request, token),
            // A small file, see `Hub::redirect_small_files`.
            [
                "api",
                "resolve-cache",
                "models",
                owner,
                name,
                commit,
                path @ ..,
            ] => {
                let repository = self.repository(&format!("{owner}/{name}"), token)?;
                let (found, file) = file_at(repository, commit, path, token)?;
                if found.id != *commit {
                    return Err(Refusal::Request("Invalid commit"));
                }
                Ok(small_file(found, file))
            }
            ["api", ..] => Err(Refusal::Address),
            // A file, or for a large one a redirect to the storage. The oldest repositories are also served under the
            // name they had before they had an owner.
            [name, "resolve", revision, path @ ..] => {
                let repository = self.repository(name, token)?;
                self.resolve(repository, (name, revision, path), request, token)
            }
            [owner, name, "resolve", revision, path @ ..] => {
                let id = format!("{owner}/{name}");
                let repository = self.repository(&id, token)?;
                if repository.id != id {
                    return Ok(moved(&id, repository, request));
                }
                self.resolve(repository, (&id, revision, path), request, token)
            }
            _ => Err(Refusal::Address),
        }
    }

    /// The routes below a model, whose id has one segment or two.
    fn model(
        &self,
        path: &[&str],
        request: &Request,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let mut words = path.iter().skip(1);
        let word = words.position(|word| ["refs", "revision", "tree"].contains(word));
        let (id, rest) = path.split_at(word.map_or(path.len(), |at| at + 1));
        let id = id.join("/");
        let repository = self.repository(&id, token)?;
        if repository.id != id {
            return Ok(moved(&id, repository, request));
        }
        match rest {
            // Facts and files; `blobs=true` adds sizes and hashes.
            [] | ["revision", _] => {
                let commit = commit_at(repository, rest.last().unwrap_or(&"main"))?;
                Ok(json_page(&repository.info(commit, request)))
            }
            // Branches, tags and, with `include_prs`, pull requests.
            ["refs"] => Ok(json_page(&repository.refs(request.flag("include_prs")))),
            // The files of a folder with sizes and hashes.
            ["tree", revision, path @ ..] => {
                let commit = commit_at(repository, revision)?;
                let path = decode(&path.join("/"));
                let entries = folder(&commit.tree, &path, request.flag("recursive"));
                let entries = entries.ok_or_else(|| Refusal::Entry(commit.id.clone()))?;
                let page = self.in_pages(entries, request)?;
                Ok(page.header("x-repo-commit", &commit.id))
            }
            _ => Err(Refusal::Address),
        }
    }

    fn resolve(
        &self,
        repository: &Repository,
        (id, revision, path): (&str, &str, &[&str]),
        request: &Request,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let (commit, file) = file_at(repository, revision, path, token)?;
        let linked = |page: Page, etag: &str| {
            page.header("x-repo-commit", &commit.id)
                .header("x-linked-size", &file.bytes.len().to_string())
                .header("x-linked-etag", &format!("\"{etag}\""))
        };
        if let Some((sha256, _)) = &file.large {
            let name = path.last().copied().unwrap_or_default();
            let (key, file) = (repository.key(), storage_key(sha256));
            let place = format!(
                "{}/cdn/{key}/{file}?response-content-disposition=inline%3B+filename%3D%22{name}%22%3B&{SIGNATURE}",
                self.storage
            );
            let page = linked(redirect(302, "Found", &place), sha256);
            return Ok(page.header("accept-ranges", "bytes"));
        }
        let public = !repository.private && repository.gate.is_none();
        let kept = public && id.contains('/') && !file.bytes.is_empty();
        if !self.redirects_small_files || !kept {
            return Ok(small_file(commit, file));
        }
        let from = request.raw_path().strip_prefix(&self.below);
        let place = format!(
            "{}/api/resolve-cache/models/{id}/{}/{}?{}=&etag={}",
            self.below,
            commit.id,
            path.join("/"),
            encode(from.unwrap_or_default()),
            encode(&format!("\"{}\"", file.blob)),
        );
        Ok(linked(
            redirect(307, "Temporary Redirect", &place),
            &file.blob,
        ))
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
        let (owner, key) = path.split_once('/').unwrap_or_default();
        let mut repositories = self.repositories.values();
        let repository = repositories.find(|repository| repository.key() == owner);
        let commits = repository.map(|repository| repository.history.commits.values());
        let mut files = commits
            .into_iter()
            .flatten()
            .flat_map(|commit| commit.tree.values());
        let is_wanted = |sha256: &String| storage_key(sha256) == key;
        let file = files.find(|file| file.large.as_ref().is_some_and(|large| is_wanted(&large.0)));
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
        let token = value.strip_prefix("Bearer ");
        let known = token.filter(|token| self.tokens.contains(*token));
        known.map(Some).ok_or(Refusal::Token)
    }

    /// The repository that has this id, or had it, if the client may know about it.
    fn repository(&self, id: &str, token: Option<&str>) -> Result<&Repository, Refusal> {
        let id = id.to_ascii_lowercase();
        let found = self.repositories.get(self.renamed.get(&id).unwrap_or(&id));
        let visible = found.filter(|repository| repository.is_visible(token));
        let explained = self.explains_refusals;
        visible.ok_or(match token {
            Some(_) => Refusal::Repository,
            None => Refusal::SignIn { explained },
        })
    }
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
    if repository.gate.is_some() && !repository.is_reader(token) {
        let id = repository.id.clone();
        return Err(token.map_or(Refusal::Gate(id.clone()), |_| Refusal::Access(id)));
    }
    let commit = commit_at(repository, revision)?;
    let file = commit.tree.get(&decode(&path.join("/")));
    Ok((
        commit,
        file.ok_or_else(|| Refusal::Entry(commit.id.clone()))?,
    ))
}

fn small_file(commit: &Commit, file: &File) -> Page {
    Page::file(file.bytes.clone(), &file.blob)
        .header("x-repo-commit", &commit.id)
        .header("content-type", "text/plain; charset=utf-8")
}

/// Redirects to the present id of a repository, with the rest of the address as it is.
fn moved(id: &str, repository: &Repository, request: &Request) -> Page {
    let mut place = request.raw_path().replacen(id, &repository.id, 1);
    if !request.query().is_empty() {
        place.extend(["?", request.query()]);
    }
    redirect(307, "Temporary Redirect", &place)
}

fn redirect(status: u16, reason: &str, place: &str) -> Page {
    let text = format!("{reason}. Redirecting to {place}");
    Page::new(status, text.into_bytes())
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
