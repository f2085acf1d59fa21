//! A real store: `s3s-fs`, which keeps buckets as folders and checks every signature. Where it is not installed, nothing is
//! shown; `.ci/run` installs it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{KEY, environment, key, manager_of, pull};
use crate::support::rack::{Rack, sample};
use crate::support::s3::BUCKET;
use crate::support::{PATIENCE, chain};

/// A running store; it ends with the test.
pub(super) struct Store {
    process: Child,
    pub(super) port: u16,
}

impl Store {
    /// Starts it on a folder of buckets; `None` where it is not installed.
    pub(super) fn start(root: &Path) -> Option<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = Command::new("s3s-fs");
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--access-key", KEY.0, "--secret-key", KEY.1]);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = quiet.arg(root).spawn().ok()?;
        let store = Self { process, port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the store does not answer");
            std::thread::yield_now();
        }
        Some(store)
    }

    pub(super) fn source(&self) -> String {
        let port = self.port;
        format!(
            "[sources.s]\nurl = \"s3://{BUCKET}/a b\"\nendpoint = \"http://127.0.0.1:{port}\"\n"
        )
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_real_store_takes_the_signatures_and_refuses_others() {
    let rack = Rack::with_model();
    let root = rack.temp.path().join("buckets");
    let bucket = root.join(BUCKET);
    std::fs::create_dir_all(&bucket).unwrap();
    std::fs::rename(rack.registry(), bucket.join("a b")).unwrap();
    let Some(store) = Store::start(&root) else {
        return;
    };
    let manager = manager_of(&rack, &store.source(), environment(&rack, &key()));
    pull(&manager).unwrap();
    rack.assert_files("s/g/m v1", &sample());

    std::fs::remove_dir_all(rack.index_cache()).unwrap();
    let wrong = [
        ("AWS_ACCESS_KEY_ID", KEY.0),
        ("AWS_SECRET_ACCESS_KEY", "wr0ng"),
    ];
    let manager = manager_of(&rack, &store.source(), environment(&rack, &wrong));
    let refused = manager_of(&rack, &store.source(), environment(&rack, &[]));
    for manager in [manager, refused] {
        std::fs::remove_dir_all(rack.store()).unwrap_or_default();
        let error = pull(&manager).unwrap_err();
        assert_eq!(error.code(), "AUTHENTICATION_ERROR", "{}", chain(&error));
    }
}
