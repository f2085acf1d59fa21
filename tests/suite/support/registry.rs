//! Registries written by hand: of other programs, and hostile ones.

use modelrack::Digest;
use serde_json::{Value, json};

use super::server::Server;

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
        for chunk in &self.chunks {
            server.put(&format!("/data/{}", digest(chunk)), chunk.clone());
        }
        serve_manifest(server, self.manifest.to_string().as_bytes())
    }

    /// Manifest and chunks with their digests, for serving them elsewhere.
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
