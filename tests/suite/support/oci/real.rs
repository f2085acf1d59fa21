//! The registry that Debian has as `docker-registry`, where it is installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tempfile::TempDir;

use super::super::PATIENCE;
use super::{Artifact, MANIFEST_TYPE, lock, sha256};

/// A running registry, which ends when dropped.
pub(crate) struct RealRegistry {
    process: Child,
    host: String,
    /// The value of the `Authorization` header of what is pushed.
    authorization: String,
    /// Lines like `"PUT /v2/… HTTP/1.1" 201`.
    accesses: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl RealRegistry {
    /// Starts it on a free port; `None` where it is not installed, which is said. `more` is added to its configuration.
    #[allow(clippy::print_stderr, reason = "whoever reads the log should know")]
    pub(crate) fn start(more: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yml");
        let root = folder.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: info, formatter: text}}\nstorage: {{filesystem: {{rootdirectory: {root:?}}}}}\n\
             http: {{addr: \"127.0.0.1:0\", secret: s3cret}}\n{more}"
        );
        fs::write(&config, text).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = started else {
            eprintln!("skipped: docker-registry is not installed");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, rest) = line.split_once("listening on ")?;
            let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        });
        let host = address.expect("the registry says where it listens");
        // It must not wait for a reader of its log.
        std::thread::spawn(move || lines.for_each(drop));
        let accesses = Arc::new(Mutex::new(Vec::new()));
        let (seen, log) = (accesses.clone(), process.stdout.take().unwrap());
        std::thread::spawn(move || {
            let lines = BufReader::new(log).lines().map_while(Result::ok);
            lines.for_each(|line| lock(&seen).push(line));
        });
        let _folder = folder;
        Some(Self {
            process,
            host,
            authorization: String::new(),
            accesses,
            _folder,
        })
    }

    /// Pushes with this `Authorization` from now on.
    pub(crate) fn authorized(mut self, authorization: &str) -> Self {
        authorization.clone_into(&mut self.authorization);
        self
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// The requests since the last call: method and path without the query, `/v2/` left out.
    pub(crate) fn requests(&self) -> Vec<String> {
        // The log is written after the answer: what was answered before this is in it.
        let last = format!("/v2/?{:p}", &self.accesses);
        self.send("GET", &last, "", &[]);
        let begun = Instant::now();
        loop {
            let mut accesses = lock(&self.accesses);
            if accesses.iter().any(|line| line.contains(&last)) {
                let lines = std::mem::take(&mut *accesses);
                let paths = lines.iter().filter(|line| !line.contains(&last));
                return paths.filter_map(|line| path_of(line)).collect();
            }
            drop(accesses);
            assert!(begun.elapsed() < PATIENCE, "the registry writes no log");
            std::thread::yield_now();
        }
    }

    /// Pushes an artifact, and names it by a tag; returns the digest of its manifest.
    pub(crate) fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> String {
        for blob in artifact.blobs() {
            let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "", &[]);
            let location = begun.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("location")
                    .then(|| value.trim().to_owned())
            });
            let location = location.unwrap();
            let path = location.strip_prefix(&self.url()).unwrap_or(&location);
            let path = format!("{path}&digest={}", sha256(&blob));
            self.send("PUT", &path, "application/octet-stream", &blob);
        }
        let manifest = artifact.manifest().to_string();
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.send("PUT", &path, MANIFEST_TYPE, manifest.as_bytes());
        sha256(manifest.as_bytes())
    }

    /// Sends a request; returns the head of the answer, which is a success.
    fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, length, authorization) = (&self.host, body.len(), &self.authorization);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\nauthorization: {authorization}\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 20"),
            "{method} {path}: {answer}"
        );
        answer
    }
}

fn path_of(line: &str) -> Option<String> {
    let request = line.split('"').nth(1)?;
    let (method, rest) = request.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?;
    Some(format!(
        "{method} {}",
        path.strip_prefix("/v2/").unwrap_or(path)
    ))
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
