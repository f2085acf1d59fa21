//! A layer that is a tar is refused or installed as it is, whatever its bytes are.
#![no_main]

use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use modelrack::config::System;
use modelrack::transport::{Request, Response, Transport, TransportError};
use modelrack::{Config, Digest, Environment, Manager, ModelAddress, ModelManager};
use modelrack::{PullOptions, VerifyOptions};

const TYPES: [&str; 2] = [
    "application/vnd.cncf.model.weight.v1.tar",
    "application/vnd.cncf.model.weight.v1.tar+gzip",
];

/// A registry with one artifact, which has one layer.
#[derive(Debug, Default)]
struct OneLayer(Mutex<(&'static str, Vec<u8>)>);

impl Transport for OneLayer {
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let (media_type, layer) = self.0.lock().expect("no test panics under it").clone();
        let digest = Digest::of(&layer);
        let size = layer.len();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.cncf.model.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:{}","size":2}},"layers":[{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}]}}"#,
            Digest::of(b"{}")
        );
        let path = request.url.to_string();
        let (status, body) = match path.rsplit_once('/') {
            Some((_, name)) if path.contains("/blobs/") && name == format!("sha256:{digest}") => {
                (200, layer)
            }
            Some(_) if path.contains("/blobs/") => (200, b"{}".to_vec()),
            Some(_) if path.contains("/manifests/") => (200, manifest.into_bytes()),
            _ => (404, Vec::new()),
        };
        Ok(Response {
            status,
            headers: Vec::new(),
            body: Box::new(std::io::Cursor::new(body)),
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, layer)) = bytes.split_first() else {
        return;
    };
    let folder = std::env::temp_dir().join("modelrack-fuzz-tars");
    let _ = std::fs::remove_dir_all(&folder);
    let transport = Arc::new(OneLayer::default());
    let media_type = TYPES[usize::from(*first) % TYPES.len()];
    *transport.0.lock().expect("no test panics under it") = (media_type, layer.to_vec());
    let config = Config::new("fuzz")
        .bootstrap("[sources.oci]\noci = \"http://localhost\"\n")
        .cache_dir(&folder)
        .data_dir(folder.join("store"));
    let manager = ModelManager::builder(config)
        .environment(Environment::empty(System::Linux, &folder))
        .transport(transport)
        .build();
    let address: ModelAddress = "oci/llama v1".parse().expect("it is an address");
    if manager.pull(&address, &PullOptions::default()).is_err() {
        return;
    }
    let verified = manager.verify(&VerifyOptions::default());
    let verified = verified.expect("what is installed can be read");
    assert!(verified.models.iter().all(|model| model.is_whole()));
});
