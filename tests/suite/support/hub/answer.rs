//! Which page a request gets.

use serde_json::{Value, json};

use super::files::{File, object, storage_key};
use super::listing::folder;
use super::refusal::Refusal;
use super::repository::{Commit, Repository};
use super::target::{Target, decode, encode};
use super::{Contents, Page, Request};

/// Where large files are, below the storage's host.
pub(super) const STORAGE: &str = "/cdn/";
/// What the storage wants to see at the end: links to it are signed.
const SIGNATURE: &str = "Expires=4102444800&Signature=c2lnbmVk&Key-Pair-Id=KEY";
/// What can stand behind the id of a model.
const PARTS: [&str; 3] = ["refs", "revision", "tree"];

impl Contents {
    pub(super) fn answer(&self, request: &Request) -> Page {
        let target = Target::parse(&request.target);
        if target.path.starts_with(STORAGE) {
            return self.stored(target, request);
        }
        let Some(target) = target.below(&self.below) else {
            return Refusal::Address.page(false);
        };
        let page = self.page(target, request);
        page.unwrap_or_else(|refusal| refusal.page(target.path.starts_with("/api/")))
    }

    fn page(&self, target: Target<'_>, request: &Request) -> Result<Page, Refusal> {
        let token = self.token_of(request)?;
        match target.segments().as_slice() {
            ["api", "whoami-v2"] => match token {
                Some(token) => Ok(json_page(&whoami(token))),
                None => Err(Refusal::SignIn { explained: false }),
            },
            ["api", "models"] => self.models(target, token),
            ["api", "models", rest @ ..] => self.model(rest, target, token),
            [
                "api",
                "resolve-cache",
                "models",
                owner,
                name,
                commit,
                path @ ..,
            ] => self.kept(&format!("{owner}/{name}"), commit, path, token),
            ["api", ..] => Err(Refusal::Address),
            rest => self.resolve(rest, target, token),
        }
    }

    /// What the API says of one model.
    fn model(
        &self,
        segments: &[&str],
        target: Target<'_>,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let mut positions = segments.iter().skip(1);
        let at = positions.position(|segment| PARTS.contains(segment));
        let (id, rest) = segments.split_at(at.map_or(segments.len(), |at| at + 1));
        let id = id.join("/");
        let repository = self.repository(&id, token)?;
        if repository.id != id {
            return Ok(self.moved(&format!("/api/models/{}", repository.id), rest, target));
        }
        match rest {
            [] => {
                let commit = commit_at(repository, "main")?;
                Ok(json_page(&repository.info(commit, target)))
            }
            ["revision", revision] => {
                let commit = commit_at(repository, revision)?;
                Ok(json_page(&repository.info(commit, target)))
            }
            ["refs"] => Ok(json_page(&repository.refs(target.flag("include_prs")))),
            ["tree", revision, path @ ..] => {
                let commit = commit_at(repository, revision)?;
                let entries = folder(&commit.tree, &file_name(path), target.flag("recursive"));
                let page = self.page_of(entries.ok_or_else(|| no_entry(commit))?, target)?;
                Ok(page.header("x-repo-commit", &commit.id))
            }
            _ => Err(Refusal::Address),
        }
    }

    /// A file, or where it is.
    fn resolve(
        &self,
        segments: &[&str],
        target: Target<'_>,
        token: Option<&str>,
    ) -> Result<Page, Refusal> {
        let (id, rest) = match segments {
            [name, "resolve", rest @ ..] => ((*name).to_owned(), rest),
            [owner, name, "resolve", rest @ ..] => (format!("{owner}/{name}"), rest),
            _ => return Err(Refusal::Address),
        };
        let [revision, path @ ..] = rest else {
            return Err(Refusal::Address);
        };
        let repository = self.repository(&id, token)?;
        // The oldest repositories are also answered for by the name they had before they had an owner.
        if repository.id != id && id.contains('/') {
            let new = format!("/{}/resolve", repository.id);
            return Ok(self.moved(&new, rest, target));
        }
        let (commit, file) = file_at(repository, revision, path, token)?;
        if let Some(large) = &file.large {
            let key = storage_key(&large.sha256);
            let name = path.last().copied().unwrap_or_default();
            let place = format!("{}{STORAGE}{}/{key}", self.storage, repository.key);
            let place = format!(
                "{place}?response-content-disposition=inline%3B+filename%3D%22{name}%22%3B&{SIGNATURE}"
            );
            return Ok(redirect(302, "Found", &place)
                .header("x-repo-commit", &commit.id)
                .header("x-linked-size", &file.bytes.len().to_string())
                .header("x-linked-etag", &quoted(&large.sha256))
                .header("accept-ranges", "bytes"));
        }
        let kept = !repository.private && repository.gate.is_none() && id.contains('/');
        if self.redirects_small_files && kept && !file.bytes.is_empty() {
            let place = format!(
                "{}/api/resolve-cache/models/{id}/{}/{}?{}=&etag={}",
                self.below,
                commit.id,
                path.join("/"),
                encode(target.path),
                encode(&quoted(&file.blob)),
            );
            return Ok(redirect(307, "Temporary Redirect", &place)
                .header("x-repo-commit", &commit.id)
                .header("x-linked-size", &file.bytes.len().to_string())
                .header("x-linked-etag", &quoted(&file.blob)));
        }
        Ok(small_file(commit, file))
    }

    /// A small file at the place where it is kept.
    fn kept(
        &self,
        id: &str,
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

    /// A large file, for whoever has a link; a token sent here has left the host.
    fn stored(&self, target: Target<'_>, request: &Request) -> Page {
        assert!(
            request.header("authorization").is_none(),
            "a token was sent along a redirect to another host"
        );
        if !target.query.ends_with(SIGNATURE) {
            return Page::new(403, *b"SignatureDoesNotMatch\n");
        }
        let found = match target.segments().as_slice() {
            [_, key, file] => {
                let mut repositories = self.repositories.values();
                let repository = repositories.find(|repository| repository.key == *key);
                let named = |sha256: &str| storage_key(sha256) == *file;
                repository.and_then(|repository| Some((repository.stored(named)?, *file)))
            }
            _ => None,
        };
        match found {
            Some((file, key)) => Page::file(file.bytes.clone(), &quoted(key)),
            None => Page::new(404, *b"NoSuchKey\n"),
        }
    }

    /// The token of the caller, if one was sent and somebody has it.
    fn token_of<'a>(&self, request: &'a Request) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = request.header("authorization") else {
            return Ok(None);
        };
        let token = value.strip_prefix("Bearer ");
        match token.filter(|token| self.tokens.contains(*token)) {
            Some(token) => Ok(Some(token)),
            None => Err(Refusal::Token),
        }
    }

    /// The repository that has this id, or had it, if the caller may know of it.
    fn repository(&self, id: &str, token: Option<&str>) -> Result<&Repository, Refusal> {
        let id = id.to_ascii_lowercase();
        let current = self.renamed.get(&id).unwrap_or(&id);
        let repository = self.repositories.get(current);
        match (repository, token) {
            (Some(repository), _) if repository.is_visible(token) => Ok(repository),
            (_, Some(_)) => Err(Refusal::Repository),
            (_, None) => Err(Refusal::SignIn {
                explained: self.explains_refusals,
            }),
        }
    }

    /// Sends to another path on this host, with the same behind it.
    fn moved(&self, path: &str, rest: &[&str], target: Target<'_>) -> Page {
        let mut place = format!("{}{path}", self.below);
        for segment in rest {
            place.extend(["/", segment]);
        }
        if !target.query.is_empty() {
            place.extend(["?", target.query]);
        }
        redirect(307, "Temporary Redirect", &place)
    }
}

/// The commit that a revision means, given as in a path.
fn commit_at<'a>(repository: &'a Repository, revision: &str) -> Result<&'a Commit, Refusal> {
    let revision = decode(revision);
    let commit = repository.commit_at(&revision);
    commit.ok_or(Refusal::Revision(revision))
}

/// A file that the caller may have.
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
    let file = commit.tree.get(&file_name(path));
    Ok((commit, file.ok_or_else(|| no_entry(commit))?))
}

fn file_name(path: &[&str]) -> String {
    decode(&path.join("/"))
}

fn no_entry(commit: &Commit) -> Refusal {
    let commit = commit.id.clone();
    Refusal::Entry { commit }
}

fn small_file(commit: &Commit, file: &File) -> Page {
    Page::file(file.bytes.clone(), &quoted(&file.blob))
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

fn whoami(token: &str) -> Value {
    json!({
        "type": "user",
        "id": object("user", token.as_bytes())[..24],
        "name": "reader",
        "fullname": "Reader",
        "isPro": false,
        "orgs": [],
        "auth": {
            "type": "access_token",
            "accessToken": {"displayName": "reader", "role": "read"},
        },
    })
}

pub(super) fn json_page(json: &Value) -> Page {
    let text = json.to_string().into_bytes();
    let etag = quoted(&object("blob", &text));
    Page::file(text.into(), &etag).header("content-type", "application/json; charset=utf-8")
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
