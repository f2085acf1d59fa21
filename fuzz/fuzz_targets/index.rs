//! An index is refused or listed, whatever its bytes are.
#![no_main]

use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use modelrack::config::System;
use modelrack::transport::{Request, Response, Transport, TransportError};
use modelrack::{Config, Environment, Manager, ModelManager, RemoteOptions};

/// Answers every request with the same bytes.
#[derive(Debug, Default)]
struct Always(Mutex<Vec<u8>>);

impl Transport for Always {
    fn get(&self, _: &Request<'_>) -> Result<Response, TransportError> {
        let bytes = self.0.lock().expect("no test panics under it").clone();
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body: Box::new(std::io::Cursor::new(bytes)),
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let folder = std::env::temp_dir().join("modelrack-fuzz");
    let transport = Arc::new(Always::default());
    *transport.0.lock().expect("no test panics under it") = bytes.to_vec();
    let config = Config::new("fuzz")
        .registry_url("http://localhost/")
        .cache_dir(&folder)
        .data_dir(&folder);
    let manager = ModelManager::builder(config)
        .environment(Environment::empty(System::Linux, &folder))
        .transport(transport)
        .build();
    let Ok(all) = manager.list_remote(&RemoteOptions::default()) else {
        return;
    };
    for remote in all.models {
        let address = modelrack::ModelAddress::from(&remote.model);
        let found = manager.get_remote(&address, &RemoteOptions::default());
        assert_eq!(
            found.expect("what is listed is found").manifest_digest,
            remote.manifest_digest
        );
    }
});
