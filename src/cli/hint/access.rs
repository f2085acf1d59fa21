//! What to do where a server lets nobody in.

use crate::ErrorKind;
use crate::cli::session::Session;
use crate::error::AuthFailure;
use crate::transport::Scheme;

/// About credentials: which there are, and where they belong.
pub(super) fn about_access(_: &Session, kind: &ErrorKind) -> Option<String> {
    Some(match kind {
        ErrorKind::Authentication {
            url,
            failure,
            token_origin,
            looked_at,
            ..
        } if url.scheme() == Scheme::S3 => match token_origin {
            Some(origin) if *failure == AuthFailure::WrongSecret => {
                format!(
                    "correct the secret key in {origin}: it is not that of the key ID beside it"
                )
            }
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
            (
                AuthFailure::Refused | AuthFailure::WrongSecret | AuthFailure::UnsafeTokenService,
                None,
            ) => "ask the operator of the source for access".into(),
        },
        _ => return None,
    })
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
pub(super) fn login(registry: &str) -> String {
    match registry {
        DOCKER_HUB => format!("'docker login' or 'podman login {registry}'"),
        registry => format!("'docker login {registry}' or 'podman login {registry}'"),
    }
}
