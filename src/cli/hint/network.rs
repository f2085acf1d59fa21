//! What to do where the network, or a server, does not do what it should.

use std::time::Duration;

use super::access::login;
use crate::ErrorKind;
use crate::cli::session::Session;
use crate::error::{CertificateProblem, TlsProblem};
use crate::time::{now, rfc3339};
use crate::transport::Scheme;

/// The hint of commands that pull, which resume.
const KEPT: &str = "the same command resumes where this one stopped";

/// About requests that failed, or were not made.
pub(super) fn about_requests(session: &Session, kind: &ErrorKind) -> Option<String> {
    let Session {
        resumes,
        names_place,
        ..
    } = *session;
    let is_registry = session.verb == "registry";
    Some(match kind {
        ErrorKind::Offline { variable, .. } => match (session.output.offline, variable) {
            (true, None) => "run the command without --offline".into(),
            (true, Some(name)) => {
                format!("run the command without --offline, and with {name} unset")
            }
            (false, Some(name)) => format!("run the command with {name} unset"),
            (false, None) => return None,
        },
        ErrorKind::Network {
            server_code: Some(code),
            url,
            ..
        } if code == "NoSuchBucket" => {
            let bucket = url.authority();
            match session.verb {
                "registry" => {
                    format!("create the bucket '{bucket}' first, or correct its name in --to")
                }
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
        _ => return None,
    })
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
