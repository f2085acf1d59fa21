//! The files in which tools keep credentials of registries: `auth.json` of podman, skopeo and buildah, `config.json` of Docker,
//! oras and crane. Both have one form:
//!
//! ```json
//! {
//!   "auths": {"ghcr.io": {"auth": "<base64 of user:password>"}, "acme.azurecr.io": {"identitytoken": "…"}},
//!   "credHelpers": {"public.ecr.aws": "ecr-login"},
//!   "credsStore": "desktop"
//! }
//! ```
//!
//! `~/.dockercfg` is older, and has nothing but what is in `auths`; podman and skopeo still read it.
//!
//! `auths` may name a repository, or the beginning of its name, behind the registry ([containers-auth.json]). A helper for the
//! registry comes first, then the store, as with Docker; then what the file itself has.
//!
//! [containers-auth.json]: https://man.archlinux.org/man/containers-auth.json.5

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::account::{Account, Login};
use super::helper::{Answer, Helpers, program};
use crate::oci::docker_hub;
use crate::progress::CancelToken;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct LoginFile(FileWire);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileWire {
    auths: Option<BTreeMap<String, Option<LoginWire>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginWire {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl std::fmt::Debug for LoginWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginWire(…)")
    }
}

impl LoginFile {
    /// Reads a file, or one of the form that the first tools had (`is_legacy`); an error is the predicate of a sentence about it.
    pub(super) fn parse(text: &[u8], is_legacy: bool) -> Result<Self, String> {
        let parsed = match is_legacy {
            false => serde_json::from_slice(text),
            true => serde_json::from_slice(text).map(|auths| FileWire {
                auths: Some(auths),
                ..FileWire::default()
            }),
        };
        // The error of the parser may quote a secret.
        parsed.map(Self).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("is not what such a file holds (line {line}, column {column})")
        })
    }

    /// Whether it names a host, with a port if that has one.
    pub(super) fn names(&self, host: &str) -> bool {
        let auths = self.0.auths.iter().flat_map(BTreeMap::keys);
        let helpers = self.0.cred_helpers.iter().flat_map(BTreeMap::keys);
        let mut keys = auths.chain(helpers).map(|key| plain(key));
        keys.any(|key| key.split('/').next() == Some(host))
    }

    /// Asks the helper for this host, or else the store; notes what went wrong.
    pub(super) fn by_helper(
        &self,
        helpers: &Helpers,
        host: &str,
        cancel: &CancelToken,
        notes: &mut Vec<String>,
    ) -> Option<Account> {
        let host = docker_hub::canonical(host);
        let mut own = self.0.cred_helpers.iter().flatten();
        let own = own.find(|(key, _)| docker_hub::canonical(plain(key)) == host);
        let own = own.map(|(key, name)| (name, vec![&**key, host]));
        // Docker asks its store for the hub by the name that the hub had before; podman by its own.
        let servers = match host {
            docker_hub::NAME => vec![docker_hub::LOGIN_KEY, docker_hub::NAME],
            host => vec![host],
        };
        let store = self.0.creds_store.as_ref().map(|name| (name, servers));
        for (name, mut servers) in own.into_iter().chain(store) {
            servers.dedup();
            for server in servers {
                match helpers.get(name, server, cancel) {
                    Answer::Found(account) => return Some(account),
                    Answer::Nothing => {
                        notes.push(format!("{} has no login for {server}", program(name)));
                    }
                    Answer::Failed(problem) => {
                        let name = program(name);
                        notes.push(format!("{} {problem}", name.escape_debug()));
                        break;
                    }
                }
            }
        }
        None
    }

    /// Returns what the file itself has for a repository: under the longest beginning of its name.
    pub(super) fn by_entry(&self, host: &str, repository: &str) -> Result<Option<Login>, String> {
        let Some(auths) = &self.0.auths else {
            return Ok(None);
        };
        let whole = format!("{}/{repository}", docker_hub::canonical(host));
        let mut wanted = whole.trim_end_matches('/');
        loop {
            // One without a scheme comes before one with it.
            let (plain_keys, urls): (Vec<_>, Vec<_>) =
                auths.iter().partition(|(key, _)| !key.contains("://"));
            for (key, entry) in plain_keys.into_iter().chain(urls) {
                if is_key_of(key, wanted)
                    && let Some(login) = entry.as_ref().map(LoginWire::login).transpose()?.flatten()
                {
                    return Ok(Some(login));
                }
            }
            match wanted.rsplit_once('/') {
                Some((shorter, _)) => wanted = shorter,
                None => return Ok(None),
            }
        }
    }
}

/// Whether a key of `auths` stands for this registry, or repository of it.
fn is_key_of(key: &str, wanted: &str) -> bool {
    let key = plain(key);
    match key.split_once('/') {
        Some((host, rest)) => {
            let wanted = wanted.split_once('/');
            wanted.is_some_and(|(name, path)| name == docker_hub::canonical(host) && path == rest)
        }
        None => docker_hub::canonical(key) == wanted,
    }
}

/// Takes from a key what older tools added: a scheme, and with it a path such as `/v1/`.
fn plain(key: &str) -> &str {
    let key = key.trim();
    match key.strip_prefix("https://").or(key.strip_prefix("http://")) {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    }
}

impl LoginWire {
    /// An error is the predicate of a sentence about the file.
    fn login(&self) -> Result<Option<Login>, String> {
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = text(&self.identitytoken) {
            return Ok(Some(Login::identity(&token)));
        }
        if let Some(auth) = text(&self.auth) {
            let bytes = STANDARD.decode(auth.trim()).ok();
            let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            // Old versions of Docker padded the password.
            let pair = decoded.as_deref().map(|pair| pair.trim_end_matches('\0'));
            return match pair.and_then(|pair| pair.split_once(':')) {
                Some((user, password)) => Ok(Some(Login::password(user, password))),
                None => Err("has an 'auth' that is not the base64 of user:password".into()),
            };
        }
        let pair = text(&self.username).zip(text(&self.password));
        Ok(pair.map(|(user, password)| Login::password(&user, &password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user of the password that a file has for a repository.
    fn user(file: &str, host: &str, repository: &str) -> Option<String> {
        let file = LoginFile::parse(file.as_bytes(), false).unwrap();
        Some(match file.by_entry(host, repository).ok()?? {
            Login::Basic(header) => {
                let encoded = header.expose().strip_prefix("Basic ").unwrap().to_owned();
                String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
            }
            Login::Identity(token) => format!("token {}", token.expose()),
        })
    }

    /// `auths` with a password of its own for each key.
    fn auths(keys: &[&str]) -> String {
        let entry = |key: &&str| {
            let auth = STANDARD.encode(format!("ada:{key}"));
            format!(r#""{key}": {{"auth": "{auth}"}}"#)
        };
        let entries: Vec<String> = keys.iter().map(entry).collect();
        format!(r#"{{"auths": {{{}}}}}"#, entries.join(","))
    }

    #[test]
    fn the_most_specific_key_counts_in_whatever_form_it_is_written() {
        for (keys, host, repository, expected) in [
            (&["ghcr.io"][..], "ghcr.io", "a/b", Some("ghcr.io")),
            (
                &["ghcr.io", "ghcr.io/a", "ghcr.io/a/b"],
                "ghcr.io",
                "a/b",
                Some("ghcr.io/a/b"),
            ),
            (
                &["ghcr.io", "ghcr.io/a"],
                "ghcr.io",
                "a/b/c",
                Some("ghcr.io/a"),
            ),
            (&["ghcr.io/a"], "ghcr.io", "ab/c", None),
            (&["ghcr.io/a"], "ghcr.io", "", None),
            (
                &["https://ghcr.io"],
                "ghcr.io",
                "a",
                Some("https://ghcr.io"),
            ),
            (
                &["https://ghcr.io/v2/"],
                "ghcr.io",
                "a",
                Some("https://ghcr.io/v2/"),
            ),
            (
                &["http://ghcr.io/v1/", "ghcr.io"],
                "ghcr.io",
                "a",
                Some("ghcr.io"),
            ),
            (&["ghcr.io/"], "ghcr.io", "a", Some("ghcr.io/")),
            (
                &["localhost:5000"],
                "localhost:5000",
                "a",
                Some("localhost:5000"),
            ),
            (
                &["localhost", "localhost:5001"],
                "localhost:5000",
                "a",
                None,
            ),
            (&["ghcr.io"], "evil-ghcr.io", "a", None),
            (&["ghcr.io"], "ghcr.io.evil", "a", None),
            // Docker Hub has several names.
            (
                &["https://index.docker.io/v1/"],
                "registry-1.docker.io",
                "library/x",
                Some("https://index.docker.io/v1/"),
            ),
            (
                &["docker.io"],
                "registry-1.docker.io",
                "ai/x",
                Some("docker.io"),
            ),
            (
                &["docker.io", "docker.io/ai", "https://index.docker.io/v1/"],
                "registry-1.docker.io",
                "ai/x",
                Some("docker.io/ai"),
            ),
            (&["https://index.docker.io/v1/"], "ghcr.io", "a", None),
            (&[], "ghcr.io", "a", None),
        ] {
            let expected = expected.map(|key| format!("ada:{key}"));
            assert_eq!(
                user(&auths(keys), host, repository),
                expected,
                "{keys:?} {host} {repository}"
            );
        }
    }

    #[test]
    fn entries_are_read_in_all_their_forms() {
        for (entry, expected) in [
            (r#"{"auth": "YWRhOnM6M2NyZXQ="}"#, Some("ada:s:3cret")),
            // Padded by old versions of Docker.
            (r#"{"auth": "YWRhOnMzY3JldAAAAAA="}"#, Some("ada:s3cret")),
            (
                r#"{"username": "ada", "password": "s3cret"}"#,
                Some("ada:s3cret"),
            ),
            (
                r#"{"auth": "", "username": "ada", "password": "s3cret"}"#,
                Some("ada:s3cret"),
            ),
            (
                r#"{"auth": "YWRhOg==", "identitytoken": "t"}"#,
                Some("token t"),
            ),
            // Docker leaves these where a store has the password.
            ("{}", None),
            ("null", None),
            (r#"{"auth": "not base64"}"#, None),
            (r#"{"auth": "YWRh"}"#, None),
            (r#"{"username": "ada"}"#, None),
        ] {
            let file = format!(r#"{{"auths": {{"h": {entry}}}, "HttpHeaders": {{}}}}"#);
            assert_eq!(user(&file, "h", "a").as_deref(), expected, "{entry}");
        }
    }

    #[test]
    fn a_file_names_the_hosts_of_its_keys() {
        let file = r#"{"auths": {"https://a/v1/": {}, "b/c": {}}, "credHelpers": {"d:1": "x"}}"#;
        let file = LoginFile::parse(file.as_bytes(), false).unwrap();
        for (host, expected) in [
            ("a", true),
            ("b", true),
            ("d:1", true),
            ("d", false),
            ("c", false),
        ] {
            assert_eq!(file.names(host), expected, "{host}");
        }
    }
}
