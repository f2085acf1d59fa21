//! The pages of a Git host.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::git::{File, History};
use super::super::server::{Page, Request};
use super::{Contents, Repository, zips};

/// What the storage expects in the query: links to it are signed.
const SIGNATURE: &str = "signature=c2lnbmVk";
/// Requests that accept this are answered with the bare id of a commit.
const BARE_ID: &str = "application/vnd.github.sha";
/// Fewer digits of a commit's id mean nothing.
const SHORTEST_ID: usize = 4;

impl Contents {
    /// The table of routes.
    pub(super) fn route(&mut self, request: &Request) -> Page {
        let path: Vec<&str> = request.path_only()[1..].split('/').collect();
        match path.as_slice() {
            // An asset under another host name, in ranges.
            ["storage", owner, name, tag @ .., asset] => {
                self.stored([owner, name], tag, asset, request)
            }
            ["api", "v3", ..] if self.is_token_unknown(request) => message(401, "Bad credentials"),
            ["api", "v3", "repos", owner, name, rest @ ..] => {
                let storage = self.storage.clone();
                let root = format!("http://{}", request.header("host").unwrap_or_default());
                let page = self.visible([owner, name], request);
                let page = page.and_then(|(repository, kept)| {
                    repository.api(rest, request, kept, (&root, &storage))
                });
                page.unwrap_or_else(|| message(404, "Not Found"))
            }
            [owner, name, "info", "refs"] => self.refs([owner, name], request),
            [owner, name, rest @ ..] => {
                let storage = self.storage.clone();
                let page = self.visible([owner, name], request);
                let page = page
                    .and_then(|(repository, kept)| repository.site(rest, request, kept, &storage));
                page.unwrap_or_else(not_found)
            }
            _ => not_found(),
        }
    }

    /// git's advertisement of refs, protocol version 0. For it GitHub takes a token only as the password of basic
    /// credentials.
    fn refs(&mut self, [owner, name]: [&str; 2], request: &Request) -> Page {
        if request.query() != "service=git-upload-pack" {
            return Page::new(403, *b"Please upgrade your git client.\n");
        }
        let name = name.strip_suffix(".git").unwrap_or(name);
        let authorization = request.header("authorization").unwrap_or_default();
        let basic = authorization.to_ascii_lowercase().starts_with("basic ");
        match self.visible([owner, name], request) {
            Some((repository, _))
                if repository.token.is_none() || basic || authorization.is_empty() =>
            {
                Page::new(200, advertisement(&repository.history).into_bytes())
                    .header(
                        "content-type",
                        "application/x-git-upload-pack-advertisement",
                    )
                    .header("cache-control", "no-cache, max-age=0, must-revalidate")
            }
            _ => not_found(),
        }
    }

    fn stored(&mut self, repo: [&str; 2], tag: &[&str], asset: &str, request: &Request) -> Page {
        assert!(
            request.header("authorization").is_none(),
            "a token was sent along a redirect to another host"
        );
        if request.query() != SIGNATURE {
            return Page::new(403, *b"SignatureDoesNotMatch\n");
        }
        let repository = self.repositories.get(&repo.join("/").to_ascii_lowercase());
        let asset = repository.and_then(|found| found.releases.get(&tag.join("/"))?.get(asset));
        asset.map_or_else(not_found, file_page)
    }

    /// A repository that exists and that the client may see; and whether the host keeps archives.
    fn visible(&mut self, repo: [&str; 2], request: &Request) -> Option<(&mut Repository, bool)> {
        let repository = self
            .repositories
            .get_mut(&repo.join("/").to_ascii_lowercase())?;
        let token = repository.token.as_ref();
        let allowed = token.is_none_or(|token| has_token(request, token));
        allowed.then_some((repository, self.keeps_archives))
    }

    /// Whether the client sent a token that no repository takes, where some take one.
    fn is_token_unknown(&self, request: &Request) -> bool {
        let repositories = self.repositories.values();
        let mut tokens = repositories
            .filter_map(|found| found.token.as_ref())
            .peekable();
        request.header("authorization").is_some()
            && tokens.peek().is_some()
            && !tokens.any(|token| has_token(request, token))
    }
}

impl Repository {
    /// The routes of the site below a repository.
    fn site(
        &mut self,
        path: &[&str],
        request: &Request,
        kept: bool,
        storage: &str,
    ) -> Option<Page> {
        match path {
            // A file at a ref, of which the longest counts.
            ["raw", rest @ ..] => (1..rest.len()).rev().find_map(|at| {
                let commit = self.history.commit_at(&rest[..at].join("/"))?;
                Some(commit.tree.get(&rest[at..].join("/")).map(file_page))
            })?,
            // The tree of a ref as a zip, streamed: no length, no ranges.
            ["archive", rest @ ..] => {
                let path = rest.join("/");
                let reference = path.strip_suffix(".zip")?;
                let short = reference.strip_prefix("refs/heads/");
                let short = short.or_else(|| reference.strip_prefix("refs/tags/"));
                let (_, name) = self.name.split_once('/')?;
                let short = short.unwrap_or(reference).replace('/', "-");
                let folder = format!("{name}-{short}");
                self.zip(reference, &folder, kept)
            }
            // A redirect to the storage, with the address as sent, so that what was percent-encoded still is.
            ["releases", "download", tag @ .., asset] => {
                self.releases.get(&tag.join("/"))?.get(*asset)?;
                if self.hides_downloads {
                    return None;
                }
                let (_, sent) = request.raw_path().split_once("/releases/download/")?;
                let place = format!("{storage}/storage/{}/{sent}?{SIGNATURE}", self.name);
                Some(Page::new(302, []).header("location", &place))
            }
            _ => None,
        }
    }

    /// The routes of the API below a repository.
    fn api(
        &mut self,
        path: &[&str],
        request: &Request,
        kept: bool,
        (root, storage): (&str, &str),
    ) -> Option<Page> {
        match path {
            // The names of a release's assets.
            ["releases", "tags", tag @ ..] => {
                let tag = tag.join("/");
                let assets = self.releases.get(&tag)?.iter();
                let assets = assets.map(|(name, file)| {
                    let url = format!(
                        "{root}/api/v3/repos/{}/releases/assets/{tag}/{name}",
                        self.name
                    );
                    json!({"name": name, "size": file.bytes.len(), "url": url})
                });
                let assets: Value = assets.collect();
                Some(json_page(
                    &json!({"tag_name": tag, "draft": false, "assets": assets}),
                ))
            }
            // An asset: what is known of it, or a redirect to the storage.
            ["releases", "assets", tag @ .., asset] => {
                self.releases.get(&tag.join("/"))?.get(*asset)?;
                if request.header("accept") != Some("application/octet-stream") {
                    return Some(json_page(&json!({"name": asset})));
                }
                let place = format!(
                    "{storage}/storage/{}/{}/{asset}?{SIGNATURE}",
                    self.name,
                    tag.join("/")
                );
                Some(Page::new(302, []).header("location", &place))
            }
            // The commit that a ref or the start of an id means.
            ["commits", rest @ ..] => {
                let reference = rest.join("/");
                Some(match self.commit_like(&reference) {
                    Some(id) if request.header("accept") == Some(BARE_ID) => {
                        Page::of(id.as_bytes().into()).header("content-type", BARE_ID)
                    }
                    Some(id) => json_page(&json!({"sha": id})),
                    None => message(422, &format!("No commit found for SHA: {reference}")),
                })
            }
            // The tree of a ref as a zip, below another top folder.
            ["zipball", rest @ ..] => {
                let reference = rest.join("/");
                let short = &self.history.commit_at(&reference)?.id[..7];
                let folder = format!("{}-{short}", self.name.replace('/', "-"));
                self.zip(&reference, &folder, kept)
            }
            _ => None,
        }
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
    fn zip(&mut self, reference: &str, folder: &str, kept: bool) -> Option<Page> {
        let commit = self.history.commit_at(reference)?;
        let zip = self.zips.entry((commit.id.clone(), folder.to_owned()));
        let zip =
            zip.or_insert_with(|| File::small(zips::archive(folder, &commit.id, &commit.tree)));
        let page = file_page(zip).header("content-type", "application/zip");
        Some(if kept { page } else { page.streamed() })
    }
}

fn has_token(request: &Request, token: &str) -> bool {
    let value = request
        .header("authorization")
        .and_then(|value| value.split_once(' '));
    let basic = || BASE64_STANDARD.encode(format!("x-access-token:{token}"));
    value.is_some_and(
        |(scheme, value)| match scheme.eq_ignore_ascii_case("basic") {
            true => value == basic(),
            false => value == token,
        },
    )
}

fn not_found() -> Page {
    Page::new(404, *b"Not Found").header("content-type", "text/plain; charset=utf-8")
}

fn file_page(file: &File) -> Page {
    Page::file(file.bytes.clone(), &file.blob)
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
    for (tag, (commit, object)) in &history.tags {
        let name = format!("refs/tags/{tag}");
        let peeled = if object.is_some() { "^{}" } else { "" };
        refs.push((commit, format!("{name}{peeled}")));
        refs.extend(object.as_ref().map(|object| (object.as_str(), name)));
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
    let mut lines = packet("# service=git-upload-pack\n") + "0000";
    for (number, (id, name)) in refs.iter().enumerate() {
        let more = if number == 0 {
            format!("\0{capabilities}")
        } else {
            String::new()
        };
        lines += &packet(&format!("{id} {name}{more}\n"));
    }
    lines + "0000"
}

/// A line of the protocol: its length, including the four digits that state it, then the text.
fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}
