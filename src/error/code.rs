//! The codes of errors, which are stable.

use super::{Error, ErrorKind, LockProblem};

impl ErrorKind {
    /// Returns the stable code that `--json` has, such as `NOT_INSTALLED`. Kinds that most callers handle alike share a code.
    ///
    /// ```
    /// use modelrack::ErrorKind;
    ///
    /// let kind = ErrorKind::Offline { needed: "a registry".into(), variable: None };
    /// assert_eq!(kind.as_str(), "OFFLINE");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Config { .. } | Self::NoSource => "CONFIG_ERROR",
            Self::Registry { .. }
            | Self::DamagedRegistry { .. }
            | Self::DamagedTarget { .. }
            | Self::RegistryTooLarge { .. }
            | Self::UnusableFiles { .. }
            | Self::DamagedCache { .. }
            | Self::OriginUnknown { .. }
            | Self::Unverifiable { .. } => "REGISTRY_ERROR",
            Self::NotPublishable { .. } => "NOT_PUBLISHABLE",
            Self::LockStale { .. } => "LOCK_STALE",
            Self::InvalidRef { .. } => "INVALID_REF",
            Self::InvalidArgument { .. }
            | Self::UnusableLock {
                problem: LockProblem::Missing,
                ..
            } => "INVALID_ARGUMENT",
            Self::UnusableLock { .. } => "REGISTRY_ERROR",
            Self::ModelNotFound { .. } | Self::NotRegistered { .. } => "MODEL_NOT_FOUND",
            Self::VersionNotFound { .. } => "VERSION_NOT_FOUND",
            Self::NotSynced { .. } => "NOT_SYNCED",
            Self::NotInstalled { .. } => "NOT_INSTALLED",
            Self::Proxy {
                status: 401 | 407, ..
            }
            | Self::Authentication { .. } => "AUTHENTICATION_ERROR",
            Self::Network { .. }
            | Self::IndexNotFound { .. }
            | Self::Certificate { .. }
            | Self::Tls { .. }
            | Self::Proxy { .. } => "NETWORK_ERROR",
            Self::Offline { .. } => "OFFLINE",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::HashMismatch { .. } | Self::SizeMismatch { .. } | Self::Damaged { .. } => {
                "HASH_MISMATCH"
            }
            Self::FolderMissing { .. }
            | Self::Storage { .. }
            | Self::Exists { .. }
            | Self::Collision { .. } => "STORAGE_ERROR",
            Self::InsufficientSpace { .. } => "INSUFFICIENT_SPACE",
            Self::Permission { .. } => "PERMISSION_ERROR",
            Self::Locked { .. } => "LOCKED",
            // A redirect to another document leads to a page to sign in.
            Self::WebPage { url, requested, .. }
                if url.last_segment() != requested.last_segment() =>
            {
                "AUTHENTICATION_ERROR"
            }
            Self::WebPage { .. } => "REGISTRY_ERROR",
            Self::Cancelled => "CANCELLED",
            Self::Several { errors, .. } => errors.first().map_or("INTERNAL_ERROR", Error::code),
            Self::Unsupported { .. } => "UNSUPPORTED",
            Self::Internal { .. } => "INTERNAL_ERROR",
        }
    }
}
