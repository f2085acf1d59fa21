//! Chunked registries that the crate under test did not write: ordinary ones, those of other programs, hostile ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use modelrack::{Digest, ModelRef};
use serde_json::{Value, json};

use super::server::Server;

/// How a version is published.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publication {
    /// 1024 unless set.
    pub(crate) chunk_bytes: usize,
    pub(crate) metadata: Value,
    pub(crate) aliases: &'static [&'static str],
}

/// What was published.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) manifest_digest: Digest,
    pub(crate) total_bytes: u64,
    pub(crate) chunks: usize,
}

/// Publishes files as a version of a model, into the registry in a folder.
pub(crate) fn publish(
    registry: &Path,
    model: &ModelRef,
    files: &[(&str, &[u8])],
    how: &Publication,
) -> Published {
    let chunk_bytes = match how.chunk_bytes {
        0 => 1024,
        bytes => bytes,
    };
    let mut files = files.to_vec();
    files.sort();
    let mut documents: Vec<Vec<u8>> = cut(&files, chunk_bytes);
    let sizes: Vec<usize> = documents.iter().map(Vec::len).collect();
    let digests: Vec<String> = documents.iter().map(|chunk| digest(chunk)).collect();
    let total: usize = sizes.iter().sum();
    let even = sizes.iter().rev().skip(1).all(|size| *size == chunk_bytes);
    let sizes = if even {
        String::new()
    } else {
        format!("\"chunk_sizes\":{},", json!(sizes))
    };
    let file = |(path, bytes): &(&str, &[u8])| {
        let (path, size, sha256) = (json!(path), bytes.len(), digest(bytes));
        format!(r#"{{"path":{path},"size":{size},"sha256":"{sha256}"}}"#)
    };
    let files: Vec<String> = files.iter().map(file).collect();
    let (chunks, files) = (json!(digests), files.join(","));
    let manifest = format!(
        r#"{{"total_size":{total},"chunk_size":{chunk_bytes},"chunks":{chunks},{sizes}"files":[{files}]}}"#
    );
    let manifest_digest = Digest::of(manifest.as_bytes());
    documents.push(manifest.into_bytes());
    let data = registry.join("data");
    fs::create_dir_all(&data).unwrap();
    for document in &documents {
        fs::write(data.join(digest(document)), document).unwrap();
    }
    let path = registry.join("models.json");
    let mut index =
        fs::read(&path).map_or(json!({}), |json| serde_json::from_slice(&json).unwrap());
    let versions = &mut index[model.group()][model.model()];
    let mut version = json!({"hash": manifest_digest.to_string()});
    if how
        .metadata
        .as_object()
        .is_some_and(|metadata| !metadata.is_empty())
    {
        version["metadata"] = how.metadata.clone();
    }
    versions[model.version()] = version;
    for alias in how.aliases {
        versions[alias] = json!({"alias_of": model.version()});
    }
    fs::write(path, index.to_string()).unwrap();
    Published {
        manifest_digest,
        total_bytes: total as u64,
        chunks: digests.len(),
    }
}

/// Asserts that every document that an index names is there, with the bytes of its name; returns the names of all versions.
#[track_caller]
pub(crate) fn assert_sound(read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
    let Some(index) = read("models.json") else {
        return Vec::new();
    };
    let data = |name: &Value| {
        let name = name.as_str().unwrap();
        let bytes = read(&format!("data/{name}"));
        let bytes = bytes.unwrap_or_else(|| panic!("{name} is not there"));
        assert_eq!(digest(&bytes), name);
        bytes
    };
    let index: Value = serde_json::from_slice(&index).unwrap();
    let mut names = Vec::new();
    for (group, models) in index.as_object().unwrap() {
        for (model, versions) in models.as_object().unwrap() {
            for (version, entry) in versions.as_object().unwrap() {
                let manifest: Value = serde_json::from_slice(&data(&entry["hash"])).unwrap();
                let chunks = manifest["chunks"].as_array().unwrap();
                chunks.iter().for_each(|chunk| drop(data(chunk)));
                names.push(format!("{group}/{model} {version}"));
            }
        }
    }
    names
}

/// Puts the index of the registry in a folder into shards by so many digits; returns their digests by prefix.
pub(crate) fn shard(registry: &Path, digits: usize) -> BTreeMap<String, String> {
    let path = registry.join("models.json");
    let index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut shards = BTreeMap::<String, Value>::new();
    for (group, models) in index.as_object().unwrap() {
        for (model, versions) in models.as_object().unwrap() {
            let shard = shards.entry(prefix(&format!("{group}/{model}"), digits));
            let shard = shard.or_insert_with(|| json!({}));
            shard[group][model] = versions.clone();
        }
    }
    let digests = shards.into_iter();
    let digests = digests.map(|(prefix, shard)| (prefix, write_shard(registry, &shard)));
    let digests = digests.collect();
    fs::write(path, json!({"/shards": digests}).to_string()).unwrap();
    digests
}

/// The first digits of the place that a model has among shards.
pub(crate) fn prefix(model: &str, digits: usize) -> String {
    let digest = digest(model.to_lowercase().as_bytes());
    let bits = u64::from_str_radix(&digest[..16], 16).unwrap();
    format!("{bits:064b}")[..digits].to_owned()
}

/// Writes a shard; returns its digest.
pub(crate) fn write_shard(registry: &Path, shard: &Value) -> String {
    let json = shard.to_string();
    let digest = digest(json.as_bytes());
    let folder = registry.join("models");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{digest}.json")), json).unwrap();
    digest
}

/// A file as long as a chunk begins one of its own, and the next file another; shorter files share chunks.
fn cut(files: &[(&str, &[u8])], chunk_bytes: usize) -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    let mut shared: Vec<u8> = Vec::new();
    for (_, bytes) in files {
        if bytes.len() >= chunk_bytes || shared.len() + bytes.len() > chunk_bytes {
            chunks.push(std::mem::take(&mut shared));
        }
        if bytes.len() >= chunk_bytes {
            chunks.extend(bytes.chunks(chunk_bytes).map(<[u8]>::to_vec));
        } else {
            shared.extend_from_slice(bytes);
        }
    }
    chunks.push(shared);
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

/// The documents of one model in a chunked registry, as another program might write them.
#[derive(Debug, Clone)]
pub(crate) struct HandMade {
    pub(crate) manifest: Value,
    chunks: Vec<Vec<u8>>,
}

impl HandMade {
    /// Files cut evenly into chunks, with neither `chunk_sizes` nor digests of files.
    pub(crate) fn plain(files: &[(&str, &[u8])], chunk_bytes: usize) -> Self {
        let stream: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        let chunks: Vec<Vec<u8>> = stream.chunks(chunk_bytes).map(<[u8]>::to_vec).collect();
        let digests: Vec<String> = chunks.iter().map(|chunk| digest(chunk)).collect();
        let files: Vec<Value> = files
            .iter()
            .map(|(path, bytes)| json!({"path": path, "size": bytes.len()}))
            .collect();
        Self {
            manifest: json!({
                "total_size": stream.len(),
                "chunk_size": chunk_bytes,
                "chunks": digests,
                "files": files,
            }),
            chunks,
        }
    }

    /// Files cut at these sizes, which the manifest lists.
    pub(crate) fn cut(files: &[(&str, &[u8])], sizes: &[usize]) -> Self {
        let mut made = Self::plain(files, usize::MAX >> 1);
        let mut rest: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        made.chunks = sizes
            .iter()
            .map(|size| rest.drain(..*size).collect())
            .collect();
        made.manifest["chunks"] = made.chunks.iter().map(|chunk| digest(chunk)).collect();
        made.manifest["chunk_sizes"] = json!(sizes);
        made.manifest["chunk_size"] = json!(sizes.iter().max());
        made
    }

    /// Changes the manifest.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// Serves chunks and manifest; returns the manifest's digest.
    pub(crate) fn serve(&self, server: &Server) -> String {
        let documents = self.documents();
        for (digest, bytes) in &documents {
            server.put(&format!("/data/{digest}"), bytes.clone());
        }
        documents.last().unwrap().0.clone()
    }

    /// Chunks and manifest with their digests.
    pub(crate) fn documents(&self) -> Vec<(String, Vec<u8>)> {
        let manifest = self.manifest.to_string().into_bytes();
        let all = self.chunks.iter().cloned().chain([manifest]);
        all.map(|bytes| (digest(&bytes), bytes)).collect()
    }

    /// Serves it as `group/model version`, and as the only model there is.
    pub(crate) fn serve_as(&self, server: &Server, group: &str, model: &str, version: &str) {
        let hash = self.serve(server);
        serve_index(server, &json!({group: {model: {version: {"hash": hash}}}}));
    }
}

/// Serves a manifest as it is; returns its digest.
pub(crate) fn serve_manifest(server: &Server, json: &[u8]) -> String {
    let digest = digest(json);
    server.put(&format!("/data/{digest}"), json);
    digest
}

pub(crate) fn serve_index(server: &Server, index: &Value) {
    server.put("/models.json", index.to_string());
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
