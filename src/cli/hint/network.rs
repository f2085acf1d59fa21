//! What to do where the network, or a server, does not do what it should.

use std::time::Duration;

use super::access::login;
use crate::ErrorKind;
use crate::cli::session::Session;
use crate::error::{CertificateProblem, TlsProblem};
use crate::time::{now, rfc3339};
use crate::transport::{Scheme, Url};

/// The hint of commands that pull, which resume.
const KEPT: &str = "the same command resumes where this one stopped";

/// About requests that failed, or were not made.
pub(super) fn about_requests(session: &Session, kind: &ErrorKind) -> Option<String> {
    match kind {
        ErrorKind::Offline { variable, .. } => offline(session, variable.as_deref()),
        ErrorKind::Network {
            url,
            status,
            server_code,
            ..
        } => {
            let told = server_code.as_deref();
            let told = told.and_then(|code| told_by_code(session, code, url));
            Some(told.unwrap_or_else(|| told_by_status(session, *status)))
        }
        ErrorKind::RateLimited {
            token_variable,
            registry,
            retry_after,
            ..
        } => {
            let again = try_again(*retry_after);
            Some(match (token_variable, registry) {
                (Some(variable), _) => {
                    format!("set {variable} to a token to raise the limit, or {again}")
                }
                (None, Some(registry)) => {
                    format!(
                        "log in with {} for a higher limit, or {again}",
                        login(registry)
                    )
                }
                (None, None) if session.resumes => format!("{again}: {KEPT}"),
                (None, None) => again,
            })
        }
        ErrorKind::Cancelled if session.resumes => Some(KEPT.into()),
        _ => None,
    }
}

/// What to do in offline mode, which a flag or a variable turned on; `None` if something else did.
fn offline(session: &Session, variable: Option<&str>) -> Option<String> {
    match (session.output.offline, variable) {
        (true, None) => Some("run the command without --offline".into()),
        (true, Some(name)) => Some(format!(
            "run the command without --offline, and with {name} unset"
        )),
        (false, Some(name)) => Some(format!("run the command with {name} unset")),
        (false, None) => None,
    }
}

/// What to do where a server's own code says what is wrong.
fn told_by_code(session: &Session, code: &str, url: &Url) -> Option<String> {
    let bucket = url.authority();
    match (code, session.verb) {
        ("NoSuchBucket", "registry") => Some(format!(
            "create the bucket '{bucket}' first, or correct its name in --to"
        )),
        ("NoSuchBucket", "mirror") => Some(format!(
            "correct the name of the bucket '{bucket}' in --to or in the URL of the source, or create it first"
        )),
        ("NoSuchBucket", _) => Some("check the bucket in the URL of the source".into()),
        ("NAME_UNKNOWN", "registry") => {
            Some("create the repository at the registry first: not all do so by themselves".into())
        }
        _ => None,
    }
}

/// What to do where a server refuses, or does not answer.
fn told_by_status(session: &Session, status: Option<u16>) -> String {
    let hint = match status {
        // A server that gave up waiting may answer later.
        Some(300..=407 | 409..500) if session.names_place => {
            "check the address that was given, and what its server allows"
        }
        Some(404 | 410) => {
            "the registry lists a file that does not exist: tell the operator of the source"
        }
        Some(300..=407 | 409..500) => "check the URL of the source",
        _ if session.resumes => KEPT,
        None => "check the host in the URL and the network of this machine, or try again later",
        Some(_) => "try again later",
    };
    hint.into()
}

/// About what stands between this machine and a server, and speaks for it.
pub(super) fn about_connections(session: &Session, kind: &ErrorKind) -> Option<String> {
    Some(match kind {
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
            match session.names_place {
                true => "the address that was given",
                false => "the URL of the source",
            }
        ),
        _ => return None,
    })
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
