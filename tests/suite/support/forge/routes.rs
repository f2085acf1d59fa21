//! The pages of a Git host.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::git::{File, History};
use super::super::server::{Page, Request};
use super::{Contents, Repository, zips};

/// What an unknown client is allowed in an hour.
const API_LIMIT: u64 = 60;
/// The seconds until the API answers again.
const API_PAUSE: u64 = 600;
/// What the storage expects in the query: links to it are signed.
const SIGNATURE: &str = "signature=c2lnbmVk";
/// Requests that accept this are answered with the bare id of a commit.
const BARE_ID: &str = "application/vnd.github.sha";
/// Fewer digits of a commit's id mean nothing.
const SHORTEST_ID: usize = 4;

impl Contents {
    /// The table of routes; what a slice ends with may have slashes of its own.
    pub(super) fn route(&mut self, request: &Request) -> Page {
        let path: Vec<&str> = request.path_only()[1..].split('/').collect();
        match path.as_slice() {
            // git's advertisement of refs, protocol version 0
            [owner, name, "info", "refs"] => self.refs(owner, name, request),
            // a file at a ref
            [owner, name, "raw", rest @ ..] => self.raw(owner, name, rest, request),
            // the tree of a ref as a zip, streamed: no length, no ranges
            [owner, name, "archive", rest @ ..] => self.archive(owner, name, rest, request),
            // a redirect to the storage
            [owner, name, "releases", "download", rest @ ..] => {
                self.asset(owner, name, rest, request)
            }
            // an asset under another host name, in ranges
            ["storage", owner, name, rest @ ..] => self.stored(owner, name, rest, request),
            ["api", "v3", rest @ ..] => self.api(rest, request),
            _ => not_found(),
        }
    }

    /// The routes of the API, as far as its limit goes.
    fn api(&mut self, path: &[&str], request: &Request) -> Page {
        let left = self.api_left.checked_sub(1);
        self.api_left = left.unwrap_or(0);
        let page = if left.is_none() {
            message(403, "API rate limit exceeded for 127.0.0.1.")
        } else if request.header("user-agent").is_none() {
            message(403, "Please make sure your request has a User-Agent header")
        } else if self.is_token_unknown(request) {
            message(401, "Bad credentials")
        } else {
            match path {
                // the names of a release's assets
                ["repos", owner, name, "releases", "tags", tag @ ..] => {
                    self.release(owner, name, tag, request)
                }
                // the commit that a ref or the start of an id means
                ["repos", owner, name, "commits", rest @ ..] => {
                    self.commit(owner, name, rest, request)
                }
                // the tree of a ref as a zip, below another top folder
                ["repos", owner, name, "zipball", rest @ ..] => {
                    self.zipball(owner, name, rest, request)
                }
                _ => message(404, "Not Found"),
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        page.header("x-ratelimit-limit", &API_LIMIT.to_string())
            .header(
                "x-ratelimit-remaining",
                &self.api_left.min(API_LIMIT).to_string(),
            )
            .header(
                "x-ratelimit-reset",
                &(now.as_secs() + API_PAUSE).to_string(),
            )
            .header("x-ratelimit-resource", "core")
    }

    fn refs(&mut self, owner: &str, name: &str, request: &Request) -> Page {
        if request.query() != "service=git-upload-pack" {
            return Page::new(403, *b"Please upgrade your git client.\n");
        }
        let asks_to_sign_in = self.asks_to_sign_in;
        match self.visible(owner, name.strip_suffix(".git").unwrap_or(name), request) {
            // For git's own requests GitHub takes a token only as the password of basic credentials.
            Some(repository) if repository.token.is_none() || !is_bearer(request) => {
                Page::new(200, advertisement(&repository.history).into_bytes())
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

    /// The longest ref counts.
    fn raw(&mut self, owner: &str, name: &str, rest: &[&str], request: &Request) -> Page {
        let repository = self.visible(owner, name, request);
        let file = repository.and_then(|repository| {
            (1..rest.len()).rev().find_map(|at| {
                let commit = repository.history.commit_at(&rest[..at].join("/"))?;
                Some(commit.tree.get(&rest[at..].join("/")))
            })?
        });
        file.map_or_else(not_found, file_page)
    }

    fn archive(&mut self, owner: &str, name: &str, rest: &[&str], request: &Request) -> Page {
        let kept = self.keeps_archives;
        let Some(repository) = self.visible(owner, name, request) else {
            return not_found();
        };
        let path = rest.join("/");
        let Some(reference) = path.strip_suffix(".zip") else {
            return not_found();
        };
        let mut short = reference.strip_prefix("refs/heads/");
        short = short.or_else(|| reference.strip_prefix("refs/tags/"));
        let short = short.unwrap_or(reference).replace('/', "-");
        let (_, name) = repository.name.split_once('/').unwrap();
        let folder = format!("{name}-{short}");
        zip_page(repository.zip_of(reference, &folder), kept)
    }

    fn zipball(&mut self, owner: &str, name: &str, rest: &[&str], request: &Request) -> Page {
        let kept = self.keeps_archives;
        let Some(repository) = self.visible(owner, name, request) else {
            return message(404, "Not Found");
        };
        let reference = rest.join("/");
        let commit = repository.history.commit_at(&reference);
        let short = commit.map_or("", |commit| &commit.id[..7]);
        let folder = format!("{}-{short}", repository.name.replace('/', "-"));
        zip_page(repository.zip_of(&reference, &folder), kept)
    }

    fn asset(&mut self, owner: &str, name: &str, rest: &[&str], request: &Request) -> Page {
        let storage = self.storage.clone();
        let repository = self.visible(owner, name, request);
        let found = repository.is_some_and(|repository| repository.asset(rest).is_some());
        // As sent, so that what was percent-encoded still is.
        let (_, sent) = request
            .raw_path()
            .split_once("/releases/download/")
            .unwrap_or_default();
        if !found {
            return not_found();
        }
        let place = format!("{storage}/storage/{owner}/{name}/{sent}?{SIGNATURE}");
        Page::new(302, []).header("location", &place)
    }

    fn stored(&mut self, owner: &str, name: &str, rest: &[&str], request: &Request) -> Page {
        assert!(
            request.header("authorization").is_none(),
            "a token was sent along a redirect to another host"
        );
        if request.query() != SIGNATURE {
            return Page::new(403, *b"SignatureDoesNotMatch\n");
        }
        let repository = self
            .repositories
            .get(&format!("{owner}/{name}").to_ascii_lowercase());
        let asset = repository.and_then(|repository| repository.asset(rest));
        asset.map_or_else(not_found, file_page)
    }

    fn release(&mut self, owner: &str, name: &str, tag: &[&str], request: &Request) -> Page {
        let tag = tag.join("/");
        let repository = self.visible(owner, name, request);
        let Some(assets) = repository.and_then(|repository| repository.releases.get(&tag)) else {
            return message(404, "Not Found");
        };
        let assets: Vec<Value> = assets
            .iter()
            .map(|(name, file)| json!({"name": name, "size": file.bytes.len()}))
            .collect();
        json_page(&json!({"tag_name": tag, "draft": false, "assets": assets}))
    }

    fn commit(&mut self, owner: &str, name: &str, rest: &[&str], request: &Request) -> Page {
        let reference = rest.join("/");
        let Some(repository) = self.visible(owner, name, request) else {
            return message(404, "Not Found");
        };
        match repository.commit_like(&reference) {
            Some(id) if request.header("accept") == Some(BARE_ID) => {
                Page::of(id.as_bytes().into()).header("content-type", BARE_ID)
            }
            Some(id) => json_page(&json!({"sha": id})),
            None => message(422, &format!("No commit found for SHA: {reference}")),
        }
    }

    /// A repository that exists and that the client may see.
    fn visible(&mut self, owner: &str, name: &str, request: &Request) -> Option<&mut Repository> {
        let name = format!("{owner}/{name}").to_ascii_lowercase();
        let repository = self.repositories.get_mut(&name)?;
        let token = repository.token.as_ref();
        let allowed = token.is_none_or(|token| has_token(request, token));
        allowed.then_some(repository)
    }

    /// Whether the client sent a token that no repository takes, where some take one.
    fn is_token_unknown(&self, request: &Request) -> bool {
        let repositories = self.repositories.values();
        let tokens: Vec<_> = repositories
            .filter_map(|repository| repository.token.as_ref())
            .collect();
        let known = tokens.iter().any(|token| has_token(request, token));
        request.header("authorization").is_some() && !tokens.is_empty() && !known
    }
}

impl Repository {
    /// The asset that `{tag}/{name}` means.
    fn asset(&self, tag_and_name: &[&str]) -> Option<&File> {
        let (name, tag) = tag_and_name.split_last()?;
        self.releases.get(&tag.join("/"))?.get(*name)
    }

    /// As [`History::commit_at`], and by the start of an id that only one commit has.
    fn commit_like(&self, reference: &str) -> Option<&str> {
        if let Some(commit) = self.history.commit_at(reference) {
            return Some(&commit.id);
        }
        let mut ids = self
            .history
            .commits
            .keys()
            .filter(|id| id.starts_with(reference));
        let only = ids.next().filter(|_| reference.len() >= SHORTEST_ID)?;
        ids.next().is_none().then_some(only)
    }

    /// The tree of a ref as a zip below a top folder; packed once.
    fn zip_of(&mut self, reference: &str, folder: &str) -> Option<&File> {
        let commit = self.history.commit_at(reference)?;
        let packed = self.zips.entry((commit.id.clone(), folder.to_owned()));
        Some(packed.or_insert_with(|| File::small(zips::archive(folder, &commit.id, &commit.tree))))
    }
}

fn has_token(request: &Request, token: &str) -> bool {
    let value = request
        .header("authorization")
        .and_then(|value| value.split_once(' '));
    value.is_some_and(
        |(scheme, value)| match scheme.eq_ignore_ascii_case("basic") {
            true => value == BASE64_STANDARD.encode(format!("x-access-token:{token}")),
            false => value == token,
        },
    )
}

fn is_bearer(request: &Request) -> bool {
    let value = request.header("authorization");
    value.is_some_and(|value| !value.to_ascii_lowercase().starts_with("basic "))
}

fn not_found() -> Page {
    Page::new(404, *b"Not Found").header("content-type", "text/plain; charset=utf-8")
}

fn file_page(file: &File) -> Page {
    Page::file(file.bytes.clone(), &file.blob)
}

fn zip_page(zip: Option<&File>, kept: bool) -> Page {
    let Some(zip) = zip else {
        return not_found();
    };
    let page = file_page(zip).header("content-type", "application/zip");
    if kept { page } else { page.streamed() }
}

fn json_page(json: &Value) -> Page {
    let page = Page::of(json.to_string().into_bytes().into());
    page.header("content-type", "application/json; charset=utf-8")
}

/// An error of the API.
fn message(status: u16, message: &str) -> Page {
    Page::new(status, json!({"message": message}).to_string().into_bytes())
        .header("content-type", "application/json; charset=utf-8")
}

/// What GitHub says it can do, apart from the default branch.
const CAPABILITIES: &str = "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not \
     deepen-relative no-progress include-tag multi_ack_detailed allow-tip-sha1-in-want \
     allow-reachable-sha1-in-want no-done filter object-format=sha1 agent=git/forge";

/// The answer to `info/refs` in git's smart HTTP protocol, version 0 (gitprotocol-http(5), gitprotocol-pack(5)).
fn advertisement(history: &History) -> String {
    let mut refs = Vec::new();
    for (branch, commit) in &history.branches {
        refs.push((commit.as_str(), format!("refs/heads/{branch}")));
    }
    for (number, commit) in &history.pull_requests {
        refs.push((commit, format!("refs/pull/{number}/head")));
    }
    for (tag, target) in &history.tags {
        let name = format!("refs/tags/{tag}");
        if let Some(object) = &target.object {
            refs.push((object, name.clone()));
        }
        let peeled = if target.object.is_some() { "^{}" } else { "" };
        refs.push((&target.commit, name + peeled));
    }
    refs.sort_by(|(_, one), (_, other)| one.cmp(other));
    let mut capabilities = CAPABILITIES.to_owned();
    if let (Some(branch), Some(head)) = (&history.default_branch, history.head()) {
        capabilities += &format!(" symref=HEAD:refs/heads/{branch}");
        refs.insert(0, (head, "HEAD".to_owned()));
    }
    let nothing = "0".repeat(40);
    if refs.is_empty() {
        refs.push((&nothing, "capabilities^{}".to_owned()));
    }
    let lines = refs
        .iter()
        .enumerate()
        .map(|(number, (id, name))| match number {
            0 => packet(&format!("{id} {name}\0{capabilities}\n")),
            _ => packet(&format!("{id} {name}\n")),
        });
    let lines: String = lines.collect();
    format!("{}0000{lines}0000", packet("# service=git-upload-pack\n"))
}

/// A line of the protocol: its length, including the four digits that state it, then the text.
fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}
