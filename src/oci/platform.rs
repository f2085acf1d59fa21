//! The systems that artifacts are for.

use std::fmt::{self, Display};

use serde::Deserialize;

use crate::env::ARCHITECTURE;
use crate::platform::{SYSTEM, System};

/// What an index has in place of a platform that does not matter.
const UNKNOWN: &str = "unknown";

/// A system that an artifact is for, by the names that Go has for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) architecture: String,
}

impl Platform {
    /// This system.
    pub(crate) fn current() -> Self {
        let os = match SYSTEM {
            System::Linux => "linux",
            System::MacOs => "darwin",
            System::Windows => "windows",
        };
        let architecture = match ARCHITECTURE {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            architecture => architecture,
        };
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
        }
    }

    /// Whether it says which system.
    pub(crate) fn is_known(&self) -> bool {
        !self.os.is_empty() && self.os != UNKNOWN
    }
}

impl Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}
