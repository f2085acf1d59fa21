//! What comes in pages: models, and the files of a folder.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::json_page;
use super::files::{File, Tree, object};
use super::refusal::Refusal;
use super::repository::Repository;
use super::target::Target;
use super::{Contents, Page};

/// The most that one page holds, and what it holds if nothing else was asked for.
const PAGE: usize = 1000;

impl Contents {
    /// The models that fit and that the caller may see, the most downloaded first.
    pub(super) fn models(&self, target: Target<'_>, token: Option<&str>) -> Result<Page, Refusal> {
        let searched = target.value("search").unwrap_or_default().to_lowercase();
        let author = target.value("author");
        let task = target.value("pipeline_tag");
        let tags = target.values("filter");
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
        let entries = found.into_iter().filter_map(|repository| {
            let commit = repository.commit_at("main")?;
            Some(repository.entry(commit, target))
        });
        self.page_of(entries.collect(), target)
    }

    /// The page of a list that a request asks for, with a link to the next one.
    pub(super) fn page_of(
        &self,
        mut entries: Vec<Value>,
        target: Target<'_>,
    ) -> Result<Page, Refusal> {
        let limit = target.value("limit").map(|limit| limit.parse());
        let limit: usize = limit
            .unwrap_or(Ok(PAGE))
            .map_err(|_| Refusal::Request("Invalid limit"))?;
        let from = match target.value("cursor") {
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
        let cursor = format!("cursor={}", write_cursor(from + rest.len()));
        let query = [target.query_without("cursor"), cursor];
        let query = query.into_iter().filter(|part| !part.is_empty());
        let query = query.collect::<Vec<_>>().join("&");
        let link = format!("<{}{}?{query}>; rel=\"next\"", self.url, target.path);
        Ok(page.header("link", &link))
    }
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
        for (at, _) in inside.match_indices('/') {
            let path = &name[..prefix.len() + at];
            entries.insert(path, directory_entry(path));
            if !recursive {
                break;
            }
        }
        if recursive || !inside.contains('/') {
            entries.insert(name, file_entry(name, file));
        }
    }
    let exists = folder.is_empty() || !entries.is_empty();
    exists.then(|| entries.into_values().collect())
}

fn directory_entry(path: &str) -> Value {
    json!({"type": "directory", "oid": object("tree", path.as_bytes()), "size": 0, "path": path})
}

fn file_entry(path: &str, file: &File) -> Value {
    let size = file.bytes.len();
    let mut entry = json!({"type": "file", "oid": file.blob, "size": size, "path": path});
    if let Some(large) = &file.large {
        entry["lfs"] = json!({
            "oid": large.sha256,
            "size": size,
            "pointerSize": large.pointer_bytes,
        });
    }
    entry
}

/// Where a page begins, written so that nobody counts on it.
fn write_cursor(from: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"from\":{from}}}"))
}

fn read_cursor(cursor: &str) -> Option<usize> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let cursor: Value = serde_json::from_slice(&text).ok()?;
    usize::try_from(cursor["from"].as_u64()?).ok()
}
