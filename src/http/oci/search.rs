//! Where credentials of a registry are looked for: the [files](super::login_file) of podman and of Docker.

use std::path::PathBuf;

use super::account::Account;
use super::helper::Helpers;
use super::login_file::LoginFile;
use crate::env::Environment;
use crate::oci::docker_hub;
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
                let name = docker_hub::canonical(host);
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
    let files = places(environment).into_iter();
    let mut files = files.filter_map(|place| place.read().ok().flatten());
    files.any(|file| file.names(host))
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
    fn read(&self) -> Result<Option<LoginFile>, String> {
        let text = read_small(&self.path, MAX_FILE_BYTES);
        let text = text.map_err(|error| format!("cannot be read: {error}"))?;
        text.map(|text| LoginFile::parse(&text, self.is_legacy))
            .transpose()
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

    /// A file with a password for each of these.
    fn auths(keys: &[&str]) -> String {
        let entries = keys
            .iter()
            .map(|key| format!(r#""{key}": {{"auth": "YTpi"}}"#));
        let entries: Vec<String> = entries.collect();
        format!(r#"{{"auths": {{{}}}}}"#, entries.join(","))
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
}
