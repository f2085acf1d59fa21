//! What completes an argument.

/// The names that complete an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "unstable-completion"),
    allow(dead_code, reason = "only completion asks")
)]
pub(super) enum Which {
    /// Names of installed models.
    Installed,
    /// Names in cached registries.
    Offered,
    /// Versions of installed models.
    InstalledVersions,
    /// Those, and paths of folders.
    InstalledVersionsOrFolders,
    /// Versions in cached registries.
    OfferedVersions,
    /// Versions and names of installed models.
    InstalledOrVersions,
    /// Versions and names in cached registries.
    OfferedOrVersions,
    /// Keys and names of sources.
    Sources,
    /// Those, and paths.
    SourcesOrPaths,
    /// Keys and names of sources, and names of installed models.
    InstalledOrSources,
    /// Refs, configured or cached.
    Refs,
    /// Ids in the project of the current folder.
    #[cfg(feature = "author")]
    Registered,
    /// Ids in that project, and paths.
    #[cfg(feature = "author")]
    RegisteredOrPaths,
}

impl Which {
    pub(super) fn versions(self) -> Self {
        match self {
            Self::Installed | Self::InstalledOrSources => Self::InstalledVersions,
            _ => Self::OfferedVersions,
        }
    }

    /// What completes the words behind the first model of several.
    pub(super) fn versions_or_more(self) -> Self {
        match self {
            Self::Installed => Self::InstalledOrVersions,
            _ => Self::OfferedOrVersions,
        }
    }
}
