//! What an error says.

use std::fmt;

use super::{AuthFailure, ErrorKind, LockProblem};
use crate::relpath::shown;
use crate::size::sizes_apart;
use crate::url::Scheme;

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { message, .. }
            | Self::InvalidArgument { message }
            | Self::Several { message, .. } => f.write_str(message),
            Self::NoSource => f.write_str("no source is configured"),
            Self::Registry {
                location, message, ..
            } => write!(f, "{message} ({location})"),
            Self::UnusableFiles {
                model,
                files,
                reason,
                ..
            } => {
                let first = files.first().map_or("", String::as_str);
                // Quotes in it are ours.
                let reason = reason.escape_debug().to_string().replace("\\'", "'");
                let first = shown(first);
                match files.len() {
                    1 => write!(f, "the file '{first}' of '{model}' {reason}"),
                    several => write!(
                        f,
                        "{several} files of '{model}' cannot be installed: '{first}' {reason}"
                    ),
                }
            }
            Self::DamagedRegistry { path, message, .. } => {
                write!(f, "{message} ({})", path.display())
            }
            Self::DamagedTarget { location, .. } => {
                write!(f, "the index is malformed ({location})")
            }
            Self::RegistryTooLarge {
                path,
                size_bytes,
                max_bytes,
            } => {
                let ([size, max], path) = (sizes_apart(*size_bytes, *max_bytes), path.display());
                write!(
                    f,
                    "the registry would have {size}, more than the limit of {max} ({path})"
                )
            }
            Self::InvalidRef { input, message, .. } => write!(f, "'{input}' {message}"),
            Self::ModelNotFound { model, .. } => write!(f, "no source offers the model '{model}'"),
            Self::VersionNotFound { model, version, .. } => {
                write!(f, "model '{model}' has no version '{version}'")
            }
            Self::NotRegistered { id, .. } => {
                write!(f, "'{}' is not registered", id.escape_debug())
            }
            Self::NotSynced {
                source_name,
                references,
                ..
            } => {
                write!(f, "the registry of '{source_name}'")?;
                if !references.is_empty() {
                    write!(f, " at {}", references.join(", "))?;
                }
                f.write_str(" has not been synced")
            }
            Self::NotInstalled { model, .. } => write!(f, "model '{model}' is not installed"),
            Self::FolderMissing { model, path } => {
                write!(f, "the folder of '{model}' is missing: {}", path.display())
            }
            Self::Damaged {
                model,
                files: 1,
                first,
            } => {
                write!(
                    f,
                    "'{model}' is damaged: '{first}' was lost when the system stopped"
                )
            }
            Self::Damaged {
                model,
                files,
                first,
            } => write!(
                f,
                "'{model}' is damaged: {files} files, such as '{first}', were lost when the system stopped"
            ),
            Self::IndexNotFound { url, .. } => write!(f, "not found ({url})"),
            Self::OriginUnknown { source_name } => write!(
                f,
                "the record of the model does not say where its files came from ({source_name})"
            ),
            Self::DamagedCache { path, .. } => {
                write!(f, "the cached registry is damaged ({})", path.display())
            }
            Self::Network { url, message, .. } => write!(f, "{message} ({url})"),
            Self::WebPage { url, requested, .. }
                if url.last_segment() == requested.last_segment() =>
            {
                write!(f, "the server sent a web page instead of the data ({url})")
            }
            Self::WebPage { url, requested, .. } => write!(
                f,
                "the server redirects from {requested} to a web page, probably to sign in ({url})"
            ),
            Self::Certificate { url, message, .. } => {
                write!(
                    f,
                    "the server's certificate is not accepted: {message} ({url})"
                )
            }
            Self::Tls { url, message, .. } => {
                write!(f, "cannot establish a secure connection: {message} ({url})")
            }
            Self::Proxy {
                url,
                proxy,
                status,
                authorized,
                ..
            } => match (status, authorized) {
                (401 | 407, true) => {
                    write!(f, "the proxy {proxy} rejects the user and password ({url})")
                }
                (401 | 407, false) => {
                    write!(f, "the proxy {proxy} requires a user and password ({url})")
                }
                _ => write!(
                    f,
                    "the proxy {proxy} responded with status {status} ({url})"
                ),
            },
            Self::Offline { needed, .. } => write!(f, "cannot fetch {needed} in offline mode"),
            Self::RateLimited {
                url,
                retry_after,
                reason,
                ..
            } => {
                f.write_str("rate limit exceeded")?;
                if let Some(wait) = retry_after {
                    write!(f, ": the server asks to wait {} s", wait.as_secs())?;
                }
                write_reason(f, reason.as_deref())?;
                write!(f, " ({url})")
            }
            Self::HashMismatch {
                what,
                expected,
                actual,
            } => match actual.is_empty() {
                true => write!(f, "{what} is gone, expected {expected}"),
                false => write!(f, "{what} has digest {actual}, expected {expected}"),
            },
            Self::SizeMismatch {
                what,
                expected_bytes,
                actual_bytes,
            } => {
                let [actual, expected] = sizes_apart(*actual_bytes, *expected_bytes);
                write!(f, "{what} has {actual}, expected {expected}")
            }
            Self::Unverifiable { files: 1, first } => write!(f, "no digest for '{first}'"),
            Self::Unverifiable { files, first } => {
                write!(f, "no digests for {files} files, such as '{first}'")
            }
            Self::NotPublishable { findings } => {
                write!(f, "cannot publish the project: {}", findings.join("; "))
            }
            Self::UnusableLock {
                location,
                problem: LockProblem::Missing,
                message,
            } => write!(f, "{message}: {location}"),
            Self::UnusableLock {
                location, message, ..
            } => write!(f, "{message} ({location})"),
            Self::LockStale { path, models } => {
                let (first, path) = (models.first().map_or("", String::as_str), path.display());
                match models.len() {
                    ..2 => write!(f, "'{first}' is no longer offered as it is locked ({path})"),
                    several => write!(
                        f,
                        "{several} models, such as '{first}', are no longer offered as they are locked ({path})"
                    ),
                }
            }
            Self::Storage { action, path, .. } => write!(f, "cannot {action} {}", path.display()),
            Self::Permission { action, path, .. } => {
                write!(f, "no permission to {action} {}", path.display())
            }
            Self::Exists { path } => {
                let path = path.display();
                write!(f, "{path} exists already and is not overwritten")
            }
            Self::Collision { model, other } => {
                write!(f, "cannot store '{model}' beside {other}")
            }
            Self::InsufficientSpace {
                path,
                needed_bytes: 0,
                ..
            } => write!(f, "no space left on the disk of {}", path.display()),
            Self::InsufficientSpace {
                path,
                needed_bytes,
                available_bytes,
            } => {
                let [needed, free] = sizes_apart(*needed_bytes, *available_bytes);
                write!(f, "not enough space: {needed} needed, {free} free ")?;
                write!(f, "on the disk of {}", path.display())
            }
            Self::Locked {
                path,
                holder,
                waited,
            } => {
                let holder = holder.as_deref().unwrap_or("another process");
                let (path, waited) = (path.display(), waited.as_secs());
                write!(f, "{path} is locked by {holder} (waited {waited} s)")
            }
            Self::Authentication {
                url,
                failure,
                token_origin,
                token_variable,
                registry,
                reason,
                ..
            } => {
                match failure {
                    AuthFailure::Missing => f.write_str("the server requires credentials")?,
                    AuthFailure::Refused if let Some(origin) = token_origin => {
                        let what = match token_variable {
                            Some(_) => "token",
                            None if url.scheme() == Scheme::S3 => "key",
                            None => "user and password",
                        };
                        write!(f, "the server refuses the {what} in {origin}")?;
                    }
                    AuthFailure::WrongSecret => {
                        f.write_str("the server finds the secret key wrong")?;
                        if let Some(origin) = token_origin {
                            write!(f, " in {origin}")?;
                        }
                    }
                    AuthFailure::Refused => f.write_str("the server denies access")?,
                    AuthFailure::Forbidden if registry.is_some() => {
                        f.write_str("the registry denies access")?;
                        if let Some(origin) = token_origin {
                            write!(f, " with the login of {origin}")?;
                        }
                    }
                    AuthFailure::Forbidden => {
                        f.write_str("the server denies access, or the file does not exist")?;
                    }
                    AuthFailure::UnsafeTokenService => {
                        let place = reason.as_deref().unwrap_or_default().escape_debug();
                        return write!(
                            f,
                            "the registry sends its users for tokens to '{place}', which is neither https nor \
                             where the registry is ({url})"
                        );
                    }
                    AuthFailure::Gated => {
                        f.write_str("the terms of the model have not been accepted")?;
                    }
                }
                write_reason(f, reason.as_deref())?;
                write!(f, " ({url})")
            }
            Self::Cancelled => f.write_str("cancelled"),
            Self::Unsupported { method } => {
                write!(f, "the manager does not implement '{method}'")
            }
            Self::Internal { message } => write!(f, "internal error: {message}"),
        }
    }
}

/// Quotes a server, with control characters escaped.
fn write_reason(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    match reason {
        Some(reason) => write!(f, ": the server says '{}'", reason.escape_debug()),
        None => Ok(()),
    }
}
