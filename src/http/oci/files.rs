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
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::account::{Account, Login};
use super::helper::{Answer, Helpers, program};
use super::hub;
use crate::env::Environment;
use crate::progress::CancelToken;
use crate::small_file::read_small;

/// The variable that names the only file that counts, as with podman.
const AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// A file of a thousand logins has 100 kB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What was found, and what was looked at.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) account: Option<Account>,
    /// Each place, and what came of looking there.
    pub(super) looked_at: Vec<String>,
}

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

/// Looks for the credentials of a repository; `host` is that of its registry, with a port if it has one.
pub(super) fn search(
    environment: &Environment,
    helpers: &Helpers,
    (host, repository): (&str, &str),
    cancel: &CancelToken,
) -> Search {
    let mut search = Search::default();
    for place in places(environment) {
        let shown = place.path.display();
        let file = match place.read() {
            Ok(Some(file)) => file,
            // Hardly anybody has it.
            Ok(None) if place.is_legacy => continue,
            Ok(None) => {
                search.looked_at.push(format!("{shown} does not exist"));
                continue;
            }
            Err(problem) => {
                search.looked_at.push(format!("{shown} {problem}"));
                continue;
            }
        };
        let found = file.by_helper(helpers, host, cancel, &mut search.looked_at);
        let found = match found {
            Some(account) => Ok(Some(Account {
                origin: format!("{}, which {shown} names", account.origin),
                ..account
            })),
            None => file.by_entry(host, repository).map(|login| {
                let origin = shown.to_string();
                login.map(|login| Account { login, origin })
            }),
        };
        match found {
            Ok(None) => {
                let name = hub::canonical(host);
                search
                    .looked_at
                    .push(format!("{shown} has no login for {name}"));
            }
            Ok(found) => {
                search.looked_at.push(format!("{shown} has a login for it"));
                search.account = found;
                return search;
            }
            Err(problem) => search.looked_at.push(format!("{shown} {problem}")),
        }
    }
    search
}

/// Returns whether one of the files names this host, with a port if it has one.
pub(super) fn is_named(environment: &Environment, host: &str) -> bool {
    let mut files = places(environment).into_iter();
    files.any(|place| {
        let Ok(Some(file)) = place.read() else {
            return false;
        };
        let auths = file.auths.iter().flat_map(BTreeMap::keys);
        let helpers = file.cred_helpers.iter().flat_map(BTreeMap::keys);
        let mut keys = auths.chain(helpers).map(|key| plain(key));
        keys.any(|key| key.split('/').next() == Some(host))
    })
}

/// A file that may have credentials.
struct Place {
    path: PathBuf,
    /// Whether it has the form of the first tools: nothing but `auths`.
    is_legacy: bool,
}

/// The files, in the order in which they are looked at.
fn places(environment: &Environment) -> Vec<Place> {
    let place = |path| Place {
        path,
        is_legacy: false,
    };
    if let Some(only) = environment.path(AUTH_FILE) {
        return vec![place(only)];
    }
    let containers = environment.container_dirs().into_iter();
    let containers = containers.map(|dir| dir.join("auth.json"));
    let docker = environment.path("DOCKER_CONFIG");
    let docker = docker.or_else(|| environment.in_home(&[".docker"]).ok());
    let docker = docker.map(|dir| dir.join("config.json"));
    let legacy = environment.in_home(&[".dockercfg"]).ok();
    let legacy = legacy.map(|path| Place {
        path,
        is_legacy: true,
    });
    containers.chain(docker).map(place).chain(legacy).collect()
}

impl Place {
    /// Reads the file, if there is one; an error is the predicate of a sentence about it.
    fn read(&self) -> Result<Option<FileWire>, String> {
        let text = read_small(&self.path, MAX_FILE_BYTES);
        let Some(text) = text.map_err(|error| format!("cannot be read: {error}"))? else {
            return Ok(None);
        };
        let parsed = match self.is_legacy {
            false => serde_json::from_slice(&text),
            true => serde_json::from_slice(&text).map(|auths| FileWire {
                auths: Some(auths),
                ..FileWire::default()
            }),
        };
        // The error of the parser may quote a secret.
        parsed.map(Some).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("is not what such a file holds (line {line}, column {column})")
        })
    }
}

impl FileWire {
    /// Asks the helper for this host, or else the store; notes what went wrong.
    fn by_helper(
        &self,
        helpers: &Helpers,
        host: &str,
        cancel: &CancelToken,
        notes: &mut Vec<String>,
    ) -> Option<Account> {
        let host = hub::canonical(host);
        let mut own = self.cred_helpers.iter().flatten();
        let own = own.find(|(key, _)| hub::canonical(plain(key)) == host);
        let own = own.map(|(key, name)| (name, vec![&**key, host]));
        // Docker asks its store for the hub by the name that the hub had before; podman by its own.
        let servers = match host {
            hub::NAME => vec![hub::LOGIN_KEY, hub::NAME],
            host => vec![host],
        };
        let store = self.creds_store.as_ref().map(|name| (name, servers));
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
    fn by_entry(&self, host: &str, repository: &str) -> Result<Option<Login>, String> {
        let Some(auths) = &self.auths else {
            return Ok(None);
        };
        let whole = format!("{}/{repository}", hub::canonical(host));
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
            wanted.is_some_and(|(name, path)| name == hub::canonical(host) && path == rest)
        }
        None => hub::canonical(key) == wanted,
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
    use crate::platform::SYSTEM;

    /// An empty home, with these files below it.
    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let environment = Environment::empty(SYSTEM, home.path())
            .variable("XDG_CONFIG_HOME", home.path().join("config"));
        (home, environment)
    }

    fn found(environment: &Environment, host: &str, repository: &str) -> Search {
        let helpers = Helpers::new(environment);
        search(
            environment,
            &helpers,
            (host, repository),
            &CancelToken::new(),
        )
    }

    /// The user of the password that a file has for a repository.
    fn user(file: &str, host: &str, repository: &str) -> Option<String> {
        let (_home, environment) = home(&[(".docker/config.json", file)]);
        let account = found(&environment, host, repository).account?;
        Some(match account.login {
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
    fn files_are_looked_at_in_the_order_of_container_tools() {
        let (home, environment) = home(&[
            ("run/containers/auth.json", &auths(&["r", "all"])),
            ("config/containers/auth.json", &auths(&["r", "c", "all"])),
            (".docker/config.json", &auths(&["r", "c", "d", "all"])),
            (
                ".dockercfg",
                r#"{"https://l/v1/": {"auth": "YTpi", "email": "a@l.example"}, "all": {"auth": "YTpi"}}"#,
            ),
            ("moved/config.json", &auths(&["m"])),
            ("only.json", &auths(&["o"])),
        ]);
        let at = |path: &str| home.path().join(path);
        let environment = environment.variable("XDG_RUNTIME_DIR", at("run"));
        let place = |environment: &Environment, host: &str| {
            let account = found(environment, host, "a").account;
            account.map(|account| account.origin)
        };
        let shown = |path: &[&str]| {
            let path = path
                .iter()
                .fold(home.path().to_owned(), |path, name| path.join(name));
            Some(path.display().to_string())
        };
        let run = shown(&["run", "containers", "auth.json"]);
        assert_eq!(place(&environment, "all"), run);
        assert_eq!(
            place(&environment, "c"),
            shown(&["config", "containers", "auth.json"])
        );
        assert_eq!(place(&environment, "d"), shown(&[".docker", "config.json"]));
        assert_eq!(place(&environment, "l"), shown(&[".dockercfg"]));
        assert!(is_named(&environment, "l"));
        assert_eq!(place(&environment, "m"), None);
        let moved = environment.variable("DOCKER_CONFIG", at("moved"));
        assert_eq!(place(&moved, "m"), shown(&["moved", "config.json"]));
        assert_eq!(place(&moved, "d"), None);
        // The variable names the only file that counts.
        let only = moved.variable("REGISTRY_AUTH_FILE", at("only.json"));
        assert_eq!(place(&only, "o"), shown(&["only.json"]));
        assert_eq!(place(&only, "all"), None);
        assert_eq!(place(&only, "l"), None);
    }

    #[test]
    fn what_was_looked_at_is_told_without_secrets() {
        let helper = r#"{"credsStore": "desktop", "credHelpers": {"ghcr.io": "../x"}}"#;
        let (_home, environment) = home(&[
            ("run/containers/auth.json", r#"{"auths": "s3cret"}"#),
            (".docker/config.json", helper),
        ]);
        let run = environment.in_home(&["run"]).unwrap();
        let search = found(
            &environment.variable("XDG_RUNTIME_DIR", run),
            "ghcr.io",
            "a",
        );
        assert!(search.account.is_none());
        let told = search.looked_at.join("\n");
        assert!(!told.contains("s3cret"), "{told}");
        let expected = [
            "auth.json is not what such a file holds (line 1, column 18)",
            "auth.json does not exist",
            "docker-credential-../x is not run: its name has a character that no helper's has",
            "docker-credential-desktop is not in the search path",
            "config.json has no login for ghcr.io",
        ];
        assert_eq!(search.looked_at.len(), expected.len(), "{told}");
        for (actual, expected) in search.looked_at.iter().zip(expected) {
            assert!(actual.ends_with(expected), "{told}");
        }
    }

    #[test]
    fn a_file_names_the_hosts_of_its_keys() {
        let file = r#"{"auths": {"https://a/v1/": {}, "b/c": {}}, "credHelpers": {"d:1": "x"}}"#;
        let (_home, environment) = home(&[(".docker/config.json", file)]);
        for (host, expected) in [
            ("a", true),
            ("b", true),
            ("d:1", true),
            ("d", false),
            ("c", false),
        ] {
            assert_eq!(is_named(&environment, host), expected, "{host}");
        }
    }
}
