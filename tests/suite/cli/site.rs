//! A machine whose processes are killed, and what must hold then.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Ran, models};
use crate::support::bytes;
use crate::support::disk::names_in;
use crate::support::rack::Rack;
use crate::support::registry::{digest, serve_index, serve_manifest};
use crate::support::server::{Request, Rule};

pub(crate) const CHUNK: usize = 64 << 10;
/// More than fits into one request: it comes in ranges.
pub(crate) const LARGE: usize = 40 << 20;

/// More than the journal has in one line.
pub(crate) const MIDDLE: usize = 3 << 20;

/// A folder's files with their bytes.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// A machine, and every state of every model that its registry ever offered, by the digest of its manifest.
pub(crate) struct Site {
    pub(crate) machine: Rack,
    states: BTreeMap<String, Files>,
    pub(crate) index: Value,
}

impl Site {
    pub(crate) fn new() -> Self {
        let mut site = Self {
            machine: Rack::new(),
            states: BTreeMap::new(),
            index: json!({"g": {}}),
        };
        site.offer("keep", vec![("keep.bin", bytes(3000, 77))]);
        site.run("pull g/keep v1").success();
        site
    }

    /// Offers a model as `v1`: a large file is a chunk by itself, the others are cut.
    pub(crate) fn offer(&mut self, model: &str, files: Files) {
        let (mut chunks, mut sizes) = (Vec::new(), Vec::new());
        for (_, content) in &files {
            let step = if content.len() >= MIDDLE {
                content.len()
            } else {
                CHUNK
            };
            for chunk in content.chunks(step) {
                let digest = digest(chunk);
                self.machine.server.put(&format!("/data/{digest}"), chunk);
                chunks.push(digest);
                sizes.push(chunk.len());
            }
        }
        let list: Vec<Value> = files
            .iter()
            .map(|(path, content)| json!({"path": path, "size": content.len()}))
            .collect();
        let manifest = json!({
            "total_size": sizes.iter().sum::<usize>(),
            "chunk_size": LARGE,
            "chunks": chunks,
            "chunk_sizes": sizes,
            "files": list,
        });
        let hash = serve_manifest(&self.machine.server, manifest.to_string().as_bytes());
        self.index["g"][model]["v1"]["hash"] = json!(hash);
        serve_index(&self.machine.server, &self.index);
        self.states.insert(hash, files);
    }

    /// Learns of a state that comes from no registry: the files of a model of this digest.
    pub(crate) fn learn(&mut self, manifest_hash: &str, files: Files) {
        self.states.insert(manifest_hash.to_owned(), files);
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        models(&self.machine, line)
    }

    /// Every listed model has the very bytes that its manifest promises, and these are among them; returns the list.
    #[track_caller]
    pub(crate) fn check(&self, still_there: &[&str], when: &str) -> Value {
        let ran = self.run("list --json");
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
        let list = ran.json();
        let mut listed = Vec::new();
        for model in list["models"].as_array().unwrap() {
            let name = model["model"].as_str().unwrap();
            let hash = model["manifest_hash"].as_str().unwrap();
            self.machine
                .assert_files(&format!("g/{name} v1"), &self.states[hash]);
            listed.push(name);
        }
        for name in still_there.iter().chain(&["keep"]) {
            assert!(listed.contains(name), "{when}: {name} is lost: {listed:?}");
        }
        list
    }

    /// Bytes sent of chunks, since the last reset.
    pub(crate) fn chunk_bytes_sent(&self) -> u64 {
        let requests = self.machine.server.requests().into_iter();
        let is_chunk = self.is_chunk();
        let chunks = requests.filter(|request| is_chunk(request));
        chunks.map(|request| request.body_bytes).sum()
    }

    /// A rule for every chunk.
    pub(crate) fn chunks(&self) -> Rule {
        Rule::when(self.is_chunk())
    }

    fn is_chunk(&self) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
        let manifests: Vec<String> = self.states.keys().cloned().collect();
        move |request| {
            let name = request.path.strip_prefix("/data/");
            name.is_some_and(|name| !manifests.iter().any(|manifest| manifest == name))
        }
    }

    /// What is left to fetch of a model, and what an unfinished pull has already.
    pub(crate) fn left(&self, model: &str) -> (u64, u64) {
        let plan = self
            .run(&format!("pull g/{model} v1 --dry-run --json"))
            .json();
        let bytes = |key: &str| plan[key].as_u64().unwrap();
        (bytes("bytes_to_fetch"), bytes("bytes_resumed"))
    }

    /// After the last process has ended by itself nothing lies about, but what `prune` takes.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        self.check(&[], "the end");
        assert_eq!(self.run("verify --json").code, 0);
        self.run("prune -y").success();
        let cache = self.machine.store().join("cache");
        let folders: Vec<String> = names_in(&cache)
            .into_iter()
            .filter(|name| cache.join(name).is_dir())
            .collect();
        assert_eq!(folders, Vec::<String>::new());
        assert_eq!(self.machine.listed().1, Vec::<String>::new());
        let damaged = names_in(&self.machine.store());
        assert!(
            !damaged.iter().any(|name| name.contains("damaged")),
            "{damaged:?}"
        );
    }
}

/// Whether a list has a model.
pub(crate) fn lists(list: &Value, name: &str) -> bool {
    let mut models = list["models"].as_array().unwrap().iter();
    models.any(|model| model["model"] == name)
}

/// How many bytes the journal of an unfinished pull lists.
pub(crate) fn listed_bytes(partial: &Path) -> u64 {
    let journal = fs::read_to_string(partial.join("journal")).unwrap_or_default();
    let ranges = journal.lines().filter_map(|line| {
        let (begin, end) = line.strip_suffix('.')?.split_once('-')?;
        Some((begin.parse().ok()?, end.parse().ok()?))
    });
    let mut ranges: Vec<(u64, u64)> = ranges.collect();
    ranges.sort_unstable();
    let mut until = 0;
    let new = ranges.into_iter().map(|(begin, end)| {
        let new = end.saturating_sub(begin.max(until));
        until = until.max(end);
        new
    });
    new.sum()
}
