//! What the API says about models and their files.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::git::{Commit, File, Tree, object};
use super::super::server::{Page, Request};
use super::refusal::Refusal;
use super::routes::json_page;
use super::{Contents, Facts, Repository};

/// What lists say about a model only if they are to be full.
const IN_FULL_LISTS: [&str; 5] = ["author", "gated", "lastModified", "sha", "siblings"];
/// The minute of the first commit of any repository, since 1970.
const BEGINNING: i64 = 28_000_000;
/// The most entries that one page holds, and the default.
const PAGE: usize = 1000;

impl Repository {
    /// The facts at a commit, all or those that the request expands.
    pub(super) fn info(&self, commit: &Commit, request: &Request) -> Value {
        let facts = self.facts(commit, request.flag("blobs"));
        expanded(facts, request, |_| true)
    }

    /// The facts in a list.
    fn entry(&self, commit: &Commit, request: &Request) -> Value {
        let (full, card) = (request.flag("full"), request.flag("cardData"));
        expanded(self.facts(commit, false), request, |name| match name {
            "disabled" => false,
            "cardData" => card,
            name => full || !IN_FULL_LISTS.contains(&name),
        })
    }

    /// The tags, those of library, pipeline and license among them.
    fn all_tags(&self) -> Vec<String> {
        let Facts {
            library,
            pipeline_tag,
            tags,
            card,
            ..
        } = &self.facts;
        let license = card.as_ref().and_then(|card| card["license"].as_str());
        let license = license.map(|license| format!("license:{license}"));
        let named = [library, pipeline_tag].into_iter().flatten().cloned();
        let tags = tags.iter().map(ToString::to_string);
        let own = named.chain(tags).chain(license);
        own.chain(["region:us".to_owned()]).collect()
    }

    /// Branches and tags, and pull requests if requested.
    pub(super) fn refs(&self, pull_requests: bool) -> Value {
        let entry = |folder: &str, name: &str, commit: &str| {
            let full = format!("refs/{folder}/{name}");
            json!({"name": name, "ref": full, "targetCommit": commit})
        };
        let history = &self.history;
        let (branches, tags) = (history.branches.iter(), history.tags.iter());
        let mut refs = json!({
            "branches": branches.map(|(name, id)| entry("heads", name, id)).collect::<Value>(),
            "converts": [],
            "tags": tags.map(|(name, (id, _))| entry("tags", name, id)).collect::<Value>(),
        });
        if pull_requests {
            let numbered = history.pull_requests.iter();
            let entries = numbered.map(|(number, id)| entry("pr", &number.to_string(), id));
            refs["pullRequests"] = entries.collect();
        }
        refs
    }

    fn facts(&self, commit: &Commit, blobs: bool) -> Map<String, Value> {
        let siblings = commit.tree.iter();
        let facts = json!({
            "_id": self.key(),
            "id": self.id,
            "modelId": self.id,
            "author": self.id.split_once('/').map(|(owner, _)| owner),
            "sha": commit.id,
            "lastModified": time(commit.number),
            "createdAt": time(0),
            "private": self.private,
            "gated": self.gate.map_or(json!(false), Value::from),
            "disabled": self.disabled,
            "tags": self.all_tags(),
            "pipeline_tag": self.facts.pipeline_tag,
            "library_name": self.facts.library,
            "downloads": self.facts.downloads,
            "likes": self.facts.likes,
            "trendingScore": 0,
            "cardData": self.facts.card,
            "siblings": siblings.map(|(name, file)| sibling(name, file, blobs)).collect::<Value>(),
        });
        let mut facts = facts.as_object().unwrap().clone();
        // What is not known is left out.
        facts.retain(|_, value| !value.is_null());
        facts
    }
}

impl Contents {
    /// The models that fit and that the client may see, the most downloaded first.
    pub(super) fn models(&self, request: &Request, token: Option<&str>) -> Vec<Value> {
        let searched = request.value("search").unwrap_or_default().to_lowercase();
        let author = request.value("author");
        let task = request.value("pipeline_tag");
        let tags = request.values("filter");
        let fits = |repository: &&Repository| {
            let known = repository.all_tags();
            let owner = repository.id.split_once('/').map(|(owner, _)| owner);
            repository.id.to_lowercase().contains(&searched)
                && (author.is_none() || author.as_deref() == owner)
                && (task.is_none() || task == repository.facts.pipeline_tag)
                && tags.iter().all(|tag| known.contains(tag))
                && repository.is_visible(token)
        };
        let mut found: Vec<&Repository> = self.repositories.values().filter(fits).collect();
        found.sort_by_key(|repository| (Reverse(repository.facts.downloads), &repository.id));
        let entries = found.into_iter();
        entries
            .filter_map(|repository| Some(repository.entry(repository.commit_at("main")?, request)))
            .collect()
    }

    /// The page of a list that a request wants, with a link to the next one.
    pub(super) fn in_pages(
        &self,
        mut entries: Vec<Value>,
        request: &Request,
    ) -> Result<Page, Refusal> {
        let limit = request.value("limit");
        let limit = limit.map_or(Ok(PAGE), |limit| limit.parse());
        let limit = limit.map_err(|_| Refusal::Request("Invalid limit"))?;
        let from = match request.value("cursor") {
            None => 0,
            Some(cursor) => read_cursor(&cursor).ok_or(Refusal::Request("Invalid cursor"))?,
        };
        let mut rest = entries.split_off(from.min(entries.len()));
        let left = rest.len();
        rest.truncate(limit.clamp(1, PAGE));
        let page = json_page(&json!(rest));
        if rest.len() == left {
            return Ok(page);
        }
        // Written so that nobody counts on it.
        let cursor = format!("{{\"from\":{}}}", from + rest.len());
        let cursor = format!("cursor={}", BASE64_URL_SAFE_NO_PAD.encode(cursor));
        let others = request.query().split('&');
        let others = others.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
        let query: Vec<&str> = others.chain([&*cursor]).collect();
        let (root, path) = (&self.root, request.raw_path());
        let link = format!("<{root}{path}?{}>; rel=\"next\"", query.join("&"));
        Ok(page.header("link", &link))
    }
}

fn read_cursor(cursor: &str) -> Option<usize> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let cursor: Value = serde_json::from_slice(&text).ok()?;
    usize::try_from(cursor["from"].as_u64()?).ok()
}

/// What lies in a folder, or anywhere below; `None` where there is no such folder.
pub(super) fn folder(tree: &Tree, folder: &str, recursive: bool) -> Option<Vec<Value>> {
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let mut entries = BTreeMap::new();
    for (name, file) in tree {
        let Some(inside) = name.strip_prefix(&prefix) else {
            continue;
        };
        for (at, _) in inside
            .match_indices('/')
            .take(if recursive { usize::MAX } else { 1 })
        {
            let path = &name[..prefix.len() + at];
            let oid = object("tree", path.as_bytes());
            entries.insert(
                path,
                json!({"type": "directory", "oid": oid, "size": 0, "path": path}),
            );
        }
        if recursive || !inside.contains('/') {
            let mut entry =
                json!({"type": "file", "oid": file.blob, "size": file.bytes.len(), "path": name});
            if let Some(lfs) = lfs(file, "oid") {
                entry["lfs"] = lfs;
            }
            entries.insert(name, entry);
        }
    }
    let exists = folder.is_empty() || !entries.is_empty();
    exists.then(|| entries.into_values().collect())
}

fn sibling(name: &str, file: &File, blobs: bool) -> Value {
    let mut sibling = json!({"rfilename": name});
    if blobs {
        sibling["blobId"] = json!(file.blob);
        sibling["size"] = json!(file.bytes.len());
        if let Some(lfs) = lfs(file, "sha256") {
            sibling["lfs"] = lfs;
        }
    }
    sibling
}

/// The digest, under a name of its own in each document, and the sizes of a large file and of its pointer.
fn lfs(file: &File, digest: &str) -> Option<Value> {
    let (sha256, pointer_bytes) = file.large.as_ref()?;
    Some(json!({digest: sha256, "size": file.bytes.len(), "pointerSize": pointer_bytes}))
}

/// The facts that a request expands, or these if it expands none.
fn expanded(
    mut facts: Map<String, Value>,
    request: &Request,
    usual: impl Fn(&str) -> bool,
) -> Value {
    let expand = request.values("expand");
    facts.retain(|name, _| match name.as_str() {
        "_id" | "id" => true,
        name if expand.is_empty() => usual(name),
        name => expand.iter().any(|other| other == name),
    });
    facts.into()
}

/// The time of the commit with this number: one a minute.
fn time(number: usize) -> String {
    let minute = BEGINNING + i64::try_from(number).unwrap();
    let time = jiff::Timestamp::from_second(minute * 60).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

pub(super) fn whoami(token: &str) -> Value {
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
