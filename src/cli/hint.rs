//! What the user can do about an error.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::session::Session;
use crate::error::{AuthFailure, CertificateProblem, LockProblem, TlsProblem};
use crate::lock::DEFAULT_FILE;
use crate::manifest::RelPath;
use crate::settings::Settings;
use crate::time::{now, rfc3339};
use crate::transport::Scheme;
use crate::{Error, ErrorKind, ModelPattern};

/// The hint of commands that pull, which resume.
const KEPT: &str = "the same command resumes where this one stopped";

/// Returns what the user can do about an error.
pub(super) fn hint(session: &Session, error: &Error) -> Option<String> {
    let path = &session.path;
    let variable = |suffix| session.mount.config.variable(suffix);
    let folder = format!(
        "{} or, for cached registries, {}",
        variable("DIR"),
        variable("CACHE_DIR")
    );
    let Session {
        resumes,
        names_place,
        ..
    } = *session;
    let is_registry = session.verb == "registry";
    let or_near = |near: &[String], otherwise: String| match near {
        [] => otherwise,
        near => format!("did you mean {}?", near.join(" or ")),
    };
    Some(match error.kind() {
        ErrorKind::ModelNotFound {
            token_variable: Some(variable),
            ..
        } => format!(
            "the model does not exist or is private: set {variable} to a token that may read it, \
             or find others with '{path} search --remote WORDS'"
        ),
        ErrorKind::ModelNotFound {
            registry: Some(registry),
            ..
        } => format!(
            "check the name; where it is private, log in with {}: some registries do not tell",
            login(registry)
        ),
        ErrorKind::ModelNotFound { near, sources, .. } => or_near(
            near,
            match sources.first() {
                Some(source) => format!(
                    "list the models of '{source}' with '{path} list --remote --source {source}'"
                ),
                None => format!("list all models with '{path} list --remote'"),
            },
        ),
        ErrorKind::UnusableFiles {
            files,
            can_exclude: true,
            ..
        } => match excludes(files) {
            Some(excludes) => format!("pull the other files with {excludes}"),
            None => "pull only the files that you need with --include".into(),
        },
        ErrorKind::NotRegistered { near, .. } => or_near(
            near,
            format!("list what is registered with '{path} registry list'"),
        ),
        ErrorKind::NotPublishable { .. } => format!(
            "'{path} registry status' shows how to fix it; '{path} registry sync' registers what \
             has changed"
        ),
        ErrorKind::LockStale { .. } => format!(
            "'{path} lock --check' tells what has changed, '{path} lock' locks that; '{path} pull \
             --frozen' pulls what is locked"
        ),
        ErrorKind::UnusableLock { problem, .. } => match problem {
            LockProblem::Missing => format!(
                "'{path} lock' writes one of all that is installed, '{path} lock MODEL' one of a model"
            ),
            LockProblem::Unmerged => format!(
                "resolve the conflict, or keep one side and add what the other has with '{path} lock MODEL'"
            ),
            LockProblem::LaterVersion => format!(
                "use the version of the program that wrote it, or a later one; or move it away and lock again with \
                 '{path} lock MODEL'"
            ),
            LockProblem::Malformed => format!(
                "restore it from version control, or move it away and lock again with '{path} lock MODEL'"
            ),
        },
        ErrorKind::RegistryTooLarge { .. } => "keep only the N highest versions of each model \
             with --keep-versions N, or raise the limit with --max-size"
            .into(),
        ErrorKind::DamagedRegistry { .. } => "restore it from version control or a copy; to \
             start over, move it and its backup away"
            .into(),
        ErrorKind::DamagedCache { .. } => format!("'{path} sync' replaces it"),
        ErrorKind::OriginUnknown { .. } => {
            format!("pull the model again with '{path} pull --force MODEL'")
        }
        ErrorKind::VersionNotFound {
            is_revision: true,
            near,
            ..
        } if !near.is_empty() => format!("the model is at {}", near.join(", ")),
        ErrorKind::VersionNotFound {
            is_revision: true, ..
        } => "versions of this model are branches, tags, commits and pull requests, such as \
             refs/pr/1"
            .into(),
        ErrorKind::VersionNotFound { near, model, .. } => or_near(
            near,
            format!("list its versions with '{path} list --remote {model}'"),
        ),
        ErrorKind::NotInstalled { near, model } => or_near(
            near,
            match session.verb {
                "remove" => format!("list what is installed with '{path} list'"),
                _ => format!("install it with '{path} pull {model}'"),
            },
        ),
        ErrorKind::FolderMissing { model, .. } => {
            format!("restore it with '{path} pull {model}'")
        }
        ErrorKind::Damaged { model, .. } => {
            format!("repair it with '{path} verify --repair {model}'")
        }
        ErrorKind::InvalidRef { choices, .. } if !choices.is_empty() => {
            format!("choose one of: {}", first_of(choices))
        }
        ErrorKind::InvalidRef { input, .. } if ModelPattern::is_pattern(input) => format!(
            "patterns are for pull, lock and mirror; '{path} list' shows the names to choose from"
        ),
        ErrorKind::InvalidRef { .. } => {
            "name a model as group/model, with a version after a space or '@'".into()
        }
        ErrorKind::Offline { variable, .. } => match (session.output.offline, variable) {
            (true, None) => "run the command without --offline".into(),
            (true, Some(name)) => {
                format!("run the command without --offline, and with {name} unset")
            }
            (false, Some(name)) => format!("run the command with {name} unset"),
            (false, None) => return None,
        },
        ErrorKind::NotSynced {
            source_name,
            references,
            source,
        } => {
            let reference = references.first().map(|name| format!(" --ref {name}"));
            let reference = reference.unwrap_or_default();
            let sync = format!("'{path} sync --source {source_name}{reference}'");
            match source {
                Some(_) => format!("once that is corrected, fetch it with {sync}"),
                None => format!(
                    "fetch it with {sync}, or set {}=1 to sync whenever it is necessary",
                    variable("AUTO_SYNC")
                ),
            }
        }
        ErrorKind::IndexNotFound { origin, .. } => match origin {
            Some(origin) => format!("check the URL in {origin}"),
            None => "check the folder or URL that was given: a registry has a models.json there; a layout of \
                 artifacts is written oci-layout:DIR"
                .into(),
        },
        ErrorKind::Network {
            server_code: Some(code),
            url,
            ..
        } if code == "NoSuchBucket" => {
            let bucket = url.authority();
            match session.verb {
                "registry" => format!("create the bucket '{bucket}' first, or correct its name in --to"),
                "mirror" => format!(
                    "correct the name of the bucket '{bucket}' in --to or in the URL of the source, or create it first"
                ),
                _ => "check the bucket in the URL of the source".into(),
            }
        }
        ErrorKind::Network {
            server_code: Some(code),
            ..
        } if is_registry && code == "NAME_UNKNOWN" => {
            "create the repository at the registry first: not all do so by themselves".into()
        }
        ErrorKind::Network {
            status: Some(300..=407 | 409..500),
            ..
        } if names_place => "check the address that was given, and what its server allows".into(),
        ErrorKind::Network {
            status: Some(404 | 410),
            ..
        } => {
            "the registry lists a file that does not exist: tell the operator of the source".into()
        }
        ErrorKind::Network {
            status: Some(300..=407 | 409..500),
            ..
        } => "check the URL of the source".into(),
        ErrorKind::RateLimited {
            token_variable: Some(variable),
            retry_after,
            ..
        } => format!(
            "set {variable} to a token to raise the limit, or {}",
            try_again(*retry_after)
        ),
        ErrorKind::RateLimited {
            registry: Some(registry),
            retry_after,
            ..
        } => format!(
            "log in with {} for a higher limit, or {}",
            login(registry),
            try_again(*retry_after)
        ),
        ErrorKind::RateLimited { retry_after, .. } if resumes => {
            format!("{}: {KEPT}", try_again(*retry_after))
        }
        ErrorKind::RateLimited { retry_after, .. } => try_again(*retry_after),
        ErrorKind::Network { .. } | ErrorKind::Cancelled if resumes => KEPT.into(),
        ErrorKind::Network { status: None, .. } => {
            "check the host in the URL and the network of this machine, or try again later".into()
        }
        ErrorKind::Network { .. } => "try again later".into(),
        ErrorKind::HashMismatch { .. } | ErrorKind::SizeMismatch { .. } => match &session.lock {
            Some(lock) => lock_or_source(path, lock),
            None => "the files on the server are damaged or have changed: tell the operator of the source"
                .into(),
        },
        ErrorKind::InsufficientSpace { .. } if is_registry => {
            "free some space and try again: the registry is unchanged".into()
        }
        ErrorKind::InsufficientSpace { path, .. } if is_of_user(session, path) => {
            "free some space there and try again, or choose another place".into()
        }
        ErrorKind::InsufficientSpace { .. } => format!(
            "free some space with '{path} remove' or '{path} prune', or set {folder} to another place"
        ),
        ErrorKind::Permission { path, .. } if is_registry || is_of_user(session, path) => {
            "choose a folder that you may write to".into()
        }
        ErrorKind::Permission { .. } => {
            format!("set {folder} to a folder that you may write to")
        }
        ErrorKind::Locked { .. } => "wait for the other process, or stop it, and try again".into(),
        ErrorKind::Authentication {
            url,
            token_origin,
            looked_at,
            ..
        } if url.scheme() == Scheme::S3 => match token_origin {
            Some(origin) => {
                format!("correct the key in {origin}, or ask the operator of the source for access")
            }
            None => {
                let keys = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
                match looked_at.is_empty() {
                    true => format!("set {keys}, to a key with access"),
                    false => format!("set {keys}, to a key with access: {}", looked_at.join("; ")),
                }
            }
        },
        ErrorKind::Authentication {
            registry: Some(registry),
            failure,
            looked_at,
            ..
        } if !looked_at.is_empty() || *failure != AuthFailure::Refused => {
            registry_access(registry, *failure, looked_at)
        }
        ErrorKind::Authentication {
            failure,
            token_origin: Some(origin),
            token_variable,
            ..
        } => match failure {
            AuthFailure::Gated => format!(
                "accept the terms on the web page of the model, as the user of the token in {origin}"
            ),
            _ if token_variable.is_none() => format!(
                "correct the user and password in {origin}, or ask the operator of the source for \
                 access"
            ),
            _ => format!("put a valid token with access into {origin}, or remove the one there"),
        },
        ErrorKind::Authentication {
            failure,
            token_variable,
            ..
        } => match (failure, token_variable) {
            (AuthFailure::Gated, Some(variable)) => format!(
                "accept the terms on the web page of the model, and set {variable} to your token"
            ),
            (AuthFailure::Gated, None) => "accept the terms on the web page of the model".into(),
            (_, Some(variable)) => format!("set {variable} to a valid token with access"),
            (AuthFailure::Missing, None) => "add a user and password to the URL of the source: \
                 https://user:password@host/…"
                .into(),
            (AuthFailure::Forbidden, None) => {
                "check the URL of the source, or ask its operator for access".into()
            }
            (AuthFailure::Refused | AuthFailure::UnsafeTokenService, None) => {
                "ask the operator of the source for access".into()
            }
        },
        ErrorKind::Certificate { problem, .. } => match problem {
            CertificateProblem::Untrusted => {
                "to trust this server, set SSL_CERT_FILE to a PEM file with \
                 the certificate of its authority, or with its own"
                    .into()
            }
            CertificateProblem::Expired | CertificateProblem::NotYetValid => {
                "check the clock of this machine; if it is right, tell the operator of the server"
                    .into()
            }
            CertificateProblem::OtherHost => {
                "use a host that the certificate names, or have this one \
                 added to its subject alternative names"
                    .into()
            }
            _ => "check the URL; if it is right, tell the operator of the server".into(),
        },
        ErrorKind::Tls { problem, .. } => match problem {
            TlsProblem::NotTls => {
                "check the scheme and the port in the URL: plain http is written http://".into()
            }
            TlsProblem::NothingInCommon => {
                "have the operator of the server turn on TLS 1.2 or 1.3".into()
            }
            TlsProblem::ClientCertificate => "ask the operator of the server for access by a \
                 password or a token: certificates of clients are not supported"
                .into(),
            _ => "check the URL; if it is right, tell the operator of the server".into(),
        },
        ErrorKind::Proxy {
            status: 401 | 407,
            variable,
            ..
        } => format!(
            "set {} to the URL of the proxy with a user and password: http://user:password@host:port",
            variable.unwrap_or("HTTPS_PROXY")
        ),
        ErrorKind::Proxy {
            status: ..500, url, ..
        } => format!(
            "ask the operator of the proxy to allow {host}, or add {host} to NO_PROXY if it can be \
             reached without the proxy",
            host = url.authority()
        ),
        ErrorKind::Proxy { .. } => "try again later".into(),
        ErrorKind::WebPage {
            token_variable: Some(variable),
            ..
        } => format!(
            "set {variable} to a valid token with access, or open the URL in a browser to see \
             what the server says"
        ),
        ErrorKind::WebPage { url, .. } if url.scheme() == Scheme::S3 => {
            "check the endpoint of the object store (AWS_ENDPOINT_URL_S3): a page comes from a console, or from a \
             network that asks to sign in"
                .into()
        }
        ErrorKind::WebPage { .. } => format!(
            "open the URL in a browser: the server or the network may ask to sign in; check {}, too",
            match names_place {
                true => "the address that was given",
                false => "the URL of the source",
            }
        ),
        ErrorKind::NoSource => session.how_to_add_a_source(),
        ErrorKind::Collision { .. } => format!("remove the other one first with '{path} remove'"),
        ErrorKind::Exists { .. } if session.verb == "tag" => {
            format!("remove the model first with '{path} remove', or choose another version")
        }
        ErrorKind::Exists { .. } => "replace it with --force".into(),
        _ => return None,
    })
}

/// Whether a path is one that the user named to write to, rather than one of the store or of the cached registries, which
/// variables move.
fn is_of_user(session: &Session, path: &Path) -> bool {
    let is_ours = |settings: Settings| {
        path.starts_with(settings.store_dir) || path.starts_with(settings.cache_dir)
    };
    matches!(session.verb, "copy" | "lock" | "mirror") && !session.settings().is_some_and(is_ours)
}

/// How long a wait is of which the end is told.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Says when to try again.
fn try_again(wait: Option<Duration>) -> String {
    let wait = wait.filter(|wait| *wait >= LONG_WAIT);
    match wait.and_then(|wait| now().checked_add(wait)) {
        Some(time) => format!("try again after {}", rfc3339(time)),
        None => "try again later".into(),
    }
}

/// What to do where bytes are not what a lock says.
fn lock_or_source(path: &str, lock: &Path) -> String {
    let (lock, file) = (lock.display(), lock != Path::new(DEFAULT_FILE));
    let file = match file {
        true => format!(" --file {}", shell_quoted(&lock.to_string())),
        false => String::new(),
    };
    format!(
        "the digest in {lock} is wrong, or the files on the server are: '{path} lock --check{file}' tells whether they are \
         offered as they are locked; if so, tell the operator of the source"
    )
}

/// What to do where an OCI registry denies access.
fn registry_access(registry: &str, failure: AuthFailure, looked_at: &[String]) -> String {
    let login = login(registry);
    let places = match looked_at {
        [] => String::new(),
        places => format!(": {}", places.join("; ")),
    };
    match failure {
        AuthFailure::UnsafeTokenService => {
            "tell the operator of the registry: nothing was sent there".into()
        }
        AuthFailure::Forbidden => format!(
            "check the name, which may not exist, or log in with {login} as somebody with access{places}"
        ),
        AuthFailure::Missing if looked_at.is_empty() => format!(
            "the registry does not say how to log in; a source with a user and a password in its URL \
             sends them all the same: oci = \"https://user:password@{registry}\""
        ),
        _ => format!("log in with {login}{places}"),
    }
}

/// The registry that `docker login` means without a name.
const DOCKER_HUB: &str = "docker.io";

/// The commands that log in to an OCI registry.
fn login(registry: &str) -> String {
    match registry {
        DOCKER_HUB => format!("'docker login' or 'podman login {registry}'"),
        registry => format!("'docker login {registry}' or 'podman login {registry}'"),
    }
}

/// How many choices a hint names at most: a registry may have thousands of tags.
const MAX_CHOICES: usize = 20;

fn first_of(choices: &[String]) -> String {
    let first = choices[..choices.len().min(MAX_CHOICES)].join(", ");
    match choices.len().saturating_sub(MAX_CHOICES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// How many options a hint names at most.
const MAX_EXCLUDES: usize = 8;

/// Returns the options that exclude files which cannot be installed: of each name, the part up to the first folder that is
/// at fault, so that one pattern is enough for all that is below it.
fn excludes(files: &[String]) -> Option<String> {
    let pattern = |name: &String| {
        let ends = name.match_indices('/').map(|(at, _)| at);
        let mut folders = ends.map(|end| &name[..end]);
        let is_bad = |folder: &&str| !folder.is_empty() && RelPath::parse(folder).is_err();
        match folders.find(is_bad) {
            Some(folder) => format!("{}/*", literal(folder)),
            None => literal(name),
        }
    };
    let patterns: BTreeSet<String> = files.iter().map(pattern).collect();
    let options = patterns.iter().map(|pattern| {
        let quoted = shell_quoted(pattern);
        match pattern.starts_with('-') {
            true => format!("--exclude={quoted}"),
            false => format!("--exclude {quoted}"),
        }
    });
    (patterns.len() <= MAX_EXCLUDES).then(|| options.collect::<Vec<_>>().join(" "))
}

/// Returns the pattern of a name: characters that cannot be typed, or that patterns and quotes take for something else,
/// match any.
fn literal(name: &str) -> String {
    let any =
        |c: char| c.is_control() || "[*'\"\\".contains(c) || !(c.is_ascii() || c.is_alphanumeric());
    name.chars().map(|c| if any(c) { '?' } else { c }).collect()
}

/// Quotes a word that a shell would take apart.
pub(super) fn shell_quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{word}'"),
    }
}
