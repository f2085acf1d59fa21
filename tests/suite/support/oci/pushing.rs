//! Pushing: uploads that begin, go on and end, and what registries do differently there.

use std::collections::BTreeMap;

use super::{Contents, MANIFEST_TYPE, Page, Request, error, sha256};

/// What a registry does with pushes, and what is under way.
#[derive(Default)]
pub(crate) struct Pushing {
    /// Where a blob may be taken from another repository, whether it is.
    pub(crate) mounts: bool,
    /// Whether locations have no host, and a query of their own, which changes with each piece.
    pub(crate) has_relative_locations: bool,
    /// Whether it says 201 wherever the specification says 202.
    pub(crate) says_created: bool,
    /// Whether tags can never be moved.
    pub(crate) has_immutable_tags: bool,
    sessions: BTreeMap<String, Vec<u8>>,
    begun: usize,
}

impl Contents {
    /// Answers a request that writes; `None` if it is none.
    pub(super) fn write(&mut self, request: &Request) -> Option<Page> {
        let rest = request.path_only().strip_prefix("/v2/")?;
        let Some((name, what)) = rest.split_once("/blobs/uploads/") else {
            let (name, reference) = rest.split_once("/manifests/")?;
            return (request.method == "PUT")
                .then(|| self.write_manifest(request, name, reference));
        };
        Some(match request.method.as_str() {
            "POST" => self.begin(request, name),
            "PATCH" => self.go_on(request, name, what),
            "PUT" => self.end(request, name, what),
            _ => return None,
        })
    }

    /// Where the next request of an upload goes. Only the newest state is good.
    fn session(&self, name: &str, session: &str) -> Page {
        let at = self.pushing.sessions[session].len();
        let path = format!("/v2/{name}/blobs/uploads/{session}");
        let location = match self.pushing.has_relative_locations {
            true => format!("{path}?state={at}"),
            false => format!("{}{path}", self.url),
        };
        let status = if self.pushing.says_created { 201 } else { 202 };
        Page::new(status, []).header("location", &location)
    }

    fn begin(&mut self, request: &Request, name: &str) -> Page {
        if let (Some(digest), Some(from)) = (request.value("mount"), request.value("from")) {
            let other = self.repositories.get(&from);
            let blob = other.and_then(|other| other.blobs.get(&digest)).cloned();
            if let Some(blob) = blob.filter(|_| self.pushing.mounts) {
                let repository = self.repositories.entry(name.to_owned()).or_default();
                repository.blobs.insert(digest, blob);
                return Page::new(201, []).header("location", &self.url);
            }
        }
        self.pushing.begun += 1;
        let session = format!("session-{}", self.pushing.begun);
        self.pushing.sessions.insert(session.clone(), Vec::new());
        self.session(name, &session)
    }

    fn go_on(&mut self, request: &Request, name: &str, session: &str) -> Page {
        let Some(bytes) = self.pushing.open(request, session) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        let range = request
            .header("content-range")
            .and_then(|range| range.split_once('-'));
        let end = bytes.len() + request.body.len();
        if range != Some((&bytes.len().to_string(), &(end - 1).to_string())) {
            return error(416, "BLOB_UPLOAD_INVALID");
        }
        bytes.extend_from_slice(&request.body);
        self.session(name, session)
    }

    fn end(&mut self, request: &Request, name: &str, session: &str) -> Page {
        let Some(bytes) = self.pushing.open(request, session) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        bytes.extend_from_slice(&request.body);
        let blob = std::mem::take(bytes);
        self.pushing.sessions.remove(session);
        let digest = request.value("digest").unwrap_or_default();
        if digest != sha256(&blob) {
            return error(400, "DIGEST_INVALID");
        }
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.blobs.insert(digest, blob.into());
        Page::new(201, [])
    }

    fn write_manifest(&mut self, request: &Request, name: &str, reference: &str) -> Page {
        let digest = sha256(&request.body);
        let is_immutable = self.pushing.has_immutable_tags;
        let repository = self.repositories.entry(name.to_owned()).or_default();
        let json: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let named = |key: &str| json[key].as_array().cloned().unwrap_or_default();
        let digest_of = |it: &serde_json::Value| it["digest"].as_str().map(str::to_owned);
        let config = digest_of(&json["config"]);
        let layers = named("layers");
        let mut blobs = layers.iter().filter_map(digest_of).chain(config);
        let manifests = named("manifests");
        let mut manifests = manifests.iter().filter_map(digest_of);
        if !blobs.all(|it| repository.blobs.contains_key(&it))
            || !manifests.all(|it| repository.manifests.contains_key(&it))
        {
            return error(404, "MANIFEST_BLOB_UNKNOWN");
        }
        let media_type = json["mediaType"].as_str().unwrap_or(MANIFEST_TYPE);
        if request.header("content-type") != Some(media_type) {
            return error(400, "MANIFEST_INVALID");
        }
        if reference.contains(':') && reference != digest {
            return error(400, "DIGEST_INVALID");
        }
        if !reference.contains(':') {
            let before = repository.tags.get(reference);
            // Even the same once more is refused, as by the registry of Amazon.
            if before.is_some() && is_immutable {
                return error(400, "TAG_INVALID");
            }
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        let manifest = (media_type.to_owned(), request.body.clone().into());
        repository.manifests.insert(digest.clone(), manifest);
        Page::new(201, []).header("docker-content-digest", &digest)
    }
}

impl Pushing {
    /// What came for an upload so far, if the request knows its newest location.
    fn open(&mut self, request: &Request, session: &str) -> Option<&mut Vec<u8>> {
        let is_stateful = self.has_relative_locations;
        let bytes = self.sessions.get_mut(session)?;
        let is_newest = request.value("state") == Some(bytes.len().to_string());
        (is_newest || !is_stateful).then_some(bytes)
    }
}
