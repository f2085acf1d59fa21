//! What the API says of a model.

use serde_json::{Map, Value, json};

use super::files::File;
use super::repository::{Commit, Gate, Repository};
use super::target::Target;

/// What lists say of each model.
const IN_LISTS: [&str; 9] = [
    "createdAt",
    "downloads",
    "library_name",
    "likes",
    "modelId",
    "pipeline_tag",
    "private",
    "tags",
    "trendingScore",
];
/// What full lists say beside it.
const IN_FULL_LISTS: [&str; 5] = ["author", "gated", "lastModified", "sha", "siblings"];
/// What is said whatever was asked for.
const ALWAYS: [&str; 2] = ["_id", "id"];
/// The minute of the first commit of any repository, since 1970.
const BEGINNING: i64 = 28_000_000;

impl Repository {
    /// The facts at a commit, all or those that the request expands.
    pub(super) fn info(&self, commit: &Commit, target: Target<'_>) -> Value {
        let mut facts = self.all(commit, target.flag("blobs"));
        let expanded = target.values("expand");
        if !expanded.is_empty() {
            keep(&mut facts, |name| {
                expanded.iter().any(|other| other == name)
            });
        }
        facts.into()
    }

    /// The facts in a list.
    pub(super) fn entry(&self, commit: &Commit, target: Target<'_>) -> Value {
        let mut facts = self.all(commit, false);
        let expanded = target.values("expand");
        if expanded.is_empty() {
            let full = target.flag("full");
            let card = target.flag("cardData");
            keep(&mut facts, |name| {
                IN_LISTS.contains(&name)
                    || full && IN_FULL_LISTS.contains(&name)
                    || card && name == "cardData"
            });
        } else {
            keep(&mut facts, |name| {
                expanded.iter().any(|other| other == name)
            });
        }
        facts.into()
    }

    /// The tags, those of library, pipeline and license among them.
    pub(super) fn all_tags(&self) -> Vec<String> {
        let facts = &self.facts;
        let named = [&facts.library, &facts.pipeline_tag].into_iter().flatten();
        let license = facts
            .card
            .as_ref()
            .and_then(|card| card["license"].as_str());
        named
            .chain(&facts.tags)
            .cloned()
            .chain(license.map(|license| format!("license:{license}")))
            .chain(["region:us".to_owned()])
            .collect()
    }

    /// Branches and tags, and pull requests if asked for.
    pub(super) fn refs(&self, pull_requests: bool) -> Value {
        let branches = self.branches.iter();
        let tags = self.tags.iter();
        let mut refs = json!({
            "branches": branches.map(|(name, commit)| reference("heads", name, commit)).collect::<Value>(),
            "converts": [],
            "tags": tags.map(|(name, commit)| reference("tags", name, commit)).collect::<Value>(),
        });
        if pull_requests {
            let numbered = self.pull_requests.iter();
            refs["pullRequests"] = numbered
                .map(|(number, commit)| reference("pr", &number.to_string(), commit))
                .collect();
        }
        refs
    }

    fn all(&self, commit: &Commit, blobs: bool) -> Map<String, Value> {
        let facts = &self.facts;
        let siblings = commit
            .tree
            .iter()
            .map(|(name, file)| sibling(name, file, blobs));
        let all = json!({
            "_id": self.key,
            "id": self.id,
            "modelId": self.id,
            "author": self.id.split_once('/').map(|(owner, _)| owner),
            "sha": commit.id,
            "lastModified": time(commit.number),
            "createdAt": time(0),
            "private": self.private,
            "gated": match self.gate {
                None => json!(false),
                Some(Gate::Automatic) => json!("auto"),
                Some(Gate::Manual) => json!("manual"),
            },
            "disabled": self.disabled,
            "tags": self.all_tags(),
            "pipeline_tag": facts.pipeline_tag,
            "library_name": facts.library,
            "downloads": facts.downloads,
            "likes": facts.likes,
            "trendingScore": 0,
            "cardData": facts.card,
            "siblings": siblings.collect::<Value>(),
        });
        let Value::Object(mut all) = all else {
            return Map::new();
        };
        // What is not known is left out.
        all.retain(|_, value| !value.is_null());
        all
    }
}

fn reference(folder: &str, name: &str, commit: &str) -> Value {
    json!({"name": name, "ref": format!("refs/{folder}/{name}"), "targetCommit": commit})
}

fn sibling(name: &str, file: &File, blobs: bool) -> Value {
    let mut sibling = json!({"rfilename": name});
    if blobs {
        sibling["blobId"] = json!(file.blob);
        sibling["size"] = json!(file.bytes.len());
        if let Some(large) = &file.large {
            sibling["lfs"] = json!({
                "sha256": large.sha256,
                "size": file.bytes.len(),
                "pointerSize": large.pointer_bytes,
            });
        }
    }
    sibling
}

fn keep(facts: &mut Map<String, Value>, wanted: impl Fn(&str) -> bool) {
    facts.retain(|name, _| ALWAYS.contains(&name.as_str()) || wanted(name));
}

/// The time of the commit with this number: one a minute.
fn time(number: usize) -> String {
    let minute = i64::try_from(number).map_or(BEGINNING, |number| BEGINNING + number);
    let time = jiff::Timestamp::from_second(minute * 60).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
